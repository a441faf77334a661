"""Which of a character's shape keys take which weights of a face: by ARKit's names in any spelling, else by a table.

numpy, `motion` and its own room only. A key of ARKit's own is taken directly. Of the tables the one with most keys
there completes what has no such key, so that a character with two sets of shapes does not smile twice. A user's own
table goes before both.

Face bones take a face too: their locations and turns follow from the weights by a table.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ..motion.face import FACE_WEIGHT_NAMES
from ..motion.rotations import (
    matrix_to_quaternion,
    quaternion_conjugate,
    quaternion_rotate,
    rotvec_to_quaternion,
)
from .arkit_names import arkit_weight, spelling
from .face_tables import BoneRow, FaceTable, ShapeRow, face_tables
from .target_rig import TargetRig

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


Array = NDArray[np.floating]

# of a table without this many keys on a character it is chance that some are there
_FEWEST_ROWS = 3


@dataclass(frozen=True, slots=True)
class FaceMatch:
    """What takes the weights of a face.

    `shapes` maps a shape key's name to factors of ARKit's weights; `labels` says by which tables; `missing` are weights
    that no key takes, `unused` keys that take none.
    """

    shapes: Mapping[str, Mapping[str, float]]
    labels: tuple[str, ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]

    def summary(self) -> str:
        """One line for the interface."""
        if not self.shapes:
            return "no shape key with a known name"
        expressed = len(FACE_WEIGHT_NAMES) - len(self.missing)
        return f"{', '.join(self.labels)}: {len(self.shapes)} shape keys take {expressed} of 52 weights"


def match_face(names: Iterable[str], own: FaceTable | None = None) -> FaceMatch:
    """Match the names of a character's shape keys."""
    names = list(dict.fromkeys(names))
    shapes: dict[str, Mapping[str, float]] = {}
    labels = []
    if own is not None:
        shapes = _by_table(names, own)
        labels = [own.label] if shapes else []
    direct = {name: {weight: 1.0} for name in names if name not in shapes and (weight := arkit_weight(name))}
    covered = {weight for factors in shapes.values() for weight in factors}
    direct = {name: factors for name, factors in direct.items() if not covered & set(factors)}
    labels += ["ARKit"] if direct else []
    shapes |= direct
    table, rows = max(
        ((table, _by_table(names, table)) for table in face_tables()),
        key=lambda found: len(found[1]),
        default=(None, {}),
    )
    covered = {weight for factors in shapes.values() for weight in factors}
    added = {name: row for name, row in rows.items() if name not in shapes and not covered & set(row)}
    if table is not None and added and len(rows) >= _FEWEST_ROWS:
        shapes |= added
        labels.append(table.label)
    taken = {weight for factors in shapes.values() for weight, factor in factors.items() if factor > 0}
    return FaceMatch(
        shapes={name: shapes[name] for name in names if name in shapes},
        labels=tuple(labels),
        missing=tuple(weight for weight in FACE_WEIGHT_NAMES if weight not in taken),
        unused=tuple(name for name in names if name not in shapes),
    )


def doubles(shapes: Mapping[str, Mapping[str, float]]) -> dict[str, list[str]]:
    """Keys that ARKit names the same weight, by the first of them; every other key stands for itself."""
    first: dict[str, str] = {}
    found: dict[str, list[str]] = {}
    for name, factors in shapes.items():
        weight = arkit_weight(name)
        one = first.setdefault(weight, name) if weight and factors == {weight: 1.0} else name
        found.setdefault(one, []).append(name)
    return found


def without_doubles(names: Iterable[str], shapes: Mapping[str, Mapping[str, float]]) -> tuple[str, ...]:
    """Of one mesh's keys `names` those that move: of several that ARKit names the same weight, only one.

    Characters bring two sets of shapes (`Eye_Blink_L` beside `A14_Eye_Blink_Left`), which would close an eye twice. The
    set that names more of the weights is taken.
    """
    names = [name for name in names if name in shapes]
    size = Counter(spelling(name) for name in names if arkit_weight(name))
    same = doubles({name: shapes[name] for name in names})
    kept = {max(keys, key=lambda name: size[spelling(name)]) for keys in same.values()}
    return tuple(name for name in names if name in kept)


def only_keys(names: Iterable[str], match: FaceMatch) -> FaceMatch:
    """The match with the shape keys `names` alone; the others are unused."""
    kept = set(names)
    return replace(
        match,
        shapes={name: factors for name, factors in match.shapes.items() if name in kept},
        unused=(*match.unused, *(name for name in match.shapes if name not in kept)),
    )


def shape_values(weights: Array, factors: Mapping[str, float]) -> Array:
    """The values (T,) of a shape key from a face's weights (T, 52), within 0 and 1; NaN stays NaN."""
    total = np.zeros(len(weights))
    for name, factor in factors.items():
        total = total + factor * weights[:, FACE_WEIGHT_NAMES.index(name)]
    return np.clip(total, 0.0, 1.0)


def face_weights(values: Array, shapes: Mapping[str, Mapping[str, float]]) -> Array:
    """A face's weights (T, 52) from the values (T, K) of the shape keys `shapes`: `shape_values` the other way round.

    Where several keys take part in a weight, the smallest weights that give their values.
    """
    factors = np.zeros((len(shapes), len(FACE_WEIGHT_NAMES)))
    for row, own in enumerate(shapes.values()):
        for name, factor in own.items():
            factors[row, FACE_WEIGHT_NAMES.index(name)] = factor
    return np.clip(values @ np.linalg.pinv(factors).T, 0.0, 1.0)


def _by_table(names: list[str], table: FaceTable) -> dict[str, Mapping[str, float]]:
    """The table's rows on a character: factors by shape key."""
    keys = {name: _key(name) for name in names}
    there = set(keys.values())
    found: dict[str, Mapping[str, float]] = {}
    for row in table.shapes:
        if not any(_key(other) in there for other in row.unless):
            found |= {name: row.weights for name in names if name not in found and _is_named(keys[name], row)}
    return found


def _is_named(key: str, row: ShapeRow) -> bool:
    """Whether a shape key bears one of a row's names; long ones may have a mesh's name before them."""
    wanted = [_key(name) for name in row.names]
    return key in wanted or any(len(name) >= 6 and key.endswith(name) for name in wanted)


@cache
def _key(name: str) -> str:
    """What spellings of a name share: its letters and digits after the last separator of a path."""
    bare = re.split(r"[.:|]", name.removeprefix("CTRL_expressions_"))[-1] or name
    return "".join(letter for letter in bare.casefold() if letter.isalnum())
