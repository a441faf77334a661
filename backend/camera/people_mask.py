"""Which points of a frame lie on people. numpy and `backend.types`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backend.types import Array, PersonTrack

# a point on a person lies within this part of the trunk's length of a bone
_NEAR_BONE: Final = 0.4
_BONES: Final = (
    (11, 12), (11, 23), (12, 24), (23, 24), (11, 13), (13, 15), (12, 14), (14, 16), (23, 25), (25, 27), (24, 26),
    (26, 28), (27, 31), (28, 32), (0, 11), (0, 12), (15, 19), (16, 20),
)  # fmt: skip


def poses_px(tracks: Sequence[PersonTrack], index: int) -> list[Array]:
    """Keypoints (33, 2) px of everybody in the source frame `index`."""
    poses = []
    for track in tracks:
        row = int(np.searchsorted(track.frame_index, index))
        if row < len(track.frame_index) and track.frame_index[row] == index:
            poses.append(track.keypoints_px[row])
    return [pose for pose in poses if np.isfinite(pose).all()]


def on_people(points_px: Array, poses: Sequence[Array]) -> NDArray[np.bool_]:
    """Which points (N, 2) px lie on one of the people whose keypoints (33, 2) are `poses`."""
    hidden = np.zeros(len(points_px), bool)
    for pose in poses:
        trunk = np.linalg.norm(pose[[11, 12]].mean(axis=0) - pose[[23, 24]].mean(axis=0))
        size = max(float(trunk), 0.5 * float(np.linalg.norm(pose[11] - pose[12])), 1.0)
        for one, other in _BONES:
            hidden |= _distance(points_px, pose[one], pose[other]) < _NEAR_BONE * size
    return hidden


def _distance(points: Array, start: Array, end: Array) -> Array:
    """Distances (N,) of points (N, 2) to the line from `start` to `end` (2,)."""
    along = end - start
    share = np.clip((points - start) @ along / max(float(along @ along), 1e-9), 0.0, 1.0)
    return np.asarray(np.linalg.norm(points - start - share[:, None] * along, axis=1))
