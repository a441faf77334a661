"""Features of the background, followed through a whole video. numpy, OpenCV, `backend.types`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.camera.lens import normalised_points
from backend.camera.path import corners, flow
from backend.camera.people_mask import on_people, poses_px
from backend.types import Array, Frame, Image, Intrinsics, PersonTrack

WIDTH_PX: Final = 640
_FEATURES: Final = 400
_APART_PX: Final = 9
# new features are looked for when fewer than this part is left
_LEAST_LEFT: Final = 0.8
_BORDER_PX: Final = 6.0


@dataclass(frozen=True, slots=True)
class FeatureTracks:
    """Observations of features in the frames `frame_index` (N,): `row` (M,) of the frame, `feature` (M,) and where, in
    normalised image coordinates `plane` (M, 2). `unit_px` is the focal length in px of an image 640 wide.
    """

    frame_index: NDArray[np.intp]
    row: NDArray[np.intp]
    feature: NDArray[np.intp]
    plane: Array
    unit_px: float

    def taken(self, kept: NDArray[np.bool_]) -> FeatureTracks:
        """Only some of the observations (M,)."""
        return FeatureTracks(self.frame_index, self.row[kept], self.feature[kept], self.plane[kept], self.unit_px)


def follow_features(frames: Iterable[Frame], tracks: Sequence[PersonTrack], intrinsics: Intrinsics) -> FeatureTracks:
    """Follow features through all frames; those on people are dropped. Costs about 8 ms a frame."""
    follower = _Follower(tracks, intrinsics)
    for frame in frames:
        follower.take(frame)
    return follower.found()


class _Follower:
    def __init__(self, tracks: Sequence[PersonTrack], intrinsics: Intrinsics) -> None:
        self._tracks, self._intrinsics = tracks, intrinsics
        self._scale = intrinsics.width / WIDTH_PX
        self._grey: Image | None = None
        self._points = np.zeros((0, 2), np.float32)
        self._names = np.zeros(0, np.intp)
        self._next = 0
        self._index: list[int] = []
        self._seen: list[tuple[NDArray[np.intp], NDArray[np.float32]]] = []

    def take(self, frame: Frame) -> None:
        grey = self._small(frame.image)
        poses = poses_px(self._tracks, frame.index)
        if self._grey is not None and len(self._points):
            found, kept = flow(self._grey, grey, self._points)
            kept &= self._free(found, grey, poses)
            self._points, self._names = found[kept], self._names[kept]
        self._grey = grey
        if len(self._points) < _LEAST_LEFT * _FEATURES:
            self._renew(grey, poses)
        self._index.append(frame.index)
        self._seen.append((self._names, self._points))

    def found(self) -> FeatureTracks:
        names = [np.zeros(0, np.intp), *(names for names, _ in self._seen)]
        points = np.concatenate([np.zeros((0, 2), np.float32), *(points for _, points in self._seen)])
        rows = np.repeat(np.arange(len(self._seen)), [len(one) for one, _ in self._seen])
        plane = normalised_points(self._intrinsics, points.astype(np.float64) * self._scale)
        unit_px = float(self._intrinsics.matrix[0, 0]) / self._scale
        return FeatureTracks(np.array(self._index, np.intp), rows, np.concatenate(names), plane, unit_px)

    def _free(self, points: NDArray[np.float32], grey: Image, poses: Sequence[Array]) -> NDArray[np.bool_]:
        height, width = grey.shape
        inside = (points > _BORDER_PX).all(axis=1) & (points < (width - _BORDER_PX, height - _BORDER_PX)).all(axis=1)
        return np.asarray(inside & ~on_people(points.astype(np.float64) * self._scale, poses))

    def _renew(self, grey: Image, poses: Sequence[Array]) -> None:
        open_parts = np.full(grey.shape, 255, np.uint8)
        for x, y in self._points.astype(int).tolist():
            cv2.circle(open_parts, (x, y), _APART_PX, 0, -1)
        points = corners(grey, _FEATURES - len(self._points), (0.004, _APART_PX), open_parts)
        points = points[self._free(points, grey, poses)]
        self._points = np.concatenate([self._points, points])
        self._names = np.concatenate([self._names, np.arange(self._next, self._next + len(points))])
        self._next += len(points)

    def _small(self, image: Image) -> Image:
        height = round(image.shape[0] / self._scale)
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        return np.asarray(cv2.resize(grey, (WIDTH_PX, height), interpolation=cv2.INTER_AREA), np.uint8)
