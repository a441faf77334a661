"""Which way up a stored image is shown: the whole 2x3 display matrix, mirrors included. numpy, OpenCV, PyAV's enums.

FFmpeg hands the matrix of ISO/IEC 14496-12 (mp4, mov) and the display orientation of an H.264 or HEVC stream to each
decoded frame as the same side data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from av.sidedata.sidedata import Type as SideData
from av.video.frame import VideoFrame

from backend.types import Image

_CLOCKWISE: Final = {1: cv2.ROTATE_90_CLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_COUNTERCLOCKWISE}
_MATRIX_BYTES: Final = 36


@dataclass(frozen=True, slots=True)
class Orientation:
    """What brings a stored image upright: first a mirror of left and right, then clockwise quarter turns, 0 to 3."""

    quarter_turns: int = 0
    mirrored: bool = False

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Upright width and height of a stored image."""
        return (height, width) if self.quarter_turns % 2 else (width, height)

    def apply(self, image: Image) -> Image:
        """The upright image of a stored one (H, W, 3)."""
        if self.mirrored:
            image = np.asarray(cv2.flip(image, 1), dtype=np.uint8)
        turn = _CLOCKWISE.get(self.quarter_turns)
        return image if turn is None else np.asarray(cv2.rotate(image, turn), dtype=np.uint8)


def orientation_of(frame: VideoFrame) -> Orientation:
    """The orientation that a decoded frame asks for; as it is stored where it asks for none."""
    data: Any = frame.side_data.get(SideData.DISPLAYMATRIX)  # type: ignore[call-overload]  # PyAV says str
    if data is None or data.buffer_size < _MATRIX_BYTES:
        return Orientation()
    matrix = np.frombuffer(bytes(data)[:_MATRIX_BYTES], np.int32)
    return from_matrix(int(matrix[0]), int(matrix[1]), int(matrix[3]), int(matrix[4]))


def from_matrix(a: float, b: float, c: float, d: float) -> Orientation:
    """The orientation nearest to a matrix that shows the stored point (x, y) at (a x + c y, b x + d y), y down.

    Angles are rounded to quarter turns; a matrix without area asks for nothing.
    """
    determinant = a * d - b * c
    if determinant == 0:
        return Orientation()
    mirrored = determinant < 0
    along = (-a, -b) if mirrored else (a, b)
    return Orientation(round(math.atan2(along[1], along[0]) / (math.pi / 2)) % 4, mirrored)
