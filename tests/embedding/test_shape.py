"""Retrieved joints take a person's proportions; joint limits know what people do; the pose tower's input."""

from __future__ import annotations

import numpy as np
import pytest

from backend.embedding.features import PROPORTIONS, pose_features
from backend.embedding.fit_terms import Evidence, RefineSettings
from backend.embedding.refine import refine_poses
from backend.embedding.shape import bone_scales_from_proportions, reshaped_joints
from backend.embedding.skeleton import joint_limits, make_skeleton, matrix_to_rotvec, pose_skeleton
from blender_addon.motion.body import BodyShape, canonical_body
from blender_addon.motion.rotations import quaternion_to_matrix, rotvec_to_quaternion

_BODY = canonical_body()
_SHAPE = BodyShape(_BODY.height_m, np.ones(len(_BODY.joint_names)))


def _local(frames: int, spread: float = 0.25) -> np.ndarray:
    turn = np.random.default_rng(2).normal(0, spread, (frames, len(_BODY.joint_names), 3))
    return quaternion_to_matrix(rotvec_to_quaternion(turn)).astype(np.float32)


def test_reshaped_joints_are_those_of_a_body_with_these_proportions() -> None:
    proportions = np.array([0.10, -0.08, 0.05, 0.12, -0.1, 0.06, 0.2])
    local, root = _local(20), np.zeros((20, 3), np.float32)
    plain = pose_skeleton(make_skeleton(_SHAPE), local, root).centres_m
    scales = bone_scales_from_proportions(proportions)
    own = pose_skeleton(make_skeleton(BodyShape(_BODY.height_m, scales)), local, root).centres_m
    plain, own = plain - plain[:, :1], own - own[:, :1]
    error = np.linalg.norm(reshaped_joints(plain, proportions) - own, axis=-1)
    # shoulder blades hang somewhere between two joints, so shoulders are not exact; limbs are
    assert error.max() < 0.015
    assert np.linalg.norm(plain - own, axis=-1).mean() > 0.03
    limb = reshaped_joints(plain, proportions)
    lower_arm = np.linalg.norm(limb[:, 13] - limb[:, 12], axis=-1) / np.linalg.norm(
        plain[:, 13] - plain[:, 12], axis=-1
    )
    assert lower_arm == pytest.approx(np.exp(proportions[PROPORTIONS.index("forearm")]), rel=1e-5)


def test_unknown_proportions_change_nothing() -> None:
    joints = np.random.default_rng(0).normal(0, 0.3, (4, 17, 3))
    joints[:, 0] = 0
    assert np.allclose(reshaped_joints(joints, np.full(7, np.nan)), joints)


def test_pose_features_hold_the_distance_between_poses() -> None:
    a, b = np.random.default_rng(1).normal(0, 0.4, (2, 1, 17, 3))
    fa, fb = pose_features(a)[0], pose_features(b)[0]
    square = np.square(2 * (a - b)).sum()  # |a - b|^2 = |a|^2 + |b|^2 - 2 ab, linear in the features of either
    assert fa[51:].sum() + fb[51:].sum() - 2 * fa[:51] @ fb[:51] == pytest.approx(square, rel=1e-5)


def test_limits_let_a_sitting_person_be_and_stop_a_knee_that_bends_forward() -> None:
    turns = np.zeros((1, len(_BODY.joint_names), 3), np.float32)
    turns[0, _BODY.joint_index("left_hip"), 0] = np.radians(-85)
    turns[0, _BODY.joint_index("left_knee"), 0] = np.radians(90)
    assert not joint_limits().excess(turns).any()
    turns[0, _BODY.joint_index("left_knee"), 0] = np.radians(-60)
    assert joint_limits().excess(turns)[0, _BODY.joint_index("left_knee"), 0] < np.radians(-40)


def test_the_fit_leads_a_joint_back_into_its_range() -> None:
    knee = _BODY.joint_index("left_knee")
    turn = np.zeros((3, len(_BODY.joint_names), 3))
    turn[:, knee, 0] = np.radians(-50)
    local = quaternion_to_matrix(rotvec_to_quaternion(turn)).astype(np.float32)
    local[:, 0] = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]], np.float32) @ local[:, 0]
    skeleton = make_skeleton(_SHAPE)
    pose = pose_skeleton(skeleton, local, np.tile(np.array([0, 0, 4], np.float32), (3, 1)))
    evidence = Evidence(
        pose.landmarks_m[..., :2] / pose.landmarks_m[..., 2:],
        np.full((3, 33), 1e-3, np.float32),
        pose.centres_m - pose.centres_m[:, :1],
        np.full((3, 17), 0.5, np.float32),
        local,
        np.full(3, 0.3, np.float32),
    )
    bent = {}
    for limit in (0.0, 4.0):
        fitted = refine_poses(skeleton, evidence, RefineSettings(limit_deg=limit)).local[:, knee]
        bent[limit] = float(np.degrees(matrix_to_rotvec(fitted)[:, 0].mean()))
    assert bent[0.0] == pytest.approx(-50, abs=3)
    assert bent[4.0] > -20
