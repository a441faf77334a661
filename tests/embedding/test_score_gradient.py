"""The score's gradient against differences, and a fit that climbs it."""

from __future__ import annotations

import numpy as np

from backend.embedding.model_files import TOWERS_FILE, WEIGHTS_DIR
from backend.embedding.score_gradient import ScoreGradient
from backend.embedding.skeleton import rotvec_to_matrix
from backend.embedding.tower_weights import read_towers
from backend.embedding.towers_onnx import Towers

_WEIGHTS = read_towers(WEIGHTS_DIR / TOWERS_FILE)


def _climb(frames: int = 3) -> ScoreGradient:
    rng = np.random.default_rng(0)
    turns = rotvec_to_matrix(rng.normal(0, 0.5, (frames, 3)))
    return ScoreGradient(_WEIGHTS, rng.normal(0, 1, (frames, _WEIGHTS.embedding_size)), turns, np.zeros(7), 1.05)


def _joints(frames: int = 3) -> np.ndarray:
    joints = np.random.default_rng(1).normal(0, 0.3, (frames, 17, 3))
    return joints - joints[:, :1]


def test_gradient_is_the_slope_of_the_score() -> None:
    climb, joints, step = _climb(), _joints(), 1e-3
    gradient = climb.gradient(joints)
    for joint, axis in ((3, 2), (13, 0), (16, 1), (9, 2)):
        moved = joints.copy()
        moved[:, joint, axis] += step
        back = joints.copy()
        back[:, joint, axis] -= step
        slope = (climb.scores(moved) - climb.scores(back)) / (2 * step)
        assert np.abs(slope - gradient[:, joint, axis]).max() < 0.03 * np.abs(gradient).max()


def test_score_is_the_dot_product_of_the_towers() -> None:
    climb, joints = _climb(), _joints()
    virtual = np.matmul(joints, np.swapaxes(climb.virtual_from_camera, 1, 2)) / climb.size
    own = (Towers(_WEIGHTS).embed_poses(virtual) * climb.embedding).sum(-1)
    assert np.allclose(climb.scores(joints), own, rtol=1e-3, atol=1e-3)


def test_small_steps_along_the_gradient_raise_the_score() -> None:
    climb, joints = _climb(), _joints()
    slope = climb.gradient(joints)
    assert (climb.scores(joints + 1e-4 * slope) > climb.scores(joints)).all()
