"""What the temporal tower's joint head says, and the joints it means, where training is not needed. numpy only.

The head's values are depths along the rays of keypoints; `temporal_tower` holds the same arithmetic in torch.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from backend.embedding.features import KEYPOINTS
from backend.keypoint_layouts import HUMAN36M
from backend.types import Array

RAY_VALUES = HUMAN36M.count + 1 + HUMAN36M.count * 2
"""Depth of each joint, log of the half size, shift of each joint in the image."""

TYPICAL_HALF_SIZE_M = 0.8
DEPTH_M = 0.3
SHIFT = 0.1
WIDEST_LOG_SIZE = 4.0

_FROM_KEYPOINTS: dict[int, tuple[int, ...]] = {
    1: (24,), 2: (26,), 3: (28,), 4: (23,), 5: (25,), 6: (27,), 7: (11, 12, 23, 24), 8: (11, 12), 9: (0,), 10: (7, 8),
    11: (11,), 12: (13,), 13: (15,), 14: (12,), 15: (14,), 16: (16,),
}  # fmt: skip


@cache
def joint_image_table() -> Array:
    """(33, 17): where joints lie in the image, as means of keypoints; the pelvis at the mid-hip, which is 0."""
    table = np.zeros((KEYPOINTS, HUMAN36M.count), np.float32)
    for joint, keypoints in _FROM_KEYPOINTS.items():
        table[list(keypoints), joint] = 1.0 / len(keypoints)
    return table


def joints_along_rays_m(values: Array, frame: Array, half_size: Array) -> Array:
    """Joints (B, 17, 3) m relative to the pelvis from RAY_VALUES `values` (B, 52).

    frame (B, FRAME_FEATURES) is the centre frame as the tower reads it, half_size (B, 1) the tangent of the virtual
    camera's half angle.
    """
    points = frame[:, : 2 * KEYPOINTS].reshape(-1, KEYPOINTS, 2)
    image = np.einsum("bkd,kj->bjd", points, joint_image_table(), optimize=True)
    hips = frame[:, 4 * KEYPOINTS : 4 * KEYPOINTS + 2]
    depth, log_size, shift = (
        values[:, : HUMAN36M.count],
        values[:, HUMAN36M.count : HUMAN36M.count + 1],
        values[:, HUMAN36M.count + 1 :].reshape(-1, HUMAN36M.count, 2),
    )
    depth = DEPTH_M * (depth - depth[:, :1])
    size_m = TYPICAL_HALF_SIZE_M * np.exp(0.5 * np.clip(log_size, -WIDEST_LOG_SIZE, WIDEST_LOG_SIZE))
    shift = SHIFT * shift
    place = image + shift - shift[:, :1]
    nearer = (half_size * depth)[..., None]
    across = place * (size_m[..., None] + nearer) + hips[:, None] * nearer
    return np.concatenate([across, depth[..., None]], axis=-1)
