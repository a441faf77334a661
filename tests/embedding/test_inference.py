"""The virtual camera's invariances, kinematics against the contract's, and inference that recovers known poses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.camera.virtual_camera import roll_matrix
from backend.embedding.features import WINDOW, LandmarkWindow, tower_input
from backend.embedding.fit_terms import Evidence, RefineSettings
from backend.embedding.keypoints import KEYPOINT_NAMES, MIRROR
from backend.embedding.refine import initial_root, refine_poses
from backend.embedding.shape import bone_scales_from_proportions
from backend.embedding.skeleton import make_skeleton, point_jacobian, pose_skeleton, rotvec_to_matrix, turned
from backend.embedding.smooth_evidence import smoothed
from backend.embedding.windows import mirrored
from blender_addon.motion.body import BodyShape, canonical_body, forward_kinematics, points_m
from blender_addon.motion.rotations import quaternion_to_matrix, rotvec_to_quaternion

_JOINTS = len(canonical_body().joint_names)
_CANONICAL = BodyShape(1.70, np.ones(_JOINTS))


def _pose(frames: int, seed: int = 0, spread: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Local rotations (T, J, 4) of a body that stands upright before the camera, and pelvis positions (T, 3)."""
    rng = np.random.default_rng(seed)
    turn = rng.normal(0, spread, (frames, _JOINTS, 3))
    facing = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    local = quaternion_to_matrix(rotvec_to_quaternion(turn))
    local[:, 0] = facing @ local[:, 0]
    return local.astype(np.float32), np.tile(np.array([0.2, 0.1, 4.0], np.float32), (frames, 1))


def _window(frames: int = 3, seed: int = 0) -> LandmarkWindow:
    local, root = _pose(frames * WINDOW, seed)
    pose = pose_skeleton(make_skeleton(_CANONICAL), local, root)
    points = (pose.landmarks_m[..., :2] / pose.landmarks_m[..., 2:]).reshape(frames, WINDOW, 33, 2)
    guess = (pose.landmarks_m - root[:, None]).reshape(frames, WINDOW, 33, 3)
    return LandmarkWindow(
        points.astype(np.float64),
        np.ones((frames, WINDOW, 33)),
        guess.astype(np.float64),
        np.ones((frames, WINDOW), bool),
        np.ones(frames, bool),
    )


@given(st.floats(-3.0, 3.0))
def test_a_rolled_camera_gives_the_same_features(roll: float) -> None:
    window = _window()
    turn = roll_matrix(np.full(3, roll))
    rolled = replace(
        window,
        points=window.points @ np.swapaxes(turn[:, None, :2, :2], -1, -2),
        guess=window.guess @ np.swapaxes(turn[:, None], -1, -2),
    )
    plain, other = tower_input(window), tower_input(rolled)
    assert np.allclose(plain.frames, other.frames, atol=1e-4)
    assert np.allclose(plain.context, other.context, atol=1e-4)
    assert np.allclose(other.virtual_from_camera @ turn, plain.virtual_from_camera, atol=1e-6)


def test_mirroring_twice_is_the_identity_and_sides_swap() -> None:
    window = _window()
    twice = mirrored(mirrored(window))
    assert np.allclose(twice.points, window.points)
    assert KEYPOINT_NAMES[MIRROR[15]] == "right_wrist"
    assert (MIRROR[MIRROR] == np.arange(33)).all()


def test_kinematics_equal_the_contracts() -> None:
    local, root = _pose(4)
    shape = BodyShape(1.8, np.linspace(0.9, 1.1, _JOINTS))
    pose = pose_skeleton(make_skeleton(shape), local.astype(np.float64), root.astype(np.float64))
    rotations = np.stack([[_quaternion(m) for m in frame] for frame in local])
    positions, turns = forward_kinematics(canonical_body(), rotations, root, shape)
    assert np.allclose(pose.joints_m, positions, atol=1e-5)
    assert np.allclose(pose.turns, quaternion_to_matrix(turns), atol=1e-5)
    unscaled = points_m(canonical_body(), "centres17", *forward_kinematics(canonical_body(), rotations, root))
    assert np.allclose(pose_skeleton(make_skeleton(_CANONICAL), local, root).centres_m, unscaled, atol=1e-4)


def _quaternion(matrix: np.ndarray) -> np.ndarray:
    from blender_addon.motion.rotations import matrix_to_quaternion

    return matrix_to_quaternion(matrix.astype(np.float64))


def test_jacobian_equals_finite_differences() -> None:
    local, root = (value.astype(np.float64) for value in _pose(1))
    skeleton = make_skeleton(_CANONICAL)
    pose = pose_skeleton(skeleton, local, root)
    turning = np.arange(_JOINTS)
    jacobian = point_jacobian(skeleton, pose, turning)
    for joint, axis in ((0, 1), (3, 0), (8, 2), (20, 1)):
        step = np.zeros((1, _JOINTS, 3))
        step[0, joint, axis] = 1e-5
        moved = pose_skeleton(skeleton, turned(skeleton, pose, local, turning, step), root)
        change = (
            np.concatenate([moved.landmarks_m, moved.centres_m], 1)
            - np.concatenate([pose.landmarks_m, pose.centres_m], 1)
        ) / 1e-5
        assert np.allclose(jacobian[0, :, :, 3 * joint + axis], change[0], atol=2e-3)


def _evidence(skeleton, local: np.ndarray, root: np.ndarray, start: np.ndarray, noise: float) -> Evidence:  # type: ignore[no-untyped-def]
    pose = pose_skeleton(skeleton, local, root)
    rng = np.random.default_rng(5)
    joints = pose.centres_m - pose.centres_m[:, :1]
    return Evidence(
        pose.landmarks_m[..., :2] / pose.landmarks_m[..., 2:],
        np.ones((len(local), 33), np.float32),
        joints + rng.normal(0, noise, joints.shape),
        np.full((len(local), 17), max(noise, 0.01)),
        start,
        np.full(len(local), 0.3),
    )


def test_inference_recovers_the_pose_from_keypoints_and_noisy_joints() -> None:
    skeleton = make_skeleton(_CANONICAL)
    local, root = _pose(6)
    start = local @ rotvec_to_matrix(np.random.default_rng(1).normal(0, 0.12, (6, _JOINTS, 3)).astype(np.float32))
    evidence = _evidence(skeleton, local, root, start, noise=0.04)
    refined = refine_poses(skeleton, evidence, RefineSettings())
    truth = pose_skeleton(skeleton, local, root).centres_m
    begun = pose_skeleton(skeleton, start, root).centres_m
    error, before = (
        np.linalg.norm(x - x[:, :1] - truth + truth[:, :1], axis=-1).mean() for x in (refined.pose.centres_m, begun)
    )
    assert error < 0.5 * before
    assert error < 0.03
    bones = np.linalg.norm(
        refined.pose.joints_m[:, 1:] - refined.pose.joints_m[:, canonical_body().parents[1:]], axis=-1
    )
    assert np.allclose(bones, np.linalg.norm(skeleton.offsets_m[1:], axis=-1), atol=1e-4)  # a valid skeleton


def test_root_is_found_from_keypoints() -> None:
    skeleton = make_skeleton(_CANONICAL)
    local, root = _pose(5)
    evidence = _evidence(skeleton, local, root, local, noise=0.0)
    found = initial_root(pose_skeleton(skeleton, local, np.zeros_like(root)).landmarks_m, evidence)
    assert np.allclose(found, root, atol=2e-3)


def test_smoothing_keeps_constants_and_follows_time() -> None:
    times = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.05, 50))
    assert np.allclose(smoothed(np.ones((50, 3)), times, 0.05), 1.0)
    noisy = np.random.default_rng(1).normal(size=(50, 3))
    assert smoothed(noisy, times, 0.1).std() < 0.7 * noisy.std()
    assert smoothed(noisy, times, 0.0) is noisy


@pytest.mark.parametrize("value", [-2.0, 2.0, np.nan])
def test_extreme_proportions_are_limited(value: float) -> None:
    scales = bone_scales_from_proportions(np.full(7, value))
    assert ((scales > 0.7) & (scales < 1.45)).all()
