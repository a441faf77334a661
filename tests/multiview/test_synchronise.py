"""Shift and drift of clocks from motion signals."""

from __future__ import annotations

import numpy as np
import pytest

from backend.multiview.synchronise import MotionSignal, clock_matches, correlation_at, drifting_offset

STEP_S = 1.0 / 60.0


def _signal(begin_s: float, end_s: float, rate: float = 1.0, seed: int = 0, noise: int = 1) -> MotionSignal:
    """The same motion seen from `begin_s` on by a clock that runs at `rate`, starting at 0."""
    rng = np.random.default_rng(seed)
    waves = rng.uniform(0.2, 2.0, (8, 6)), rng.uniform(0, 6, (8, 6))
    time = begin_s + rate * np.arange(0.0, end_s - begin_s, STEP_S)
    values = np.sin(2 * np.pi * waves[0] * time[:, None, None] + waves[1]).sum(axis=1)
    values += 0.8 * np.random.default_rng(noise).normal(size=values.shape)
    return MotionSignal(0.0, STEP_S, values)


@pytest.mark.parametrize("shift_s", [-1.734, 0.0, 0.507, 3.2])
def test_a_shift_is_found_to_a_part_of_a_frame(shift_s: float) -> None:
    first, second = _signal(10.0, 18.0), _signal(10.0 + shift_s, 18.0 + shift_s, noise=2)
    best = clock_matches(first, second)[0]
    assert abs(best.start_s - shift_s) < 0.25 * STEP_S
    assert best.correlation > 0.7


def test_different_motions_do_not_correlate() -> None:
    found = clock_matches(_signal(0.0, 10.0), _signal(0.0, 10.0, seed=5, noise=2))
    assert all(match.strength < 0.4 for match in found)


def test_a_clock_that_drifts_is_followed() -> None:
    rate = 1.0 + 2e-4
    first, second = _signal(0.0, 200.0), _signal(3.0, 180.0, rate, noise=2)
    offset = drifting_offset(first, second, clock_matches(first, second)[0].start_s)
    times_s = np.array([0.0, 90.0, 170.0])
    assert np.abs(offset.take_time_s(times_s) - (3.0 + rate * times_s)).max() < 0.01


def test_short_videos_get_no_drift() -> None:
    first, second = _signal(0.0, 20.0), _signal(1.0, 20.0, noise=2)
    offset = drifting_offset(first, second, 1.0)
    assert (offset.rate, offset.start_s) == (1.0, 1.0)


def test_the_correlation_at_a_shift_is_that_of_the_peak() -> None:
    first, second = _signal(0.0, 12.0), _signal(1.5, 11.0)
    best = clock_matches(first, second)[0]
    assert correlation_at(first, second, best.start_s) > 0.95 * best.correlation
    assert correlation_at(first, second, best.start_s + 0.7) < 0.7 * best.correlation
    assert correlation_at(first, second, 1e3) == 0.0
