"""Contacts of the body that are added by hand are held; the rest of the motion stays as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from blender_addon.motion.body_contacts import CONTACT_PARTS, body_parts
from blender_addon.motion.clip import MotionClip, read_clip
from blender_addon.motion.contact_spans import contact_spans, with_contact_spans
from blender_addon.motion.contacts import ContactSettings
from blender_addon.motion.edited_contacts import follow_added_contacts
from blender_addon.motion.posing import clip_body, pose_clip
from blender_addon.motion.rotations import rotvec_to_quaternion

SAMPLE = Path(__file__).resolve().parents[2] / "assets" / "sample_clip.npz"


@pytest.fixture(scope="module")
def clip() -> MotionClip:
    """A walk with bent elbows, so that the hands can reach their spots, and nothing that rests."""
    whole = read_clip(SAMPLE)
    rotations = whole.rotations_wxyz.copy()
    for side, turn in (("left", -1.2), ("right", 1.2)):
        rotations[:, clip_body(whole).joint_index(f"{side}_elbow")] = rotvec_to_quaternion(np.array([0.0, 0.0, turn]))
    contacts = np.zeros((len(whole), len(CONTACT_PARTS)), np.float32)
    return replace(whole, rotations_wxyz=rotations, body_contacts=contacts)


def edited(clip: MotionClip, part: str, first_s: float, last_s: float) -> MotionClip:
    spans = list(contact_spans(clip, ContactSettings()))
    spans[clip.contacts.shape[1] + CONTACT_PARTS.index(part)] = ((first_s, last_s),)
    return follow_added_contacts(clip, with_contact_spans(clip, tuple(spans)))


def places(clip: MotionClip, part: str) -> np.ndarray:
    parts = body_parts(clip_body(clip), pose_clip(clip))
    return parts.positions_m[:, CONTACT_PARTS.index(part)]


@pytest.mark.parametrize("part", ["left_hand", "right_hand"])
def test_a_hand_stays_on_its_spot(clip: MotionClip, part: str) -> None:
    start, end = clip.times_s[20], clip.times_s[25]
    held = edited(clip, part, start, end)
    inside = (clip.times_s >= start) & (clip.times_s <= end)
    assert np.ptp(places(clip, part)[inside], axis=0).max() > 0.05
    assert np.ptp(places(held, part)[inside], axis=0).max() < 0.01
    far = (clip.times_s < start - 0.5) | (clip.times_s > end + 0.5)
    np.testing.assert_allclose(places(held, part)[far], places(clip, part)[far], atol=2e-3)
    np.testing.assert_allclose(held.root_world_m, clip.root_world_m, atol=1e-6)


def test_a_seat_stays_at_the_height_of_its_chair_and_comes_to_a_floor_that_is_near(clip: MotionClip) -> None:
    start, end = clip.times_s[20], clip.times_s[40]
    inside = (clip.times_s >= start) & (clip.times_s <= end)
    seated = edited(clip, "seat", start, end)
    assert np.ptp(places(seated, "seat")[inside, 2]) < 2e-3 < np.ptp(places(clip, "seat")[inside, 2])
    np.testing.assert_allclose(seated.root_world_m[:, :2], clip.root_world_m[:, :2], atol=1e-6)
    root = clip.root_world_m.copy()
    radius = body_parts(clip_body(clip), pose_clip(clip)).radius_m[CONTACT_PARTS.index("seat")]
    root[:, 2] -= np.median(places(clip, "seat")[inside, 2]) - radius - 0.1
    low = replace(clip, root_world_m=root)
    lowered = edited(low, "seat", start, end)
    np.testing.assert_allclose(places(lowered, "seat")[inside, 2], radius, atol=1e-3)


@pytest.mark.parametrize("part", ["seat", "left_hand"])
@pytest.mark.parametrize("before", [False, True])
def test_a_contact_that_is_made_longer_stays_where_it_was(clip: MotionClip, part: str, before: bool) -> None:
    """Someone sits, and stands up slowly or sat down slowly: the seat stays on the chair while the contact is on."""
    contacts, root = clip.body_contacts.copy(), clip.root_world_m.copy()
    root[:] = root[40]
    rotations = np.broadcast_to(clip.rotations_wxyz[40], clip.rotations_wxyz.shape).copy()
    contacts[30:50, CONTACT_PARTS.index(part)] = 1.0
    added = slice(15, 30) if before else slice(50, 65)
    rise = np.linspace(0.0, 0.12, 15)
    root[added, 2] += rise[::-1] if before else rise
    sat = replace(clip, body_contacts=contacts, root_world_m=root, rotations_wxyz=rotations)
    times_s = clip.times_s
    longer = edited(sat, part, times_s[15 if before else 30], times_s[49 if before else 64])
    level = places(sat, part)[40, 2]
    assert np.abs(places(sat, part)[added, 2] - level).max() > 0.1
    held = places(longer, part)[slice(15, 50) if before else slice(30, 65), 2]
    assert np.abs(held - level).max() < 0.02  # a frame beside the old end may lie between


def test_contacts_that_are_the_clips_own_or_removed_move_nothing(clip: MotionClip) -> None:
    contacts = clip.body_contacts.copy()
    contacts[20:40, CONTACT_PARTS.index("seat")] = 1.0
    rested = replace(clip, body_contacts=contacts)
    same = follow_added_contacts(rested, with_contact_spans(rested, contact_spans(rested, ContactSettings())))
    assert (same.body_contacts == contacts).all()
    np.testing.assert_array_equal(same.root_world_m, clip.root_world_m)
    removed = edited(rested, "head", 0.0, -1.0)
    np.testing.assert_array_equal(removed.root_world_m, clip.root_world_m)


@pytest.mark.parametrize("enter", [0.3, 0.6])
def test_doubtful_ends_of_a_contact_that_was_not_edited_move_nothing(clip: MotionClip, enter: float) -> None:
    contacts = clip.body_contacts.copy()
    contacts[20:30, CONTACT_PARTS.index("seat")] = 0.9
    contacts[30:40, CONTACT_PARTS.index("seat")] = 0.4  # goes on by hysteresis
    rested, own = replace(clip, body_contacts=contacts), ContactSettings(enter=enter, leave=0.6 * enter)
    step_s = float(np.median(np.diff(clip.times_s)))
    spans = tuple(
        tuple((first - step_s, last + step_s) for first, last in part)  # as whole frames of a scene at 24 fps have them
        for part in contact_spans(rested, own)
    )
    same = follow_added_contacts(rested, with_contact_spans(rested, spans), own)
    assert same.body_contacts[35, CONTACT_PARTS.index("seat")] == 1.0
    np.testing.assert_array_equal(same.root_world_m, clip.root_world_m)


def test_spans_of_feet_alone_leave_the_parts(clip: MotionClip) -> None:
    spans = contact_spans(clip, ContactSettings())
    assert len(spans) == 4 + len(CONTACT_PARTS)
    contacts = np.full_like(clip.body_contacts, 0.7)
    kept = with_contact_spans(replace(clip, body_contacts=contacts), spans[:4])
    assert (kept.body_contacts == contacts).all()
