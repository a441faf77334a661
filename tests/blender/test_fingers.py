"""Fingers on real armatures: the directions of every phalanx, measured on the evaluated bones, against the clip's."""

from __future__ import annotations

from dataclasses import replace

import bpy  # noqa: F401  # mathutils comes with it
import numpy as np
import pytest
from mathutils import Matrix, Vector
from retarget_rigs import PosedArmature, family_armature, generate_rigify, import_character

from blender_addon.motion.hands import FINGERS, HAND_SIDES
from blender_addon.retarget.auto_map import detect_map
from blender_addon.retarget.baked_pose import Controls, RetargetOptions
from blender_addon.retarget.drive_fingers import finger_points
from blender_addon.retarget.map_files import rig_families
from blender_addon.retarget.rest_world import rest_world
from blender_addon.retarget.solve import retarget
from blender_addon.rig.actions import action_fcurves
from blender_addon.rig.apply_clip import ApplyOptions, apply_clip
from blender_addon.rig.bake import BakeOptions
from blender_addon.rig.prepare_clip import PrepareSettings
from blender_addon.rig.read_armature import read_armature
from tests.retarget.hand_motion import finger_directions, random_hands, with_poses
from tests.retarget.random_motion import angle_deg, random_clip, walk_clip

FAMILIES = {family.family: family for family in rig_families()}
FREE = RetargetOptions(plant_feet=False)
FULL_HANDS = [
    name
    for name, family in FAMILIES.items()
    if name != "rigify_generated" and {f"left_{finger}" for finger in FINGERS} <= set(family.fingers)
]
CHARACTERS = (
    "mpfb/mixamo.blend",
    "mpfb/unreal_game_engine.blend",
    "mpfb/unreal_game_engine.glb",
    "mpfb/makehuman_default.blend",
    "mesh2motion/unreal_like_human_male.glb",
    "mesh2motion/wrong_bone_names.glb",
    "vrm/cryptovoxels.vrm",
)


def hand_clip(seed, frames=30):
    return replace(random_clip(seed, frames, step=0.4), hands=random_hands(seed, frames))


def worst_finger_deg(armature, pose, clip, fingers, frames, *, shown="{}", last=True):
    """The largest angle between the clip's phalanges and the evaluated armature's; fingers of three bones only."""
    rest = rest_world(read_armature(armature))
    posed, wanted, worst = PosedArmature(armature, pose), finger_directions(clip), 0.0
    for frame in frames:
        evaluated = posed.show(frame)
        for name, chain in fingers.items():
            side, _, finger = name.partition("_")
            bones = [shown.format(bone) for bone in chain]
            tip = finger_points(rest, [rest.rig.index(bone) for bone in bones])[-1]
            end, world = bones[-1], evaluated.matrix_world
            # the rest tip rides on the last bone
            local = armature.data.bones[end].matrix_local.inverted() @ (
                Matrix(rest.rig.object_matrix).inverted() @ Vector(tip)
            )
            points = [world @ evaluated.pose.bones[bone].head for bone in bones]
            points.append(world @ (evaluated.pose.bones[end].matrix @ local))
            spans = np.diff(np.array(points), axis=0)
            spans = spans / np.linalg.norm(spans, axis=1, keepdims=True)
            aim = wanted[frame, HAND_SIDES.index(side), FINGERS.index(finger)]
            angles = angle_deg(spans, aim)
            worst = max(worst, float(angles.max() if last else angles[:-1].max()))
    return worst


@pytest.mark.parametrize("family", FULL_HANDS)
def test_fingers_of_every_family_point_where_the_clip_points(family):
    built = family_armature(FAMILIES[family], 3)
    rig = read_armature(built.armature)
    found = detect_map(rig).skeleton_map
    assert dict(found.fingers) == dict(built.truth.fingers)
    clip = hand_clip(3)
    pose = retarget(clip, rig, found, FREE)
    three = {name: bones for name, bones in found.fingers.items() if len(bones) == 3}
    assert len(three) >= 8
    assert worst_finger_deg(built.armature, pose, clip, three, range(0, 30, 5)) < 0.1


@pytest.mark.shared
@pytest.mark.parametrize("character", CHARACTERS)
def test_fingers_of_real_characters(character, shared, tmp_path):
    armature = import_character(shared / "characters" / character, tmp_path)
    rig = read_armature(armature)
    found = detect_map(rig).skeleton_map
    assert len(found.fingers) == 10
    clip = hand_clip(4)
    pose = retarget(clip, rig, found, FREE)
    assert worst_finger_deg(armature, pose, clip, found.fingers, range(0, 30, 5)) < 0.5


@pytest.mark.parametrize("controls", [Controls.FK, Controls.IK])
def test_fingers_of_a_generated_rigify_rig(controls):
    armature = generate_rigify(with_fingers=True)
    rig = read_armature(armature)
    found = detect_map(rig).skeleton_map
    clip = hand_clip(5)
    pose = retarget(clip, rig, found, replace(FREE, controls=controls))
    worst = worst_finger_deg(armature, pose, clip, found.fingers, range(0, 30, 5), shown="DEF-{}")
    assert worst < (0.5 if controls is Controls.FK else 2.0)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_finger_of_another_count_follows_the_same_curve(count):
    family = FAMILIES["mixamo"]
    names = {finger: (*bones, "Extra" + bones[0])[:count] for finger, bones in family.fingers.items()}
    built = family_armature(replace(family, fingers=names), 6)
    rig = read_armature(built.armature)
    clip = with_poses(random_clip(6, 20, step=0.4), ["flat", "fist"])
    posed, wanted = PosedArmature(built.armature, retarget(clip, rig, built.truth, FREE)), finger_directions(clip)
    bend_deg = []
    for frame in (2, 17):
        evaluated = posed.show(frame)
        hand = evaluated.matrix_world.to_3x3() @ evaluated.pose.bones["LeftHand"].matrix.to_3x3()
        bones = [evaluated.pose.bones[bone] for bone in built.truth.fingers["left_index"]]
        spans = [np.array((evaluated.matrix_world.to_3x3() @ (bone.tail - bone.head)).normalized()) for bone in bones]
        if frame == 2:
            assert max(float(angle_deg(span, wanted[frame, 0, 1, 0])) for span in spans) < 0.1
            straight = [np.array(hand.inverted() @ Vector(span)) for span in spans]
        else:
            bent = [np.array(hand.inverted() @ Vector(span)) for span in spans]
            bend_deg = [
                float(angle_deg(a / np.linalg.norm(a), b / np.linalg.norm(b)))
                for a, b in zip(straight, bent, strict=True)
            ]
    assert 60.0 < bend_deg[0] < 130.0
    # every bone bends further; beyond half a turn the angle falls again
    assert count == 1 or bend_deg[-1] > bend_deg[0] + 5.0


def test_a_clip_without_hands_gets_relaxed_ones_and_two_keys_a_finger():
    built = family_armature(FAMILIES["mixamo"], 7)
    clip = walk_clip()
    report = apply_clip(built.armature, clip, ApplyOptions(PrepareSettings(), FREE, BakeOptions(fps=30.0)))
    curves = [curve for curve in action_fcurves(built.armature) if "LeftHandIndex2" in curve.data_path]
    assert report.bones > 30
    assert len(curves) == 4
    assert all(len(curve.keyframe_points) == 2 for curve in curves)
    bent = [abs(curve.keyframe_points[0].co.y) for curve in curves if curve.array_index]
    assert 0.1 < np.linalg.norm(bent) < 0.5


def test_relaxed_hands_can_be_switched_off():
    built = family_armature(FAMILIES["mixamo"], 7)
    rig = read_armature(built.armature)
    pose = retarget(walk_clip(), rig, built.truth, replace(FREE, relax_hands=False))
    assert not set(built.truth.finger_bones()) & set(pose.bone_names)
