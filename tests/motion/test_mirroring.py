"""A mirrored clip is the clip of the mirrored video, standing where the first one stands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from blender_addon.motion.body import canonical_body
from blender_addon.motion.body_contacts import CONTACT_PARTS
from blender_addon.motion.clip import check_clip, read_clip
from blender_addon.motion.face import FACE_WEIGHT_NAMES
from blender_addon.motion.mirroring import mirror_clip
from blender_addon.motion.posing import FOOT_POINTS, heading_rad, pose_clip
from blender_addon.motion.quality import measure_clip
from tests.motion.hand_motions import with_groups

SAMPLE = Path(__file__).resolve().parents[2] / "assets" / "sample_clip.npz"


def test_twice_mirrored_is_the_same() -> None:
    clip = read_clip(SAMPLE)
    twice = mirror_clip(mirror_clip(clip))
    for name in ("root_world_m", "root_camera_m", "joints_camera_m", "world_from_camera", "contacts", "bone_scales"):
        assert np.abs(getattr(twice, name) - getattr(clip, name)).max() < 1e-5, name
    assert np.abs(twice.keypoints_px - clip.keypoints_px).max() < 1e-3
    assert np.abs(pose_clip(twice).positions_m - pose_clip(clip).positions_m).max() < 1e-5


def test_left_and_right_change_places_and_the_start_stays() -> None:
    clip = read_clip(SAMPLE)
    mirrored = mirror_clip(clip)
    check_clip(mirrored)
    assert np.abs(mirrored.root_world_m[0] - clip.root_world_m[0]).max() < 1e-5
    headings = [heading_rad(one.rotations_wxyz[0, 0]) for one in (clip, mirrored)]
    assert abs(float(headings[1] - headings[0])) < 1e-4
    body = canonical_body()
    before, after = pose_clip(clip).positions_m, pose_clip(mirrored).positions_m
    assert np.abs(after[..., 2] - before[:, body.mirror, 2]).max() < 1e-5
    distances = [np.linalg.norm(one[:, :, None] - one[:, None], axis=-1) for one in (after, before[:, body.mirror])]
    assert np.abs(distances[0] - distances[1]).max() < 1e-5
    swapped = [FOOT_POINTS.index(name) for name in ("right_heel", "right_toe", "left_heel", "left_toe")]
    assert np.array_equal(mirrored.contacts, clip.contacts[:, swapped])


def test_the_figures_are_those_of_the_clip() -> None:
    clip = read_clip(SAMPLE)
    before, after = (measure_clip(one).as_figures() for one in (clip, mirror_clip(clip)))
    for name, value in before.items():
        assert abs(after[name] - value) <= 2e-3 * max(abs(value), 1.0), name


def test_fingers_and_face_change_sides() -> None:
    clip = with_groups(read_clip(SAMPLE))
    mirrored = mirror_clip(clip)
    assert clip.hands is not None
    assert clip.face is not None
    left = FACE_WEIGHT_NAMES.index("mouthSmileLeft")
    right = FACE_WEIGHT_NAMES.index("mouthSmileRight")
    assert mirrored.face is not None
    assert np.array_equal(mirrored.face.weights[:, left], clip.face.weights[:, right])
    assert mirrored.hands is not None
    assert np.array_equal(mirrored.hands.confidence, clip.hands.confidence[:, ::-1])


def test_confidences_of_joints_and_contacts_of_parts_change_sides() -> None:
    clip, body = read_clip(SAMPLE), canonical_body()
    confidence = np.tile(np.linspace(0.0, 1.0, len(body.joint_names), dtype=np.float32), (len(clip), 1))
    parts = np.tile(np.linspace(0.0, 1.0, len(CONTACT_PARTS), dtype=np.float32), (len(clip), 1))
    mirrored = mirror_clip(replace(clip, joint_confidence=confidence, body_contacts=parts))
    check_clip(mirrored)
    assert mirrored.joint_confidence is not None
    assert mirrored.body_contacts is not None
    left, right = (body.joint_index(f"{side}_wrist") for side in ("left", "right"))
    assert np.array_equal(mirrored.joint_confidence[:, left], confidence[:, right])
    left, right = (CONTACT_PARTS.index(f"{side}_knee") for side in ("left", "right"))
    assert np.array_equal(mirrored.body_contacts[:, left], parts[:, right])
