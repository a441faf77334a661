"""Who carries the body through the world: hips, a root bone or the object. numpy, `motion` and its own room only.

The root's motion is the smoothed place and heading of the pelvis on the floor; the hips carry what is left, so the
body comes to lie in the same place whichever is chosen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..motion import posing
from ..motion.rotations import (
    matrix_to_quaternion,
    quaternion_conjugate,
    quaternion_multiply,
    quaternion_rotate,
    rotvec_to_quaternion,
)
from ..motion.temporal import Gaussian, filter_positions
from .baked_pose import ObjectMotion, Placement, Travel
from .body_in_world import BodyInWorld
from .source_motion import SourceMotion
from .target_body import TargetBody

Array = NDArray[np.floating]

_UP = np.array([0.0, 0.0, 1.0])
_SMOOTH = Gaussian(0.2)


@dataclass(frozen=True, slots=True)
class RootPath:
    """A rigid motion of the rest stance: `turn_wxyz` (T, 4) about `pivot_m` (3,), which goes to `place_m` (T, 3)."""

    turn_wxyz: Array
    pivot_m: Array
    place_m: Array

    def carry(self, point_m: Array) -> Array:
        """A rest point (3,) or points (T, 3), carried (T, 3)."""
        return np.asarray(self.place_m + quaternion_rotate(self.turn_wxyz, point_m - self.pivot_m))

    def uncarry(self, point_m: Array) -> Array:
        """World points (T, 3) as seen from the root."""
        back = quaternion_conjugate(self.turn_wxyz)
        return np.asarray(self.pivot_m + quaternion_rotate(back, point_m - self.place_m))


def place_source(
    source: SourceMotion, target: TargetBody, placement: Placement, scale: float
) -> tuple[SourceMotion, float]:
    """The source scaled and placed where the target shall move, and the height of its floor in the world, in m."""
    first = source.first
    anchor = source.positions_m[first, 0] * np.array([1.0, 1.0, 0.0])
    if placement is Placement.WORLD:
        return source.moved(np.array([1.0, 0.0, 0.0, 0.0]), anchor, scale, anchor), 0.0
    turn = heading_rad(target.frame) - float(pelvis_heading_rad(source)[first])
    to = target.standing_m
    return source.moved(rotvec_to_quaternion(turn * _UP), anchor, scale, to), float(to[2])


def heading_rad(frame: Array) -> float:
    """Heading about world Z of a body frame (3, 3): 0 looks along -Y."""
    return float(np.arctan2(frame[1, 0] - frame[0, 1], frame[0, 0] + frame[1, 1]))


def pelvis_heading_rad(source: SourceMotion) -> Array:
    """Heading (T,) of the pelvis, unwrapped; from its left and its front together, so that lying down has one too."""
    return np.unwrap(posing.heading_rad(source.joint_wxyz("pelvis")))


def root_path(source: SourceMotion, target: TargetBody, pelvis_m: Array, floor_m: float) -> RootPath:
    """The root's motion under a pelvis at (T, 3): smoothed place on the floor and heading, from the rest stance."""
    heading = filter_positions(_SMOOTH, source.times_s, pelvis_heading_rad(source)[:, None])
    level = filter_positions(_SMOOTH, source.times_s, pelvis_m[:, :2])
    place = np.concatenate([level, np.full((source.frames, 1), floor_m)], axis=1)
    upright = quaternion_conjugate(matrix_to_quaternion(target.frame))
    return RootPath(quaternion_multiply(rotvec_to_quaternion(heading * _UP), upright), target.standing_m, place)


def stay_in_place(path: RootPath, travel: Travel, first: int = 0) -> RootPath:
    """The path with its travel over the floor taken out where that is asked for: it stays where frame `first` is."""
    if travel is Travel.TRAVEL:
        return path
    return replace(path, place_m=np.broadcast_to(path.place_m[first], path.place_m.shape))


def seen_from_root(body: BodyInWorld, path: RootPath) -> None:
    """Express a body's motion, in place, as seen from its root: what the bones do while the object carries them."""
    pelvis = path.uncarry(body.pelvis_unshifted_m(body.posed()) + body.shift_m)
    back = quaternion_conjugate(path.turn_wxyz)
    body.deltas = {bone: quaternion_multiply(back, delta) for bone, delta in body.deltas.items()}
    body.put_pelvis(pelvis)


def object_motion(body: BodyInWorld, path: RootPath) -> ObjectMotion:
    """The armature object's own motion along the path."""
    rest = body.rest
    turn = rest.turn * np.array(rest.rig.mirrored)
    if np.linalg.det(turn) < 0:  # mirrored by a parent
        turn = -turn
    rotation = quaternion_multiply(path.turn_wxyz, matrix_to_quaternion(turn))
    return ObjectMotion(path.carry(rest.rig.object_matrix[:3, 3]), rotation)
