"""Rigs to retarget to, in Blender: a family's names on a body of random proportions, real files, Rigify on the spot."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Euler, Matrix, Vector

from blender_addon.motion.body import canonical_body
from blender_addon.motion.rotations import quaternion_multiply, quaternion_rotate, rotvec_to_quaternion
from blender_addon.retarget.baked_pose import BakedPose
from blender_addon.retarget.map_files import RigFamily, family_map
from blender_addon.retarget.skeleton_map import SkeletonMap
from blender_addon.rig.rotation_modes import rotation_values
from blender_addon.rig.switches import set_switch


@dataclass(frozen=True)
class BuiltRig:
    """An armature with the map that it was built from: the truth that detection must find."""

    armature: Any
    truth: SkeletonMap


def family_armature(family: RigFamily, seed: int) -> BuiltRig:
    """An armature with a family's bone names; rest pose, bone rolls, scale and object rotation at random."""
    rng = np.random.default_rng(seed)
    truth = family_map(family, lambda name: name)
    unit = float(rng.choice([1.0, 0.01 / 0.0254, 100.0]))
    places = {joint: place * unit for joint, place in posed_joints(rng).items()}
    armature = _new_armature(family.family)
    if truth.root_bone:
        _add_bone(armature, truth.root_bone, None, np.zeros(3), np.array([0.0, 0.0, 0.1 * unit]))
    tips = {joint: _joint_bones(armature, truth, joint, places, unit) for joint in truth.joints}
    _add_beside(armature, truth, places, tips, unit)
    _add_fingers(armature, truth, places, unit)
    for bone in armature.data.edit_bones:
        bone.roll = float(rng.uniform(-math.pi, math.pi))
    bpy.ops.object.mode_set(mode="OBJECT")
    turn = Euler(rng.uniform(-math.pi, math.pi, 3)).to_matrix().to_4x4()
    size = float(rng.uniform(0.4, 2.0)) / unit
    armature.matrix_world = Matrix.Translation(Vector(rng.normal(size=3))) @ turn @ Matrix.Scale(size, 4)
    bpy.context.view_layer.update()
    return BuiltRig(armature, truth)


def posed_joints(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Joint positions (3,) of a person at rest: between T- and A-pose, knees and elbows a little bent."""
    body = canonical_body()
    drop = float(rng.uniform(0.0, 1.0))
    rotations = np.zeros((len(body.joint_names), 4))
    rotations[:, 0] = 1.0
    for side, sign in (("left", 1.0), ("right", -1.0)):
        rotations[body.joint_index(f"{side}_shoulder")] = rotvec_to_quaternion(np.array([0.0, sign * drop, 0.0]))
        rotations[body.joint_index(f"{side}_elbow")] = rotvec_to_quaternion(np.array([0.0, 0.0, -sign * 0.3 * drop]))
        rotations[body.joint_index(f"{side}_hip")] = rotvec_to_quaternion(np.array([0.0, -sign * 0.1 * drop, 0.0]))
    world, place = [rotations[0]], [body.offsets_m[0]]
    for joint in range(1, len(body.joint_names)):
        parent = int(body.parents[joint])
        place.append(place[parent] + quaternion_rotate(world[parent], body.offsets_m[joint]))
        world.append(quaternion_multiply(world[parent], rotations[joint]))
    return dict(zip(body.joint_names, place, strict=True))


def _new_armature(name: str) -> Any:
    armature = bpy.data.objects.new(name, bpy.data.armatures.new(name))
    bpy.context.scene.collection.objects.link(armature)
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    return armature


def _add_bone(armature: Any, name: str, parent: str | None, head: np.ndarray, tail: np.ndarray) -> None:
    bone = armature.data.edit_bones.new(name)
    bone.head, bone.tail = head, tail
    bone.parent = armature.data.edit_bones[parent] if parent else None


def _joint_bones(armature: Any, truth: SkeletonMap, joint: str, places: dict[str, np.ndarray], unit: float) -> str:
    """Lay a joint's chain from its place towards the next joint of its kind; returns the last bone."""
    bones, body = truth.joints[joint], canonical_body()
    start, end = places[joint], _next_place(joint, truth, places, unit)
    parent = int(body.parents[body.joint_index(joint)])
    while parent >= 0 and body.joint_names[parent] not in truth.joints:
        parent = int(body.parents[parent])
    above = truth.joints[body.joint_names[parent]][-1] if parent >= 0 else truth.root_bone
    for place, name in enumerate(bones):
        head = start + (end - start) * place / len(bones)
        tail = start + (end - start) * (place + 1) / len(bones)
        _add_bone(armature, name, above, head, tail)
        above = name
    return bones[-1]


def _next_place(joint: str, truth: SkeletonMap, places: dict[str, np.ndarray], unit: float) -> np.ndarray:
    body = canonical_body()
    children = [name for name in body.joint_names if body.parents[body.joint_index(name)] == body.joint_index(joint)]
    preferred = [name for name in children if "clavicle" not in name and "hip" not in name]
    if preferred:
        return places[preferred[0]]
    outwards = 0.03 if joint.startswith("left") else -0.03
    step = {"toe": [0.0, -0.06, 0.0], "head": [0.0, 0.0, 0.15], "hand": [outwards, 0.0, 0.0]}
    return places[joint] + np.array(step.get(joint.rsplit("_", maxsplit=1)[-1], [0.0, 0.0, 0.05])) * unit


def _add_beside(
    armature: Any, truth: SkeletonMap, places: dict[str, np.ndarray], tips: dict[str, str], unit: float
) -> None:
    """Twist bones along limbs, other toes, and the fingers' first bones."""
    for joint, rows in truth.twists.items():
        end = _next_place(joint, truth, places, unit)
        for number, row in enumerate(rows):
            part = (number + 1) / (len(rows) + 1) if row.fraction is None else 0.0
            aside = np.array([0.02 * unit * number, 0.0, 0.0]) if row.fraction is not None else np.zeros(3)
            head = places[joint] + (end - places[joint]) * part + aside
            parent = tips[joint] if row.fraction is None else armature.data.edit_bones[tips[joint]].parent.name
            _add_bone(armature, row.bone, parent, head, head + (end - places[joint]) * 0.3)
    phalanges = set(truth.finger_bones())
    for mark, bone in truth.landmarks.items():
        if bone in phalanges:
            continue
        side, finger = mark.split("_")
        hand = places[f"{side}_wrist"]
        along = places[f"{side}_hand"] - hand
        across = np.cross(along, [0.0, 0.0, 1.0])
        spread = {"index": -0.3, "middle": -0.1, "ring": 0.1, "pinky": 0.3, "thumb": -0.5}[finger]
        spread = spread if side == "right" else -spread
        head = hand + along * (0.4 if finger == "thumb" else 1.0) + across * spread
        _add_bone(armature, bone, truth.joints[f"{side}_wrist"][-1], head, head + along * 0.3)


def _add_fingers(armature: Any, truth: SkeletonMap, places: dict[str, np.ndarray], unit: float) -> None:
    """Fingers that fan out and are a little bent at rest, the thumb turned into the palm."""
    for finger, bones in truth.fingers.items():
        side, _, name = finger.partition("_")
        hand, along = places[f"{side}_wrist"], places[f"{side}_hand"] - places[f"{side}_wrist"]
        size = float(np.linalg.norm(along))
        along = along / size
        to_thumb = np.cross(along, [0.0, 0.0, 1.0]) * (-1.0 if side == "right" else 1.0)
        palm = np.cross(along, to_thumb) * (-1.0 if side == "right" else 1.0)
        aside = {"thumb": 0.5, "index": 0.28, "middle": 0.09, "ring": -0.09, "little": -0.28}[name]
        head = hand + along * size * (0.35 if name == "thumb" else 0.95) + to_thumb * aside * size
        direction = along + to_thumb * aside * (1.6 if name == "thumb" else 0.5)
        above = truth.joints[f"{side}_wrist"][-1]
        for bone in bones:
            direction = direction + palm * 0.12
            tail = head + direction / np.linalg.norm(direction) * 0.03 * unit
            _add_bone(armature, bone, above, head, tail)
            head, above = tail, bone


def import_character(path: Path, scratch: Path) -> Any:
    """The armature of a character file (.blend, .glb, .vrm).

    Objects of a .blend are appended: opening it would bring its windows and screens too, and after that Blender 4.2
    died now and then in the next glTF import, on a pointer to what was gone.
    """
    if path.suffix == ".blend":
        with bpy.data.libraries.load(str(path)) as (there, here):
            here.objects = there.objects
        for item in here.objects:
            bpy.context.scene.collection.objects.link(item)
        bpy.context.view_layer.update()
    else:
        copy = scratch / f"{path.stem}.glb"
        shutil.copy(path, copy)
        bpy.ops.import_scene.gltf(filepath=str(copy))
    return next(item for item in bpy.data.objects if item.type == "ARMATURE")


def generate_rigify(with_fingers: bool) -> Any:
    """A rig that Rigify generates from its human metarig (without the face, which takes long)."""
    if "rigify" not in bpy.context.preferences.addons:
        bpy.ops.preferences.addon_enable(module="rigify")
    if not with_fingers:
        bpy.ops.object.armature_basic_human_metarig_add()
    else:
        bpy.ops.object.armature_human_metarig_add()
        metarig = bpy.context.object
        bpy.ops.object.mode_set(mode="EDIT")
        face = metarig.data.edit_bones["face"]
        for bone in [*face.children_recursive, face]:
            metarig.data.edit_bones.remove(bone)
        bpy.ops.object.mode_set(mode="OBJECT")
    bpy.ops.pose.rigify_generate()
    return bpy.context.object


class PosedArmature:
    """Applies frames of a baked pose to an armature and measures the evaluated bones in the world."""

    def __init__(self, armature: Any, pose: BakedPose) -> None:
        self.armature = armature
        self.pose = pose
        self.channels = [
            (armature.pose.bones[bone], *rotation_values(rotations, mode))
            for bone, rotations, mode in zip(pose.bone_names, pose.rotations_wxyz, pose.rotation_modes, strict=True)
        ]
        for row in pose.properties:
            set_switch(armature.pose.bones[row.bone], row.name, row.value)

    def show(self, frame: int) -> Any:
        """Apply one frame; returns the evaluated armature."""
        for bone, channel, values in self.channels:
            setattr(bone, channel, values[frame])
        for row in self.pose.locations:
            self.armature.pose.bones[row.bone].location = row.location[frame]
        if self.pose.object_motion is not None:
            self.armature.rotation_mode = "QUATERNION"
            self.armature.location = self.pose.object_motion.location_m[frame]
            self.armature.rotation_quaternion = self.pose.object_motion.rotation_wxyz[frame]
        self.armature.update_tag()
        bpy.context.view_layer.update()
        return self.armature.evaluated_get(bpy.context.evaluated_depsgraph_get())

    def heads(self, frame: int, bones: list[str]) -> np.ndarray:
        """World positions (B, 3) of bones' heads in one frame."""
        evaluated = self.show(frame)
        return np.array([evaluated.matrix_world @ evaluated.pose.bones[bone].head for bone in bones])
