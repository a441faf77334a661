"""What of a character moves with a face: its meshes' shape keys and its face bones. bpy objects in, plain data out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from ..motion.face import FACE_WEIGHT_NAMES, FaceMotion
from ..retarget.baked_pose import BakedPose, BoneLocation, ShapeValues
from ..retarget.face_tables import FaceTable, read_face_table
from ..retarget.match_face import (
    FaceMatch,
    bone_table,
    bone_weights,
    drive_face_bones,
    match_face,
    only_keys,
    shape_values,
    without_doubles,
)
from ..retarget.target_rig import TargetRig

Array = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class FaceTargets:
    """What takes a face on a character.

    `meshes` maps mesh objects to those of their shape keys that can be keyed; `match` says what they take; `table` are
    the face bones, for weights in `bone_weights` that no shape key takes; `held` are keys that drivers move.
    """

    meshes: dict[str, tuple[str, ...]]
    match: FaceMatch
    table: FaceTable | None
    bone_weights: frozenset[str]
    held: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.match.shapes or self.bone_weights)

    @property
    def missing(self) -> tuple[str, ...]:
        """The weights that nothing on the character takes."""
        return tuple(name for name in self.match.missing if name not in self.bone_weights)

    def lines(self) -> tuple[str, ...]:
        """What was matched and what was not, a sentence a line."""
        lines = [self.match.summary()] if self.match.shapes or not self.bone_weights else []
        if self.bone_weights and self.table is not None:
            lines.append(f"{self.table.label}: face bones take {len(self.bone_weights)} of 52 weights")
        if self and self.missing:
            lines.append("nothing takes " + ", ".join(self.missing))
        if self.held:
            lines.append(f"drivers move {len(self.held)} shape keys, which get no keys: {', '.join(self.held[:4])}")
        return tuple(lines)


def read_face_targets(armature: Any, rig: TargetRig, table: str = "") -> FaceTargets:
    """Find what takes a face; `table` is the path of the user's own table (empty: none).

    Raises FaceTableError or OSError for a table that cannot be read.
    """
    own = read_face_table(Path(bpy.path.abspath(table))) if table else None
    free: dict[str, tuple[str, ...]] = {}
    held: list[str] = []
    for thing in face_meshes(armature):
        keys = thing.data.shape_keys
        driven = _driven_keys(keys)
        names = [block.name for block in keys.key_blocks if block != keys.reference_key]
        held += [name for name in names if name in driven]
        if keys.library is None:
            free[thing.name] = tuple(name for name in names if name not in driven)
    match = match_face([name for names in free.values() for name in names], own)
    bones = bone_table(rig, own)
    weights = frozenset(bone_weights(rig, bones) & set(match.missing)) if bones is not None else frozenset()
    taken = {mesh: kept for mesh, names in free.items() if (kept := without_doubles(names, match.shapes))}
    match = only_keys({name for names in taken.values() for name in names}, match)
    return FaceTargets(taken, match, bones, weights, tuple(dict.fromkeys(held)))


def face_meshes(armature: Any) -> list[Any]:
    """Mesh objects with shape keys that the armature deforms or that hang from it."""
    return [
        thing
        for thing in bpy.data.objects
        if thing.type == "MESH" and thing.data.shape_keys is not None and _belongs(thing, armature)
    ]


def _belongs(thing: Any, armature: Any) -> bool:
    if any(modifier.type == "ARMATURE" and modifier.object == armature for modifier in thing.modifiers):
        return True
    while thing.parent is not None:
        thing = thing.parent
        if thing == armature:
            return True
    return False


def _driven_keys(keys: Any) -> set[str]:
    """Shape keys whose value a driver sets."""
    drivers = keys.animation_data.drivers if keys.animation_data is not None else ()
    return {curve.data_path.split('"')[1] for curve in drivers if curve.data_path.startswith('key_blocks["')}


def with_face(pose: BakedPose, rig: TargetRig, face: FaceMotion, targets: FaceTargets) -> BakedPose:
    """The pose with the face's shape keys and face bones; frames without a face hold the nearest known one."""
    weights = _without_holes(np.asarray(face.weights, dtype=np.float64))
    shapes = tuple(
        ShapeValues(mesh, key, shape_values(weights, targets.match.shapes[key]))
        for mesh, keys in targets.meshes.items()
        for key in keys
    )
    pose = replace(pose, shapes=shapes)
    if targets.table is None or not targets.bone_weights:
        return pose
    skip = frozenset(FACE_WEIGHT_NAMES) - targets.bone_weights
    bones = drive_face_bones(rig, targets.table, weights, skip)
    moved = tuple(BoneLocation(bone, values) for bone, values in bones.locations.items() if bone not in pose.bone_names)
    turned = [bone for bone in bones.rotations_wxyz if bone not in pose.bone_names]
    return replace(
        pose,
        bone_names=(*pose.bone_names, *turned),
        rotation_modes=(*pose.rotation_modes, *(rig.rotation_modes[rig.index(bone)] for bone in turned)),
        rotations_wxyz=np.concatenate([pose.rotations_wxyz, *(bones.rotations_wxyz[bone][None] for bone in turned)]),
        locations=(*pose.locations, *moved),
    )


def _without_holes(weights: Array) -> Array:
    """Weights (T, 52) in which frames without the person hold the nearest known ones."""
    known = np.flatnonzero(np.isfinite(weights).all(axis=1))
    if not len(known):
        return np.zeros_like(weights)
    frames = np.arange(len(weights))
    nearest = known[np.abs(frames[:, None] - known[None]).argmin(axis=1)] if len(known) < len(weights) else frames
    return np.asarray(weights[nearest])
