"""Bundle adjustment: cameras and points that agree best with what was seen of the points. numpy, scipy.

The points are eliminated (Schur complement), so each step solves a sparse system of the cameras alone. Written here,
not with `scipy.optimize.least_squares`, whose sparse solvers iterate hundreds of times on the same problem.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu

from backend.types import Array
from blender_addon.motion.rotations import quaternion_to_matrix, rotvec_to_quaternion

# observations further off than this, in px of the image 640 wide, lose weight
ROBUST_PX: Final = 1.0
_NEAREST: Final = 1e-3
_CONVERGED: Final = 1e-4
# a focal length changes if that leaves less than this part of the cost; it is usual within this, in logarithms
_ZOOM_EXPLAINS: Final = 0.94
_ZOOM_SIGMA: Final = 0.5
_ZOOM_ROUNDS: Final = 30


@dataclass(frozen=True, slots=True)
class Observations:
    """M observations: of the `point` (M,) by the `camera` (M,), at normalised image coordinates `plane` (M, 2)."""

    camera: NDArray[np.intp]
    point: NDArray[np.intp]
    plane: Array

    def taken(self, kept: NDArray[np.bool_]) -> Observations:
        """Only some of the observations (M,)."""
        return Observations(self.camera[kept], self.point[kept], self.plane[kept])


@dataclass(frozen=True, slots=True)
class Geometry:
    """Cameras with `turns` (K, 3, 3) from their axes to the scene's and centres `centres` (K, 3); `points` (P, 3).

    `zooms` (K,) are focal lengths over the one that is known, where they are asked for too; None: all are 1.
    """

    turns: Array
    centres: Array
    points: Array
    zooms: Array | None = None

    def part(
        self, cameras: NDArray[np.bool_], points: NDArray[np.bool_], seen: Observations
    ) -> tuple[Geometry, Observations]:
        """Only some cameras (K,) and points (P,), with the observations among them, named anew from 0 on."""
        kept = seen.taken(cameras[seen.camera] & points[seen.point])
        place, name = np.cumsum(cameras) - 1, np.cumsum(points) - 1
        left = Geometry(self.turns[cameras], self.centres[cameras], self.points[points])
        return left, Observations(place[kept.camera], name[kept.point], kept.plane)


def seen_points(found: Geometry, seen: Observations) -> Array:
    """The points (M, 3) of all observations in the axes of their cameras."""
    away = found.points[seen.point] - found.centres[seen.camera]
    return np.asarray(np.einsum("mji,mj->mi", found.turns[seen.camera], away))


def residuals_px(found: Geometry, seen: Observations, unit_px: float) -> Array:
    """Distances (M,) px between where points are seen and where they should be; infinite behind a camera."""
    points = seen_points(found, seen)
    ahead = points[:, 2] > _NEAREST
    plane = _zoomed(found, seen, points[:, :2] / np.where(ahead, points[:, 2], 1.0)[:, None])
    return np.asarray(np.where(ahead, np.linalg.norm(plane - seen.plane, axis=1) * unit_px, np.inf))


def _zoomed(found: Geometry, seen: Observations, plane: Array) -> Array:
    return plane if found.zooms is None else plane * found.zooms[seen.camera, None]


def zoom_share(found: Geometry, seen: Observations, unit_px: float) -> float:
    """By which share the focal length changes, largest over smallest, where it may; 0 where that explains no more."""
    still = adjust(found, seen, unit_px, _ZOOM_ROUNDS)
    free = adjust(replace(still, zooms=np.ones(len(found.centres))), seen, unit_px, _ZOOM_ROUNDS)
    if free.zooms is None or _cost(free, seen, unit_px) > _ZOOM_EXPLAINS * _cost(still, seen, unit_px):
        return 0.0
    return float(free.zooms.max() / free.zooms.min() - 1.0)


def adjust(found: Geometry, seen: Observations, unit_px: float, rounds: int) -> Geometry:
    """Cameras and points after at most `rounds` damped steps (Levenberg-Marquardt, Geman-McClure weights)."""
    damping, best = 1e-3, _cost(found, seen, unit_px)
    for _ in range(rounds):
        trial = _stepped(found, seen, unit_px, damping)
        cost = _cost(trial, seen, unit_px)
        if not cost < best:  # also where it is not a number
            damping *= 8.0
            if damping > 1e3:
                break
            continue
        done = best - cost < _CONVERGED * best
        found, best, damping = trial, cost, max(0.2 * damping, 1e-7)
        if done:
            break
    return found


def _cost(found: Geometry, seen: Observations, unit_px: float) -> float:
    off = np.minimum(residuals_px(found, seen, unit_px) / ROBUST_PX, 1e3) ** 2
    return float((off / (1.0 + off)).sum())


def _stepped(found: Geometry, seen: Observations, unit_px: float, damping: float) -> Geometry:
    cameras, points, size = len(found.centres), len(found.points), 6 if found.zooms is None else 7
    residual, by_camera, by_point = _linear(found, seen, unit_px)
    local = _summed(np.swapaxes(by_point, 1, 2) @ by_point, seen.point, points)
    local_right = _summed((np.swapaxes(by_point, 1, 2) @ residual[..., None])[..., 0], seen.point, points)
    common = _summed(np.swapaxes(by_camera, 1, 2) @ by_camera, seen.camera, cameras)
    right = _summed((np.swapaxes(by_camera, 1, 2) @ residual[..., None])[..., 0], seen.camera, cameras)
    if found.zooms is not None:
        common[:, 6, 6] += 1.0 / _ZOOM_SIGMA**2
        right[:, 6] += np.log(found.zooms) / _ZOOM_SIGMA**2
    for blocks, width in ((local, 3), (common, size)):
        diagonal = np.arange(width)
        blocks[:, diagonal, diagonal] += damping * blocks[:, diagonal, diagonal] + 1e-9
    inverse = np.linalg.inv(local)
    mixed = _sparse(np.swapaxes(by_camera, 1, 2) @ by_point, seen.camera, seen.point, (cameras, points))
    led = mixed @ sparse.bsr_matrix((inverse, np.arange(points), np.arange(points + 1)), shape=(3 * points, 3 * points))
    own, starts = np.arange(cameras), np.arange(cameras + 1)
    whole = sparse.bsr_matrix((common, own, starts), shape=(size * cameras, size * cameras))
    system = (whole - led @ mixed.T).tocsc()
    factors = splu(system, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    step = factors.solve((right.reshape(-1) - led @ local_right.reshape(-1)).astype(np.float64))
    moved = (inverse @ (local_right - (mixed.T @ step).reshape(-1, 3))[..., None])[..., 0]
    step = step.reshape(-1, size)
    turns = found.turns @ quaternion_to_matrix(rotvec_to_quaternion(-step[:, :3]))
    zooms = None if found.zooms is None else found.zooms * np.exp(-np.clip(step[:, 6], -0.2, 0.2))
    return Geometry(turns, found.centres - step[:, 3:6], found.points - moved, zooms)


def _linear(found: Geometry, seen: Observations, unit_px: float) -> tuple[Array, Array, Array]:
    """Weighted residuals (M, 2) with derivatives by a further turn and shift of the camera (M, 2, 6), or also its
    zoom's logarithm (M, 2, 7), and by the point (M, 2, 3).
    """
    points = seen_points(found, seen)
    depth = np.maximum(points[:, 2], _NEAREST)
    plane = _zoomed(found, seen, points[:, :2] / depth[:, None])
    residual = (plane - seen.plane) * unit_px
    off = np.einsum("mi,mi->m", residual, residual) / ROBUST_PX**2
    root = np.where(points[:, 2] > _NEAREST, 1.0 / (1.0 + off), 0.0)
    by_seen = np.zeros((len(depth), 2, 3))
    by_seen[:, 0, 0] = by_seen[:, 1, 1] = unit_px / depth
    by_seen[:, :, 2] = -plane * (unit_px / depth)[:, None]
    if found.zooms is not None:
        by_seen[:, (0, 1), (0, 1)] *= found.zooms[seen.camera, None]
    by_seen *= root[:, None, None]
    by_point = by_seen @ np.swapaxes(found.turns, 1, 2)[seen.camera]
    by_camera = [by_seen @ cross_matrix(points), -by_point]
    if found.zooms is not None:
        by_camera.append((plane * (unit_px * root)[:, None])[..., None])
    return residual * root[:, None], np.concatenate(by_camera, axis=2), by_point


def cross_matrix(vectors: Array) -> Array:
    """Matrices (M, 3, 3) that take w to the cross product of vectors (M, 3) with w."""
    made = np.zeros((len(vectors), 3, 3))
    x, y, z = vectors.T
    made[:, 0, 1], made[:, 0, 2], made[:, 1, 2] = -z, y, -x
    made[:, 1, 0], made[:, 2, 0], made[:, 2, 1] = z, -y, x
    return made


def _summed(values: Array, groups: NDArray[np.intp], count: int) -> Array:
    """Sums (count, ...) of values (M, ...) by their group (M,)."""
    flat = values.reshape(len(values), -1)
    sums = [np.bincount(groups, flat[:, column], count).astype(np.float64) for column in range(flat.shape[1])]
    return np.stack(sums, axis=1).reshape(count, *values.shape[1:])


def _sparse(
    blocks: Array, row: NDArray[np.intp], column: NDArray[np.intp], shape: tuple[int, int]
) -> sparse.bsr_matrix:
    """Blocks (M, R, 3) at block rows and columns (M,) of a sparse matrix."""
    order = np.lexsort((column, row))
    starts = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=shape[0]))])
    return sparse.bsr_matrix((blocks[order], column[order], starts), shape=(blocks.shape[1] * shape[0], 3 * shape[1]))
