"""Where a point is that known cameras see, and where a camera is that sees known points. numpy."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from backend.camera.bundle import Geometry, Observations, cross_matrix
from backend.types import Array
from blender_addon.motion.rotations import quaternion_to_matrix, rotvec_to_quaternion

# what agrees is off by less than this, in px of the image 640 wide
GOOD_PX: Final = 2.5
_TURN_ROUNDS: Final = 15


def meeting_points(found: Geometry, seen: Observations) -> tuple[Array, Array]:
    """Points (P, 3) nearest to all rays that show them, and the widest angle (P,) rad of those rays with the first."""
    count, rays = len(found.points), _rays(found, seen)
    across = np.eye(3) - rays[:, :, None] * rays[:, None, :]
    system, right = np.zeros((count, 3, 3)), np.zeros((count, 3))
    np.add.at(system, seen.point, across)
    np.add.at(right, seen.point, np.einsum("mij,mj->mi", across, found.centres[seen.camera]))
    mean = mean_rays(found, seen)
    angle = np.zeros(count)
    np.maximum.at(angle, seen.point, np.arccos(np.clip(np.einsum("mi,mi->m", rays, mean[seen.point]), -1.0, 1.0)))
    return np.linalg.solve(system + 1e-12 * np.eye(3), right[..., None])[..., 0], 2.0 * angle


def mean_rays(found: Geometry, seen: Observations) -> Array:
    """The unit directions (P, 3) in which points are usually seen; 0 for those that are not."""
    mean = np.zeros((len(found.points), 3))
    np.add.at(mean, seen.point, _rays(found, seen))
    return np.asarray(mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12))


def _rays(found: Geometry, seen: Observations) -> Array:
    """Unit directions (M, 3) of all observations in the scene's axes."""
    rays = np.concatenate([seen.plane, np.ones((len(seen.plane), 1))], axis=1)
    rays = np.einsum("mij,mj->mi", found.turns[seen.camera], rays)
    return np.asarray(rays / np.linalg.norm(rays, axis=1, keepdims=True))


def place_camera(
    points: Array, plane: Array, start: tuple[Array, Array], unit_px: float
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Turn (3, 3) and centre (3,) of a camera that sees points (P, 3) at `plane` (P, 2), and which (P,) agree."""
    turn, centre = start
    at = np.arange(len(points))
    for _ in range(_TURN_ROUNDS):
        seen = (points - centre) @ turn
        depth = np.maximum(seen[:, 2:], 1e-3)
        off = (seen[:, :2] / depth - plane) * unit_px
        size = np.linalg.norm(off, axis=1)
        scale = max(0.7, 1.5 * float(np.median(size)))
        root = np.where(seen[:, 2] > 1e-3, 1.0 / (1.0 + (size / scale) ** 2), 0.0)
        slope = np.zeros((len(at), 2, 3))
        slope[:, 0, 0] = slope[:, 1, 1] = 1.0
        slope[:, :, 2] = -seen[:, :2] / depth
        slope *= (unit_px * root / depth[:, 0])[:, None, None]
        rows = np.concatenate([slope @ cross_matrix(seen), -slope @ turn.T], axis=2).reshape(-1, 6)
        normal = rows.T @ rows
        step = np.linalg.solve(
            normal + 1e-9 * np.diag(np.diag(normal) + 1e-9), rows.T @ (off * root[:, None]).reshape(-1)
        )
        turn = turn @ quaternion_to_matrix(rotvec_to_quaternion(-step[:3]))
        centre = centre - step[3:]
        if np.abs(step).max() < 1e-8:
            break
    seen = (points - centre) @ turn
    off = np.linalg.norm(seen[:, :2] / np.maximum(seen[:, 2:], 1e-3) - plane, axis=1) * unit_px
    return turn, centre, (off < GOOD_PX) & (seen[:, 2] > 0)
