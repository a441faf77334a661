"""From decoded frames to upright RGB images of one size. May import PyAV, OpenCV, numpy and its own room."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from av.video.frame import VideoFrame

from backend.types import Image
from backend.video.orientation import Orientation, orientation_of


@dataclass(frozen=True, slots=True)
class ImageGrid:
    """The one size that every image of a video is brought to: upright, with square pixels.

    `aspect` is the width of a stored pixel in heights; `stored` the stored size of the first frame.
    """

    width: int
    height: int
    aspect: float
    stored: tuple[int, int]


def grid_of(first: VideoFrame, orientation: Orientation, aspect: float) -> ImageGrid:
    """The grid that the first frame sets."""
    width, height = orientation.size(max(1, round(first.width * aspect)), first.height)
    return ImageGrid(width, height, aspect, (first.width, first.height))


class Uprighter:
    """Makes each frame's image; frames of another size or orientation than the first are fitted in, and counted."""

    def __init__(self, grid: ImageGrid) -> None:
        self._grid = grid
        self._orientations: dict[int, Orientation] = {}
        self._fitted = 0
        self._other: tuple[int, int, float] | None = None

    def image(self, decoded: VideoFrame, shown: VideoFrame, time_s: float) -> Image:
        """The upright RGB image (H, W, 3) uint8 of the grid's size; `shown` is `decoded` after any filter."""
        width = max(1, round(shown.width * self._grid.aspect))
        rgb = _pixels(
            shown.reformat(
                width=None if width == shown.width else width, format="rgb24", interpolation="BILINEAR", threads=1
            )
        )
        upright = self._orientation(decoded).apply(rgb)
        if upright.shape[:2] == (self._grid.height, self._grid.width):
            return np.asarray(upright, dtype=np.uint8)
        self._fitted += 1
        if self._other is None:
            self._other = (upright.shape[1], upright.shape[0], time_s)
        return fitted(upright, self._grid.width, self._grid.height)

    def _orientation(self, frame: VideoFrame) -> Orientation:
        """The matrix is read once for each angle: reading it ties a frame into a cycle, and its memory stays longer."""
        angle = int(frame.rotation)
        if angle not in self._orientations:
            self._orientations[angle] = orientation_of(frame)
        return self._orientations[angle]

    def warnings(self) -> list[str]:
        """That the size changes, once."""
        if self._other is None:
            return []
        width, height, time_s = self._other
        sizes = f"from {self._grid.width}x{self._grid.height} to {width}x{height}"
        done = f"{self._fitted} frames were fitted into the first size with black bars, and distances change there"
        return [f"the image size changes {sizes} at {time_s:.2f} s: {done}; solve each part by itself with --range"]


def fitted(image: Image, width: int, height: int) -> Image:
    """An image (H, W, 3) scaled into `width` x `height` without distortion, centred between black bars."""
    scale = min(width / image.shape[1], height / image.shape[0])
    inner = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = cv2.resize(image, inner, interpolation=cv2.INTER_AREA if scale < 1.0 else cv2.INTER_LINEAR)
    out: Image = np.zeros((height, width, 3), np.uint8)
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    out[top : top + inner[1], left : left + inner[0]] = small
    return out


def _pixels(rgb: VideoFrame) -> Image:
    """The pixels (H, W, 3) of an rgb24 frame where they lie: a copy costs as much again as the conversion."""
    plane = rgb.planes[0]
    view: Image = np.ndarray((rgb.height, rgb.width, 3), np.uint8, memoryview(plane), strides=(plane.line_size, 3, 1))
    return view
