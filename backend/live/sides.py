"""Left and right of a person who is followed live: the network's sudden exchanges are taken back as they come.

Over a whole track the labels with the least jumps win (`people.left_right`); here each frame is compared with the last
one whose sides were clear, since a network changes its mind over a frame or two that lie in between. May import
`backend.people` and `backend.types`.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from backend.keypoint_layouts import BLAZEPOSE
from backend.people.left_right import MIRRORED
from backend.types import Array

_BODY: Final = np.arange(11, BLAZEPOSE.count)
_HIPS: Final = [23, 24]
_CLEAR: Final = 0.5  # the smaller of the two distances over the larger
_OLDEST_S: Final = 0.2  # a reference that is older says nothing
_BELIEVE_S: Final = 0.5  # contradicted for so long, the network is believed


class SideKeeper:
    """`is_wrong` for each frame in order."""

    def __init__(self) -> None:
        self._reference: Array | None = None
        self._reference_s = -np.inf
        self._contrary_s = 0.0
        self._last_s = -np.inf

    def is_wrong(self, keypoints_px: Array, time_s: float) -> bool:
        """Whether left and right of these keypoints (33, 2) are to be exchanged, to go on as before."""
        points = keypoints_px - keypoints_px[_HIPS].mean(axis=0)
        if self._reference is None or time_s - self._reference_s > _OLDEST_S or self._contrary_s > _BELIEVE_S:
            self._take(points, time_s, False)
            return False
        kept, crossed = (
            float(np.linalg.norm(one[_BODY] - self._reference[_BODY], axis=-1).mean())
            for one in (points, points[MIRRORED])
        )
        wrong = crossed < _CLEAR * kept
        if wrong or kept < _CLEAR * crossed:
            self._take(points[MIRRORED] if wrong else points, time_s, wrong)
        return wrong

    def _take(self, points: Array, time_s: float, wrong: bool) -> None:
        self._reference, self._reference_s = points, time_s
        step = min(max(time_s - self._last_s, 0.0), 0.1)
        self._contrary_s = self._contrary_s + step if wrong else 0.0
        self._last_s = time_s
