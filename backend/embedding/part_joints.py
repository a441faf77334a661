"""The parts of a pose that retrieval exchanges: a trunk and four limbs of the 17 joints of Human3.6M."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """Human3.6M joints that move together, and the joint that they hang on."""

    joints: tuple[int, ...]
    hangs_on: int


TRUNK = Part((1, 4, 7, 8, 9, 10, 11, 14), 0)
LIMBS = (Part((12, 13), 11), Part((15, 16), 14), Part((5, 6), 4), Part((2, 3), 1))
PARTS = (TRUNK, *LIMBS)
