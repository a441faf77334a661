"""Retarget truth: clip -> map found by itself -> pose on a real armature -> joints measured on the evaluated bones."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
from retarget_rigs import PosedArmature, family_armature, generate_rigify, import_character

from blender_addon.motion.rotations import quaternion_between
from blender_addon.retarget.auto_map import detect_map
from blender_addon.retarget.baked_pose import Controls, RetargetOptions, RootMode
from blender_addon.retarget.map_files import rig_families
from blender_addon.retarget.solve import retarget
from blender_addon.rig.actions import channelbag
from blender_addon.rig.apply_clip import ApplyOptions, apply_clip
from blender_addon.rig.read_armature import read_armature
from tests.retarget.random_motion import (
    LIMBS,
    angle_deg,
    clip_limb_directions,
    random_clip,
    still_feet_clip,
    walk_clip,
)

FAMILIES = {family.family: family for family in rig_families()}
FREE = RetargetOptions(plant_feet=False)
CHARACTERS = (
    "mpfb/mixamo.blend",
    "mpfb/mixamo.glb",
    "mpfb/unreal_game_engine.blend",
    "mpfb/unreal_game_engine.glb",
    "mpfb/makehuman_default.blend",
    "mpfb/makehuman_default.glb",
    "mpfb/cmu_mb.blend",
    "mpfb/cmu_mb.glb",
    "mesh2motion/unreal_like_human_male.glb",
    "mesh2motion/unreal_like_human_female.glb",
    "mesh2motion/wrong_bone_names.glb",
    "vrm/cryptovoxels.vrm",
    "vrm/sphere.vrm",
)
# what Rigify deforms with, where its controls put the joints
RIGIFY_JOINTS = {
    f"{side}_{joint}": f"DEF-{bone}.{mark}"
    for side, mark in (("left", "L"), ("right", "R"))
    for joint, bone in (
        ("shoulder", "upper_arm"),
        ("elbow", "forearm"),
        ("wrist", "hand"),
        ("hip", "thigh"),
        ("knee", "shin"),
        ("ankle", "foot"),
        ("toe", "toe"),
    )
}


def worst_direction_deg(armature, pose, clip, joint_bones, frames):
    """The largest angle between the clip's limbs and the evaluated armature's over some frames."""
    posed = PosedArmature(armature, pose)
    names = sorted({joint for pair in LIMBS for joint in pair})
    wanted = clip_limb_directions(clip)
    worst = 0.0
    for frame in frames:
        heads = dict(zip(names, posed.heads(frame, [joint_bones[name] for name in names]), strict=True))
        spans = np.array([heads[lower] - heads[upper] for upper, lower in LIMBS])
        worst = max(worst, angle_deg(spans / np.linalg.norm(spans, axis=1, keepdims=True), wanted[frame]).max())
    return worst


def planted_steps_m(armature, pose, clip, joint_bones):
    """How far ankle and toe move from one frame to the next while the foot stands flat; the largest."""
    posed = PosedArmature(armature, pose)
    bones = [joint_bones[f"{side}_{joint}"] for side in ("left", "right") for joint in ("ankle", "toe")]
    heads = np.array([posed.heads(frame, bones) for frame in range(len(clip))])
    moved = np.linalg.norm(np.diff(heads, axis=0), axis=-1)
    flat = np.stack([clip.contacts[:, side * 2 : side * 2 + 2].all(axis=1) for side in (0, 0, 1, 1)], axis=1)
    return float(moved[flat[1:] & flat[:-1]].max())


def first_bones(skeleton_map):
    return {joint: bones[0] for joint, bones in skeleton_map.joints.items()}


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "rigify_generated"])
@pytest.mark.parametrize("seed", [1, 2])
def test_every_family_is_recognised_and_points_where_the_clip_points(family, seed):
    built = family_armature(FAMILIES[family], seed)
    rig = read_armature(built.armature)
    report = detect_map(rig)
    assert report.skeleton_map.family == family
    assert report.usable
    assert dict(report.skeleton_map.joints) == dict(built.truth.joints)
    clip = random_clip(seed, 40, step=0.4)
    pose = retarget(clip, rig, report.skeleton_map, FREE)
    assert worst_direction_deg(built.armature, pose, clip, first_bones(report.skeleton_map), range(0, 40, 5)) < 0.1


@pytest.mark.parametrize("root", [RootMode.ROOT_BONE, RootMode.OBJECT])
def test_roots_on_a_real_armature(root):
    built = family_armature(FAMILIES["unreal"], 5)
    rig = read_armature(built.armature)
    clip = random_clip(5, 30, step=0.3)
    pose = retarget(clip, rig, built.truth, RetargetOptions(plant_feet=False, root=root))
    assert worst_direction_deg(built.armature, pose, clip, first_bones(built.truth), range(0, 30, 6)) < 0.1


@pytest.mark.parametrize(
    "flags", [("use_local_location",), ("use_inherit_rotation",), ("use_local_location", "use_inherit_rotation")]
)
@pytest.mark.parametrize("root", [RootMode.HIPS, RootMode.ROOT_BONE])
def test_bone_flags_change_nothing_in_the_world(flags, root):
    built = family_armature(FAMILIES["unreal"], 8)
    clip = random_clip(8, 21, step=0.3)
    options = RetargetOptions(plant_feet=False, root=root)
    bones = [bone for bone in built.truth.bones() if bone != built.truth.root_bone]
    frames = range(0, 21, 5)
    plain = PosedArmature(built.armature, retarget(clip, read_armature(built.armature), built.truth, options))
    before = np.array([plain.heads(frame, bones) for frame in frames])
    for bone in built.armature.data.bones:
        for flag in flags:
            setattr(bone, flag, False)
    posed = PosedArmature(built.armature, retarget(clip, read_armature(built.armature), built.truth, options))
    after = np.array([posed.heads(frame, bones) for frame in frames])
    np.testing.assert_allclose(after, before, atol=1e-4)


@pytest.mark.shared
@pytest.mark.parametrize("file", CHARACTERS)
def test_real_characters(file, shared, tmp_path):
    armature = import_character(shared / "characters" / file, tmp_path)
    rig = read_armature(armature)
    skeleton_map = detect_map(rig).skeleton_map
    clip = random_clip(9, 40, step=0.4)
    pose = retarget(clip, rig, skeleton_map, FREE)
    assert worst_direction_deg(armature, pose, clip, first_bones(skeleton_map), range(0, 40, 5)) < 0.1


@pytest.mark.shared
@pytest.mark.parametrize("file", ["mpfb/mixamo.blend", "mpfb/makehuman_default.glb", "vrm/cryptovoxels.vrm"])
@pytest.mark.parametrize("motion", ["squat", "walk"])
def test_planted_feet_on_real_characters(file, motion, shared, tmp_path):
    armature = import_character(shared / "characters" / file, tmp_path)
    rig = read_armature(armature)
    skeleton_map = detect_map(rig).skeleton_map
    clip = still_feet_clip(60) if motion == "squat" else walk_clip(4)
    pose = retarget(clip, rig, skeleton_map)
    assert planted_steps_m(armature, pose, clip, first_bones(skeleton_map)) < 0.002


@pytest.mark.parametrize("with_fingers", [False, True])
def test_rigify_controls_turn_what_it_deforms_with(with_fingers):
    armature = generate_rigify(with_fingers)
    rig = read_armature(armature)
    report = detect_map(rig)
    assert report.skeleton_map.family == "rigify_generated"
    clip = random_clip(2, 30, step=0.4)
    pose = retarget(clip, rig, report.skeleton_map, FREE)
    assert {(row.bone, row.name) for row in pose.properties} >= {("thigh_parent.L", "IK_FK"), ("torso", "head_follow")}
    assert worst_direction_deg(armature, pose, clip, RIGIFY_JOINTS, range(0, 30, 5)) < 1.0


def test_rigify_metarig_is_told_from_its_generated_rig():
    bpy.ops.preferences.addon_enable(module="rigify")
    bpy.ops.object.armature_basic_human_metarig_add()
    armature = bpy.context.object
    rig = read_armature(armature)
    report = detect_map(rig)
    assert report.skeleton_map.family == "rigify_metarig"
    clip = random_clip(4, 30, step=0.4)
    pose = retarget(clip, rig, report.skeleton_map, FREE)
    assert worst_direction_deg(armature, pose, clip, first_bones(report.skeleton_map), range(0, 30, 6)) < 0.1


def test_rigify_feet_stay_planted():
    armature = generate_rigify(False)
    rig = read_armature(armature)
    clip = walk_clip(4)
    pose = retarget(clip, rig, detect_map(rig).skeleton_map)
    assert planted_steps_m(armature, pose, clip, RIGIFY_JOINTS) < 0.002


@pytest.mark.parametrize("with_fingers", [False, True])
@pytest.mark.parametrize("motion", ["walk", "random"])
def test_rigify_ik_controls_give_the_same_limbs(with_fingers, motion):
    armature = generate_rigify(with_fingers)
    rig = read_armature(armature)
    clip = walk_clip(4) if motion == "walk" else random_clip(6, 40, step=0.4)
    skeleton_map = detect_map(rig).skeleton_map
    joints = list(RIGIFY_JOINTS)
    frames = range(0, len(clip), 9) if motion == "walk" else range(0, 40, 5)
    by_controls = {}
    for controls in (Controls.FK, Controls.IK):
        pose = retarget(clip, rig, skeleton_map, RetargetOptions(controls=controls))
        posed = PosedArmature(armature, pose)
        by_controls[controls] = np.array(
            [posed.heads(frame, [RIGIFY_JOINTS[joint] for joint in joints]) for frame in frames]
        )
    assert {row.value for row in pose.properties if row.name == "IK_FK"} == {0.0}
    fk, ik = by_controls[Controls.FK], by_controls[Controls.IK]
    apart = dict(zip(joints, np.linalg.norm(fk - ik, axis=-1).max(axis=0), strict=True))
    assert all(distance < 0.004 for distance in apart.values()), apart
    for upper, lower in LIMBS:
        spans = [heads[:, joints.index(lower)] - heads[:, joints.index(upper)] for heads in (fk, ik)]
        assert angle_deg(*(span / np.linalg.norm(span, axis=-1, keepdims=True) for span in spans)).max() < 0.5


def test_rigify_stretch_is_keyed_off_for_ik_and_left_alone_for_fk():
    armature = generate_rigify(False)
    clip = walk_clip(4)
    stretch = armature.pose.bones["thigh_ik.L"].ik_stretch
    assert stretch > 0
    apply_clip(armature, clip, ApplyOptions(retarget=RetargetOptions(controls=Controls.FK)))
    assert armature.pose.bones["thigh_ik.L"].ik_stretch == stretch
    apply_clip(armature, clip, ApplyOptions(retarget=RetargetOptions(controls=Controls.IK)))
    paths = {curve.data_path for curve in channelbag(armature).fcurves}
    assert {'pose.bones["thigh_ik.L"].ik_stretch', 'pose.bones["thigh_parent.L"]["IK_FK"]'} <= paths
    bpy.context.scene.frame_set(9)
    posed = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
    assert posed.pose.bones["thigh_ik.L"].ik_stretch == 0.0


def test_no_flips_in_ten_thousand_frames_on_a_chain_rig():
    built = family_armature(FAMILIES["makehuman_default"], 3)
    rig = read_armature(built.armature)
    clip = random_clip(21, 10_000, step=0.05)
    pose = retarget(clip, rig, built.truth, FREE)
    moved = np.degrees(quaternion_between(pose.rotations_wxyz[:, 1:], pose.rotations_wxyz[:, :-1]))
    assert moved.max() < 20.0
    sample = range(0, 10_000, 700)
    assert worst_direction_deg(built.armature, pose, clip, first_bones(built.truth), sample) < 0.1


def test_reading_changes_nothing(tmp_path):
    built = family_armature(FAMILIES["mixamo"], 7)
    before = [tuple(map(tuple, bone.matrix_local)) for bone in built.armature.data.bones]
    read_armature(built.armature)
    assert [tuple(map(tuple, bone.matrix_local)) for bone in built.armature.data.bones] == before
    assert not built.armature.animation_data


def test_a_mesh_object_is_refused():
    mesh = bpy.data.objects.new("Cube", bpy.data.meshes.new("Cube"))
    with pytest.raises(TypeError, match="Cube"):
        read_armature(mesh)
