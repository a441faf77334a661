"""A live pose in the world: the fixed camera pose, and feet that stand on the floor and never under it.

May import `motion` and `backend.live`. World: Z up, metres, floor at z = 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from backend.live.smoothing import SmoothPose
from backend.types import Array
from backend.world.gravity import world_axes
from blender_addon.motion.body import BodyShape, canonical_body
from blender_addon.motion.posing import find_feet, pose_body
from blender_addon.motion.rotations import matrix_to_quaternion, quaternion_multiply

_STANDS_M: Final = 0.12  # a lowest foot nearer to the floor than this stands on it
_SETTLE_S: Final = 0.4
_UP: Final = np.array([0.0, 0.0, 1.0])
_LEVEL_CAMERA: Final = np.array([0.0, 1.0, 0.0])


@dataclass(frozen=True, slots=True)
class PlacedPose:
    """rotations_wxyz (J, 4), joint 0 in the world; root_m (3,); lift_m that the body was raised by."""

    rotations_wxyz: Array
    root_m: Array
    lift_m: float


class Placer:
    """Places pose after pose. Before `fix`, the camera counts as level and the first pose stands at the origin."""

    def __init__(self) -> None:
        self.world_from_camera: Array | None = None
        self._lift_m = 0.0
        self._last_s: float | None = None

    def fix(self, world_from_camera: Array) -> None:
        """Use this camera pose (4, 4) from now on."""
        self.world_from_camera = np.asarray(world_from_camera, np.float64)
        self._lift_m, self._last_s = 0.0, None

    def place(self, pose: SmoothPose, shape: BodyShape, time_s: float) -> PlacedPose:
        """The pose at `time_s` in the world."""
        if self.world_from_camera is None:
            self.world_from_camera = _first_guess(pose, shape)
        turn, shift = self.world_from_camera[:3, :3], self.world_from_camera[:3, 3]
        rotations = pose.rotations_wxyz.copy()
        rotations[0] = quaternion_multiply(matrix_to_quaternion(turn), rotations[0])
        root = turn @ pose.root_m + shift
        lowest = _lowest_m(rotations, root, shape)
        step_s = 0.0 if self._last_s is None else min(max(time_s - self._last_s, 0.0), 0.25)
        self._last_s = time_s
        if abs(lowest + self._lift_m) < _STANDS_M:
            share = 1.0 if step_s == 0.0 else 1.0 - np.exp(-step_s / _SETTLE_S)
            self._lift_m += float(share) * (-lowest - self._lift_m)
        self._lift_m = max(self._lift_m, -lowest)
        return PlacedPose(rotations, root + self._lift_m * _UP, self._lift_m)


def _lowest_m(rotations: Array, root: Array, shape: BodyShape) -> float:
    """How high the lowest foot point is above the floor."""
    body = canonical_body()
    feet = find_feet(body, pose_body(body, shape, rotations[None], root[None]))
    return float((feet.positions_m[0, :, 2] - feet.clearance_m).min())


def _first_guess(pose: SmoothPose, shape: BodyShape) -> Array:
    """A level camera, the pelvis above the origin, the lowest foot on the floor."""
    guess = np.eye(4)
    guess[:3, :3] = turn = world_axes(_LEVEL_CAMERA)
    rotations = pose.rotations_wxyz.copy()
    rotations[0] = quaternion_multiply(matrix_to_quaternion(turn), rotations[0])
    root = turn @ pose.root_m
    guess[:2, 3] = -root[:2]
    guess[2, 3] = -_lowest_m(rotations, root, shape)
    return guess
