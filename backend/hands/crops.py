"""Where a hand is in the frame: regions from the body's keypoints, from landmarks, and from a found palm.

May import numpy, `backend.people.region`, `backend.types`. Left hands are seen in a mirror, so the network has to know
one hand only. Landmarks are MediaPipe's 21: wrist, then four points of thumb, index, middle, ring and little finger.
"""

from __future__ import annotations

import math

import numpy as np

from backend.keypoint_layouts import HAND
from backend.people.region import Roi
from backend.types import Array

LANDMARKS = HAND.count
WRIST, MIDDLE_KNUCKLE = 0, 9
KNUCKLES = (5, 9, 13, 17)
_PALM = (0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18)
# BlazePose's landmarks of the left and right side
ELBOWS, WRISTS, LITTLES, INDEXES = (13, 14), (15, 16), (17, 18), (19, 20)
_SHOULDERS, _HIPS = (11, 12), (23, 24)
# lengths of an adult in m, from joint to joint
_UPPER_ARM_M, _FOREARM_M, _TRUNK_M, _SHOULDERS_M = 0.265, 0.238, 0.48, 0.35
_SEARCH_M, _TO_MIDDLE_M = 0.32, 0.09
# MediaPipe's own region around landmarks is twice their box, moved a tenth towards the fingers; a little closer is
# better on renders
_SCALE, _SHIFT = 1.8, 0.1


def pixels_per_metre(keypoints_px: Array) -> float:
    """How large a metre is where the person (33, 2) stands: the longest of several limbs, since turning shortens them.

    NaN where no limb is known.
    """
    spans = [(_SHOULDERS[0], _SHOULDERS[1], _SHOULDERS_M)]
    for side in (0, 1):
        spans += [(_SHOULDERS[side], ELBOWS[side], _UPPER_ARM_M), (ELBOWS[side], WRISTS[side], _FOREARM_M)]
        spans.append((_SHOULDERS[side], _HIPS[side], _TRUNK_M))
    sizes = [float(np.linalg.norm(keypoints_px[a] - keypoints_px[b])) / length for a, b, length in spans]
    # the largest but one: one keypoint astray must not blow up the hands
    known = sorted(size for size in sizes if math.isfinite(size))
    return known[-2] if len(known) > 1 else math.nan


def roi_from_body(keypoints_px: Array, side: int, scale: float) -> Roi:
    """Region of a hand (`side` 0 left, 1 right) from the body's keypoints (33, 2); `scale` px per metre."""
    wrist, elbow = keypoints_px[WRISTS[side]], keypoints_px[ELBOWS[side]]
    knuckles = (2.0 * keypoints_px[INDEXES[side]] + keypoints_px[LITTLES[side]]) / 3.0
    along = knuckles - wrist
    # a hand that points at the camera has no direction of its own: the forearm's takes over
    forearm = wrist - elbow
    share = float(np.clip(np.linalg.norm(along) / (0.06 * scale) - 0.3, 0.0, 1.0))
    along = share * along / max(float(np.linalg.norm(along)), 1e-6) + (1.0 - share) * forearm / max(
        float(np.linalg.norm(forearm)), 1e-6
    )
    along = along / max(float(np.linalg.norm(along)), 1e-6)
    middle = wrist + along * _TO_MIDDLE_M * scale * max(share, 0.3)
    angle = math.atan2(float(along[0]), -float(along[1]))
    return Roi(float(middle[0]), float(middle[1]), _SEARCH_M * scale, angle, mirrored=side == 0)


def roi_from_landmarks(landmarks_px: Array, side: int) -> Roi:
    """Region of the same hand for the next frame, from its landmarks (21, 2)."""
    middle = (landmarks_px[5] + landmarks_px[13]) / 2.0
    along = (middle + landmarks_px[MIDDLE_KNUCKLE]) / 2.0 - landmarks_px[WRIST]
    angle = math.atan2(float(along[0]), -float(along[1]))
    across = np.array([math.cos(angle), math.sin(angle)])
    down = np.array([-math.sin(angle), math.cos(angle)])
    palm = landmarks_px[list(_PALM)]
    x, y = palm @ across, palm @ down
    extent = max(float(np.ptp(x)), float(np.ptp(y)))
    centre = across * (x.min() + x.max()) / 2.0 + down * ((y.min() + y.max()) / 2.0 - _SHIFT * extent)
    return Roi(float(centre[0]), float(centre[1]), _SCALE * extent, angle, mirrored=side == 0)


def roi_from_palm(wrist_px: Array, knuckle_px: Array, box_px: float, side: int) -> Roi:
    """Region of a hand from a found palm: its wrist and middle knuckle (2,) and the side of its box."""
    along = knuckle_px - wrist_px
    length = max(float(np.linalg.norm(along)), 1e-6)
    centre = (wrist_px + knuckle_px) / 2.0 + along / length * 0.5 * box_px
    angle = math.atan2(float(along[0]), -float(along[1]))
    return Roi(float(centre[0]), float(centre[1]), 2.6 * box_px, angle, mirrored=side == 0)
