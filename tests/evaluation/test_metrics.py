"""Pose errors on cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from backend.evaluation.metrics import pose_errors, similarity_aligned
from blender_addon.motion.rotations import quaternion_to_matrix, rotvec_to_quaternion


def _poses(frames: int = 20) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(frames, 12, 3)) * 0.3


def test_perfect_prediction_has_no_error() -> None:
    errors = pose_errors(_poses(), _poses())
    assert errors.mpjpe_mm == pytest.approx(0.0, abs=1e-9)
    assert errors.pa_mpjpe_mm == pytest.approx(0.0, abs=1e-6)
    assert errors.acceleration_error_mm == pytest.approx(0.0, abs=1e-9)
    assert errors.found == 1.0


def test_shift_counts_for_mpjpe_only() -> None:
    errors = pose_errors(_poses() + np.array([0.03, 0.0, 0.04]), _poses())
    assert errors.mpjpe_mm == pytest.approx(50.0)
    assert errors.pa_mpjpe_mm == pytest.approx(0.0, abs=1e-6)


def test_scale_is_forgiven_by_clip_and_frame_scale() -> None:
    errors = pose_errors(1.2 * _poses(), _poses())
    assert errors.mpjpe_clip_mm == pytest.approx(0.0, abs=1e-6)
    assert errors.n_mpjpe_mm == pytest.approx(0.0, abs=1e-6)
    assert errors.mpjpe_mm > 50


def test_rotation_is_forgiven_by_procrustes_but_a_mirror_is_not() -> None:
    truth = _poses()
    turn = quaternion_to_matrix(rotvec_to_quaternion(np.array([0.3, -1.0, 0.5])))
    assert np.allclose(similarity_aligned(1.3 * truth @ turn.T + 0.2, truth), truth, atol=1e-9)
    assert pose_errors(truth * np.array([-1, 1, 1]), truth).pa_mpjpe_mm > 50


def test_lost_frames_do_not_count_but_are_told() -> None:
    predicted = _poses()
    predicted[:5] = np.nan
    errors = pose_errors(predicted, _poses())
    assert errors.found == pytest.approx(0.75)
    assert errors.mpjpe_mm == pytest.approx(0.0, abs=1e-9)
    assert pose_errors(np.full_like(predicted, np.nan), _poses()).found == 0.0
