"""Keyframe reduction: as few keys as possible within an error bound that the user states in degrees or millimetres.

May import numpy and its own room only. The curve between keys is either a straight line per component (Blender's
LINEAR) or a cubic with the source's slopes at the keys (Blender's BEZIER with handles a third of the way).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .rotations import Array, quaternion_between, quaternion_continuous, quaternion_normalize
from .temporal import CurveEnd, hermite, sample_slopes

Error = Callable[[Array, Array], Array]


@dataclass(frozen=True, slots=True)
class ReducedCurve:
    """What is left of a curve of T samples.

    `keys` (T,) marks the kept samples; `values` (T, C) are the samples (quaternions made continuous in sign);
    `slopes` (T, C) per second at each sample, for Bezier handles: the handle lies at a third of the time to the next
    key and at `value +- slope * third`. `largest_error` is what the reduced curve misses by, in the bound's unit.
    """

    keys: NDArray[np.bool_]
    values: Array
    slopes: Array
    largest_error: float


def reduce_rotation_keys(times_s: Array, wxyz: Array, largest_deg: float, smooth: bool = True) -> ReducedCurve:
    """Thin out one bone's quaternion curve (T, 4): the angle to the source stays within `largest_deg` at every sample.

    `smooth` takes cubic curves between the keys, else straight lines; both per component and normalised afterwards,
    as Blender plays quaternion F-curves.
    """
    values = quaternion_continuous(np.asarray(wxyz, dtype=np.float64))
    return _reduced(times_s, values, np.deg2rad(largest_deg), smooth, _angle)


def reduce_position_keys(times_s: Array, positions_m: Array, largest_mm: float, smooth: bool = True) -> ReducedCurve:
    """Thin out a position curve (T, C) in m: the distance to the source stays within `largest_mm` at every sample."""
    return _reduced(times_s, np.asarray(positions_m, dtype=np.float64), largest_mm / 1000.0, smooth, _distance)


def play_keys(times_s: Array, curve: ReducedCurve, smooth: bool = True) -> Array:
    """The values (T, C) that the kept keys give at every sample time (quaternions not yet normalised)."""
    keys = np.flatnonzero(curve.keys)
    if len(keys) == 1:
        return np.broadcast_to(curve.values[keys[0]], curve.values.shape).copy()
    left = keys[np.clip(np.searchsorted(keys, np.arange(len(times_s)), side="right") - 1, 0, len(keys) - 2)]
    right = keys[np.searchsorted(keys, left, side="right")]
    span = (times_s[right] - times_s[left])[:, None]
    weight = (times_s - times_s[left])[:, None] / span
    if not smooth:
        return np.asarray(curve.values[left] + weight * (curve.values[right] - curve.values[left]))
    begin, end = (CurveEnd(curve.values[at], curve.slopes[at] * span) for at in (left, right))
    return hermite(begin, end, weight)


def _reduced(times_s: Array, values: Array, bound: float, smooth: bool, error: Error) -> ReducedCurve:
    """Split every span at its worst sample until all are within the bound, then drop keys that are not needed."""
    if not np.isfinite(values).all():
        raise ValueError("keys can only be reduced where the motion is known; bake each run of frames by itself")
    slopes = sample_slopes(times_s, values)
    keys = np.zeros(len(values), dtype=bool)
    keys[[0, -1]] = True
    curve = ReducedCurve(keys, values, slopes, 0.0)
    while True:
        miss = error(play_keys(times_s, curve, smooth), values)
        at = np.flatnonzero(keys)
        if len(at) < 2 or miss.max() <= bound:
            break
        # every span with an error beyond the bound gets a key where it is worst
        span = np.clip(np.searchsorted(at, np.arange(len(values)), side="right") - 1, 0, len(at) - 2)
        order = np.lexsort((-miss, span))
        worst = order[np.unique(span[order], return_index=True)[1]]
        keys[worst[miss[worst] > bound]] = True
    _drop_needless(times_s, curve, bound, smooth, error)
    largest = float(error(play_keys(times_s, curve, smooth), values).max())
    return ReducedCurve(keys, values, slopes, float(np.rad2deg(largest)) if error is _angle else 1000.0 * largest)


def _drop_needless(times_s: Array, curve: ReducedCurve, bound: float, smooth: bool, error: Error) -> None:
    """Remove, in place, keys that the bound does not need: every other key is tried at once, and kept where missed."""
    for parity in (1, 0):
        at = np.flatnonzero(curve.keys)
        tried = at[1:-1][(np.arange(len(at) - 2) % 2) == parity]
        if not len(tried):
            continue
        before = at[np.searchsorted(at, tried) - 1]
        after = at[np.searchsorted(at, tried) + 1]
        curve.keys[tried] = False
        miss = error(play_keys(times_s, curve, smooth), curve.values)
        for key, left, right in zip(tried, before, after, strict=True):
            if miss[left : right + 1].max() > bound:
                curve.keys[key] = True


def _angle(a: Array, b: Array) -> Array:
    return quaternion_between(quaternion_normalize(a), b)


def _distance(a: Array, b: Array) -> Array:
    return np.asarray(np.linalg.norm(a - b, axis=-1))
