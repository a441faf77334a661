"""What a retarget is asked for and what it gives back. numpy and its own room only, free of bpy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


class RootMode(Enum):
    """Which thing carries the body through the world."""

    HIPS = "hips"
    ROOT_BONE = "root_bone"
    OBJECT = "object"


class Travel(Enum):
    """Whether the character walks through the world or stays on the spot (its height still moves)."""

    TRAVEL = "travel"
    IN_PLACE = "in_place"


class Placement(Enum):
    """WORLD: the clip's own place and direction; CHARACTER: from where the character stands, the way it faces."""

    WORLD = "world"
    CHARACTER = "character"


class Controls(Enum):
    """Which controls of a control rig are keyed."""

    FK = "fk"
    IK = "ik"
    FK_AND_IK = "fk_and_ik"


@dataclass(frozen=True, slots=True)
class RetargetOptions:
    """How to retarget.

    `scale` multiplies travel and pelvis height (None: the ratio of the leg lengths). `plant_feet` holds planted feet
    still on the target's proportions; a foot counts as planted from `contact_threshold` (probability 0..1) on, and
    let go over `blend_s` seconds. `hand_targets_m` maps "left_wrist" / "right_wrist" to world positions (T, 3) in m
    that the hand shall reach, NaN where it is free. `controls` matters only for rigs with IK controls in their map.
    `relax_hands` bends the mapped fingers of a clip without hands a little; else they keep their pose.
    """

    root: RootMode = RootMode.HIPS
    travel: Travel = Travel.TRAVEL
    placement: Placement = Placement.WORLD
    controls: Controls = Controls.FK
    scale: float | None = None
    plant_feet: bool = True
    contact_threshold: float = 0.5
    blend_s: float = 0.2
    relax_hands: bool = True
    hand_targets_m: dict[str, Array] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BoneLocation:
    """A bone's `location` channel (T, 3), in the bone's own space and units."""

    bone: str
    location: Array


@dataclass(frozen=True, slots=True)
class ObjectMotion:
    """The armature object's motion: `location_m` (T, 3) and `rotation_wxyz` (T, 4) in the world."""

    location_m: Array
    rotation_wxyz: Array


@dataclass(frozen=True, slots=True)
class PropertyValue:
    """A custom property (Rigify's IK_FK) or own setting (`ik_stretch`) of a pose bone to set and key."""

    bone: str
    name: str
    value: float


@dataclass(frozen=True, slots=True)
class ShapeValues:
    """A shape key's values (T,), 0..1, on the mesh object of that name."""

    mesh: str
    key: str
    values: Array


@dataclass(frozen=True, slots=True)
class JointNote:
    """A joint and what is to say about it."""

    joint: str
    bones: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class RetargetReport:
    """What was done: `mapped` and `unmapped` joints, `warnings` in plain words, `figures` by name with units."""

    mapped: tuple[JointNote, ...]
    unmapped: tuple[JointNote, ...]
    warnings: tuple[str, ...]
    figures: dict[str, float]


@dataclass(frozen=True, slots=True)
class BakedPose:
    """A clip on a rig, one value a clip frame (times_s); B bones, T frames.

    `rotations_wxyz` (B, T, 4) are local rotations (`matrix_basis`) of `bone_names`, continuous in sign; write them in
    the bone's own `rotation_modes`. `locations` are for roots and IK controls only. `present` (T,) is False where the
    clip has no person: values there hold the nearest known pose and need no key. `properties` are constant,
    and so are the rotations of the bones in `still`, which need keys at both ends alone.
    `shapes` are the face's shape keys. `keyed` (T,) says of some bones in which frames they get keys; others always do.
    """

    times_s: Array
    bone_names: tuple[str, ...]
    rotation_modes: tuple[str, ...]
    rotations_wxyz: Array
    locations: tuple[BoneLocation, ...]
    object_motion: ObjectMotion | None
    properties: tuple[PropertyValue, ...]
    present: NDArray[np.bool_]
    report: RetargetReport
    still: frozenset[str] = frozenset()
    shapes: tuple[ShapeValues, ...] = ()
    keyed: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
