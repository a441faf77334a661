"""A motion as its file has it, on the file's own skeleton. May import numpy and its own room only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class MovingSkeleton:
    """N joints, T frames, in the file's own axes and unit of length.

    `rest_positions` (N, 3) and `rotations` (T, N, 3, 3), world rotations that carry the rest pose into each frame;
    `positions` (T, N, 3) of the joints; `tips` (N, 3) rest position of the end of a joint without children (NaN
    elsewhere); `times_s` (T,) increasing. `up` (3,) is the file's upward direction, None where it has to be found.
    `has_rest` is False for files that hold no rest pose: `rest_positions` are then those of a frame. `notes` are
    sentences about the file that the user should know.
    """

    names: tuple[str, ...]
    parents: NDArray[np.intp]
    rest_positions: Array
    tips: Array
    rotations: Array
    positions: Array
    times_s: Array
    up: Array | None = None
    has_rest: bool = True
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def fps(self) -> float:
        """Frames a second, by the median step; 30 for a single frame."""
        return 1.0 / float(np.median(np.diff(self.times_s))) if len(self) > 1 else 30.0


def axis_rotation(axis: str, angle_deg: Array) -> Array:
    """Rotation matrices (..., 3, 3) about a named axis ('x', 'y', 'z') by angles (...) in degrees."""
    angle = np.radians(angle_deg)
    cosine, sine = np.cos(angle), np.sin(angle)
    matrix = np.zeros((*np.shape(angle), 3, 3))
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    k = "xyz".index(axis)
    matrix[..., k, k] = 1.0
    matrix[..., first, first] = matrix[..., second, second] = cosine
    matrix[..., first, second], matrix[..., second, first] = -sine, sine
    return matrix
