"""Where the floor of a motion from elsewhere is, and when its feet stand on it. numpy, `motion`, its own room only.

Feet that stand still tell the floor: the lowest level at which they do so. Works in lengths of a body of 1.70 m, so
that a doll and a giant are judged alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..motion.contacts import ContactSettings, contact_probability, point_speed_m_s
from ..motion.posing import Feet

Array = NDArray[np.floating]

# a foot point slower than this stands; levels this far apart are one floor
_STILL_M_S, _ONE_LEVEL_M = 0.25, 0.05
# a joint this far below the floor shows that the floor is lower; a joint lies so far inside the skin
_FAR_BELOW_M, _SKIN_M = 0.12, 0.03
# what part of all foot points must stand still for the floor to be known from them
_ENOUGH = 0.03
_LOWEST_PERCENT = 5.0
# a foot point that moves less than this from frame to frame was planted on purpose; a motion in which most contacts
# are such has its own contacts, and nothing else is one
_PLANTED_M, _PLANTED_SHARE = 0.00005, 0.5


@dataclass(frozen=True, slots=True)
class Ground:
    """`floor` is the floor's height in the units of the feet; `contacts` (T, 4) are probabilities; `found` says whether
    standing feet told it (else it is the lowest place of the feet).
    """

    floor: float
    contacts: Array
    found: bool


def find_ground(times_s: Array, feet: Array, size: float) -> Ground:
    """The floor under heel and ball of both feet (T, 4, 3); `size` is the body's size over that of 1.70 m."""
    points = feet / size
    if len(points) < 2:
        lowest = float(points[..., 2].min())
        near = (points[..., 2] < lowest + _ONE_LEVEL_M).astype(np.float64)
        return Ground(lowest * size, near, True)
    speed = point_speed_m_s(times_s, points)
    still = points[..., 2][speed < _STILL_M_S]
    found = still.size > _ENOUGH * speed.size
    if found:
        low = float(np.percentile(still, _LOWEST_PERCENT))
        floor = float(np.median(still[still < low + _ONE_LEVEL_M]))
    else:
        floor = float(np.percentile(points[..., 2].min(axis=1), _LOWEST_PERCENT))
    points = points - np.array([0.0, 0.0, floor])
    standing = Feet(points, np.zeros((4, 3)), np.zeros(4))
    contacts = contact_probability(times_s, standing, ContactSettings())
    planted = _planted(points) & (contacts > 0.0)
    if planted.sum() > _PLANTED_SHARE * (contacts > 0.5).sum():
        contacts = planted.astype(np.float64)
    return Ground(floor * size, contacts, found)


def lowest_floor(floor: float, joints: Array, size: float) -> float:
    """The floor, or a lower one where the body (T, J, 3) reaches far below it: feet in the air tell no floor."""
    lowest = float(np.percentile(joints[..., 2].min(axis=1), _LOWEST_PERCENT))
    return lowest - _SKIN_M * size if lowest < floor - _FAR_BELOW_M * size else floor


def _planted(points: Array) -> NDArray[np.bool_]:
    """Which foot points (T, 4) rest exactly: from the frame before, or to the frame after, they do not move."""
    still = np.linalg.norm(np.diff(points, axis=0), axis=-1) < _PLANTED_M
    edge = np.zeros((1, still.shape[1]), dtype=bool)
    return np.concatenate([edge, still]) | np.concatenate([still, edge])
