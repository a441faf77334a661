"""Cuts: where one shot ends and another begins, found while frames stream by. numpy, OpenCV, `backend.types`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.types import Array, Frame

_SIZE: Final = (48, 27)
_SAMPLES: Final = (192, 108)
_BINS: Final = 16
# Mean absolute difference (of 255) and histogram distance (of 1) that together mean another shot; motion within a
# shot moves pixels but hardly the histogram, a flash moves the histogram but comes back, and is caught by the ratio.
_MIN_DIFFERENCE: Final = 18.0
_MIN_HISTOGRAM: Final = 0.25
_TIMES_USUAL: Final = 4.0
_MEMORY: Final = 0.9


class CutDetector:
    """Feed frames in order; `update` says whether this frame is the first of a new shot.

    A frame opens a shot when it differs from the one before in pixels and in colour histogram, and several times
    more than the shot's usual frame-to-frame difference. Costs about 0.2 ms a frame, whatever its size.
    """

    def __init__(self) -> None:
        self._small: NDArray[np.int16] | None = None
        self._histogram: Array | None = None
        self._usual = 0.0

    def update(self, frame: Frame) -> bool:
        """Take the next frame. The very first one is no cut."""
        # some of the pixels are enough to tell shots apart, and reading the whole image costs twenty times as much
        some = cv2.resize(frame.image, _SAMPLES, interpolation=cv2.INTER_NEAREST)
        small = cv2.resize(some, _SIZE, interpolation=cv2.INTER_AREA)
        pixels = small.astype(np.int16)
        bins = (small // _BINS).reshape(-1, 3) + _BINS * np.arange(3, dtype=np.uint8)
        histogram = np.bincount(bins.ravel(), minlength=3 * _BINS) / small.size
        cut = False
        if self._small is not None and self._histogram is not None:
            difference = float(np.abs(pixels - self._small).mean())
            distance = 0.5 * float(np.abs(histogram - self._histogram).sum())
            cut = (
                difference > _MIN_DIFFERENCE
                and distance > _MIN_HISTOGRAM
                and difference > _TIMES_USUAL * max(self._usual, 1.0)
            )
            self._usual = 0.0 if cut else _MEMORY * self._usual + (1.0 - _MEMORY) * difference
        self._small, self._histogram = pixels, histogram
        return cut

    def state(self) -> dict[str, NDArray[np.generic]]:
        """What later answers depend on, as named arrays; empty before the first frame."""
        if self._small is None or self._histogram is None:
            return {}
        return {"small": self._small, "histogram": self._histogram, "usual": np.array(self._usual)}

    def restore(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on from what `state` gave."""
        if arrays:
            self._small = np.asarray(arrays["small"], np.int16)
            self._histogram = np.asarray(arrays["histogram"], np.float64)
            self._usual = float(arrays["usual"])
