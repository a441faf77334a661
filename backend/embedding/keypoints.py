"""Names and groups of the 33 BlazePose landmarks and the 17 Human3.6M joints, and the parts of a pose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.keypoint_layouts import BLAZEPOSE, HUMAN36M

KEYPOINT_NAMES = BLAZEPOSE.names
HIPS = np.array([23, 24])
SHOULDERS = np.array([11, 12])
MAIN = np.array([0, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28])
"""Nose and limb joints: they set the size of the crop."""

MIRROR = BLAZEPOSE.mirror
"""Left-right partner of each landmark."""

H36M_NAMES = HUMAN36M.names
H36M_MIRROR = HUMAN36M.mirror


@dataclass(frozen=True, slots=True)
class Part:
    """Human3.6M joints that move together, and the joint that they hang on."""

    joints: tuple[int, ...]
    hangs_on: int


TRUNK = Part((1, 4, 7, 8, 9, 10, 11, 14), 0)
LIMBS = (Part((12, 13), 11), Part((15, 16), 14), Part((5, 6), 4), Part((2, 3), 1))
PARTS = (TRUNK, *LIMBS)
