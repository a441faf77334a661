"""Structured inference on simulated clips: repeatable, better than a still body, and short takes are named."""

from __future__ import annotations

import numpy as np
import pytest

from backend.datasets.motion import Motion
from backend.embedding.pose_model import load_model
from backend.errors import BadInputError
from backend.evaluation.simulated import _segments, clip_errors
from backend.training.simulate import SimulationSettings, seen_joints_m, simulate_people
from blender_addon.motion.body import canonical_body
from blender_addon.motion.rotations import rotvec_to_quaternion


def _take(frames: int) -> Motion:
    """Arms that hang and swing, knees that bend."""
    body = canonical_body()
    turns = np.zeros((frames, len(body.joint_names), 3))
    phase = np.linspace(0, 8, frames)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        turns[:, body.joint_index(f"{side}_shoulder"), 1] = sign * (1.2 + 0.2 * np.sin(phase))
        turns[:, body.joint_index(f"{side}_knee"), 0] = 0.3 + 0.3 * np.sin(phase + sign)
    return Motion(rotvec_to_quaternion(turns), np.tile([0, 0, 0.9], (frames, 1)), 30.0, "s", "swing", "made")


def test_clips_are_solved_and_the_same_seed_gives_the_same_errors() -> None:
    model, takes = load_model(), [_take(90), _take(70)]
    errors = clip_errors(takes, model, 4, 3)
    assert errors == clip_errors(takes, model, 4, 3)
    rng = np.random.default_rng(3)
    truth = seen_joints_m(simulate_people(_segments(takes, 4, rng), rng, SimulationSettings()))
    still = 1000 * np.linalg.norm(truth - truth.mean(axis=(0, 1)), axis=-1).mean()
    assert errors.clips == 4
    for found in (errors.solved_mm, errors.without_retrieval_mm):
        assert 5.0 < found < 0.5 * still


def test_truth_is_the_body_at_one_size() -> None:
    rng = np.random.default_rng(1)
    truth = seen_joints_m(simulate_people(_segments([_take(90)], 40, rng), rng, SimulationSettings()))
    assert np.allclose(truth[:, :, 0], 0.0)
    thigh = np.linalg.norm(truth[:, :, 4] - truth[:, :, 5], axis=-1)
    assert np.allclose(thigh, thigh[:, :1], atol=1e-4), "bones keep their length"
    assert abs(np.median(thigh) - 0.412) < 0.03


def test_takes_that_are_too_short_are_named() -> None:
    with pytest.raises(BadInputError, match="60 frames"):
        clip_errors([_take(59)], load_model(), 1, 0)
