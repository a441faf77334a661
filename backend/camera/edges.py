"""The straight edges of a scene: line segments of a few frames, and those of them that lie on no person.

May import numpy, OpenCV, `backend.types` and its own room. The segments tell which way is down (`backend.world`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.camera.lens import pixel_rays
from backend.camera.path import CameraPath
from backend.camera.people_mask import on_people, poses_px
from backend.types import Frame, Image, Intrinsics, PersonTrack, SceneEdges

_LONGER_PX: Final = 960  # segments are looked for in frames of this size
_SHORTEST_PX: Final = 30.0
_MOST_PER_FRAME: Final = 400
_MOST_FRAMES: Final = 4
# LSD's own reduction of that image (its default is 0.8): half the cost, and as many edges of 30 px and more
_LSD_SCALE: Final = 0.6
_FIRST_INTERVAL_S: Final = 0.25
_BORDER_PX: Final = 4.0
# bars are black; a plain wall beside a door is not
_BLACK_LEVEL: Final = 24.0
# a dancer in a spot light on a black stage fills more than the rest of this
_BRIGHT_PERCENTILE: Final = 99.0


@dataclass(frozen=True, slots=True)
class FrameSegments:
    """Line segments of one source frame: `segments_px` (S, 4) x0, y0, x1, y1 in px of the upright frame."""

    index: int
    segments_px: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Kept:
    """A small grey image of a source frame that is `width_px` wide."""

    index: int
    time_s: float
    width_px: int
    grey: Image

    @property
    def scale(self) -> float:
        return self.width_px / self.grey.shape[1]


class EdgeMeter:
    """Feed frames in order; keeps at most four small grey images, spread over all that it saw, to find edges in.

    Frames are taken at an interval that doubles whenever there are too many, so the cost does not grow with the
    length of the video: edges are found (some 10 to 20 ms a frame) when `segments` is called.
    """

    def __init__(self) -> None:
        self._interval_s = _FIRST_INTERVAL_S
        self._next_s = -math.inf
        self._kept: list[_Kept] = []

    def update(self, frame: Frame) -> None:
        """Take the next frame."""
        if frame.time_s < self._next_s:
            return
        self._kept.append(_Kept(frame.index, frame.time_s, frame.image.shape[1], _small_grey(frame.image)))
        if len(self._kept) > _MOST_FRAMES:
            self._interval_s *= 2.0
            self._kept = self._kept[::2]
        self._next_s = self._kept[-1].time_s + self._interval_s

    @property
    def bright_level(self) -> float:
        """How bright (0 to 255) the brightest hundredth of the usual frame is; 255 before there is a frame."""
        if not self._kept:
            return 255.0
        return float(np.median([np.percentile(kept.grey, _BRIGHT_PERCENTILE) for kept in self._kept]))

    def segments(self) -> tuple[FrameSegments, ...]:
        """The segments of the frames that were kept."""
        return tuple(FrameSegments(kept.index, find_segments(kept.grey) * kept.scale) for kept in self._kept)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """What later answers depend on, as named arrays."""
        arrays: dict[str, NDArray[np.generic]] = {"pace": np.array([self._interval_s, self._next_s])}
        for place, kept in enumerate(self._kept):
            arrays[f"frame{place}"] = np.array([kept.index, kept.time_s, kept.width_px])
            arrays[f"grey{place}"] = kept.grey
        return arrays

    def restore(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on from what `state` gave."""
        self._interval_s, self._next_s = (float(value) for value in np.asarray(arrays["pace"], np.float64))
        self._kept = []
        while f"grey{len(self._kept)}" in arrays:
            place = len(self._kept)
            index, time_s, width_px = (float(value) for value in np.asarray(arrays[f"frame{place}"], np.float64))
            self._kept.append(_Kept(int(index), time_s, int(width_px), np.asarray(arrays[f"grey{place}"], np.uint8)))


def find_segments(grey: Image) -> NDArray[np.float32]:
    """Line segments (S, 4) x0, y0, x1, y1 in px of a grey image (H, W), the longest first.

    OpenCV's LSD (von Gioi et al. 2010). Segments along the frame's border or along the edge of black bars are left
    out: they are no edges of the scene.
    """
    # OpenCV gives None where it finds nothing, whatever its type stubs say
    found: NDArray[np.float32] | None = cv2.createLineSegmentDetector(scale=_LSD_SCALE).detect(grey)[0]  # type: ignore[assignment]
    if found is None:
        return np.zeros((0, 4), np.float32)
    segments = np.asarray(found, np.float32).reshape(-1, 4)
    length = np.linalg.norm(segments[:, :2] - segments[:, 2:], axis=1)
    kept = (length > _SHORTEST_PX) & ~_on_border(segments, _content(grey))
    order = np.argsort(-length[kept], kind="stable")[:_MOST_PER_FRAME]
    return np.asarray(segments[kept][order], np.float32)


def scene_edges(
    found: Sequence[FrameSegments],
    tracks: Sequence[PersonTrack],
    intrinsics: Intrinsics,
    path: CameraPath | None = None,
) -> SceneEdges:
    """The segments that lie on nobody of `tracks`, as pairs of rays; those of the first frame where `path` says how
    the camera turned.
    """
    rays, frames, longer = [np.zeros((0, 2, 3))], 0, max(intrinsics.width, intrinsics.height)
    length = [np.zeros(0)]
    for part in found:
        ends = part.segments_px.reshape(-1, 2, 2).astype(np.float64)
        ends = ends[~on_people(ends.mean(axis=1), poses_px(tracks, part.index))]
        rays.append(pixel_rays(intrinsics, ends) if path is None else path.still_rays(part.index, ends, intrinsics))
        length.append(np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1) / longer)
        frames += 1
    return SceneEdges(np.concatenate(rays), np.concatenate(length), frames)


def _small_grey(image: Image) -> Image:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    scale = _LONGER_PX / max(image.shape[:2])
    if scale < 1.0:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(grey, np.uint8)


def _content(grey: Image) -> tuple[int, int, int, int]:
    """The part (x0, y0, x1, y1) of an image inside of black bars."""
    rows = np.flatnonzero(np.percentile(grey, 98.0, axis=1) > _BLACK_LEVEL)
    columns = np.flatnonzero(np.percentile(grey, 98.0, axis=0) > _BLACK_LEVEL)
    if not len(rows) or not len(columns):
        return 0, 0, grey.shape[1], grey.shape[0]
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _on_border(segments: NDArray[np.float32], content: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """Which segments (S, 4) run along an edge of the content, both ends close to it."""
    x, y = segments[:, 0::2], segments[:, 1::2]
    near = [np.abs(values - edge) < _BORDER_PX for values, edge in zip((x, y, x, y), content, strict=True)]
    return np.asarray(np.any([both.all(axis=1) for both in near], axis=0))
