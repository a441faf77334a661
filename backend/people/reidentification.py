"""Who is who: matches people found anew with people out of sight, tells doubles, tells swaps. numpy, scipy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from backend.people.appearance import appearance_distance
from backend.people.region import Roi
from backend.types import Array

_CORE = (11, 12, 13, 14, 23, 24, 25, 26, 27, 28)  # shoulders, elbows, hips, knees, ankles
DOUBLE_DISTANCE, NEAR_DOUBLE_DISTANCE = 0.06, 0.1  # of the region's side: while followed, and for one found anew
_FORBIDDEN = 1e6
_MOST_PLACE, _MOST_SIZE, _MOST_LOOK = 1.0, math.log(1.8), 0.7
_SAME_LOOK = 0.18  # for people who were away too long to guess their place
# for the only person of a video: the same clothes a second later are up to 0.64 apart in other light or another pose
# (99 % below 0.56), two strangers in the street 0.79 and more
_SAME_LOOK_ALONE = 0.6
_SWAP_GAIN = 0.25


@dataclass(frozen=True, slots=True)
class Absent:
    """A person out of sight: where it should be, its colours, how many seconds ago it was seen."""

    expected: Roi
    appearance: Array | None
    away_s: float


@dataclass(frozen=True, slots=True)
class Found:
    """A person found: where, and its colours."""

    roi: Roi
    appearance: Array | None


def match(
    absent: Sequence[Absent], found: Sequence[Found], remember_s: float, alone: bool = False
) -> list[tuple[int, int]]:
    """Pairs (absent, found) that are the same person, by the least total cost (Hungarian); others stay unpaired.

    `alone`: nobody else was seen in the video so far, so that colours need only be alike.
    """
    if not absent or not found:
        return []
    same_look = _SAME_LOOK_ALONE if alone else _SAME_LOOK
    cost = np.array([[match_cost(one, other, remember_s, same_look) for other in found] for one in absent])
    rows, columns = linear_sum_assignment(cost)
    return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if cost[r, c] < _FORBIDDEN]


def match_cost(absent: Absent, found: Found, remember_s: float, same_look: float = _SAME_LOOK) -> float:
    """Cost of calling both the same person: place, size and colours; _FORBIDDEN when one of them says no."""
    look = 0.4
    if absent.appearance is not None and found.appearance is not None:
        look = appearance_distance(absent.appearance, found.appearance)
    if absent.away_s > remember_s:
        return 2.0 + look if look < same_look else _FORBIDDEN
    # The longer away, the less sure the place; a leap is faster than any walk.
    reach = max(found.roi.size_px, absent.expected.size_px) * (0.5 + 1.5 * min(absent.away_s, 1.0))
    place = math.hypot(found.roi.x_px - absent.expected.x_px, found.roi.y_px - absent.expected.y_px) / reach
    size = abs(math.log(found.roi.size_px / absent.expected.size_px))
    if place > _MOST_PLACE or size > _MOST_SIZE or look > _MOST_LOOK:
        return _FORBIDDEN
    return place / _MOST_PLACE + 0.5 * size / _MOST_SIZE + look / _MOST_LOOK


def are_doubles(first_px: Array, second_px: Array, size_px: float, distance: float = DOUBLE_DISTANCE) -> bool:
    """Whether two sets of landmarks (K, 2) lie on one body of a region `size_px` wide."""
    gap = np.linalg.norm(first_px[list(_CORE)] - second_px[list(_CORE)], axis=-1)
    return float(np.median(gap)) < distance * size_px


def surprise(expected: Roi, seen: Roi, model: Array | None, look: Array | None) -> float:
    """How little a sighting fits a person: distance over size, change of size, change of colours."""
    place = math.hypot(seen.x_px - expected.x_px, seen.y_px - expected.y_px) / expected.size_px
    size = abs(math.log(seen.size_px / expected.size_px))
    colours = appearance_distance(model, look) if model is not None and look is not None else 0.3
    return place + size + 2.0 * colours


@dataclass(frozen=True, slots=True)
class PairAppearance:
    """Colour models (A,) of two people at one time."""

    first: Array
    second: Array


def are_swapped(before: PairAppearance, after: PairAppearance) -> bool:
    """Whether two people who met have each other's colours now."""
    kept = appearance_distance(before.first, after.first) + appearance_distance(before.second, after.second)
    crossed = appearance_distance(before.first, after.second) + appearance_distance(before.second, after.first)
    return crossed < kept - _SWAP_GAIN
