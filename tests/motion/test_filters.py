"""Filters held equal to scipy's, and to the published 1-Euro recursion."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage, signal

from blender_addon.motion import filters

LENGTHS = st.integers(40, 200)
SEEDS = st.integers(0, 10_000)


def _walk(seed: int, length: int) -> np.ndarray:
    return np.cumsum(np.random.default_rng(seed).normal(size=(length, 2, 3)), axis=0)


@given(SEEDS, LENGTHS, st.integers(1, 6), st.floats(0.02, 0.95))
def test_butterworth_zero_phase_equals_scipy(seed: int, length: int, order: int, cutoff: float) -> None:
    values = _walk(seed, length)
    expected = signal.sosfiltfilt(signal.butter(order, cutoff, output="sos"), values, axis=0)
    actual = filters.zero_phase(filters.butterworth_sections(order, cutoff), values)
    np.testing.assert_allclose(actual, expected, atol=1e-7 * max(1.0, np.abs(values).max()))


def test_butterworth_order_2_equals_filtfilt() -> None:
    values = _walk(1, 300)
    b, a = signal.butter(2, 0.3)
    expected = signal.filtfilt(b, a, values, axis=0)
    actual = filters.zero_phase(filters.butterworth_sections(2, 0.3), values)
    np.testing.assert_allclose(actual, expected, atol=1e-9)


def test_butterworth_refuses_a_cutoff_beyond_nyquist() -> None:
    with pytest.raises(ValueError, match="cut-off"):
        filters.butterworth_sections(2, 1.0)


def test_butterworth_on_one_or_two_samples_does_not_fail() -> None:
    sections = filters.butterworth_sections(2, 0.2)
    np.testing.assert_array_equal(filters.zero_phase(sections, np.ones((1, 3))), np.ones((1, 3)))
    np.testing.assert_allclose(filters.zero_phase(sections, np.ones((2, 3))), np.ones((2, 3)), atol=1e-12)


@given(SEEDS, LENGTHS, st.integers(2, 15), st.integers(1, 4))
def test_savitzky_golay_equals_scipy(seed: int, length: int, half: int, order: int) -> None:
    window = 2 * half + 1
    if order >= window:
        order = window - 1
    values = _walk(seed, length)
    expected = signal.savgol_filter(values, window, order, axis=0, mode="interp")
    np.testing.assert_allclose(filters.savitzky_golay(values, window, order), expected, atol=1e-8)


@pytest.mark.parametrize(("window", "order"), [(4, 2), (5, 5), (99, 2)])
def test_savitzky_golay_refuses_what_cannot_be_fitted(window: int, order: int) -> None:
    with pytest.raises(ValueError, match="Savitzky-Golay"):
        filters.savitzky_golay(_walk(0, 50), window, order)


@given(SEEDS, LENGTHS, st.floats(0.3, 8.0))
def test_gaussian_equals_scipy(seed: int, length: int, sigma: float) -> None:
    values = _walk(seed, length)
    radius = int(4.0 * sigma + 0.5)
    actual = filters.gaussian(values, sigma)
    plain = ndimage.gaussian_filter1d(values, sigma, axis=0)
    np.testing.assert_allclose(actual[radius : length - radius], plain[radius : length - radius], atol=1e-8)
    padded = np.pad(values, [(radius, radius), (0, 0), (0, 0)], mode="reflect", reflect_type="odd")
    whole = ndimage.gaussian_filter1d(padded, sigma, axis=0)[radius : radius + length]
    np.testing.assert_allclose(actual, whole, atol=1e-8)


def _published_one_euro(times: np.ndarray, values: np.ndarray, minimum: float, beta: float, derivative: float) -> list:
    """Casiez et al. 2012, algorithm 1, written out for one scalar channel."""
    smoothed, speed, out = values[0], 0.0, [values[0]]
    for index in range(1, len(values)):
        dt = times[index] - times[index - 1]
        raw = (values[index] - values[index - 1]) / dt
        weight = 1.0 / (1.0 + 1.0 / (2 * np.pi * derivative * dt))
        speed = weight * raw + (1 - weight) * speed
        weight = 1.0 / (1.0 + 1.0 / (2 * np.pi * (minimum + beta * abs(speed)) * dt))
        smoothed = weight * values[index] + (1 - weight) * smoothed
        out.append(smoothed)
    return out


@given(SEEDS, st.floats(0.2, 5.0), st.floats(0.0, 2.0))
def test_one_euro_pieces_equal_the_published_recursion(seed: int, minimum: float, beta: float) -> None:
    random = np.random.default_rng(seed)
    times = np.cumsum(random.uniform(0.01, 0.05, 60))
    values = np.cumsum(random.normal(size=60)) * 0.1
    interval = np.diff(times, prepend=times[0] - 0.03)
    raw = np.concatenate([[0.0], np.diff(values) / interval[1:]])
    derivative_weights = filters.one_euro_weights(np.zeros(60), interval, 1.0, 0.0)
    speed = np.abs(filters.exponential(raw, derivative_weights))
    actual = filters.exponential(values, filters.one_euro_weights(speed, interval, minimum, beta))
    np.testing.assert_allclose(actual, _published_one_euro(times, values, minimum, beta, 1.0), atol=1e-9)
