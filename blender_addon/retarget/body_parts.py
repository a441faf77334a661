"""Which part of the body a bone moves, and a baked pose cut down to some parts. Its own room and numpy only."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum

import numpy as np

from .baked_pose import BakedPose
from .bone_names import read_name
from .limb_candidates import ARM_KINDS, LEG_KINDS
from .match_words import name_kinds
from .skeleton_map import SkeletonMap


class BodyPart(Enum):
    """A part that can be keyed by itself. HIPS holds everything that moves the body through the world."""

    HIPS = "hips"
    TORSO = "torso"
    HEAD = "head"
    LEFT_ARM = "left_arm"
    RIGHT_ARM = "right_arm"
    LEFT_LEG = "left_leg"
    RIGHT_LEG = "right_leg"


ALL_PARTS = frozenset(BodyPart)
# words of helper bones that say nothing of the body
_NOT_BODY = ("mch", "ik", "fk")


def joint_part(joint: str) -> BodyPart:
    """The part that a canonical joint belongs to."""
    side, _, kind = joint.rpartition("_")
    if kind in (*ARM_KINDS, "hand") and side in ("left", "right"):
        return BodyPart(f"{side}_arm")
    if kind in LEG_KINDS:
        return BodyPart(f"{side}_leg")
    return {"pelvis": BodyPart.HIPS, "neck": BodyPart.HEAD, "head": BodyPart.HEAD}.get(joint, BodyPart.TORSO)


def bone_parts(skeleton_map: SkeletonMap) -> dict[str, BodyPart]:
    """The part of every bone that a map moves: joints, twist bones, IK controls, switches, carrier and root."""
    parts: dict[str, BodyPart] = {}
    for switch in skeleton_map.switches:
        parts[switch.bone] = _part_of_name(switch.bone)
    for limb, controls in skeleton_map.limbs.items():
        parts |= {bone: BodyPart(limb) for bone in (controls.target, controls.pole, controls.toe) if bone}
    for joint, twists in skeleton_map.twists.items():
        parts |= {twist.bone: joint_part(joint) for twist in twists}
    for joint, bones in skeleton_map.joints.items():
        parts |= {bone: joint_part(joint) for bone in bones}
    for finger, bones in skeleton_map.fingers.items():
        parts |= {bone: BodyPart(f"{finger.partition('_')[0]}_arm") for bone in bones}
    for bone in (skeleton_map.root_bone, skeleton_map.carrier):
        if bone:
            parts.setdefault(bone, BodyPart.HIPS)
    return parts


def _part_of_name(bone: str) -> BodyPart:
    """The part that a control's name speaks of, such as `upper_arm_parent.L` or `MCH-shin_ik.L`."""
    name = read_name(bone)
    words = tuple(word for word in name.words if word not in _NOT_BODY)
    name = replace(name, word="".join(words), words=words)
    for kinds, part in ((ARM_KINDS, "arm"), (LEG_KINDS, "leg")):
        if name.side and name_kinds(name, kinds):
            return BodyPart(f"{name.side}_{part}")
    return BodyPart.TORSO


def keep_parts(pose: BakedPose, skeleton_map: SkeletonMap, parts: frozenset[BodyPart]) -> BakedPose:
    """The pose with the channels of some parts only; the report's mapped joints follow.

    A carrier's location goes with the hips even where its rotation belongs to the torso (Rigify's `torso`).
    """
    if parts >= ALL_PARTS:
        return pose
    part_of = bone_parts(skeleton_map)
    moving = {bone for bone in (skeleton_map.moving_bone, skeleton_map.root_bone) if bone}

    def kept(bone: str) -> bool:
        return part_of.get(bone, BodyPart.TORSO) in parts

    rows = [row for row, bone in enumerate(pose.bone_names) if kept(bone)]
    mapped = tuple(note for note in pose.report.mapped if joint_part(note.joint) in parts)
    return replace(
        pose,
        bone_names=tuple(pose.bone_names[row] for row in rows),
        rotation_modes=tuple(pose.rotation_modes[row] for row in rows),
        rotations_wxyz=np.asarray(pose.rotations_wxyz)[rows],
        locations=tuple(
            row for row in pose.locations if (BodyPart.HIPS in parts if row.bone in moving else kept(row.bone))
        ),
        object_motion=pose.object_motion if BodyPart.HIPS in parts else None,
        properties=tuple(row for row in pose.properties if kept(row.bone)),
        report=replace(pose.report, mapped=mapped),
    )
