"""Filters on timestamps and on rotations: equal to scipy where they should be, tangent-space, NaN-safe, no lag."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from blender_addon.motion.rotations import (
    quaternion_between,
    quaternion_conjugate,
    quaternion_multiply,
    quaternion_normalize,
    quaternion_to_rotvec,
    rotvec_to_quaternion,
)
from blender_addon.motion.temporal import (
    Butterworth,
    Gaussian,
    OneEuro,
    SavitzkyGolay,
    TemporalFilter,
    filter_positions,
    filter_rotations,
    finite_runs,
)

ALL: list[TemporalFilter] = [OneEuro(), OneEuro(both_ways=False), Butterworth(), SavitzkyGolay(), Gaussian()]
TIMES = np.arange(240) / 60.0


def _smooth_rotations(seed: int, spread_rad: float, count: int = 240) -> np.ndarray:
    random = np.random.default_rng(seed)
    phase = random.uniform(0, 6, (3, 3))
    t = np.arange(count)[:, None] / 60.0
    wave = sum(np.sin(2 * np.pi * f * t + phase[i]) / (i + 1) for i, f in enumerate((0.4, 0.9, 1.7)))
    base = quaternion_normalize(random.normal(size=4))
    return quaternion_multiply(base, rotvec_to_quaternion(spread_rad * wave))


def _jitter(seed: int, wxyz: np.ndarray, sigma_rad: float) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(*wxyz.shape[:-1], 3)) * sigma_rad
    return quaternion_multiply(wxyz, rotvec_to_quaternion(noise))


def test_regular_times_go_to_the_filter_as_they_are() -> None:
    values = np.cumsum(np.random.default_rng(0).normal(size=(240, 3)), axis=0)
    expected = signal.sosfiltfilt(signal.butter(2, 6.0 / 30.0, output="sos"), values, axis=0)
    np.testing.assert_allclose(filter_positions(Butterworth(6.0), TIMES, values), expected, atol=1e-9)
    rounded = np.round(TIMES, 3)
    np.testing.assert_allclose(filter_positions(Butterworth(6.0), rounded, values), expected, atol=0.02)


@pytest.mark.parametrize("spec", ALL)
def test_irregular_times_give_the_same_curve_as_regular_ones(spec: TemporalFilter) -> None:
    random = np.random.default_rng(3)
    irregular = np.sort(random.uniform(0.0, 4.0, 260))
    irregular = irregular[np.concatenate([[True], np.diff(irregular) > 2e-3])]

    def motion(t: np.ndarray) -> np.ndarray:
        return np.stack([np.sin(2 * np.pi * 0.5 * t), np.cos(2 * np.pi * 0.3 * t)], -1)

    on_regular = filter_positions(spec, TIMES, motion(TIMES))
    on_irregular = filter_positions(spec, irregular, motion(irregular))
    expected = np.stack([np.interp(irregular, TIMES, on_regular[:, i]) for i in range(2)], -1)
    inside = (irregular > 0.4) & (irregular < 3.5)
    np.testing.assert_allclose(on_irregular[inside], expected[inside], atol=0.03)


@pytest.mark.parametrize("spec", [Gaussian(0.05), SavitzkyGolay(0.25, 2), Butterworth(5.0, 2)])
@given(seed=st.integers(0, 1000))
@settings(max_examples=8, deadline=None)
def test_rotations_are_filtered_in_the_tangent_space(spec: TemporalFilter, seed: int) -> None:
    """Against the definition: every result is the weighted tangent-space mean of its window (weights by impulse)."""
    wxyz = _jitter(seed, _smooth_rotations(seed, 0.4), 0.03)
    actual = filter_rotations(spec, TIMES, wxyz)
    middle = 120
    impulse = np.zeros((len(TIMES), 1))
    impulse[middle] = 1.0
    weights = filter_positions(spec, TIMES, impulse)[:, 0][::-1]
    weights = np.roll(weights, middle - (len(TIMES) - 1 - middle))
    log = quaternion_to_rotvec(quaternion_multiply(quaternion_conjugate(actual[middle]), wxyz))
    near = np.abs(weights) > 1e-6
    residual = np.linalg.norm((weights[near, None] * log[near]).sum(0))
    raw = quaternion_between(actual[middle], wxyz[middle])
    assert residual < np.deg2rad(0.15), (np.rad2deg(residual), np.rad2deg(raw))


@pytest.mark.parametrize("spec", ALL)
@given(seed=st.integers(0, 1000))
@settings(max_examples=8, deadline=None)
def test_smoothing_commutes_with_a_change_of_axes(spec: TemporalFilter, seed: int) -> None:
    random = np.random.default_rng(seed)
    left, right = quaternion_normalize(random.normal(size=(2, 4)))
    wxyz = _jitter(seed, _smooth_rotations(seed, 1.5), 0.05)
    turned = quaternion_multiply(quaternion_multiply(left, wxyz), right)
    expected = quaternion_multiply(quaternion_multiply(left, filter_rotations(spec, TIMES, wxyz)), right)
    assert quaternion_between(filter_rotations(spec, TIMES, turned), expected).max() < 1e-5


@pytest.mark.parametrize("spec", ALL)
def test_a_spin_of_many_turns_and_random_signs_stay_smooth(spec: TemporalFilter) -> None:
    turns = np.zeros((240, 3))
    turns[:, 2] = 2 * np.pi * 1.0 * TIMES
    wxyz = rotvec_to_quaternion(turns) * np.where(np.random.default_rng(0).random(240) < 0.5, -1.0, 1.0)[:, None]
    smooth = filter_rotations(spec, TIMES, wxyz)
    step = quaternion_between(smooth[:-1], smooth[1:])
    np.testing.assert_allclose(step[30:-30], 2 * np.pi / 60.0, rtol=0.05)


@pytest.mark.parametrize("spec", ALL)
def test_jitter_shrinks_and_the_motion_stays(spec: TemporalFilter) -> None:
    truth = _smooth_rotations(5, 0.5)
    noisy = _jitter(6, truth, 0.05)
    smooth = filter_rotations(spec, TIMES, noisy)
    np.testing.assert_allclose(np.linalg.norm(smooth, axis=-1), 1.0, atol=1e-9)

    def acceleration(wxyz: np.ndarray) -> float:
        step = quaternion_to_rotvec(quaternion_multiply(quaternion_conjugate(wxyz[:-1]), wxyz[1:]))
        return float(np.linalg.norm(np.diff(step, axis=0), axis=-1).mean())

    assert acceleration(smooth) < 0.4 * acceleration(noisy)
    if not (isinstance(spec, OneEuro) and not spec.both_ways):  # the causal filter trades jitter for lag
        assert quaternion_between(smooth, truth).mean() < 0.8 * quaternion_between(noisy, truth).mean()


@pytest.mark.parametrize("spec", ALL)
def test_nan_frames_stay_nan_and_split_the_runs(spec: TemporalFilter) -> None:
    values = np.cumsum(np.random.default_rng(0).normal(size=(240, 3)), axis=0)
    holed = values.copy()
    holed[100:110] = np.nan
    smooth = filter_positions(spec, TIMES, holed)
    assert np.isnan(smooth[100:110]).all()
    np.testing.assert_array_equal(smooth[:100], filter_positions(spec, TIMES[:100], values[:100]))
    np.testing.assert_array_equal(smooth[110:], filter_positions(spec, TIMES[110:], values[110:]))
    assert np.isnan(filter_positions(spec, TIMES, np.full((240, 3), np.nan))).all()


def test_a_cut_is_not_smoothed_over() -> None:
    values = np.zeros((240, 3))
    values[120:] = 5.0
    smooth = filter_positions(Gaussian(0.2), TIMES, values, breaks_s=(float(TIMES[120]),))
    np.testing.assert_allclose(smooth, values, atol=1e-12)
    assert finite_runs(TIMES, values, (float(TIMES[120]),)) == [slice(0, 120), slice(120, 240)]


@pytest.mark.parametrize("spec", ALL)
@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_short_clips_do_not_fail(spec: TemporalFilter, count: int) -> None:
    values = np.arange(count * 3, dtype=float).reshape(count, 3)
    smooth = filter_positions(spec, TIMES[:count], values)
    assert smooth.shape == values.shape
    assert np.isfinite(smooth).all()
