"""Joints from depths along the rays of keypoints: what the temporal tower's joint head says, as positions. torch.

A keypoint fixes a joint's direction, so the network is asked for what the image does not show: how large the virtual
camera's half size is at the pelvis (the distance), how much nearer or farther each joint is, and how far its centre
lies from the keypoint. `ray_values` holds the same arithmetic in numpy.
"""

from __future__ import annotations

import torch
from torch import Tensor

from backend.embedding.ray_values import (
    DEPTH_M,
    RAY_VALUES,
    SHIFT,
    TYPICAL_HALF_SIZE_M,
    WIDEST_LOG_SIZE,
    joint_image_table,
)
from backend.keypoint_layouts import HUMAN36M

__all__ = ["RAY_VALUES", "joint_image_map", "ray_joints_m"]


def joint_image_map() -> Tensor:
    """(33, 17): where joints lie in the image, as means of keypoints; the pelvis at the mid-hip, which is 0."""
    return torch.from_numpy(joint_image_table().copy())


def ray_joints_m(values: Tensor, image: Tensor, hips: Tensor, half_size: Tensor) -> Tensor:
    """Joints (..., 17, 3) m relative to the pelvis from RAY_VALUES `values` (..., 52).

    image (..., 17, 2) joints in the image relative to the mid-hip, hips (..., 2) the mid-hip, both in units of the
    virtual camera's half size; half_size (..., 1) tangent of its half angle.
    """
    depth, log_size, shift = values.split([HUMAN36M.count, 1, HUMAN36M.count * 2], dim=-1)
    depth = DEPTH_M * (depth - depth[..., :1])
    size_m = TYPICAL_HALF_SIZE_M * torch.exp(0.5 * log_size.clamp(-WIDEST_LOG_SIZE, WIDEST_LOG_SIZE))
    shift = SHIFT * shift.unflatten(-1, (HUMAN36M.count, 2))
    place = image + shift - shift[..., :1, :]
    nearer = (half_size * depth)[..., None]
    across = place * (size_m[..., None] + nearer) + hips[..., None, :] * nearer
    return torch.cat([across, depth[..., None]], dim=-1)
