"""A rig's rest pose in the world, and posing it by deltas. numpy, `motion` and its own room only.

A delta turns a bone from its rest pose in world axes: `world_rotation = delta @ rest_world_rotation`. A bone that is
not driven keeps its present local rotation and so takes its parent's delta. With deltas bone rolls, rest poses and
axis conventions drop out until the last step, `local_rotation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..motion.rotations import (
    matrix_to_quaternion,
    quaternion_conjugate,
    quaternion_multiply,
    quaternion_rotate,
)
from .target_rig import TargetRig

Array = NDArray[np.floating]

IDENTITY = np.array([1.0, 0.0, 0.0, 0.0])


@dataclass(frozen=True, slots=True)
class RestWorld:
    """A rig at rest in the world: `heads_m` (N, 3), `tails_m` (N, 3) in m.

    `rest_wxyz` (N, 4) are rest rotations in armature space, `basis_wxyz` (N, 4) the present local rotations.
    `parents` (N,) are the bones that really carry each bone (a map's `follows` included), `inherits` (N,) whether
    rotation comes from there. `world_from_armature` is the object's linear part (3, 3), `turn` (3, 3) the nearest
    orthogonal matrix to it, `stretch` its mean scale, `uneven` how far its scale is from uniform (0: uniform).
    """

    rig: TargetRig
    heads_m: Array
    tails_m: Array
    rest_wxyz: Array
    basis_wxyz: Array
    parents: NDArray[np.intp]
    inherits: NDArray[np.bool_]
    world_from_armature: Array
    turn: Array
    stretch: float
    uneven: float

    def path_up(self, bone: int) -> list[int]:
        """The bone and its ancestors, child first."""
        path = [bone]
        while self.parents[path[-1]] >= 0:
            path.append(int(self.parents[path[-1]]))
        return path


def rest_world(rig: TargetRig, follows: Mapping[str, str] | None = None) -> RestWorld:
    """The rest pose of a rig in the world. Raises KeyError for a `follows` bone that the rig lacks."""
    linear = np.asarray(rig.object_matrix[:3, :3], dtype=np.float64)
    left, singular, right = np.linalg.svd(linear)
    parents = np.array(rig.parents)
    for bone, carrier in (follows or {}).items():
        if bone in rig.bone_names and carrier in rig.bone_names:
            parents[rig.index(bone)] = rig.index(carrier)
    origin = rig.object_matrix[:3, 3]
    rotations = np.asarray(rig.rest_matrices[:, :3, :3], dtype=np.float64)
    return RestWorld(
        rig=rig,
        heads_m=rig.heads() @ linear.T + origin,
        tails_m=rig.tails() @ linear.T + origin,
        rest_wxyz=matrix_to_quaternion(rotations),
        basis_wxyz=_basis_rotations(rig.basis),
        parents=parents,
        inherits=np.asarray(rig.inherit_rotation),
        world_from_armature=linear,
        turn=left @ right,
        stretch=float(np.cbrt(np.prod(singular))),
        uneven=float(singular.max() / max(singular.min(), 1e-12) - 1.0),
    )


def _basis_rotations(basis: Array) -> Array:
    linear = np.asarray(basis[:, :3, :3], dtype=np.float64)
    scale = np.maximum(np.linalg.norm(linear, axis=1, keepdims=True), 1e-12)
    return matrix_to_quaternion(linear / scale)


def armature_delta(rest: RestWorld, delta_wxyz: Array) -> Array:
    """A world delta (..., 4) in armature space; exact for even scales, mirrored ones included."""
    axis = np.linalg.det(rest.turn) * (np.asarray(delta_wxyz)[..., 1:] @ rest.turn)
    return np.concatenate([np.asarray(delta_wxyz)[..., :1], axis], axis=-1)


def world_delta(rest: RestWorld, delta_wxyz: Array) -> Array:
    """The inverse of `armature_delta`."""
    axis = np.linalg.det(rest.turn) * (np.asarray(delta_wxyz)[..., 1:] @ rest.turn.T)
    return np.concatenate([np.asarray(delta_wxyz)[..., :1], axis], axis=-1)


class PosedRig:
    """A rig posed by world deltas (T, 4) of its driven bones; deltas and heads of others are derived when asked."""

    def __init__(self, rest: RestWorld, deltas: Mapping[int, Array], frames: int) -> None:
        self.rest = rest
        self.frames = frames
        self.driven = dict(deltas)
        self._deltas: dict[int, Array] = {}

    def delta(self, bone: int) -> Array:
        """The world delta (T, 4) of a bone; -1 is the armature itself."""
        if bone < 0:
            return np.broadcast_to(IDENTITY, (self.frames, 4))
        if bone in self.driven:
            return self.driven[bone]
        if bone not in self._deltas:
            self._deltas[bone] = quaternion_multiply(self.carried(bone), self._kept(bone))
        return self._deltas[bone]

    def carried(self, bone: int) -> Array:
        """The delta (T, 4) that a bone has from its parent, before its own local rotation."""
        return self.delta(int(self.rest.parents[bone])) if self.rest.inherits[bone] else self.delta(-1)

    def span(self, upper: int, lower: int) -> Array | None:
        """The posed vector (T, 3) in m from one bone's head to that of a bone below it; None if it is not below."""
        path = self.rest.path_up(lower)
        if upper not in path:
            return None
        vector = np.zeros((self.frames, 3))
        for bone in path[: path.index(upper)]:
            parent = int(self.rest.parents[bone])
            offset = self.rest.heads_m[bone] - self.rest.heads_m[parent]
            vector = vector + quaternion_rotate(self.delta(parent), offset)
        return vector

    def head(self, bone: int) -> Array:
        """The posed head (T, 3) in m, with no bone moved from its place but by rotations above it."""
        path = self.rest.path_up(bone)
        span = self.span(path[-1], bone)
        assert span is not None  # the path's own end is always above the bone
        return self.rest.heads_m[path[-1]] + span

    def local_rotation(self, bone: int) -> Array:
        """The local rotation (T, 4), Blender's `matrix_basis`, that gives a driven bone its delta."""
        turn = quaternion_multiply(quaternion_conjugate(self.carried(bone)), self.delta(bone))
        rest = self.rest.rest_wxyz[bone]
        in_armature = armature_delta(self.rest, turn)
        return quaternion_multiply(quaternion_conjugate(rest), quaternion_multiply(in_armature, rest))

    def local_location(self, bone: int, shift_m: Array) -> Array:
        """The `location` (T, 3), in armature units, that moves a bone by `shift_m` (T, 3) in the world."""
        # the location's frame turns with the parent even where the rotation is not inherited
        carried = self.delta(int(self.rest.parents[bone]))
        if self.rest.rig.local_location[bone]:
            frame = quaternion_multiply(armature_delta(self.rest, carried), self.rest.rest_wxyz[bone])
        else:
            parent = int(self.rest.rig.parents[bone])
            own = self.rest.rest_wxyz[parent] if parent >= 0 else IDENTITY
            frame = quaternion_multiply(armature_delta(self.rest, carried), own)
        to_armature = np.linalg.inv(self.rest.world_from_armature)
        in_armature = np.asarray(shift_m, dtype=np.float64) @ to_armature.T
        return np.asarray(quaternion_rotate(quaternion_conjugate(frame), np.asarray(in_armature, dtype=np.float64)))

    def _kept(self, bone: int) -> Array:
        rest, basis = self.rest.rest_wxyz[bone], self.rest.basis_wxyz[bone]
        turn = quaternion_multiply(rest, quaternion_multiply(basis, quaternion_conjugate(rest)))
        return world_delta(self.rest, turn)
