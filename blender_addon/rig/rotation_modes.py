"""Local rotations in a bone's own rotation mode, continuous in time. numpy and `motion` only, free of bpy.

Euler conventions are Blender's: order "XYZ" turns about X first, so its matrix is `Rz @ Ry @ Rx` (rest frame axes).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..motion.rotations import quaternion_continuous, quaternion_to_matrix

Array = NDArray[np.floating]

EULER_ORDERS = ("XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX")
PROPERTY_OF_MODE = {"QUATERNION": "rotation_quaternion", "AXIS_ANGLE": "rotation_axis_angle"}

_GIMBAL = 1e-6


def rotation_values(wxyz: Array, mode: str) -> tuple[str, Array]:
    """Property name and values (n, 4) or (n, 3) of rotations (n, 4) in a pose bone's `rotation_mode`.

    Raises ValueError for a mode that Blender does not have.
    """
    if mode == "QUATERNION":
        return "rotation_quaternion", quaternion_continuous(wxyz)
    if mode == "AXIS_ANGLE":
        return "rotation_axis_angle", quaternion_to_axis_angle(wxyz)
    if mode in EULER_ORDERS:
        return "rotation_euler", quaternion_to_euler(wxyz, mode)
    raise ValueError(f"unknown rotation mode {mode!r}")


def quaternion_to_euler(wxyz: Array, order: str) -> Array:
    """Rotations (n, 4) to Euler angles (n, 3) in rad, stored X, Y, Z, without jumps from frame to frame.

    Every rotation has two solutions in one turn; the pair nearest to the frame before is followed, then whole turns
    are unwrapped. In gimbal lock the first axis keeps its last angle.
    """
    if order not in EULER_ORDERS:
        raise ValueError(f"unknown Euler order {order!r}")
    first, second = _both_solutions(quaternion_to_matrix(np.asarray(wxyz, dtype=np.float64)), order)
    chosen = _nearest_chain(first, second)
    return np.unwrap(chosen, axis=0)


def _both_solutions(matrix: Array, order: str) -> tuple[Array, Array]:
    i, j, k = ("XYZ".index(axis) for axis in order)
    odd = order in ("XZY", "YXZ", "ZYX")
    cosine = np.hypot(matrix[..., i, i], matrix[..., j, i])
    locked = cosine < _GIMBAL
    # after Shoemake's Euler angle conversion (Graphics Gems IV), as Blender's mat3_normalized_to_eulo does
    plain = np.stack(
        [
            np.where(
                locked,
                np.arctan2(-matrix[..., j, k], matrix[..., j, j]),
                np.arctan2(matrix[..., k, j], matrix[..., k, k]),
            ),
            np.arctan2(-matrix[..., k, i], cosine),
            np.where(locked, 0.0, np.arctan2(matrix[..., j, i], matrix[..., i, i])),
        ],
        axis=-1,
    )
    other = np.where(locked[..., None], plain, plain * [1, -1, 1] + np.pi)
    result = []
    for angles in (plain, other):
        signed = -angles if odd else angles
        stored = np.empty_like(signed)
        stored[..., [i, j, k]] = signed
        result.append((stored + np.pi) % (2 * np.pi) - np.pi)
    return result[0], result[1]


def _nearest_chain(first: Array, second: Array) -> Array:
    both = np.stack([first, second])  # (2, n, 3)
    if both.shape[1] < 2:
        return first
    step = both[None, :, 1:] - both[:, None, :-1]  # (from, to, n - 1, 3)
    apart = np.abs((step + np.pi) % (2 * np.pi) - np.pi).sum(axis=-1)
    better = apart.argmin(axis=1).T.tolist()  # for each step: the best next choice from choice 0 and from choice 1
    # start from the solution with the smaller angles: what an animator would type
    choice = int(np.abs(second[0]).sum() < np.abs(first[0]).sum())
    choices = [choice]
    for row in better:
        choice = row[choice]
        choices.append(choice)
    picked = np.array(choices)
    return np.where(picked[:, None] == 0, first, second)


def quaternion_to_axis_angle(wxyz: Array) -> Array:
    """Rotations (n, 4) to Blender's axis-angle (n, 4): angle in rad, then the unit axis; continuous in time."""
    turned = quaternion_continuous(np.asarray(wxyz, dtype=np.float64))
    sine = np.linalg.norm(turned[:, 1:], axis=1)
    angle = 2.0 * np.arctan2(sine, turned[:, 0])
    known = sine > 1e-7
    # a rotation of nothing has no axis: borrow the last known one (the first known one before that)
    source = np.maximum.accumulate(np.where(known, np.arange(len(sine)), -1))
    source = np.where(source < 0, np.argmax(known) if known.any() else 0, source)
    axis = turned[source, 1:] / np.maximum(sine[source, None], 1e-12)
    if not known.any():
        axis[:] = (0.0, 1.0, 0.0)
    flips = np.where(np.sum(axis[1:] * axis[:-1], axis=1) < 0, -1.0, 1.0)
    sign = np.concatenate([[1.0], np.cumprod(flips)])
    return np.concatenate([np.unwrap(sign * angle)[:, None], sign[:, None] * axis], axis=1)
