"""Whether the near ground moves as one plane, as it does under a camera that travels before a far background.

What is far away stays in place under such a camera. So do the surroundings of a still one before the sea or traffic;
but there something beside what moves stays in place as well, and it does not move as the ground does. numpy, OpenCV.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from backend.types import Array

_WIDTH_PX: Final = 320
_LEAST_FEATURES: Final = 20
# what moves by more, px of an image 320 wide; this part of all below the highest of it does, and agrees to this
_STILL_PX: Final = 0.6
_LEAST_MOVING: Final = 0.8
_FIT_PX: Final = 1.0
_LEAST_INLIERS: Final = 0.8
# from this side of the frame to the other, in so many parts of its width
_COLUMNS: Final = 6
_LEAST_COLUMNS: Final = 4
# the lowest third moves by more than the highest one: it is nearer
_NEARER: Final = 1.3


def ground_shift_share(before: Array, after: Array, width_px: int) -> float | None:
    """How far the ground is off, in parts of the width, by features (N, 2) px of the lower half of the frame, people
    left out. 0 where they do not move as a ground does; None where too few are seen.
    """
    if len(before) < _LEAST_FEATURES:
        return None
    unit = width_px / _WIDTH_PX
    shift = np.linalg.norm(after - before, axis=1)
    moving = shift > _STILL_PX * unit
    if moving.sum() < _LEAST_FEATURES:
        return 0.0
    ground = before[:, 1] >= np.percentile(before[moving, 1], 10.0)
    if moving[ground].mean() < _LEAST_MOVING:
        return 0.0
    before, after, shift = before[ground & moving], after[ground & moving], shift[ground & moving]
    return float(np.median(shift) / width_px) if _is_one_plane(before, after, shift, width_px) else 0.0


def _is_one_plane(before: Array, after: Array, shift: Array, width_px: int) -> bool:
    """Whether nearly all features (N, 2) move as one plane that is nearer at the bottom of the frame."""
    try:
        _, inliers = cv2.findHomography(before, after, cv2.USAC_MAGSAC, _FIT_PX * width_px / _WIDTH_PX)
    except cv2.error:  # OpenCV refines from fewer points than it needs
        return False
    fits = np.asarray(inliers).ravel() == 1
    # none at all where nothing fits
    if len(fits) != len(before) or fits.mean() < _LEAST_INLIERS:
        return False
    columns = np.unique((before[fits, 0] * _COLUMNS / width_px).astype(int))
    far, near = np.percentile(before[fits, 1], [100.0 / 3.0, 200.0 / 3.0])
    high, low = (float(np.median(shift[fits][part])) for part in (before[fits, 1] <= far, before[fits, 1] >= near))
    return len(columns) >= _LEAST_COLUMNS and low > _NEARER * high
