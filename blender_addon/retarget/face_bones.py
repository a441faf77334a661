"""Face bones from a face's weights: locations and turns by a table. numpy, `motion` and its own room only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..motion.face import FACE_WEIGHT_NAMES
from ..motion.rotations import (
    matrix_to_quaternion,
    quaternion_conjugate,
    quaternion_rotate,
    rotvec_to_quaternion,
)
from .face_tables import BoneRow, FaceTable, face_tables
from .target_rig import TargetRig

Array = NDArray[np.floating]

# a table with fewer of its bones on a rig is another rig's
_LEAST_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class FaceBones:
    """Channels of face bones over T frames, in their own space: `locations` (T, 3), `rotations_wxyz` (T, 4)."""

    locations: dict[str, Array]
    rotations_wxyz: dict[str, Array]


def bone_table(rig: TargetRig, own: FaceTable | None = None) -> FaceTable | None:
    """The table whose face bones the rig has, or None; a user's own goes first."""
    tables = [table for table in (own, *face_tables()) if table is not None and table.bones and len(table.eyes) == 2]
    names = set(rig.bone_names)
    for table in tables:
        bones = {row.bone for row in table.bones}
        if set(table.eyes) <= names and len(bones & names) >= _LEAST_SHARE * len(bones):
            return table
    return None


def bone_weights(rig: TargetRig, table: FaceTable) -> set[str]:
    """The weights that move a bone of the rig."""
    return {row.weight for row in table.bones if row.bone in rig.bone_names}


def drive_face_bones(rig: TargetRig, table: FaceTable, weights: Array, skip: frozenset[str] = frozenset()) -> FaceBones:
    """The channels for weights (T, 52), those in `skip` left out."""
    frame, unit = _face_frame(rig, table)
    offsets: dict[str, Array] = {}
    turns: dict[str, Array] = {}
    for row in table.bones:
        if row.bone not in rig.bone_names or row.weight in skip:
            continue
        amount = weights[:, FACE_WEIGHT_NAMES.index(row.weight), None]
        offsets[row.bone] = offsets.get(row.bone, 0.0) + amount * _offset(rig, row, frame, unit)
        turn = frame @ np.radians(row.turn_deg)
        turns[row.bone] = turns.get(row.bone, 0.0) + amount * turn
    locations = {bone: _local(rig, bone, values) for bone, values in offsets.items() if values.any()}
    rotations = {}
    for bone, values in turns.items():
        if np.any(values):
            rest = matrix_to_quaternion(rig.rest_matrices[rig.index(bone), :3, :3])
            rotations[bone] = rotvec_to_quaternion(quaternion_rotate(quaternion_conjugate(rest), values))
    return FaceBones(locations, rotations)


def _face_frame(rig: TargetRig, table: FaceTable) -> tuple[Array, float]:
    """The face's axes in armature space (columns: left, forward, up) and the distance between the eyes."""
    heads = rig.heads()
    eyes = [rig.index(bone) for bone in table.eyes]
    left = heads[eyes[0]] - heads[eyes[1]]
    unit = float(np.linalg.norm(left))
    left = left / max(unit, 1e-12)
    above = _head_above(rig, eyes[0])
    up = above - left * (above @ left)
    up = up / max(float(np.linalg.norm(up)), 1e-12)
    return np.stack([left, np.cross(left, up), up], axis=1), unit


def _head_above(rig: TargetRig, eye: int) -> Array:
    """The direction up: that of a bone called head, else armature Z."""
    for bone, name in enumerate(rig.bone_names):
        if name.lower() in ("head", "def-head"):
            return np.asarray(rig.rest_matrices[bone, :3, 1])
    return np.array([0.0, 0.0, 1.0])


def _offset(rig: TargetRig, row: BoneRow, frame: Array, unit: float) -> Array:
    """How far a weight of 1 moves a bone (3,), in armature space."""
    heads = rig.heads()
    bone = rig.index(row.bone)
    if row.towards:
        return (
            row.part * (heads[rig.index(row.towards)] - heads[bone]) if row.towards in rig.bone_names else np.zeros(3)
        )
    if row.unit in rig.bone_names:
        unit = float(np.linalg.norm(heads[bone] - heads[rig.index(row.unit)]))
    outwards = -1.0 if _is_right(row.bone) else 1.0
    along = np.array([outwards * row.move[0] + row.aside, row.move[1], row.move[2]])
    return np.asarray(unit * (frame @ along))


def _is_right(bone: str) -> bool:
    return ".R" in bone


def _local(rig: TargetRig, bone: str, offset: Array) -> Array:
    """Offsets (T, 3) in armature space as the bone's `location`."""
    place = rig.index(bone)
    if not rig.local_location[place]:
        place = int(rig.parents[place])
    if place < 0:
        return offset
    rest = matrix_to_quaternion(rig.rest_matrices[place, :3, :3])
    return np.asarray(quaternion_rotate(quaternion_conjugate(rest), offset))
