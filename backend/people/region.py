"""Square regions of interest, the crops cut from them and the way back to the frame. numpy, cv2, backend.types.

Pixel coordinates are continuous with pixel centres at .5, in the frame and in the crop alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

from backend.types import Array, Image

ROI_SCALE = 1.25
"""Side of the crop over twice the distance hip - alignment point, as the landmark networks were trained."""


@dataclass(frozen=True, slots=True)
class Roi:
    """A square: centre (x, y) px, side px, and the angle (rad, clockwise on screen) by which the person is turned.

    `mirrored`: its crop shows the person in a mirror, left and right exchanged.
    """

    x_px: float
    y_px: float
    size_px: float
    rotation_rad: float = 0.0
    mirrored: bool = False

    def frame_from_crop(self, side: int) -> Array:
        """(2, 3) affine that takes crop pixels (0..side) to frame pixels."""
        scale = self.size_px / side
        cosine, sine = math.cos(self.rotation_rad) * scale, math.sin(self.rotation_rad) * scale
        half, across = side / 2, -1.0 if self.mirrored else 1.0
        return np.array(
            [
                [across * cosine, -sine, self.x_px - across * cosine * half + sine * half],
                [across * sine, cosine, self.y_px - across * sine * half - cosine * half],
            ]
        )

    def in_mirror(self, mirrored: bool) -> Roi:
        """The same region, seen in a mirror or not."""
        return self if mirrored == self.mirrored else replace(self, mirrored=mirrored)

    @property
    def is_finite(self) -> bool:
        """Whether a crop can be cut at all."""
        return all(map(math.isfinite, (self.x_px, self.y_px, self.size_px, self.rotation_rad))) and self.size_px > 1

    def box(self) -> tuple[float, float, float, float]:
        """Upright box (x0, y0, x1, y1) px of the same centre and side."""
        half = self.size_px / 2
        return (self.x_px - half, self.y_px - half, self.x_px + half, self.y_px + half)


def roi_from_alignment(hip_px: Array, top_px: Array) -> Roi:
    """Region of a person from the hip centre and the point that marks the radius and the upward direction (2,)."""
    dx, dy = float(top_px[0] - hip_px[0]), float(top_px[1] - hip_px[1])
    rotation = math.pi / 2 - math.atan2(-dy, dx)
    rotation -= 2 * math.pi * math.floor((rotation + math.pi) / (2 * math.pi))
    return Roi(float(hip_px[0]), float(hip_px[1]), 2 * ROI_SCALE * math.hypot(dx, dy), rotation)


def alignment_from_roi(roi: Roi) -> Array:
    """(2, 2) hip and alignment point px that `roi_from_alignment` makes this region from."""
    reach = roi.size_px / (2 * ROI_SCALE)
    return np.array(
        [
            [roi.x_px, roi.y_px],
            [roi.x_px + reach * math.sin(roi.rotation_rad), roi.y_px - reach * math.cos(roi.rotation_rad)],
        ]
    )


def cut(image: Image, roi: Roi, side: int, border: int = cv2.BORDER_REPLICATE) -> Image:
    """The region as an upright image (side, side, 3); outside the frame the border is repeated."""
    if image.shape[:2] == (side, side) and roi == Roi(side / 2, side / 2, side):
        return image
    matrix = roi.frame_from_crop(side)
    matrix[:, 2] += (matrix[:, 0] + matrix[:, 1]) / 2 - 0.5  # OpenCV counts from pixel centres
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    crop: Image = cv2.warpAffine(image, matrix, (side, side), flags=flags, borderMode=border).astype(
        np.uint8, copy=False
    )
    return crop


def overlap(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    """Intersection over union of two boxes (x0, y0, x1, y1)."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    area = (first[2] - first[0]) * (first[3] - first[1]) + (second[2] - second[0]) * (second[3] - second[1])
    return common / (area - common)


def cover(box: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Share of `box` (x0, y0, x1, y1) that lies inside `other`."""
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    area = max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)
    return max(width, 0.0) * max(height, 0.0) / max(area, 1e-9)
