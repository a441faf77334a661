"""The virtual camera: it stands where the real one stands, looks at the person and is rolled upright. numpy only.

Seen through it, every person is upright and in the middle, so poses need no camera roll and no off-axis views. A pose
solved in the virtual camera goes back with the transpose of `virtual_from_camera`. Points are normalised image
coordinates (x / z, y / z), as `backend.camera.lens` makes them.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from backend.types import Array

# rays beyond 84 degrees of the axis would cross the image plane's horizon
_LEAST_DEPTH: Final = 0.1


def look_at_rotation(points: Array) -> Array:
    """The smallest rotations (N, 3, 3) that turn the rays of normalised points (N, 2) onto the optical axis.

    Rows are the turned camera's axes in the old camera: `turned_from_camera`. Rodrigues' formula in closed form.
    """
    ray = np.concatenate([points, np.ones_like(points[:, :1])], axis=-1)
    ray /= np.linalg.norm(ray, axis=-1, keepdims=True)
    x, y, z = ray.T
    scale = 1.0 / (1.0 + z)
    rows = [
        [1.0 - x * x * scale, -x * y * scale, -x],
        [-x * y * scale, 1.0 - y * y * scale, -y],
        [x, y, z],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def roll_matrix(roll_rad: Array) -> Array:
    """Rotations (N, 3, 3) about the optical axis by `roll_rad` (N,): positive turns x towards y."""
    cosine, sine = np.cos(roll_rad), np.sin(roll_rad)
    zero, one = np.zeros_like(roll_rad), np.ones_like(roll_rad)
    rows = [[cosine, -sine, zero], [sine, cosine, zero], [zero, zero, one]]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def upright_roll(torso: Array) -> Array:
    """The roll (N,) rad that lets directions (N, 2) on the image plane, from the hips to the shoulders, point up."""
    return np.asarray(-np.arctan2(torso[:, 0], -torso[:, 1]))


def turned_points(points: Array, rotation: Array) -> Array:
    """Normalised points (N, ..., K, 2) as a camera turned by `rotation` (N, 3, 3) sees them."""
    rotation = rotation.reshape(len(rotation), *(1,) * (points.ndim - 3), 3, 3)
    return on_image_plane(points @ np.swapaxes(rotation, -1, -2)[..., :2, :] + rotation[..., None, :, 2])


def on_image_plane(points_m: Array) -> Array:
    """Normalised points (..., 2) of points or rays (..., 3) in the camera; depth is kept away from zero."""
    return np.asarray(points_m[..., :2] / np.maximum(points_m[..., 2:], _LEAST_DEPTH))
