"""Keyframe reduction keeps its bound and needs few keys."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blender_addon.motion.keyframes import play_keys, reduce_position_keys, reduce_rotation_keys
from blender_addon.motion.rotations import quaternion_between, quaternion_normalize, rotvec_to_quaternion
from blender_addon.motion.temporal import Gaussian, filter_positions
from tests.motion.motions import walking

TIMES = np.arange(200) / 30.0


def _curve(seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(200, 3))
    return rotvec_to_quaternion(filter_positions(Gaussian(0.15), TIMES, 3.0 * noise))


@given(st.integers(0, 10_000), st.floats(0.05, 10.0), st.booleans())
@settings(max_examples=40, deadline=None)
def test_rotations_stay_within_the_bound(seed: int, largest_deg: float, smooth: bool) -> None:
    wxyz = _curve(seed) * np.where(np.random.default_rng(seed).random(200) < 0.5, -1.0, 1.0)[:, None]
    curve = reduce_rotation_keys(TIMES, wxyz, largest_deg, smooth)
    played = quaternion_normalize(play_keys(TIMES, curve, smooth))
    miss = np.rad2deg(quaternion_between(played, wxyz).max())
    assert miss <= largest_deg + 1e-5
    assert curve.largest_error == pytest.approx(miss, abs=1e-5)
    assert curve.keys[[0, -1]].all()


@given(st.integers(0, 10_000), st.floats(0.5, 50.0), st.booleans())
@settings(max_examples=40, deadline=None)
def test_positions_stay_within_the_bound(seed: int, largest_mm: float, smooth: bool) -> None:
    values = np.cumsum(np.random.default_rng(seed).normal(size=(200, 3)) * 0.02, axis=0)
    curve = reduce_position_keys(TIMES, values, largest_mm, smooth)
    miss = 1000.0 * np.linalg.norm(play_keys(TIMES, curve, smooth) - values, axis=-1).max()
    assert miss <= largest_mm + 1e-6
    assert curve.largest_error == pytest.approx(miss)


def test_smooth_motion_needs_few_keys() -> None:
    times, rotations, root, _ = walking(6.0)
    keys = [reduce_rotation_keys(times, rotations[:, joint], 1.0).keys.sum() for joint in range(rotations.shape[1])]
    assert max(keys) < 0.6 * len(times)
    assert np.mean(keys) < 0.25 * len(times)
    assert reduce_position_keys(times, root, 5.0).keys.sum() < 0.25 * len(times)


def test_a_still_bone_keeps_two_keys_and_a_looser_bound_never_needs_more() -> None:
    still = np.tile([1.0, 0.0, 0.0, 0.0], (200, 1))
    assert reduce_rotation_keys(TIMES, still, 0.1).keys.sum() == 2
    wxyz = _curve(4)
    counts = [reduce_rotation_keys(TIMES, wxyz, bound).keys.sum() for bound in (0.1, 0.5, 2.0, 8.0)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_very_short_curves(count: int) -> None:
    curve = reduce_rotation_keys(TIMES[:count], _curve(0)[:count], 1.0)
    assert curve.keys[[0, -1]].all()
    np.testing.assert_allclose(
        np.abs((play_keys(TIMES[:count], curve) * curve.values).sum(-1))[[0, -1]], 1.0, atol=1e-6
    )


def test_unknown_motion_is_refused() -> None:
    wxyz = _curve(0)
    wxyz[50] = np.nan
    with pytest.raises(ValueError, match="known"):
        reduce_rotation_keys(TIMES, wxyz, 1.0)


def test_ten_thousand_noisy_frames_take_less_than_a_second() -> None:
    times = np.arange(10_000) / 30.0
    noise = np.random.default_rng(0).normal(size=(10_000, 3))
    wxyz = rotvec_to_quaternion(filter_positions(Gaussian(0.06), times, noise))
    start = time.process_time()
    reduce_rotation_keys(times, wxyz, 0.5)
    assert time.process_time() - start < 1.0
