"""Mocap in which nobody stretches a leg: the constant bend is taken out, and nothing else is moved."""

from __future__ import annotations

import numpy as np

from backend.datasets.motion import Motion
from backend.datasets.straight_knees import knee_flexion, with_straight_knees
from blender_addon.motion.body import canonical_body, forward_kinematics
from blender_addon.motion.rotations import quaternion_to_matrix, rotvec_to_quaternion

_BODY = canonical_body()
_FRAMES = 200


def _walk(least_deg: float, subject: str = "s", frames: int = _FRAMES) -> Motion:
    """Knees that bend between `least_deg` and 50 degrees more, on turned and swinging thighs."""
    rotations = np.zeros((frames, len(_BODY.joint_names), 4))
    rotations[..., 0] = 1.0
    rotations[:, 0] = rotvec_to_quaternion(np.array([0.1, 0.2, 0.7]))
    phase = np.linspace(0, 20, frames)
    for side, shift in (("left", 0.0), ("right", np.pi)):
        swing = np.sin(phase + shift)
        hip = np.stack([-0.4 * swing, 0.1 + 0 * swing, 0.2 * swing], axis=-1)
        bend = np.radians(least_deg + 25 * (1 + np.cos(phase + shift)))
        knee = np.stack([bend, 0 * bend, 0 * bend], axis=-1)
        rotations[:, _BODY.joint_index(f"{side}_hip")] = rotvec_to_quaternion(hip)
        rotations[:, _BODY.joint_index(f"{side}_knee")] = rotvec_to_quaternion(knee)
        rotations[:, _BODY.joint_index(f"{side}_ankle")] = rotvec_to_quaternion(np.array([-0.2, 0.1, 0.0]))
    return Motion(rotations, np.tile([0.0, 0.0, 0.9], (frames, 1)), 30.0, subject, "walk", "made up")


def _joints(motion: Motion) -> tuple[np.ndarray, np.ndarray]:
    positions, turns = forward_kinematics(_BODY, motion.rotations_wxyz, motion.root_m)
    return positions, quaternion_to_matrix(turns)


def test_a_constant_bend_is_taken_out() -> None:
    new = with_straight_knees([_walk(14.0)])[0]
    for side in ("left", "right"):
        bend, before = (np.degrees(knee_flexion(m.rotations_wxyz, side)) for m in (new, _walk(14.0)))
        assert 4.0 < np.percentile(bend, 5) < 6.0
        assert np.ptp(before - bend) < 1e-6, "every frame loses the same"


def test_hip_line_foot_and_the_lower_ankle_stay() -> None:
    old = _walk(14.0)
    (before, turned), (after, turned_after) = _joints(old), _joints(with_straight_knees([old])[0])
    lowest = []
    for side in ("left", "right"):
        hip, ankle = (_BODY.joint_index(f"{side}_{part}") for part in ("hip", "ankle"))
        lines = [points[:, ankle] - points[:, hip] for points in (before, after)]
        along = [line / np.linalg.norm(line, axis=-1, keepdims=True) for line in lines]
        assert np.abs(along[0] - along[1]).max() < 1e-6
        assert (np.linalg.norm(lines[1], axis=-1) >= np.linalg.norm(lines[0], axis=-1)).all()
        assert np.abs(turned[:, ankle] - turned_after[:, ankle]).max() < 1e-6
        lowest.append((before[:, ankle, 2], after[:, ankle, 2]))
    ground = [np.minimum(lowest[0][k], lowest[1][k]) for k in (0, 1)]
    assert np.abs(ground[0] - ground[1]).max() < 1e-6


def test_who_stretches_the_legs_is_left_alone_and_nobody_is_overstretched() -> None:
    healthy, crouching, short = _walk(2.0, "healthy"), _walk(40.0, "crouching"), _walk(14.0, "short", 100)
    new = with_straight_knees([healthy, crouching, short])
    assert new[0] is healthy
    assert new[2] is short, "a few frames say nothing about the straightest leg"
    lost = np.degrees(knee_flexion(crouching.rotations_wxyz, "left") - knee_flexion(new[1].rotations_wxyz, "left"))
    assert np.allclose(lost, 15.0, atol=1e-6), "a real crouch keeps most of its bend"
    mixed = with_straight_knees([_walk(14.0, "m"), _walk(0.0, "m", 8)])
    assert np.degrees(knee_flexion(mixed[1].rotations_wxyz, "left")).min() > -1e-6
