"""Rotations as arrays with leading batch dimensions: unit quaternions (w, x, y, z), matrices, rotation vectors.

May import numpy only. Matrices act on column vectors, transforms read right to left; a quaternion and its
negative are the same rotation. Every function broadcasts over the leading dimensions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

_TINY = 1e-12


def quaternion_multiply(left_wxyz: Array, right_wxyz: Array) -> Array:
    """Hamilton product (..., 4): the rotation that applies `right_wxyz` first, then `left_wxyz`."""
    left, right = np.asarray(left_wxyz), np.asarray(right_wxyz)
    aw, ax, ay, az = left[..., 0], left[..., 1], left[..., 2], left[..., 3]
    bw, bx, by, bz = right[..., 0], right[..., 1], right[..., 2], right[..., 3]
    # written into one array: np.stack and np.moveaxis cost more than the product of a few quaternions
    first = aw * bw - ax * bx - ay * by - az * bz
    out = np.empty((*first.shape, 4), first.dtype)
    out[..., 0] = first
    out[..., 1] = aw * bx + ax * bw + ay * bz - az * by
    out[..., 2] = aw * by - ax * bz + ay * bw + az * bx
    out[..., 3] = aw * bz + ax * by - ay * bx + az * bw
    return out


def quaternion_conjugate(wxyz: Array) -> Array:
    """The inverse (..., 4) of a unit quaternion."""
    return np.asarray(wxyz) * np.array([1.0, -1.0, -1.0, -1.0], dtype=np.asarray(wxyz).dtype)


def quaternion_normalize(wxyz: Array) -> Array:
    """Scale (..., 4) to unit length; a zero quaternion becomes the identity."""
    wxyz = np.asarray(wxyz)
    norm = np.linalg.norm(wxyz, axis=-1, keepdims=True)
    identity = np.array([1.0, 0.0, 0.0, 0.0], dtype=wxyz.dtype)
    return np.where(norm > _TINY, wxyz / np.maximum(norm, _TINY), identity)


def quaternion_rotate(wxyz: Array, vector: Array) -> Array:
    """Rotate vectors (..., 3) by unit quaternions (..., 4)."""
    wxyz, vector = np.asarray(wxyz), np.asarray(vector)
    w, x, y, z = wxyz[..., 0], wxyz[..., 1], wxyz[..., 2], wxyz[..., 3]
    a, b, c = vector[..., 0], vector[..., 1], vector[..., 2]
    # twice = 2 axis x vector; vector + w twice + axis x twice, written out: np.cross costs five times as much
    u, v, t = 2.0 * (y * c - z * b), 2.0 * (z * a - x * c), 2.0 * (x * b - y * a)
    first = a + w * u + y * t - z * v
    out = np.empty((*first.shape, 3), first.dtype)
    out[..., 0] = first
    out[..., 1] = b + w * v + z * u - x * t
    out[..., 2] = c + w * t + x * v - y * u
    return out


def quaternion_to_matrix(wxyz: Array) -> Array:
    """Unit quaternions (..., 4) to rotation matrices (..., 3, 3)."""
    w, x, y, z = np.moveaxis(np.asarray(wxyz), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def matrix_to_quaternion(matrix: Array) -> Array:
    """Rotation matrices (..., 3, 3) to unit quaternions (..., 4) with w >= 0 (Shepperd's method)."""
    m = np.asarray(matrix)
    trace = m[..., 0, 0] + m[..., 1, 1] + m[..., 2, 2]
    square = np.stack([trace, m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]], axis=-1)
    # each candidate row is 4 * q[k] * q; the one with the largest q[k] is the best conditioned
    a, b, c = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    d, e, f = m[..., 1, 0] + m[..., 0, 1], m[..., 0, 2] + m[..., 2, 0], m[..., 2, 1] + m[..., 1, 2]
    diagonal = 1.0 + 2.0 * square - trace[..., None]
    rows = np.stack(
        [
            np.stack([1.0 + trace, a, b, c], -1),
            np.stack([a, diagonal[..., 1], d, e], -1),
            np.stack([b, d, diagonal[..., 2], f], -1),
            np.stack([c, e, f, diagonal[..., 3]], -1),
        ],
        axis=-2,
    )
    best = np.argmax(square, axis=-1)
    chosen = np.take_along_axis(rows, best[..., None, None], axis=-2)[..., 0, :]
    chosen = np.where(chosen[..., :1] < 0, -chosen, chosen)
    return quaternion_normalize(chosen)


def rotvec_to_quaternion(rotvec: Array) -> Array:
    """Rotation vectors (..., 3) in rad to unit quaternions (..., 4)."""
    rotvec = np.asarray(rotvec)
    angle = np.linalg.norm(rotvec, axis=-1, keepdims=True)
    # np.sinc(x) is sin(pi x) / (pi x): finite at zero
    return np.concatenate([np.cos(angle / 2), 0.5 * np.sinc(angle / (2 * np.pi)) * rotvec], axis=-1)


def quaternion_to_rotvec(wxyz: Array) -> Array:
    """Unit quaternions (..., 4) to rotation vectors (..., 3) in rad, of length at most pi."""
    wxyz = np.asarray(wxyz)
    wxyz = np.where(wxyz[..., :1] < 0, -wxyz, wxyz)
    sine = np.linalg.norm(wxyz[..., 1:], axis=-1, keepdims=True)
    angle = 2.0 * np.arctan2(sine, wxyz[..., :1])
    scale = np.where(sine > 1e-9, angle / np.maximum(sine, 1e-9), 2.0)
    return wxyz[..., 1:] * scale


def quaternion_between(a_wxyz: Array, b_wxyz: Array) -> Array:
    """The rotation angle in rad (...) between two rotations (..., 4)."""
    dot = np.abs(np.sum(np.asarray(a_wxyz) * np.asarray(b_wxyz), axis=-1))
    return 2.0 * np.arccos(np.clip(dot, 0.0, 1.0))


def quaternion_continuous(wxyz: Array, axis: int = 0) -> Array:
    """Flip signs along `axis` (time) so that neighbours lie in the same hemisphere: no 180-degree jumps."""
    wxyz = np.moveaxis(np.asarray(wxyz), axis, 0)
    dot = np.sum(wxyz[1:] * wxyz[:-1], axis=-1)
    flips = np.where(np.nan_to_num(dot, nan=1.0) < 0, -1.0, 1.0)
    sign = np.concatenate([np.ones_like(flips[:1]), np.cumprod(flips, axis=0)]) if len(wxyz) > 1 else 1.0
    signed = wxyz * (sign[..., None] if isinstance(sign, np.ndarray) else sign)
    return np.moveaxis(signed.astype(wxyz.dtype), 0, axis)


def quaternion_slerp(a_wxyz: Array, b_wxyz: Array, weight: Array | float) -> Array:
    """Interpolate on the shorter arc from `a_wxyz` (weight 0) to `b_wxyz` (weight 1); weight broadcasts to (...)."""
    a, b = np.asarray(a_wxyz), np.asarray(b_wxyz)
    step = quaternion_to_rotvec(quaternion_multiply(quaternion_conjugate(a), b))
    return quaternion_normalize(quaternion_multiply(a, rotvec_to_quaternion(step * np.asarray(weight)[..., None])))


def quaternion_from_to(source: Array, target: Array) -> Array:
    """The smallest rotation (..., 4) that turns direction `source` (..., 3) into direction `target` (..., 3)."""
    source = source / np.maximum(np.linalg.norm(source, axis=-1, keepdims=True), _TINY)
    target = target / np.maximum(np.linalg.norm(target, axis=-1, keepdims=True), _TINY)
    source, target = np.broadcast_arrays(source, target)
    w = 1.0 + np.sum(source * target, axis=-1, keepdims=True)
    # opposite directions: any axis across the source will do; the one least aligned with it is safe
    across = np.cross(source, np.eye(3)[np.argmin(np.abs(source), axis=-1)])
    axis = np.where(w > 1e-7, np.cross(source, target), across)
    return quaternion_normalize(np.concatenate([np.where(w > 1e-7, w, 0.0), axis], axis=-1))


def quaternion_mean(wxyz: Array, weights: Array | None = None) -> Array:
    """The weighted mean rotation over the axis before last: (..., N, 4) -> (..., 4) (Markley et al. 2007)."""
    wxyz = np.asarray(wxyz, dtype=np.float64)
    scaled = wxyz if weights is None else wxyz * np.asarray(weights)[..., None]
    moment = np.swapaxes(scaled, -1, -2) @ wxyz
    return np.linalg.eigh(moment)[1][..., -1]


def swing_twist(wxyz: Array, axis: Array) -> tuple[Array, Array]:
    """Split rotations (..., 4) into (swing, twist) with `rotation = swing * twist`, about unit `axis` (..., 3)."""
    wxyz = np.asarray(wxyz)
    along = np.sum(wxyz[..., 1:] * axis, axis=-1, keepdims=True)
    twist = quaternion_normalize(np.concatenate([wxyz[..., :1], along * axis], axis=-1))
    return quaternion_multiply(wxyz, quaternion_conjugate(twist)), twist
