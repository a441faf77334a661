"""Frames without the person: fill short gaps, leave long ones open.

May import numpy and its own room only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .rotations import (
    Array,
    quaternion_conjugate,
    quaternion_multiply,
    quaternion_normalize,
    quaternion_to_rotvec,
    rotvec_to_quaternion,
)
from .temporal import CurveEnd, hermite

# seconds of motion on each side of a gap that its speed at the edge is measured over
_EDGE_S = 0.1


@dataclass(frozen=True, slots=True)
class GapSettings:
    """Gaps up to `longest_s` are filled. Frames with a confidence below `least_confidence` count as missing."""

    longest_s: float = 0.5
    least_confidence: float = 0.0


@dataclass(frozen=True, slots=True)
class Gap:
    """Missing frames `first` to `last` (both inside the gap)."""

    first: int
    last: int


def find_gaps(missing: NDArray[np.bool_]) -> list[Gap]:
    """Runs of missing frames with a present frame on both sides."""
    edges = np.diff(missing.astype(np.int8))
    starts, ends = np.flatnonzero(edges == 1) + 1, np.flatnonzero(edges == -1)
    ends = ends[ends >= starts[0]] if len(starts) else ends[:0]
    return [Gap(int(a), int(b)) for a, b in zip(starts, ends, strict=False)]


def fillable_gaps(times_s: Array, missing: NDArray[np.bool_], longest_s: float) -> list[Gap]:
    """The gaps whose two sides lie at most `longest_s` (and one frame) apart."""
    gaps = find_gaps(missing)
    return [gap for gap in gaps if times_s[gap.last] - times_s[gap.first] <= longest_s]


def fill_rotations(times_s: Array, wxyz: Array, gaps: list[Gap]) -> Array:
    """Fill rotations (T, J, 4): leave with the speed before the gap, arrive with the speed after it, never overshoot.

    The Hermite curve runs in the tangent space of the shorter arc between the gap's sides.
    """
    out = wxyz.copy()
    for gap in gaps:
        a, b = gap.first - 1, gap.last + 1
        span = times_s[b] - times_s[a]
        weight = (times_s[gap.first : b] - times_s[a]) / span
        across = quaternion_to_rotvec(quaternion_multiply(quaternion_conjugate(wxyz[a]), wxyz[b]))
        slopes = [_rotation_speed(times_s, wxyz, frame, side) * span for frame, side in ((a, -1), (b, 1))]
        slopes = [_limited(slope, across) for slope in slopes]
        curve = hermite(CurveEnd(np.zeros_like(across), slopes[0]), CurveEnd(across, slopes[1]), weight[:, None, None])
        out[gap.first : b] = quaternion_normalize(quaternion_multiply(wxyz[a], rotvec_to_quaternion(curve)))
    return out


def fill_positions(times_s: Array, positions_m: Array, gaps: list[Gap]) -> Array:
    """Fill positions (T, ..., 3) with the cubic Hermite curve that leaves and arrives at the speed of the sides."""
    out = positions_m.copy()
    for gap in gaps:
        a, b = gap.first - 1, gap.last + 1
        span = times_s[b] - times_s[a]
        weight = (times_s[gap.first : b] - times_s[a]) / span
        across = positions_m[b] - positions_m[a]
        slopes = [_position_speed(times_s, positions_m, frame, side) * span for frame, side in ((a, -1), (b, 1))]
        slopes = [_limited(slope, across) for slope in slopes]
        shaped = weight.reshape((-1,) + (1,) * (positions_m.ndim - 1))
        out[gap.first : b] = hermite(CurveEnd(positions_m[a], slopes[0]), CurveEnd(positions_m[b], slopes[1]), shaped)
    return out


def _limited(slope: Array, across: Array) -> Array:
    """A slope at most three times the way across, which keeps a cubic from overshooting (Fritsch and Carlson 1980)."""
    length = np.linalg.norm(slope, axis=-1, keepdims=True)
    most = 3.0 * np.linalg.norm(across, axis=-1, keepdims=True)
    return np.asarray(slope * np.minimum(1.0, most / np.maximum(length, 1e-12)))


def _neighbour(times_s: Array, finite: NDArray[np.bool_], frame: int, side: int) -> int:
    """The furthest frame on `side` of `frame` within the edge window with all frames between present."""
    other = frame
    while 0 <= other + side < len(times_s) and finite[other + side]:
        if abs(times_s[other + side] - times_s[frame]) > _EDGE_S:
            break
        other += side
    return other


def _rotation_speed(times_s: Array, wxyz: Array, frame: int, side: int) -> Array:
    finite = np.isfinite(wxyz).all(axis=(1, 2))
    other = _neighbour(times_s, finite, frame, side)
    if other == frame:
        return np.zeros((*wxyz.shape[1:-1], 3))
    early, late = min(frame, other), max(frame, other)
    turn = quaternion_to_rotvec(quaternion_multiply(quaternion_conjugate(wxyz[early]), wxyz[late]))
    return np.asarray(turn / (times_s[late] - times_s[early]))


def _position_speed(times_s: Array, positions_m: Array, frame: int, side: int) -> Array:
    finite = np.isfinite(positions_m).reshape(len(positions_m), -1).all(axis=1)
    other = _neighbour(times_s, finite, frame, side)
    if other == frame:
        return np.zeros(positions_m.shape[1:])
    return np.asarray((positions_m[frame] - positions_m[other]) / (times_s[frame] - times_s[other]))
