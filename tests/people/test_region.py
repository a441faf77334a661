"""Regions: where they are, what is cut out of them, and the way back."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.people.region import Roi, alignment_from_roi, cut, overlap, roi_from_alignment

SIZES = st.floats(20, 2000)
PLACES = st.floats(-500, 3000)
ANGLES = st.floats(-math.pi + 1e-3, math.pi - 1e-3)


@given(PLACES, PLACES, SIZES, ANGLES)
def test_alignment_points_and_region_are_inverse(x: float, y: float, size: float, angle: float) -> None:
    roi = Roi(x, y, size, angle)
    again = roi_from_alignment(*alignment_from_roi(roi))
    assert (again.x_px, again.y_px, again.size_px) == pytest.approx((x, y, size), abs=1e-6)
    assert math.remainder(again.rotation_rad - angle, 2 * math.pi) == pytest.approx(0, abs=1e-9)


def test_upright_person_needs_no_rotation() -> None:
    roi = roi_from_alignment(np.array([100.0, 200.0]), np.array([100.0, 120.0]))
    assert roi == Roi(100.0, 200.0, 2 * 1.25 * 80, pytest.approx(0.0))


@pytest.mark.parametrize("roi", [Roi(60, 40, 32), Roi(60.3, 41.7, 24, 0.6), Roi(50, 50, 48, -2.0)])
def test_crop_shows_what_the_matrix_says(roi: Roi) -> None:
    """An image whose values are twice its own (continuous) coordinates: each crop pixel tells where it is from."""
    y, x = 2 * np.mgrid[:100, :120] + 1
    image = np.stack([x, y, np.zeros_like(x)], -1).astype(np.uint8)
    crop = cut(image, roi, 16).astype(float) / 2
    v, u = np.mgrid[2:14, 2:14] + 0.5
    expected = np.stack([u, v, np.ones_like(u)], -1) @ roi.frame_from_crop(16).T
    assert np.abs(crop[2:14, 2:14, :2] - expected).max() < 0.3


def test_a_image_that_is_the_crop_is_not_touched() -> None:
    image = np.random.default_rng(0).integers(0, 255, (256, 256, 3), dtype=np.uint8)
    assert cut(image, Roi(128, 128, 256), 256) is image


def test_overlap() -> None:
    assert overlap((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 1, 1), (1, 1, 2, 2)) == 0
