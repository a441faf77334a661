"""Pixels, rays and the virtual crop camera. Pure functions; numpy, OpenCV's undistortion, `backend.types` only.

Camera frames are OpenCV's: x right, y down, z forward. The virtual camera stands where the real one stands, looks
at a chosen pixel and is rolled so that a second pixel lies straight above the first: seen through it, every person
is upright and in the middle, so poses need no camera roll and no off-axis views. A pose solved in the virtual
camera goes back with the transpose of `virtual_from_camera`.
"""

from __future__ import annotations

import cv2
import numpy as np

from backend.types import Array, Intrinsics

_TINY = 1e-9


def pixel_rays(intrinsics: Intrinsics, points_px: Array) -> Array:
    """Unit directions (..., 3) in the camera through pixels (..., 2); lens distortion is undone. NaN stays NaN."""
    points_px = np.asarray(points_px, dtype=np.float64)
    matrix = intrinsics.matrix
    if any(intrinsics.distortion):
        flat = np.ascontiguousarray(points_px.reshape(-1, 1, 2))
        known = np.isfinite(flat).all(axis=(1, 2))
        plane = np.full_like(flat, np.nan)
        if known.any():
            criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 40, 1e-9)
            coefficients = np.asarray(intrinsics.distortion, dtype=np.float64)
            plane[known] = cv2.undistortPointsIter(flat[known], matrix, coefficients, np.eye(3), np.eye(3), criteria)
        plane = plane.reshape(points_px.shape)
    else:
        y = (points_px[..., 1] - matrix[1, 2]) / matrix[1, 1]
        x = (points_px[..., 0] - matrix[0, 2] - matrix[0, 1] * y) / matrix[0, 0]
        plane = np.stack([x, y], axis=-1)
    rays = np.concatenate([plane, np.ones_like(plane[..., :1])], axis=-1)
    return np.asarray(rays / np.linalg.norm(rays, axis=-1, keepdims=True))


def project_m(intrinsics: Intrinsics, points_m: Array) -> Array:
    """Pixels (..., 2) of camera points (..., 3) in m, with lens distortion; NaN for points behind the camera."""
    points_m = np.asarray(points_m, dtype=np.float64)
    depth = np.where(points_m[..., 2:] > _TINY, points_m[..., 2:], np.nan)
    plane = points_m[..., :2] / depth
    if any(intrinsics.distortion):
        flat = np.concatenate([plane, np.ones_like(plane[..., :1])], axis=-1).reshape(-1, 1, 3)
        pixels = np.full((len(flat), 1, 2), np.nan)
        known = np.isfinite(flat).all(axis=(1, 2))
        if known.any():
            coefficients = np.asarray(intrinsics.distortion, dtype=np.float64)
            pixels[known] = cv2.projectPoints(flat[known], np.zeros(3), np.zeros(3), intrinsics.matrix, coefficients)[0]
        return pixels.reshape(plane.shape)
    return np.asarray(plane @ intrinsics.matrix[:2, :2].T + intrinsics.matrix[:2, 2])


def look_at(rays: Array) -> Array:
    """The smallest rotation (..., 3, 3) that turns unit directions (..., 3), z > -1, onto the optical axis (0, 0, 1).

    Rows are the turned camera's axes in the old camera: `turned_from_camera`. Rodrigues' formula in closed form.
    """
    x, y, z = np.moveaxis(np.asarray(rays, dtype=np.float64), -1, 0)
    scale = 1.0 / np.maximum(1.0 + z, _TINY)
    rows = [
        [1.0 - x * x * scale, -x * y * scale, -x],
        [-x * y * scale, 1.0 - y * y * scale, -y],
        [x, y, z],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def roll_about_axis(angle_rad: Array) -> Array:
    """Rotation (..., 3, 3) about the optical axis by (...) rad: positive turns x towards y, clockwise on screen."""
    cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
    zero, one = np.zeros_like(cosine), np.ones_like(cosine)
    rows = [[cosine, -sine, zero], [sine, cosine, zero], [zero, zero, one]]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def virtual_from_camera(intrinsics: Intrinsics, centre_px: Array, above_px: Array) -> Array:
    """Rotation (..., 3, 3) from the camera into the virtual one that looks at `centre_px`, `above_px` straight above.

    Pixels are (..., 2): mid-hip and mid-shoulder for a person. Where the two coincide there is no roll.
    """
    turn = look_at(pixel_rays(intrinsics, centre_px))
    above = np.einsum("...ij,...j->...i", turn, pixel_rays(intrinsics, above_px))
    # on screen "up" is -y, at an angle of -90 degrees; without a direction the image stays as it is
    angle = -np.pi / 2 - np.arctan2(above[..., 1], above[..., 0])
    known = np.hypot(above[..., 0], above[..., 1]) > _TINY
    return np.asarray(roll_about_axis(np.where(known, angle, 0.0)) @ turn)


def normalised_points(intrinsics: Intrinsics, virtual: Array, points_px: Array) -> Array:
    """Pixels (..., K, 2) seen by the virtual camera (..., 3, 3), on its plane at unit distance: tangents of angles.

    Independent of focal length, image size, and where in the image the person stands.
    """
    rays = np.einsum("...ij,...kj->...ki", virtual, pixel_rays(intrinsics, points_px))
    return np.asarray(rays[..., :2] / np.maximum(rays[..., 2:], 0.05))
