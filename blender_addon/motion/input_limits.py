"""Ranges of the values that a user can give: the same for the panel, the command line and the backend."""

from __future__ import annotations

from typing import Final

NARROWEST_FOV_DEG: Final = 5.0
WIDEST_FOV_DEG: Final = 150.0
"""Field of view in degrees over the longer side of the upright image, whichever side that is."""

SHORTEST_BODY_M: Final = 0.5
TALLEST_BODY_M: Final = 2.6
"""Body height of the person in metres."""

SHORTEST_DOWN: Final = 0.5
LONGEST_DOWN: Final = 20.0
"""Length of the vector that says which way is down; a shorter one hardly has a direction."""
