"""The nearest pose with any view allowed: turned poses are found, mirrored ones are not taken for turned ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tools.bank_reach import nearest_turned_mm


@pytest.fixture
def poses() -> np.ndarray:
    made = np.random.default_rng(0).normal(0.0, 0.3, (50, 17, 3))
    made[:, 0] = 0.0
    return made


def test_a_turned_pose_is_found(poses: np.ndarray) -> None:
    turns = Rotation.random(5, random_state=1).as_matrix()
    seen = np.einsum("nij,nkj->nki", turns, poses[7:12])
    assert nearest_turned_mm(seen, poses) < 1e-6
    off = seen.copy()
    off[:, 16] += [0.0, 0.0, 0.17]
    assert 5.0 < nearest_turned_mm(off, poses) < 20.0, "one of 17 joints is off by 170 mm"


def test_a_mirrored_pose_is_another_pose(poses: np.ndarray) -> None:
    mirrored = poses[:1] * [-1.0, 1.0, 1.0]
    assert nearest_turned_mm(mirrored, poses[:1]) > 50.0
