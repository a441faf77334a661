"""Turns that lay the sole of a foot on the floor. Shared by foot planting on the clip's body and by the retarget.

May import numpy and its own room only. Z is up; T frames; all vectors and turns are in the world.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .rotations import Array, quaternion_from_to, quaternion_multiply, quaternion_rotate, rotvec_to_quaternion

_UP = np.array([0.0, 0.0, 1.0])
# a sole that is tilted further lies or kneels: it does not stand on the floor, whatever its height and speed
LARGEST_TILT_RAD = np.radians(65.0)
# a foot that stands up to this far under the floor was placed too low; further down is another floor
SUNK_M = 0.35
_TINY = 1e-9
# a foot that is steeper than this cosine has no sideways tilt to speak of
_LEAST_LEVEL = 0.3


def level_turn(normal: Array) -> Array:
    """The smallest turn (T, 4) that brings the sole's upward normal (T, 3) to the vertical."""
    return quaternion_from_to(normal, np.broadcast_to(_UP, np.shape(normal)))


def release_tilted(points_m: Array, on: NDArray[np.bool_], normal: Array) -> None:
    """Let go, in place, of the higher point where both stand with the sole far from level: the foot lies or kneels.

    `points_m` (T, 2, 3) heel and ball, `on` (T, 2) which of them stand, `normal` (T, 3) up from the sole.
    """
    tilted = on.all(axis=1) & (normal[..., 2] < np.cos(LARGEST_TILT_RAD))
    on[tilted, np.argmax(points_m[tilted, :, 2], axis=1)] = False


def standing_height_m(height_m: Array, snap_m: float) -> float:
    """How high over the floor a foot stands whose points were seen at `height_m` (N,): 0 up to `snap_m` above the
    floor and somewhat below it, its own height on a stair.
    """
    height = float(np.median(height_m))
    return 0.0 if -max(SUNK_M, snap_m) < height < snap_m else height


def heading_turn_rad(along: Array, wanted: Array) -> Array:
    """The angle about Z (T,) from the heading of `along` (T, 3) to that of `wanted` (T, 3) or (3,), -pi to pi."""
    wanted = np.broadcast_to(wanted, along.shape)
    cross = along[..., 0] * wanted[..., 1] - along[..., 1] * wanted[..., 0]
    return np.asarray(np.arctan2(cross, np.sum(along[..., :2] * wanted[..., :2], axis=-1)))


def about_up(angle_rad: Array) -> Array:
    """Turns (T, 4) about Z."""
    return rotvec_to_quaternion(np.asarray(angle_rad)[..., None] * _UP)


def keep_above(turn_wxyz: Array, arm_m: Array, least_m: Array, where: NDArray[np.bool_]) -> Array:
    """The turns (T, 4), pitched on where the turned `arm_m` (T, 3) would end lower than `least_m` (T,) above its start.

    The arm leads from the point that stands to the one that must not go through the floor.
    """
    turned = quaternion_rotate(turn_wxyz, arm_m)
    length = np.linalg.norm(turned, axis=-1)
    least_m = np.clip(least_m, -length, length)
    low = where & (turned[..., 2] < least_m)
    flat = np.linalg.norm(turned[..., :2], axis=-1, keepdims=True)
    heading = turned[..., :2] / np.maximum(flat, _TINY)
    level = heading * np.sqrt(np.maximum(length**2 - least_m**2, 0.0))[..., None]
    raised = np.concatenate([level, least_m[..., None]], axis=-1)
    return np.where(low[..., None], quaternion_multiply(quaternion_from_to(turned, raised), turn_wxyz), turn_wxyz)


def level_roll(turn_wxyz: Array, along_m: Array, normal: Array, where: NDArray[np.bool_]) -> Array:
    """The turns (T, 4), rolled on about the foot's own length so that its sole is level from side to side.

    `along_m` (T, 3) leads from heel to ball and `normal` (T, 3) up from the sole, both before the turn. A foot that
    points up or down, or lies on its side, keeps its roll.
    """
    along = quaternion_rotate(turn_wxyz, along_m)
    along = along / np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), _TINY)
    normal = quaternion_rotate(turn_wxyz, normal)
    across = normal - np.sum(normal * along, axis=-1, keepdims=True) * along
    up = _UP - along[..., 2:] * along
    angle = np.arctan2(np.sum(np.cross(across, up) * along, axis=-1), np.sum(across * up, axis=-1))
    told = where & (np.linalg.norm(up, axis=-1) > _LEAST_LEVEL) & (np.abs(angle) < LARGEST_TILT_RAD)
    return quaternion_multiply(rotvec_to_quaternion(np.where(told, angle, 0.0)[..., None] * along), turn_wxyz)
