"""What a camera that travels adds to the motion of what it sees. May import numpy and its own room only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


def without_travel(rays: Array, camera_m: Array, points_m: Array) -> Array:
    """Normalised image coordinates (T, N, 2) without the motion that the camera's own travel gives them.

    All axes are those of one camera; `camera_m` (T, 3) is where the camera is, `points_m` (T, N, 3) roughly what the
    rays show, as seen from there. What stands still in the world then stays in place.
    """
    if len(rays) < 2:
        return rays
    depth = np.where(points_m[..., 2] > 0.1, points_m[..., 2], np.nan)
    plane = points_m[..., :2] / depth[..., None]
    step = np.diff(camera_m, axis=0)[:, None]
    # a point that stands still moves by (-dx + x / z dz) / z when the camera moves by dx, dz
    middle = 0.5 * (plane[1:] + plane[:-1])
    flow = (-step[..., :2] + middle * step[..., 2:]) / (0.5 * (depth[1:] + depth[:-1]))[..., None]
    moved = np.cumsum(np.nan_to_num(flow), axis=0)
    return np.asarray(rays - np.concatenate([np.zeros_like(moved[:1]), moved]))
