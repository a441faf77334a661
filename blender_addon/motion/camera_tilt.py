"""How a camera is tilted, as pitch and roll, and as the direction of gravity in its axes. Standard library only.

Camera axes are those of OpenCV: x right, y down, z forward. A positive pitch looks down; a positive roll turns the
camera clockwise, seen from behind it, so that upright things lean to the left in the image.
"""

from __future__ import annotations

import math

Direction = tuple[float, float, float]

LEVEL: Direction = (0.0, 1.0, 0.0)
"""Down in a camera that has neither pitch nor roll."""


def down_from_tilt(pitch_rad: float, roll_rad: float) -> Direction:
    """The direction of gravity, a unit vector in camera axes, of a camera with this pitch and roll."""
    flat = math.cos(pitch_rad)
    return math.sin(roll_rad) * flat, math.cos(roll_rad) * flat, math.sin(pitch_rad)


def tilt_from_down(down: Direction) -> tuple[float, float]:
    """Pitch (-pi/2 to pi/2) and roll (-pi to pi) in radians of a camera in whose axes gravity has this direction.

    The length of `down` does not matter. A camera that looks straight up or down has no roll: 0. Raises ValueError for
    a vector without a direction.
    """
    length = math.hypot(*down)
    if not 0.0 < length < math.inf:
        raise ValueError("A direction needs a length")
    x, y, z = (value / length for value in down)
    flat = math.hypot(x, y)
    return math.atan2(z, flat), math.atan2(x, y) if flat > 1e-9 else 0.0
