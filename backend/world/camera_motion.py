"""Whether the camera moves: the background's motion between small grey pictures sampled from the clip.

May import OpenCV, numpy and its own room. Corners off the person are followed by pyramidal Lucas-Kanade flow
(there and back, as a check), and a similarity is fitted by RANSAC: what most of the background does, the camera does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

GreyImage = NDArray[np.uint8]
Array = NDArray[np.floating]

# all in parts of the picture's width
_STEP_LIMIT = 0.004
_DRIFT_LIMIT = 0.015
_LEAST_CORNERS = 12
_LEAST_INLIERS = 0.5
_BOX_MARGIN = 0.15


@dataclass(frozen=True, slots=True)
class CameraMotion:
    """What the background does.

    `moves`: the verdict; `step` the median and `drift` the largest displacement of the picture's corners, between
    neighbouring pictures and against the first one, in parts of its width; `measured` how many pairs could be
    measured (0: too little texture, and `moves` is False for want of evidence).
    """

    moves: bool
    step: float
    drift: float
    measured: int


def detect_camera_motion(thumbnails: Sequence[GreyImage], boxes: Array | None = None) -> CameraMotion:
    """Judge grey pictures (h, w) uint8 of one shot, in order, 200 to 640 px wide, up to a second apart.

    `boxes` (N, 4) are the person's x0, y0, x1, y1 in pixels of the thumbnails (NaN: none), or (N, P, 4) for several
    people. The limits: a step of 0.4 % of the width in most pairs, or a drift of 1.5 % from the first picture.
    """
    masks = [_background(image, None if boxes is None else boxes[index]) for index, image in enumerate(thumbnails)]
    steps, drifts = [], []
    position = np.eye(3)
    for index in range(1, len(thumbnails)):
        pair = (thumbnails[index - 1], thumbnails[index])
        moved = _background_transform(pair, masks[index - 1], masks[index])
        if moved is None:
            continue
        position = moved @ position
        steps.append(_displacement(moved, pair[0].shape))
        drifts.append(_displacement(position, pair[0].shape))
    if not steps:
        return CameraMotion(False, 0.0, 0.0, 0)
    step, drift = float(np.median(steps)), float(max(drifts))
    return CameraMotion(step > _STEP_LIMIT or drift > _DRIFT_LIMIT, step, drift, len(steps))


def _background(image: GreyImage, boxes: Array | None) -> GreyImage:
    """255 where the background may be, 0 on people and a margin around them."""
    mask = np.full(image.shape, 255, dtype=np.uint8)
    for x0, y0, x1, y1 in np.atleast_2d(boxes) if boxes is not None else ():
        if np.isfinite([x0, y0, x1, y1]).all():
            dx, dy = _BOX_MARGIN * (x1 - x0), _BOX_MARGIN * (y1 - y0)
            top, left = max(int(y0 - dy), 0), max(int(x0 - dx), 0)
            mask[top : max(int(y1 + dy), 0), left : max(int(x1 + dx), 0)] = 0
    return mask


def _background_transform(
    pair: tuple[GreyImage, GreyImage], mask_before: GreyImage, mask_after: GreyImage
) -> Array | None:
    """The similarity (3, 3) that most background corners follow, or None when too few agree."""
    before, after = pair
    corners = cv2.goodFeaturesToTrack(before, 200, 0.01, max(before.shape[1] // 60, 4), mask=mask_before)
    if corners is None or len(corners) < _LEAST_CORNERS:
        return None
    there, found, _ = cv2.calcOpticalFlowPyrLK(before, after, corners, np.empty_like(corners))
    back, returned, _ = cv2.calcOpticalFlowPyrLK(after, before, there, np.empty_like(there))
    start, end = corners[:, 0], there[:, 0]
    good = (found[:, 0] > 0) & (returned[:, 0] > 0) & (np.linalg.norm(back[:, 0] - start, axis=-1) < 0.7)
    inside = np.clip(np.round(end).astype(int), 0, [before.shape[1] - 1, before.shape[0] - 1])
    good &= mask_after[inside[:, 1], inside[:, 0]] > 0
    if good.sum() < _LEAST_CORNERS:
        return None
    fit, inliers = cv2.estimateAffinePartial2D(start[good], end[good], method=cv2.RANSAC, ransacReprojThreshold=1.0)
    if fit is None or inliers.mean() < _LEAST_INLIERS:
        return None
    return np.vstack([fit, [0.0, 0.0, 1.0]])


def _displacement(transform: Array, shape: tuple[int, ...]) -> float:
    """How far the picture's corners move, on average, in parts of its width."""
    height, width = shape[:2]
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]], dtype=np.float64)
    moved = corners @ transform.T
    return float(np.linalg.norm(moved[:, :2] - corners[:, :2], axis=-1).mean() / width)
