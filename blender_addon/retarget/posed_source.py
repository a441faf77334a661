"""A moving rig as the source of a clip: its rest pose, and its bones in the world over time. numpy, `motion`, own room.

The armature of a scene and the skeleton of a file come to the same: bones at rest, world rotations that carry each
bone from there into every frame, and where its head is then. Nothing of how the rig is driven matters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..motion.face import FaceMotion
from ..motion.moving_skeleton import MovingSkeleton
from ..motion.rotations import (
    matrix_to_quaternion,
    quaternion_conjugate,
    quaternion_from_to,
    quaternion_multiply,
    quaternion_to_matrix,
)
from .target_rig import TargetRig

Array = NDArray[np.floating]

_Y = np.array([0.0, 1.0, 0.0])
_UP = np.array([0.0, 0.0, 1.0])
# a bone shorter than this part of the skeleton's size points nowhere by itself
_SHORT = 1e-4
# how clearly a body must stand along Z to be taken for standing there, see `_height_over_depth`
_CLEARLY = 0.5
_MANY_FRAMES = 20


@dataclass(frozen=True, slots=True)
class PosedSource:
    """`deltas_wxyz` (T, N, 4) turn each bone of `rig` in world axes from its rest pose; `heads_m` (T, N, 3) are the
    bones' heads in the world (Z up); `times_s` (T,). `has_rest` is False where the rig's rest pose is only a frame,
    `by_frame` is True where a frame in which nobody holds a T-pose serves as one; `face` is None where there is none.
    """

    rig: TargetRig
    times_s: Array
    deltas_wxyz: Array
    heads_m: Array
    has_rest: bool = True
    by_frame: bool = False
    notes: tuple[str, ...] = ()
    face: FaceMotion | None = None

    @property
    def frames(self) -> int:
        """How many frames there are."""
        return len(self.times_s)

    def rebased(self, frame: int, heading_rad: float) -> PosedSource:
        """The same motion with the pose of a frame as the rest pose, of a rig that is turned by `heading_rad` (0 looks
        along -Y) so that its axes are the body's.
        """
        turn = quaternion_to_matrix(np.array([np.cos(heading_rad / 2), 0.0, 0.0, np.sin(heading_rad / 2)]))
        object_matrix = np.eye(4)
        object_matrix[:3, :3] = turn
        rotations = self.rest_rotations()
        posed = quaternion_to_matrix(self.deltas_wxyz[frame]) @ rotations
        rest = np.broadcast_to(np.eye(4), (len(self.rig), 4, 4)).copy()
        rest[:, :3, :3] = turn.T @ posed
        rest[:, :3, 3] = self.heads_m[frame] @ turn
        scale = float(np.cbrt(abs(np.linalg.det(self.rig.object_matrix[:3, :3]))))
        rig = replace(
            self.rig,
            rest_matrices=rest,
            object_matrix=object_matrix,
            lengths=self.rig.lengths * scale,
            skin_bounds=None,
        )
        deltas = quaternion_multiply(self.deltas_wxyz, quaternion_conjugate(self.deltas_wxyz[frame]))
        return replace(self, rig=rig, deltas_wxyz=deltas, has_rest=True)

    def rest_rotations(self) -> Array:
        """The bones' rest rotations (N, 3, 3) in the world."""
        left, _, right = np.linalg.svd(self.rig.object_matrix[:3, :3] @ self.rig.rest_matrices[:, :3, :3])
        return np.asarray(left @ right)

    def only(self, bones: tuple[int, ...], rig: TargetRig) -> PosedSource:
        """The source with some bones alone, as `rig` has them."""
        kept = list(bones)
        return replace(self, rig=rig, deltas_wxyz=self.deltas_wxyz[:, kept], heads_m=self.heads_m[:, kept])


def source_of_skeleton(skeleton: MovingSkeleton, name: str) -> PosedSource:
    """A file's skeleton as a source in a world with Z up; its own unit of length counts as a metre."""
    to_world = quaternion_to_matrix(_upright(skeleton))
    rest = skeleton.rest_positions @ to_world.T
    tails = _tails(skeleton, rest, skeleton.tips @ to_world.T)
    count = len(skeleton.names)
    along = tails - rest
    matrices = np.broadcast_to(np.eye(4), (count, 4, 4)).copy()
    matrices[:, :3, :3] = quaternion_to_matrix(quaternion_from_to(np.broadcast_to(_Y, along.shape), along))
    matrices[:, :3, 3] = rest
    rig = TargetRig(
        name=name,
        bone_names=skeleton.names,
        parents=skeleton.parents,
        rest_matrices=matrices,
        lengths=np.linalg.norm(along, axis=1),
        rotation_modes=("QUATERNION",) * count,
        object_matrix=np.eye(4),
        inherit_rotation=np.ones(count, dtype=bool),
        local_location=np.ones(count, dtype=bool),
        basis=np.broadcast_to(np.eye(4), (count, 4, 4)),
        constrained=np.zeros(count, dtype=bool),
        deform=np.ones(count, dtype=bool),
    )
    turned = matrix_to_quaternion(to_world @ skeleton.rotations @ to_world.T)
    heads = skeleton.positions @ to_world.T
    return PosedSource(rig, skeleton.times_s, turned, heads, skeleton.has_rest, notes=skeleton.notes)


def _upright(skeleton: MovingSkeleton) -> Array:
    """The rotation (4,) that brings the file's upward axis to Z. Y up and -Z forward, as Blender's importer has it,
    where the file says nothing and the body does not clearly stand along another axis.
    """
    up = skeleton.up if skeleton.up is not None else _standing_axis(skeleton)
    if up[1] < -0.5:  # a camera's axes: half a turn, so that left stays left
        return np.array([np.sqrt(0.5), -np.sqrt(0.5), 0.0, 0.0])
    return quaternion_from_to(up, _UP)


def _standing_axis(skeleton: MovingSkeleton) -> Array:
    """Y or Z: along which the body is taller in its rest pose. Over many frames in which it clearly stands along the
    other one, these count: some files turn the body between both.
    """
    posed, rest = _height_over_depth(skeleton.positions), _height_over_depth(skeleton.rest_positions[None])
    clear = len(skeleton) >= _MANY_FRAMES and abs(posed) > 2.0 * _CLEARLY
    if not skeleton.has_rest or abs(rest) < _CLEARLY or clear:
        return _UP if posed > _CLEARLY else _Y
    return _UP if rest > 0.0 else _Y


def _height_over_depth(positions: Array) -> float:
    """How much larger a body (T, N, 3) is along Z than along Y: the logarithm of the ratio, to the base of 1.5."""
    spread = positions - positions.mean(axis=1, keepdims=True)
    extent = np.maximum(np.sqrt((spread**2).mean(axis=(0, 1))), 1e-9)
    return float(np.log(extent[2] / extent[1]) / np.log(1.5))


def _tails(skeleton: MovingSkeleton, rest: Array, tips: Array) -> Array:
    """Where each bone's tail is (N, 3): at its only child, between its children, at its tip, else a stub."""
    size = float(np.linalg.norm(np.ptp(rest, axis=0))) or 1.0
    tails = rest.copy()
    for bone in range(len(rest)):
        children = np.flatnonzero(skeleton.parents == bone)
        far = [child for child in children if np.linalg.norm(rest[child] - rest[bone]) > _SHORT * size]
        if far:
            tails[bone] = rest[far].mean(axis=0)
        elif np.isfinite(tips[bone]).all():
            tails[bone] = tips[bone]
        if np.linalg.norm(tails[bone] - rest[bone]) <= _SHORT * size:
            parent = int(skeleton.parents[bone])
            along = rest[bone] - rest[parent] if parent >= 0 else np.zeros(3)
            length = float(np.linalg.norm(along))
            step = along / length if length > _SHORT * size else np.array([0.0, 0.0, 1.0])
            tails[bone] = rest[bone] + 0.02 * size * step
    return tails
