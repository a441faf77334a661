"""Whether the camera moves, found from the background while frames stream by. numpy, OpenCV, `backend.types`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.types import Frame, Image

_WIDTH_PX: Final = 256
_EVERY_S: Final = 0.25
_FEATURES: Final = 160
_MIN_FEATURES: Final = 24
_MIN_INLIERS: Final = 0.5
# a camera on a stand stays within a pixel of 256; a hand-held one drifts by several within a second or two
_MOVES_SHARE: Final = 0.012
_MOVED_SHARE_OF_SAMPLES: Final = 0.15


class CameraMotionMeter:
    """Feed frames in order; `moves` says whether the background shifted, turned or grew over the clip.

    Four times a second the corners of the shot's first image are followed into the present one, and the most
    common similarity transform of them is taken for the camera: a person covers the lesser part of the image.
    Costs about 3 ms a sample.
    """

    def __init__(self) -> None:
        self._reference: Image | None = None
        self._points: NDArray[np.float32] | None = None
        self._next_s = -math.inf
        self._samples = 0
        self._moved = 0

    @property
    def moves(self) -> bool:
        """Whether a good part of the samples shows a shifted background."""
        return self._moved >= max(2, _MOVED_SHARE_OF_SAMPLES * self._samples)

    def update(self, frame: Frame, new_shot: bool = False) -> None:
        """Take the next frame; `new_shot` makes it the reference that later ones are compared with."""
        if new_shot:
            self._reference, self._next_s = None, -math.inf
        if frame.time_s < self._next_s:
            return
        self._next_s = frame.time_s + _EVERY_S
        grey = _small_grey(frame.image)
        if self._reference is None or self._points is None:
            self._renew(grey)
            return
        shift = _background_shift(self._reference, grey, self._points)
        self._samples += 1
        if shift is None:
            # the background is gone from view (a pan), or there never was enough of it: compare anew from here
            self._renew(grey)
        elif shift > _MOVES_SHARE:
            self._moved += 1

    def state(self) -> dict[str, NDArray[np.generic]]:
        """What later answers depend on, as named arrays."""
        arrays: dict[str, NDArray[np.generic]] = {
            "counts": np.array([self._samples, self._moved], np.int64),
            "next_s": np.array(self._next_s),
        }
        if self._reference is not None:
            arrays["reference"] = self._reference
        if self._points is not None:
            arrays["points"] = self._points
        return arrays

    def restore(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on from what `state` gave."""
        self._samples, self._moved = (int(value) for value in np.asarray(arrays["counts"], np.int64))
        self._next_s = float(np.asarray(arrays["next_s"], np.float64))
        self._reference = np.asarray(arrays["reference"], np.uint8) if "reference" in arrays else None
        self._points = np.asarray(arrays["points"], np.float32) if "points" in arrays else None

    def _renew(self, grey: Image) -> None:
        points = cv2.goodFeaturesToTrack(grey, _FEATURES, 0.01, 6)
        self._reference = grey
        self._points = None if points is None or len(points) < _MIN_FEATURES else points.astype(np.float32)


def _small_grey(image: Image) -> Image:
    height = max(16, round(image.shape[0] * _WIDTH_PX / image.shape[1]))
    if image.shape[1] > 2 * _WIDTH_PX:  # four pixels for each of the small image do, and cost a tenth of all
        image = np.asarray(cv2.resize(image, (2 * _WIDTH_PX, 2 * height), interpolation=cv2.INTER_NEAREST), np.uint8)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, (_WIDTH_PX, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _background_shift(reference: Image, grey: Image, points: NDArray[np.float32]) -> float | None:
    """How far the image's corners moved, as a share of its width, or None where too little agrees."""
    start = np.empty_like(points)
    moved, found, _ = cv2.calcOpticalFlowPyrLK(reference, grey, points, start, winSize=(15, 15), maxLevel=3)
    kept = np.asarray(found).ravel() == 1
    if kept.sum() < _MIN_FEATURES:
        return None
    transform, inliers = cv2.estimateAffinePartial2D(points[kept], np.asarray(moved)[kept], ransacReprojThreshold=0.7)
    if transform is None or inliers.mean() < _MIN_INLIERS:
        return None
    height, width = grey.shape
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]], dtype=np.float64)
    after = corners @ transform[:, :2].T + transform[:, 2]
    return float(np.linalg.norm(after - corners, axis=1).mean() / width)
