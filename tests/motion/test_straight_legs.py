"""Straightened legs: knees bend less, feet stay, nothing is overstretched, deep bends stay deep."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from blender_addon.motion.body import canonical_body
from blender_addon.motion.clip import MotionClip
from blender_addon.motion.posing import pose_clip
from blender_addon.motion.rotations import quaternion_multiply, rotvec_to_quaternion
from blender_addon.motion.straight_legs import straighten_legs
from tests.motion.motions import foot_points, identity_rotations, make_clip, walking, with_contacts

_BODY = canonical_body()


def _joint(clip: MotionClip, name: str) -> np.ndarray:
    return pose_clip(clip).positions_m[:, _BODY.joint_index(name)]


def _bend_deg(clip: MotionClip, side: str) -> np.ndarray:
    hip, knee, ankle = (_joint(clip, f"{side}_{part}") for part in ("hip", "knee", "ankle"))
    thigh, shin = knee - hip, ankle - knee
    cosine = (thigh * shin).sum(-1) / np.linalg.norm(thigh, axis=-1) / np.linalg.norm(shin, axis=-1)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def _crouching(bend_deg: float, frames: int = 20) -> MotionClip:
    """Someone who stands with both knees bent, feet flat below the hips."""
    rotations = identity_rotations(frames)
    for side in ("left", "right"):
        for part, turn in (("hip", -0.5), ("knee", 1.0), ("ankle", -0.5)):
            joint = _BODY.joint_index(f"{side}_{part}")
            bent = rotvec_to_quaternion(np.array([np.radians(bend_deg) * turn, 0.0, 0.0]))
            rotations[:, joint] = quaternion_multiply(rotations[:, joint], bent)
    return make_clip(np.arange(frames) / 30.0, rotations, np.tile([0.0, 0.0, 0.9], (frames, 1)))


@pytest.mark.parametrize(("bend", "less", "left"), [(30, 15, 15), (30, 25, 5), (47, 20, 27), (10, 5, 5)])
def test_so_much_is_taken_from_each_knee(bend: float, less: float, left: float) -> None:
    clip = _crouching(bend)
    rest = _bend_deg(_crouching(0.0), "left")[0]  # the canonical body rests with nearly straight legs
    straight = straighten_legs(clip, less)
    for side in ("left", "right"):
        assert _bend_deg(straight, side)[0] == pytest.approx(left + (_bend_deg(clip, side)[0] - bend), abs=0.3 + rest)


def test_walking_feet_stay_where_they_are_and_the_body_rises() -> None:
    times, rotations, root, planted = walking(4.0)
    clip = with_contacts(make_clip(times, rotations, root), planted)
    straight = straighten_legs(clip, 10.0)
    np.testing.assert_allclose(foot_points(straight), foot_points(clip), atol=2e-6)
    rise = (straight.root_world_m - clip.root_world_m)[:, 2]
    assert (rise >= 0).all()
    assert 0.002 < np.median(rise) < 0.08
    assert np.abs(np.diff(rise)).max() < 0.02  # no pops where one leg takes over from the other
    np.testing.assert_array_equal(straight.root_world_m[:, :2], clip.root_world_m[:, :2])
    for side in ("left", "right"):
        less = _bend_deg(clip, side) - _bend_deg(straight, side)
        assert np.median(less) > 4.0
        assert _bend_deg(straight, side).min() > 1.0  # never snapped to a line
    others = [name for name in _BODY.joint_names if name.split("_")[-1] not in ("hip", "knee", "ankle")]
    rows = [_BODY.joint_index(name) for name in others]
    np.testing.assert_allclose(straight.rotations_wxyz[:, rows], clip.rotations_wxyz[:, rows], atol=1e-7)


def test_a_deep_squat_stays_deep_and_the_lens_sees_the_new_pose() -> None:
    deep = _crouching(100.0)
    np.testing.assert_allclose(straighten_legs(deep, 20.0).rotations_wxyz, deep.rotations_wxyz, atol=1e-6)
    clip = _crouching(30.0)
    straight = straighten_legs(clip, 20.0)
    moved = straight.joints_camera_m - clip.joints_camera_m
    names = list(clip.joint_names)
    assert np.abs(moved[:, names.index("headtop"), 1]).min() > 0.005  # up in the camera
    assert np.abs(moved[:, names.index("rankle")]).max() < 1e-6


def test_frames_without_a_person_and_nothing_to_do() -> None:
    clip = _crouching(30.0)
    assert straighten_legs(clip, 0.0) is clip
    root = clip.root_world_m.copy()
    root[5:8] = np.nan
    straight = straighten_legs(replace(clip, root_world_m=root), 15.0)
    assert np.isnan(straight.root_world_m[5:8]).all()
    assert _bend_deg(straight, "left")[0] < 20.0
    none = replace(clip, root_world_m=np.full_like(root, np.nan))
    assert straighten_legs(none, 15.0) is none
    for wrong in (-1.0, 41.0, float("nan")):
        with pytest.raises(ValueError, match="give 0 to 40"):
            straighten_legs(clip, wrong)
