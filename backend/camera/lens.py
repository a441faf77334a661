"""The lens: pixels to rays and back, with one distortion model for the whole program. numpy, OpenCV, `backend.types`.

Camera frames are OpenCV's: x right, y down, z forward. A ray is given by its normalised image coordinates, the point
(x / z, y / z) in which it meets the plane at unit distance. Distortion is OpenCV's model in all its forms: 4, 5, 8, 12
or 14 coefficients k1 k2 p1 p2 k3 k4 k5 k6 s1 s2 s3 s4 tx ty.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from backend.types import Array, Intrinsics

_TINY: Final = 1e-9
# Newton's method doubles the digits with every step; only pixels that the lens cannot show need more than ten
_MOST_STEPS: Final = 60
_CONVERGED: Final = 1e-13
_SMALLEST_STEP: Final = 1e-6
# below this the model folds over: pixels move inwards while rays move outwards
_LEAST_DETERMINANT: Final = 1e-3


def normalised_points(intrinsics: Intrinsics, points_px: Array) -> Array:
    """Rays through pixels (..., 2) as normalised image coordinates (..., 2), distortion undone.

    A pixel that is not finite gives NaN. A pixel outside of what the lens can show, where the distortion polynomial
    has no valid inverse, gives a ray at the edge of the lens: finite, and in the direction of the pixel. The result is
    float64; for a lens without distortion it has the precision of the pixels.
    """
    bent = any(intrinsics.distortion)
    points_px = np.asarray(points_px, dtype=np.float64) if bent else np.asarray(points_px)
    (fx, skew, cx), (_, fy, cy) = np.asarray(intrinsics.matrix, dtype=np.float64)[:2].tolist()
    y = (points_px[..., 1] - cy) / fy
    x = (points_px[..., 0] - cx - skew * y) / fx
    points = np.stack([x, y], axis=-1)
    return _undistorted(points.reshape(-1, 2), intrinsics.distortion).reshape(points.shape) if bent else points


def pixel_rays(intrinsics: Intrinsics, points_px: Array) -> Array:
    """Unit directions (..., 3) in the camera through pixels (..., 2); lens distortion is undone. NaN stays NaN."""
    plane = normalised_points(intrinsics, points_px)
    rays = np.concatenate([plane, np.ones_like(plane[..., :1])], axis=-1)
    return np.asarray(rays / np.linalg.norm(rays, axis=-1, keepdims=True))


def project_m(intrinsics: Intrinsics, points_m: Array) -> Array:
    """Pixels (..., 2) of camera points (..., 3) in m, with lens distortion; NaN for points behind the camera."""
    points_m = np.asarray(points_m, dtype=np.float64)
    depth = np.where(points_m[..., 2:] > _TINY, points_m[..., 2:], np.nan)
    points = points_m[..., :2] / depth
    if any(intrinsics.distortion):
        points = _distorted(points.reshape(-1, 2), intrinsics.distortion)[0].reshape(points.shape)
    return np.asarray(points @ intrinsics.matrix[:2, :2].T + intrinsics.matrix[:2, 2])


def _distorted(points: Array, distortion: tuple[float, ...]) -> tuple[Array, Array]:
    """Distorted normalised coordinates (N, 2) of ideal ones (N, 2), NaN for NaN, and the derivative (N, 2, 2)."""
    seen, slope = np.full((len(points), 2), np.nan), np.full((len(points), 2, 2), np.nan)
    known = np.isfinite(points).all(axis=1)
    if known.any():
        rays = np.concatenate([points[known], np.ones((np.count_nonzero(known), 1))], axis=1)
        coefficients, zero = np.asarray(distortion, dtype=np.float64), np.zeros(3)
        pixels, jacobian = cv2.projectPoints(rays[:, None], zero, zero, np.eye(3), coefficients)
        seen[known] = pixels[:, 0]
        # columns 0 to 2 are the rotation's, 3 to 5 the translation's: at z = 1 its x and y move the ray's
        slope[known] = jacobian[:, 3:5].reshape(-1, 2, 2)
    return seen, slope


def _undistorted(points: Array, distortion: tuple[float, ...]) -> Array:
    """Ideal normalised coordinates (N, 2) of distorted ones (N, 2): Newton's method with step halving.

    It starts at the optical axis, where every lens is regular, and never steps over a fold of the model; so it ends in
    the solution that belongs to the axis, or at the fold. OpenCV's own `undistortPoints` iterates without that check
    and returns values of any size for pixels beyond the fold.
    """
    ideal = np.where(np.isfinite(points).all(axis=1, keepdims=True), 0.0, np.nan) * np.ones(2)
    open_rows = np.flatnonzero(np.isfinite(ideal).all(axis=1))
    share = np.ones(len(points))
    seen, slope = _distorted(ideal, distortion)
    for _ in range(_MOST_STEPS):
        miss = points[open_rows] - seen[open_rows]
        error = np.abs(miss).max(axis=1, initial=0.0)
        going = (error > _CONVERGED) & (share[open_rows] > _SMALLEST_STEP)
        open_rows, miss, error = open_rows[going], miss[going], error[going]
        if not len(open_rows):
            break
        step = np.linalg.solve(slope[open_rows], miss[..., None])[..., 0]
        trial = ideal[open_rows] + share[open_rows, None] * step
        trial_seen, trial_slope = _distorted(trial, distortion)
        nearer = np.square(points[open_rows] - trial_seen).sum(axis=1) < np.square(miss).sum(axis=1)
        taken = nearer & (np.linalg.det(trial_slope) > _LEAST_DETERMINANT)
        rows = open_rows[taken]
        ideal[rows], seen[rows], slope[rows] = trial[taken], trial_seen[taken], trial_slope[taken]
        share[open_rows] = np.where(taken, np.minimum(1.0, 2.0 * share[open_rows]), 0.5 * share[open_rows])
    return ideal
