"""How far each joint of the body is seen, from its keypoints and the image's edges. numpy, `motion`, `types`."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from backend.types import Array
from blender_addon.motion.body import canonical_body
from blender_addon.motion.contacts import resumed_s
from blender_addon.motion.temporal import Gaussian, filter_positions

OUTSIDE: Final = 0.01
"""A keypoint this far beyond the image's edge, in parts of its longer side, is not in it."""

_STEADY_S: Final = 0.08
_TRUNK: Final = ("left_shoulder", "right_shoulder")
# joints that no keypoint of their own shows; of several keypoints the one that is seen best counts
_SHOWN_BY: Final = {
    "pelvis": ("left_hip", "right_hip"),
    "spine": ("left_hip", "right_hip", *_TRUNK),
    "chest": _TRUNK,
    "upper_chest": _TRUNK,
    "neck": _TRUNK,
    "left_clavicle": ("left_shoulder",),
    "right_clavicle": ("right_shoulder",),
    "left_hand": ("left_index", "left_pinky"),
    "right_hand": ("right_index", "right_pinky"),
    "left_toe": ("left_foot_index",),
    "right_toe": ("right_foot_index",),
}
_HEAD: Final = ("nose", "left_ear", "right_ear")


def outside_image(points_px: Array, size_px: tuple[int, int]) -> NDArray[np.bool_]:
    """Which keypoints (..., 2) lie beyond the edges of an image of (width, height), or are not there at all."""
    margin = OUTSIDE * max(size_px)
    size = np.array(size_px, np.float64)
    with np.errstate(invalid="ignore"):
        return np.asarray(~((points_px >= -margin) & (points_px <= size + margin)).all(axis=-1))


def seen_joints(times_s: Array, points_px: Array, visibility: Array, size_px: tuple[int, int]) -> Array:
    """How far (N, J) each joint of the canonical body is seen, 0 to 1; 0 where its keypoints are not in the image.

    `points_px` (N, 33, 2) and `visibility` (N, 33) are those of the landmark network at `times_s` (N,), in an image of
    (width, height). It is steadied over neighbouring frames.
    """
    body = canonical_body()
    names = body.subsets["blazepose33"]
    outside = outside_image(points_px, size_px)
    keypoints = np.where(outside, 0.0, np.clip(np.nan_to_num(visibility), 0.0, 1.0))
    columns = []
    for joint in body.joint_names:
        shown_by = _SHOWN_BY.get(joint, (joint,))
        if joint == "head":
            # from behind, the face is hidden and the head is seen as well as the shoulders
            face = [names.index(name) for name in _HEAD]
            behind = keypoints[:, [names.index(name) for name in _TRUNK]].max(axis=1)
            there = ~outside[:, face].all(axis=1)
            columns.append(np.where(there, np.maximum(keypoints[:, face].max(axis=1), behind), 0.0))
        else:
            columns.append(keypoints[:, [names.index(name) for name in shown_by]].max(axis=1))
    found = np.stack(columns, axis=1)
    if len(found) < 3:
        return found
    return np.clip(filter_positions(Gaussian(_STEADY_S), times_s, found, resumed_s(times_s)), 0.0, 1.0)
