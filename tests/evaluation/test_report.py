"""Tables and plots of errors per joint and per action."""

from __future__ import annotations

import numpy as np
import pytest

from backend.datasets.motion import Motion
from backend.evaluation.metrics import pose_errors
from backend.evaluation.report import Scored, error_tables, mean_errors, plot_errors
from backend.evaluation.simulated import action_name

NAMES = ("hip", "knee", "ankle")


def _scored(method: str, action: str, off_m: float, frames: int = 10, trusted: bool = True) -> Scored:
    truth = np.random.default_rng(len(action)).normal(size=(frames, 3, 3))
    moved = truth + np.array([[0, 0, 0], [0, 0, 0], [off_m, 0, 0]])
    return Scored(method, action, frames, pose_errors(moved, truth), trusted)


def test_means_weigh_frames_and_leave_doubtful_cameras_out():
    rows = [_scored("a", "walk", 0.03, 10), _scored("a", "sit", 0.09, 30), _scored("a", "lie", 9.0, 500, trusted=False)]
    assert mean_errors(rows).mpjpe_mm == pytest.approx((10 * 10 + 30 * 30) / 40)
    assert mean_errors(rows).pa_mpjpe_mm > 100, "similarity-aligned errors need no extrinsics"
    assert mean_errors(rows).per_joint_mm[2] > 3 * mean_errors(rows).per_joint_mm[0]


def test_tables_hold_every_metric_action_and_joint(tmp_path):
    rows = [_scored(m, a, off) for m, off in (("ours", 0.03), ("peer", 0.06)) for a in ("walk", "sitting")]
    text = error_tables("a clip", rows, NAMES)
    assert "| MPJPE | N-MPJPE | MPJPE, clip scale | PA-MPJPE | acceleration |" in text
    assert "| walk | 10.0 | 20.0 |" in text
    assert "| sitting | 10.0 | 20.0 |" in text
    assert sum(line.startswith("| ankle |") for line in text.splitlines()) == 1
    plot_errors("a clip", rows, NAMES, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 5000


def test_actions_are_named_by_hdm05_files_and_by_subject_elsewhere():
    def take(action: str) -> Motion:
        return Motion(np.zeros((1, 24, 4)), np.zeros((1, 3)), 30.0, "cmu_16", action, "x")

    assert action_name(take("HDM_bd_squat1Reps_004_120")) == "squat1Reps"
    assert action_name(take("16_17")) == "cmu_16"
