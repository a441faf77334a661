"""Joints from depths along the rays of keypoints: what the temporal tower's joint head says, as positions. torch.

A keypoint fixes a joint's direction, so the network is asked for what the image does not show: how large the virtual
camera's half size is at the pelvis (the distance), how much nearer or farther each joint is, and how far its centre
lies from the keypoint.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from backend.embedding.features import KEYPOINTS

RAY_VALUES = 17 + 1 + 17 * 2
"""Depth of each joint, log of the half size, shift of each joint in the image."""

_FROM_KEYPOINTS: dict[int, tuple[int, ...]] = {
    1: (24,), 2: (26,), 3: (28,), 4: (23,), 5: (25,), 6: (27,), 7: (11, 12, 23, 24), 8: (11, 12), 9: (0,), 10: (7, 8),
    11: (11,), 12: (13,), 13: (15,), 14: (12,), 15: (14,), 16: (16,),
}  # fmt: skip
_TYPICAL_HALF_SIZE_M = 0.8
_DEPTH_M = 0.3
_SHIFT = 0.1


def joint_image_map() -> Tensor:
    """(33, 17): where joints lie in the image, as means of keypoints; the pelvis at the mid-hip, which is 0."""
    table = np.zeros((KEYPOINTS, 17), np.float32)
    for joint, keypoints in _FROM_KEYPOINTS.items():
        table[list(keypoints), joint] = 1.0 / len(keypoints)
    return torch.from_numpy(table)


def ray_joints_m(values: Tensor, image: Tensor, hips: Tensor, half_size: Tensor) -> Tensor:
    """Joints (..., 17, 3) m relative to the pelvis from RAY_VALUES `values` (..., 52).

    image (..., 17, 2) joints in the image relative to the mid-hip, hips (..., 2) the mid-hip, both in units of the
    virtual camera's half size; half_size (..., 1) tangent of its half angle.
    """
    depth, log_size, shift = values.split([17, 1, 34], dim=-1)
    depth = _DEPTH_M * (depth - depth[..., :1])
    size_m = _TYPICAL_HALF_SIZE_M * torch.exp(0.5 * log_size.clamp(-4.0, 4.0))
    shift = _SHIFT * shift.unflatten(-1, (17, 2))
    place = image + shift - shift[..., :1, :]
    nearer = (half_size * depth)[..., None]
    across = place * (size_m[..., None] + nearer) + hips[..., None, :] * nearer
    return torch.cat([across, depth[..., None]], dim=-1)
