"""Rigs with IK and other constraints of their own: limbs follow the clip in FK and in IK mode, after a real bake."""

from __future__ import annotations

import math
from dataclasses import replace

import bpy
import numpy as np
import pytest
from mathutils import Vector
from rigs import canonical_armature

from blender_addon.retarget.baked_pose import Controls, RetargetOptions
from blender_addon.rig.apply_clip import ApplyOptions, apply_clip
from blender_addon.rig.bake import BakeInto, BakeOptions
from tests.retarget.random_motion import LIMBS, angle_deg, clip_limb_directions, random_clip, walk_clip

SIDES = ("left", "right")
CHAINS = {"leg": ("hip", "knee", "ankle"), "arm": ("shoulder", "elbow", "wrist")}


@pytest.fixture
def armature():
    bpy.ops.wm.read_homefile(use_empty=True, app_template="")
    made = canonical_armature("Hero")
    bpy.ops.object.mode_set(mode="EDIT")
    bones = made.data.edit_bones
    for side in SIDES:
        for joint, bend in (("knee", 0.01), ("elbow", -0.01)):  # a little bent, as rigs for IK are
            bones[f"{side}_{joint}"].head.y -= bend
        bones[f"{side}_hip"].tail = bones[f"{side}_knee"].head
        bones[f"{side}_shoulder"].tail = bones[f"{side}_elbow"].head
        bones[f"{side}_knee"].tail = bones[f"{side}_ankle"].head
        bones[f"{side}_elbow"].tail = bones[f"{side}_wrist"].head
    bpy.ops.object.mode_set(mode="OBJECT")
    return made


def add_controls(armature, parent=None):
    """An IK target at every wrist and ankle and a pole before every knee and behind every elbow."""
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    bones = armature.data.edit_bones
    for side in SIDES:
        for limb, (_, middle, end) in CHAINS.items():
            target = bones.new(f"ik_{limb}_{side}")
            target.head = bones[f"{side}_{end}"].head
            target.tail = target.head + Vector((0.0, 0.1, 0.0))
            pole = bones.new(f"pole_{limb}_{side}")
            pole.head = bones[f"{side}_{middle}"].head + Vector((0.0, -0.5 if limb == "leg" else 0.5, 0.0))
            pole.tail = pole.head + Vector((0.0, 0.0, 0.1))
            if parent:
                target.parent = bones[parent]
                pole.parent = target
    bpy.ops.object.mode_set(mode="OBJECT")


def add_ik(armature, poles=True, stretch=False):
    for side in SIDES:
        for limb, (upper, middle, _) in CHAINS.items():
            ik = armature.pose.bones[f"{side}_{middle}"].constraints.new("IK")
            ik.target, ik.subtarget, ik.chain_count = armature, f"ik_{limb}_{side}", 2
            ik.use_stretch = stretch
            if stretch:
                armature.pose.bones[f"{side}_{middle}"].ik_stretch = 0.1
            if poles:
                ik.pole_target, ik.pole_subtarget = armature, f"pole_{limb}_{side}"
                ik.pole_angle = pole_angle(armature, f"{side}_{upper}", f"{side}_{middle}", f"pole_{limb}_{side}")


def pole_angle(armature, upper, middle, pole):
    """The pole angle at which the rest pose does not turn."""
    bones = armature.data.bones
    root, tip = bones[upper].head_local, bones[middle].tail_local
    along = (tip - root).normalized()
    x, z = (bones[upper].matrix_local.to_3x3().col[column] for column in (0, 2))
    looks = bones[pole].head_local - root
    looks = looks - looks.dot(along) * along
    return math.atan2(looks.dot(z), looks.dot(x))


def add_mmd(armature):
    """As mmd_tools imports: IK on the knee, the toe's target below the foot's, rotation limits, a switch."""
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    bones = armature.data.edit_bones
    for side in SIDES:
        foot, toe = bones.new(f"{side}_foot_IK"), bones.new(f"{side}_toe_IK")
        foot.head = bones[f"{side}_ankle"].head
        foot.tail = foot.head + Vector((0.0, 0.1, 0.0))
        toe.head = bones[f"{side}_ankle"].tail
        toe.tail = toe.head + Vector((0.0, 0.0, -0.05))
        toe.parent = foot
    bpy.ops.object.mode_set(mode="OBJECT")
    for side in SIDES:
        knee, ankle = armature.pose.bones[f"{side}_knee"], armature.pose.bones[f"{side}_ankle"]
        limit = knee.constraints.new("LIMIT_ROTATION")
        limit.name, limit.owner_space = "mmd_ik_limit_override", "LOCAL"
        limit.use_limit_x = limit.use_limit_y = limit.use_limit_z = True
        for owner, target, count in ((knee, f"{side}_foot_IK", 2), (ankle, f"{side}_toe_IK", 1)):
            ik = owner.constraints.new("IK")
            ik.target, ik.subtarget, ik.chain_count, ik.iterations = armature, target, count, 200
        armature.pose.bones[f"{side}_foot_IK"]["mmd_ik_toggle"] = True


def add_copies(armature):
    """Arms that copy a control's rotation, feet that copy their target's, a stretch and a track."""
    bpy.context.view_layer.objects.active = armature
    for side in SIDES:
        copy = armature.pose.bones[f"{side}_ankle"].constraints.new("COPY_ROTATION")
        copy.target, copy.subtarget = armature, f"ik_leg_{side}"
        arm = armature.pose.bones[f"{side}_shoulder"].constraints.new("COPY_ROTATION")
        arm.target, arm.subtarget = armature, "pelvis"
        arm.target_space = arm.owner_space = "LOCAL"
        stretch = armature.pose.bones[f"{side}_elbow"].constraints.new("STRETCH_TO")
        stretch.target, stretch.subtarget = armature, f"ik_arm_{side}"
        track = armature.pose.bones["neck"].constraints.new("DAMPED_TRACK")
        track.target, track.subtarget = armature, "ik_arm_left"


def worst_deg(armature, clip, report):
    """The largest angle between the clip's limbs and the armature's, on the evaluated bones of the baked action."""
    wanted = clip_limb_directions(clip)
    worst = 0.0
    for frame in range(report.frame_start, report.frame_end + 1, 4):
        bpy.context.scene.frame_set(frame)
        posed = armature.evaluated_get(bpy.context.evaluated_depsgraph_get()).pose.bones
        spans = np.array([posed[lower].head - posed[upper].head for upper, lower in LIMBS])
        spans /= np.linalg.norm(spans, axis=1, keepdims=True)
        worst = max(worst, float(angle_deg(spans, wanted[frame - report.frame_start]).max()))
    return worst


def baked(armature, clip, controls, into=BakeInto.NEW_ACTION):
    fps = float(1.0 / np.diff(clip.times_s).mean())
    bpy.context.scene.render.fps = round(fps)
    options = ApplyOptions(
        retarget=RetargetOptions(plant_feet=False, controls=controls), bake=BakeOptions(fps=fps, into=into)
    )
    return apply_clip(armature, clip, options)


CLIPS = {"walk": walk_clip(4), "wild": random_clip(3, 40)}


@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("controls", [Controls.FK, Controls.IK], ids=lambda value: value.value)
@pytest.mark.parametrize("kind", ["poles", "no poles", "targets under hips", "stretch", "copies", "mmd"])
def test_limbs_follow_the_clip(armature, kind, controls, clip):
    if kind == "mmd":
        add_mmd(armature)
    else:
        add_controls(armature, "pelvis" if kind == "targets under hips" else None)
        add_ik(armature, poles=kind != "no poles", stretch=kind == "stretch")
    if kind == "copies":
        add_copies(armature)
    report = baked(armature, CLIPS[clip], controls)
    assert not report.warnings
    assert worst_deg(armature, CLIPS[clip], report) < 2.0


def test_in_ik_mode_the_targets_lead(armature):
    add_controls(armature)
    add_ik(armature)
    report = baked(armature, CLIPS["walk"], Controls.IK)
    bpy.context.scene.frame_set(report.frame_start + 10)
    posed = armature.evaluated_get(bpy.context.evaluated_depsgraph_get()).pose.bones
    for side in SIDES:
        assert (posed[f"ik_leg_{side}"].head - posed[f"{side}_ankle"].head).length < 0.002
        assert armature.pose.bones[f"{side}_knee"].constraints["IK"].influence == 1.0
    assert any(f'["pole_leg_{side}"].location' in curve for curve in paths(armature))


def test_ik_after_fk_in_one_action_switches_over(armature):
    add_controls(armature)
    add_ik(armature)
    baked(armature, CLIPS["wild"], Controls.FK)
    assert all(armature.pose.bones[f"{side}_knee"].constraints["IK"].influence == 0.0 for side in SIDES)
    report = baked(armature, CLIPS["wild"], Controls.IK)
    assert all(armature.pose.bones[f"{side}_knee"].constraints["IK"].influence == 1.0 for side in SIDES)
    assert worst_deg(armature, CLIPS["wild"], report) < 2.0


def test_a_switch_that_drives_the_influence_is_keyed(armature):
    add_controls(armature)
    add_ik(armature)
    armature.pose.bones["pelvis"]["fk"] = 0.0
    for side in SIDES:
        for _, middle, _ in CHAINS.values():
            curve = armature.pose.bones[f"{side}_{middle}"].constraints["IK"].driver_add("influence")
            curve.driver.expression = "1 - fk"
            variable = curve.driver.variables.new()
            variable.name = "fk"
            variable.targets[0].id = armature
            variable.targets[0].data_path = 'pose.bones["pelvis"]["fk"]'
    for controls in (Controls.FK, Controls.IK):
        report = baked(armature, CLIPS["wild"], controls)
        assert armature.pose.bones["pelvis"]["fk"] == (1.0 if controls is Controls.FK else 0.0)
        assert not report.warnings
        assert worst_deg(armature, CLIPS["wild"], report) < 2.0


def test_mmd_switch_is_set(armature):
    add_mmd(armature)
    baked(armature, CLIPS["walk"], Controls.FK)
    assert not armature.pose.bones["left_foot_IK"]["mmd_ik_toggle"]


def test_a_target_that_is_another_object_leaves_the_limb_on_fk(armature):
    add_controls(armature)
    add_ik(armature)
    empty = bpy.data.objects.new("Goal", None)
    bpy.context.scene.collection.objects.link(empty)
    ik = armature.pose.bones["left_knee"].constraints["IK"]
    ik.target, ik.subtarget = empty, ""
    report = baked(armature, CLIPS["wild"], Controls.IK)
    assert ik.influence == 0.0
    assert worst_deg(armature, CLIPS["wild"], report) < 2.0


def test_what_cannot_be_switched_off_is_told(armature):
    holder = armature.pose.bones["left_elbow"].constraints.new("CHILD_OF")
    holder.target, holder.subtarget = armature, "pelvis"
    report = baked(armature, CLIPS["walk"], Controls.FK)
    assert any("left_elbow" in warning for warning in report.warnings)


def test_planted_feet_stand_in_ik_mode(armature):
    add_controls(armature)
    add_ik(armature)
    options = ApplyOptions(retarget=replace(RetargetOptions(), controls=Controls.IK), bake=BakeOptions(fps=30.0))
    bpy.context.scene.render.fps = 30
    clip = CLIPS["walk"]
    report = apply_clip(armature, clip, options)
    flat = np.flatnonzero(clip.contacts[:, :2].all(axis=1))
    flat = flat[: int(np.argmax(np.diff(flat, append=flat[-1] + 9) > 1)) + 1][1:-1]
    places = []
    for row in flat:
        bpy.context.scene.frame_set(report.frame_start + int(row))
        posed = armature.evaluated_get(bpy.context.evaluated_depsgraph_get()).pose.bones
        places.append(np.array(posed["left_ankle"].head))
    assert np.ptp(np.array(places), axis=0).max() < 0.003


def paths(armature):
    from blender_addon.rig.actions import action_fcurves

    return {curve.data_path for curve in action_fcurves(armature)}
