"""Filters in Hz and seconds, on timestamps, for positions and for rotations.

May import numpy and its own room only. Input may be irregular in time and hold NaN: frames with NaN stay NaN and
split the signal into runs that are filtered on their own.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import filters
from .rotations import (
    Array,
    quaternion_conjugate,
    quaternion_continuous,
    quaternion_multiply,
    quaternion_normalize,
    quaternion_to_rotvec,
)

# timestamps count as regular while none lies further from an even grid than this part of a frame: the millisecond
# rounding of some containers is no reason to resample
_REGULAR_TOLERANCE = 0.1
# a run may not blow up when one frame interval is much shorter than the others
_MAX_GRID_GROWTH = 8


@dataclass(frozen=True, slots=True)
class OneEuro:
    """The 1-Euro filter (Casiez et al. 2012): `minimum_hz` at rest, plus `beta` Hz per rad/s or m/s of speed.

    `derivative_hz` is the cut-off of the speed estimate. With `both_ways` (the default) the mean of a forward and a
    backward pass, which has no lag; without it the causal filter, as for live video.
    """

    minimum_hz: float = 2.0
    beta: float = 1.0
    derivative_hz: float = 1.0
    both_ways: bool = True


@dataclass(frozen=True, slots=True)
class Butterworth:
    """Zero-phase Butterworth low-pass: half the amplitude at `cutoff_hz` (the filter runs forwards and backwards)."""

    cutoff_hz: float = 6.0
    order: int = 2


@dataclass(frozen=True, slots=True)
class SavitzkyGolay:
    """Least-squares polynomial of `order` over a sliding window of `window_s` seconds."""

    window_s: float = 0.25
    order: int = 2


@dataclass(frozen=True, slots=True)
class Gaussian:
    """Gaussian blur over time with a standard deviation of `sigma_s` seconds."""

    sigma_s: float = 0.05


TemporalFilter = OneEuro | Butterworth | SavitzkyGolay | Gaussian


def filter_positions(spec: TemporalFilter, times_s: Array, values: Array, breaks_s: Sequence[float] = ()) -> Array:
    """Filter (T, ...) values in their own unit. Frames with NaN stay NaN; nothing crosses a gap or a break (a cut)."""
    out = np.array(values, dtype=np.float64)
    for run in finite_runs(times_s, out, breaks_s):
        out[run] = _filter_run(spec, times_s[run], out[run], _speed_of_positions)
    return out


def filter_rotations(spec: TemporalFilter, times_s: Array, wxyz: Array, breaks_s: Sequence[float] = ()) -> Array:
    """Filter (T, ..., 4) unit quaternions.

    The linear filters act on the sign-continuous quaternions and the result is put back on the unit sphere. Seen
    from each result that is the filter in its tangent space, up to the third order of the spread within the
    filter's window; it commutes with every change of axes and has no singular rotation, which a logarithm about
    one fixed rotation has. The 1-Euro filter takes its speed from the logarithm of neighbouring rotations.
    Frames with NaN stay NaN; nothing crosses a gap or a break.
    """
    out = np.array(wxyz, dtype=np.float64)
    for run in finite_runs(times_s, out, breaks_s):
        continuous = quaternion_continuous(out[run])
        out[run] = quaternion_normalize(_filter_run(spec, times_s[run], continuous, _speed_of_rotations))
    return out


def angular_velocity_rad_s(times_s: Array, wxyz: Array) -> Array:
    """Rotation vectors per second (T - 1, ..., 3) from each frame to the next, in the earlier frame's axes."""
    step = quaternion_to_rotvec(quaternion_multiply(quaternion_conjugate(wxyz[:-1]), wxyz[1:]))
    return np.asarray(step / per_frame(np.diff(times_s), step.ndim))


def finite_runs(times_s: Array, values: Array, breaks_s: Sequence[float] = ()) -> list[slice]:
    """Slices of consecutive frames in which all of `values` (T, ...) is finite, split before each break time."""
    good = np.isfinite(values).reshape(len(values), -1).all(axis=1)
    edges = set(np.flatnonzero(np.diff(good.astype(np.int8))) + 1)
    edges |= set(np.searchsorted(times_s, np.asarray(breaks_s, dtype=np.float64), side="left").tolist())
    bounds = [0, *sorted(edge for edge in edges if 0 < edge < len(good)), len(good)]
    return [slice(a, b) for a, b in itertools.pairwise(bounds) if b > a and good[a]]


def per_frame(values: Array, ndim: int) -> Array:
    """`values` (T,) with trailing axes of length 1, to broadcast over arrays of `ndim` dimensions."""
    return np.asarray(values).reshape((-1,) + (1,) * (ndim - 1))


def median_interval_s(times_s: Array) -> float:
    """The usual time from frame to frame in s (infinity for a single frame)."""
    return float(np.median(np.diff(times_s))) if len(times_s) > 1 else float("inf")


Speed = Callable[[Array, Array], Array]


def _filter_run(spec: TemporalFilter, times_s: Array, values: Array, speed: Speed) -> Array:
    if len(values) < 3:
        return values
    if isinstance(spec, OneEuro):
        return _one_euro(spec, times_s, values, speed)
    grid_s = _regular_grid(times_s)
    if grid_s is None:
        return _filter_regular(spec, (times_s[-1] - times_s[0]) / (len(times_s) - 1), values)
    on_grid = interpolate_linear(times_s, values, grid_s)
    smoothed = _filter_regular(spec, float(grid_s[1] - grid_s[0]), on_grid)
    return interpolate_cubic(grid_s, smoothed, times_s)


def _filter_regular(spec: Butterworth | SavitzkyGolay | Gaussian, interval_s: float, values: Array) -> Array:
    if isinstance(spec, Butterworth):
        cutoff = spec.cutoff_hz * 2.0 * interval_s
        # a cut-off at or above Nyquist has nothing to remove
        return (
            values if cutoff >= 0.99 else filters.zero_phase(filters.butterworth_sections(spec.order, cutoff), values)
        )
    if isinstance(spec, Gaussian):
        return filters.gaussian(values, spec.sigma_s / interval_s)
    window = 2 * round(spec.window_s / interval_s / 2.0) + 1
    window = min(window, len(values) - (len(values) + 1) % 2)
    return values if window <= spec.order + 1 else filters.savitzky_golay(values, window, spec.order)


def _one_euro(spec: OneEuro, times_s: Array, values: Array, speed: Speed) -> Array:
    forward = _one_euro_pass(spec, times_s, values, speed)
    if not spec.both_ways:
        return forward
    backward = _one_euro_pass(spec, -times_s[::-1], values[::-1], speed)[::-1]
    return np.asarray(0.5 * (forward + backward))


def _one_euro_pass(spec: OneEuro, times_s: Array, values: Array, speed: Speed) -> Array:
    interval_s = np.diff(times_s, prepend=2 * times_s[0] - times_s[1])
    velocity = speed(times_s, values)
    velocity = np.concatenate([np.zeros_like(velocity[:1]), velocity])
    derivative = filters.one_euro_weights(np.zeros(len(times_s)), interval_s, spec.derivative_hz, 0.0)
    rate = np.linalg.norm(filters.exponential(velocity, derivative), axis=-1, keepdims=True)
    return filters.exponential(values, filters.one_euro_weights(rate, interval_s, spec.minimum_hz, spec.beta))


def _speed_of_positions(times_s: Array, values: Array) -> Array:
    return np.asarray(np.diff(values, axis=0) / per_frame(np.diff(times_s), values.ndim))


def _speed_of_rotations(times_s: Array, values: Array) -> Array:
    return angular_velocity_rad_s(times_s, values)


def _regular_grid(times_s: Array) -> Array | None:
    """None when the times are regular enough to be filtered as they are, else an even grid over them."""
    even = np.linspace(times_s[0], times_s[-1], len(times_s))
    step = even[1] - even[0]
    if np.abs(times_s - even).max() <= _REGULAR_TOLERANCE * step:
        return None
    finest = max(float(np.diff(times_s).min()), step / _MAX_GRID_GROWTH)
    return np.asarray(np.linspace(times_s[0], times_s[-1], int(np.ceil((times_s[-1] - times_s[0]) / finest)) + 1))


def smooth_step(part: Array) -> Array:
    """0 up to 0, 1 from 1 on, smooth at both ends: 3 p^2 - 2 p^3."""
    part = np.clip(part, 0.0, 1.0)
    return np.asarray(part * part * (3.0 - 2.0 * part))


def fade_out(part: Array) -> Array:
    """1 up to 0, 0 from 1 on, smooth at both ends."""
    return 1.0 - smooth_step(part)


def bracket(times_s: Array, at_s: Array) -> tuple[NDArray[np.intp], Array]:
    """The index before each of `at_s` and the weight 0..1 of the sample after it; ends are clamped."""
    before = np.clip(np.searchsorted(times_s, at_s, side="right") - 1, 0, max(len(times_s) - 2, 0))
    after = np.minimum(before + 1, len(times_s) - 1)
    span = np.where(after > before, times_s[after] - times_s[before], 1.0)
    return before, np.clip((at_s - times_s[before]) / span, 0.0, 1.0)


def interpolate_linear(times_s: Array, values: Array, at_s: Array) -> Array:
    """Values (N, ...) at `at_s` (N,) on straight lines between the samples (T, ...)."""
    before, weight = bracket(times_s, at_s)
    after = np.minimum(before + 1, len(times_s) - 1)
    weight = per_frame(weight, values.ndim)
    return np.asarray(values[before] + weight * (values[after] - values[before]))


def interpolate_cubic(times_s: Array, values: Array, at_s: Array) -> Array:
    """Values (N, ...) at `at_s` on the cubic through the samples whose slope at each is that of a parabola there."""
    if len(values) < 3:
        return interpolate_linear(times_s, values, at_s)
    before, weight = bracket(times_s, at_s)
    span = per_frame(np.diff(times_s)[before], values.ndim)
    slope = sample_slopes(times_s, values)
    begin, end = (CurveEnd(values[at], slope[at] * span) for at in (before, before + 1))
    return hermite(begin, end, per_frame(weight, values.ndim))


def sample_slopes(times_s: Array, values: Array) -> Array:
    """Slope per second (T, ...) at each sample, second-order accurate on irregular times."""
    if len(values) < 2:
        return np.zeros_like(values)
    return np.asarray(np.gradient(values, times_s, axis=0, edge_order=2 if len(values) > 2 else 1))


@dataclass(frozen=True, slots=True)
class CurveEnd:
    """One end of a cubic: its `value`, and its `tangent`, the slope times the curve's span; shapes alike."""

    value: Array
    tangent: Array


def hermite(begin: CurveEnd, end: CurveEnd, weight: Array) -> Array:
    """Cubic Hermite curve at `weight` 0..1 of the way."""
    w2, w3 = weight**2, weight**3
    return np.asarray(
        (2 * w3 - 3 * w2 + 1) * begin.value
        + (w3 - 2 * w2 + weight) * begin.tangent
        + (3 * w2 - 2 * w3) * end.value
        + (w3 - w2) * end.tangent
    )
