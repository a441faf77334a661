"""Which frames the image towers see, relative to the centre frame, in steps of WINDOW_STEP_S. Data only."""

from __future__ import annotations

from enum import Enum

DENSE_OFFSETS = tuple(range(-13, 14))
"""Every frame of 0.9 s."""

FAR_STEP = 6
FAR_FRAMES = 12
"""Frames before and after the dense ones, at 5 a second: build, habits and the slow part of the motion."""

_FAR = tuple(13 + FAR_STEP * (k + 1) for k in range(FAR_FRAMES))
LONG_OFFSETS = (*(-offset for offset in reversed(_FAR)), *DENSE_OFFSETS, *_FAR)
"""The dense frames with context before and after them: 51 frames over 5.7 s, sorted, the centre in the middle."""


class ImageLayout(Enum):
    """How an image tower is built, as a towers file names it."""

    FOLDING = "folding"
    TEMPORAL = "temporal"

    @property
    def offsets(self) -> tuple[int, ...]:
        """The frames that it sees."""
        return LONG_OFFSETS if self is ImageLayout.TEMPORAL else DENSE_OFFSETS
