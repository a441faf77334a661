"""Keypoints that shake lose their weight, those that move with the expected pose keep it; solved legs gain by it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.embedding.fit_terms import Evidence, RefineSettings
from backend.embedding.keypoint_weights import steady_weight
from backend.embedding.pose_model import PoseOptions, load_model
from backend.embedding.skeleton import Skeleton, make_skeleton, pose_skeleton, rotvec_to_matrix
from backend.types import Intrinsics, PersonTrack
from blender_addon.motion.body import BodyShape, canonical_body

FRAMES, FPS, HALF = 30, 30.0, 0.3
TIMES = np.arange(FRAMES) / FPS
LEFT_ELBOW, LEFT_WRIST = 13, 15
LEFT_LEG = [25, 27, 29, 31]


def waving() -> tuple[Skeleton, np.ndarray, np.ndarray, np.ndarray]:
    """A body whose left arm goes round fast before the camera: skeleton, local rotations, landmarks m, centres m."""
    body = canonical_body()
    skeleton = make_skeleton(BodyShape(1.7, np.ones(len(body.joint_names))))
    turns = np.zeros((FRAMES, len(body.joint_names), 3), np.float32)
    turns[:, 0] = [-np.pi / 2, 0.0, 0.0]  # the body's Z up is the camera's -y
    turns[:, body.joint_index("left_shoulder"), 1] = 1.2 * np.sin(2 * np.pi * 1.5 * TIMES)
    local = rotvec_to_matrix(turns)
    pose = pose_skeleton(skeleton, local, np.tile(np.float32([0, 0, 4.0]), (FRAMES, 1)))
    return skeleton, local, pose.landmarks_m, pose.centres_m


def seen(local: np.ndarray, landmarks_m: np.ndarray) -> Evidence:
    points = landmarks_m[..., :2] / landmarks_m[..., 2:]
    return Evidence(
        points,
        np.full((FRAMES, 33), 0.9),
        np.zeros((FRAMES, 17, 3)),
        np.full((FRAMES, 17), 0.1),
        local,
        np.full(FRAMES, HALF),
    )


def test_what_moves_as_expected_keeps_its_weight() -> None:
    skeleton, local, landmarks, _ = waving()
    evidence = seen(local, landmarks)
    swing = np.linalg.norm(np.diff(evidence.points[:, LEFT_WRIST], n=2, axis=0), axis=-1).max() / HALF
    assert swing > 0.02, "the wrist's own acceleration would count as shaking"
    assert np.allclose(steady_weight(skeleton, evidence, TIMES, 0.02), evidence.weight, rtol=1e-3)


def test_a_shaking_keypoint_loses_its_weight_where_it_shakes() -> None:
    skeleton, local, landmarks, _ = waving()
    evidence = seen(local, landmarks)
    points = evidence.points.copy()
    points[15:, LEFT_ELBOW] += 0.05 * HALF * np.random.default_rng(0).normal(size=(15, 2))
    weight = steady_weight(skeleton, replace(evidence, points=points), TIMES, 0.02)
    assert weight[20:, LEFT_ELBOW].max() < 0.15
    assert weight[:8, LEFT_ELBOW].min() > 0.8
    others = np.delete(weight, LEFT_ELBOW, axis=1)
    assert np.median(others) > 0.8, "one bad keypoint does not take the others along"


def test_nothing_shakes_in_two_frames_or_when_asked_not_to_look() -> None:
    skeleton, local, landmarks, _ = waving()
    evidence = seen(local, landmarks)
    noisy = replace(evidence, points=evidence.points + np.random.default_rng(0).normal(size=evidence.points.shape))
    assert steady_weight(skeleton, noisy, TIMES, 0.0) is noisy.weight
    short = Evidence(*(getattr(noisy, name)[:2] for name in Evidence.__dataclass_fields__))
    assert steady_weight(skeleton, short, TIMES[:2], 0.02) is short.weight


@pytest.mark.parametrize("spread", [0.15, 0.3])
def test_a_leg_that_shakes_is_solved_better(spread: float) -> None:
    """A leg reported all over the place, with full confidence, as behind a table."""
    _, _, landmarks, centres = waving()
    points = landmarks[..., :2] / landmarks[..., 2:]
    points[:, LEFT_LEG] += spread * HALF * np.random.default_rng(1).normal(size=(FRAMES, len(LEFT_LEG), 2))
    visibility = np.full((FRAMES, 33), 0.95)
    boxes = np.zeros((FRAMES, 4))
    track = PersonTrack(
        0, np.arange(FRAMES), TIMES, points.astype(np.float64), np.zeros((FRAMES, 33)), visibility,
        (landmarks - landmarks[:, 23:25].mean(axis=1, keepdims=True)).astype(np.float64), np.ones(FRAMES), boxes,
    )  # fmt: skip
    model, errors = load_model(), []
    for share in (0.0, RefineSettings().shake_share):
        options = PoseOptions(refine=RefineSettings(shake_share=share))
        joints = model.solve(track, Intrinsics(np.eye(3), 2, 2, "made"), options).joints_camera_m
        off = joints - joints[:, :1] - centres + centres[:, :1]
        errors.append(np.linalg.norm(off[:, 5:7], axis=-1).mean())
    assert errors[1] < 0.8 * errors[0]
