"""Retrieved joints count the more, the larger the towers expect the error of their own joints to be."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from backend.embedding.pose_model import RETRIEVED_ERROR_M, PoseOptions, load_model, retrieved_share
from backend.evaluation.landmark_track import landmark_track
from backend.solving.models import pose_options
from backend.solving.request import SolveQuality, SolveRequest
from backend.types import Intrinsics

_RAYS = Intrinsics(np.eye(3), 2, 2, "made")


def test_the_share_is_that_of_least_variance() -> None:
    error = np.array([[0.0, RETRIEVED_ERROR_M, 2 * RETRIEVED_ERROR_M]])
    share = retrieved_share(error)[..., 0]
    np.testing.assert_allclose(share, [[0.0, 0.5, 0.8]])

    def variance(of: np.ndarray) -> np.ndarray:
        return np.asarray(np.square((1 - of) * error) + np.square(of * RETRIEVED_ERROR_M))

    assert (variance(share) < np.minimum(variance(share - 0.05), variance(share + 0.05))).all()


def test_a_solve_weighs_by_expected_errors_unless_a_share_is_given() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(0, 0.08, (1, 33, 2)) + 0.001 * rng.normal(size=(4, 33, 2))
    track = landmark_track(points, np.full((4, 33), 0.9), rng.normal(0, 0.3, (4, 33, 3)))
    model = load_model(threads=1)
    plain, none, most = (
        model.solve(track, _RAYS, PoseOptions(retrieval_share=share)).joints_camera_m for share in (None, 0.0, 0.9)
    )
    apart = np.linalg.norm(most - none, axis=-1).mean()
    assert 0 < np.linalg.norm(plain - none, axis=-1).mean() < apart


def test_fast_keeps_its_share_of_whole_poses() -> None:
    fast, best = (
        pose_options(SolveRequest(Path("video.mp4"), Path("clip.npz"), quality=quality))
        for quality in (SolveQuality.FAST, SolveQuality.BEST)
    )
    assert fast.retrieval_share == 0.3
    assert best.retrieval_share is None
