"""The lens: pixels to rays and back with every distortion model, and pixels that no ray reaches."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from backend.camera.lens import normalised_points, project_m
from backend.types import Intrinsics

PIXELS = arrays(np.float64, (3, 2), elements=st.floats(0.0, 1000.0))
K = np.array([[900.0, 2.0, 510.0], [0.0, 880.0, 480.0], [0.0, 0.0, 1.0]])
LENSES = {
    "pinhole": (),
    "zeros": (0.0,) * 5,
    "four": (-0.21, 0.08, 0.001, -0.0008),
    "five": (-0.28, 0.07, 0.001, -0.0008, 0.02),
    "eight": (0.12, -0.08, 0.0004, -0.0003, 0.01, 0.35, -0.05, 0.02),
    "twelve": (0.12, -0.08, 0.0004, -0.0003, 0.01, 0.35, -0.05, 0.02, 0.002, -0.001, 0.0015, 0.0007),
    "fourteen": (0.12, -0.08, 0.0004, -0.0003, 0.01, 0.35, -0.05, 0.02, 0.002, -0.001, 0.0015, 0.0007, 0.02, -0.03),
}


def camera(distortion: tuple[float, ...]) -> Intrinsics:
    return Intrinsics(K, 1000, 1000, "test", distortion)


@pytest.mark.parametrize("lens", LENSES.values(), ids=LENSES)
@given(points=PIXELS, depth=st.floats(0.5, 20.0))
@settings(max_examples=60, deadline=None)
def test_projection_undoes_rays(lens, points, depth):
    rays = normalised_points(camera(lens), points)
    pointwise = np.concatenate([rays, np.ones((3, 1))], axis=-1) * depth
    np.testing.assert_allclose(project_m(camera(lens), pointwise), points, atol=1e-7)


@pytest.mark.parametrize("lens", [lens for lens in LENSES.values() if any(lens)], ids=lambda lens: str(len(lens)))
def test_the_model_is_opencvs(lens):
    grid = np.stack(np.meshgrid(np.linspace(0, 1000, 21), np.linspace(0, 1000, 21)), axis=-1)
    matrix = K.copy()
    matrix[0, 1] = 0.0  # OpenCV knows no skew
    straight = Intrinsics(matrix, 1000, 1000, "test", lens)
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 200, 1e-13)
    theirs = cv2.undistortPointsIter(
        grid.reshape(-1, 1, 2), matrix, np.array(lens), np.eye(3), np.eye(3), criteria
    ).reshape(grid.shape)
    np.testing.assert_allclose(normalised_points(straight, grid), theirs, atol=1e-9)
    points_m = np.concatenate([theirs, np.ones_like(theirs[..., :1])], axis=-1)
    pixels = cv2.projectPoints(points_m.reshape(-1, 1, 3), np.zeros(3), np.zeros(3), matrix, np.array(lens))[0]
    np.testing.assert_allclose(project_m(straight, points_m), pixels.reshape(grid.shape), atol=1e-9)


def test_a_fold_of_the_model_gives_no_wild_rays():
    # r (1 - 0.3 r^2) is largest at r = 1.054, where it is 0.703: beyond lies nothing that this lens shows
    lens = Intrinsics(np.diag([1000.0, 1000.0, 1.0]), 2000, 2000, "test", (-0.3, 0.0, 0.0, 0.0, 0.0))
    angle = np.linspace(0.0, 2.0 * np.pi, 33)
    for radius_px in (500.0, 702.0, 710.0, 1000.0, 5000.0):
        rays = normalised_points(lens, radius_px * np.stack([np.cos(angle), np.sin(angle)], axis=-1))
        reach = np.linalg.norm(rays, axis=-1)
        assert (reach < 1.06).all()
        off = np.angle((rays[:, 0] + 1j * rays[:, 1]) * (np.cos(angle) - 1j * np.sin(angle)))
        np.testing.assert_allclose(off, 0.0, atol=1e-6)
        if radius_px > 703.0:
            assert (reach > 1.0).all()


@pytest.mark.parametrize("lens", LENSES.values(), ids=LENSES)
def test_points_behind_the_camera_and_unknown_pixels_are_nan(lens):
    assert np.isnan(project_m(camera(lens), np.array([[0.1, 0.2, -3.0]]))).all()
    pixels = np.array([[[np.nan, np.nan], [500.0, 500.0]], [[np.inf, 3.0], [3.0, np.nan]]])
    rays = normalised_points(camera(lens), pixels)
    assert np.isfinite(rays).all(axis=-1).tolist() == [[False, True], [False, False]]
    assert normalised_points(camera(lens), np.zeros((0, 33, 2))).shape == (0, 33, 2)
