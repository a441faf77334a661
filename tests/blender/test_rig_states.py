"""Rigs as animators leave them: none bakes into nothing, over another's keys, or from the wrong place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from clips import smooth_clip
from readers import read_glb
from rigs import canonical_armature

from blender_addon.retarget.baked_pose import Placement, PropertyValue, RetargetOptions, RootMode
from blender_addon.retarget.solve import RetargetError
from blender_addon.rig import actions
from blender_addon.rig.actions import Channel
from blender_addon.rig.apply_clip import ApplyOptions, apply_clip, retarget_clip
from blender_addon.rig.bake import BakeError, BakeInto, BakeOptions, bake
from blender_addon.rig.export_action import ExportError, export_action
from blender_addon.rig.live_pose import LivePose

FPS = 24.0
CLIP = smooth_clip(49, fps=FPS)


def _options(root: RootMode = RootMode.HIPS, placement: Placement = Placement.WORLD, **bake: object) -> ApplyOptions:
    return ApplyOptions(
        retarget=RetargetOptions(root=root, placement=placement, plant_feet=False), bake=BakeOptions(fps=FPS, **bake)
    )


def _head(armature: Any, bone: str, frame: int) -> np.ndarray:
    bpy.context.scene.frame_set(frame)
    posed = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
    return np.array(posed.matrix_world @ posed.pose.bones[bone].head)


@pytest.mark.skipif(bpy.app.version < (4, 4), reason="actions have no slots before Blender 4.4")
def test_a_bake_into_anothers_action_takes_a_slot_of_its_own() -> None:
    first, second = canonical_armature("A"), canonical_armature("B")
    apply_clip(first, CLIP, _options())
    action = first.animation_data.action
    before = _head(first, "left_wrist", 20)
    second.animation_data_create().action = action
    second.animation_data.action_slot = None
    apply_clip(second, smooth_clip(49, fps=FPS, seed=5), _options(into=BakeInto.CURRENT_ACTION))
    assert len(action.slots) == 2
    np.testing.assert_allclose(_head(first, "left_wrist", 20), before, atol=1e-6)
    assert np.abs(_head(second, "left_wrist", 20) - before).max() > 0.05


def test_a_linked_action_and_tweak_mode_are_refused(tmp_path: Path) -> None:
    armature = canonical_armature("Linked")
    apply_clip(armature, CLIP, _options(name="Idle"))
    library = tmp_path / "library.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(library))
    bpy.ops.wm.read_homefile(use_empty=True)
    with bpy.data.libraries.load(str(library), link=True) as (_, taken):
        taken.actions = ["Idle"]
    local = canonical_armature()
    actions.assign_action(local, taken.actions[0])
    with pytest.raises(BakeError, match="is linked from"):
        apply_clip(local, CLIP, _options(into=BakeInto.CURRENT_ACTION))
    assert apply_clip(local, CLIP, _options()).keys
    strip = actions.push_to_nla(local, local.animation_data.action, "Take", 1)
    local.animation_data.action = None
    strip.select = local.animation_data.nla_tracks[0].select = True
    local.animation_data.nla_tracks.active = local.animation_data.nla_tracks[0]
    local.animation_data.use_tweak_mode = True
    if not local.animation_data.use_tweak_mode:
        pytest.skip("this Blender enters tweak mode from the NLA editor only")
    with pytest.raises(BakeError, match="being tweaked"):
        apply_clip(local, CLIP, _options())


def test_hips_connected_to_a_root_bone_travel(tmp_path: Path) -> None:
    free = canonical_armature("Free")
    apply_clip(free, CLIP, _options())
    wanted = [_head(free, "pelvis", frame) for frame in (1, 20, 49)]
    for root in (RootMode.HIPS, RootMode.ROOT_BONE):
        armature = canonical_armature(f"Connected {root.name}")
        bpy.ops.object.mode_set(mode="EDIT")
        bones = armature.data.edit_bones
        bone = bones.new("root")
        bone.head, bone.tail = (0.0, 0.0, 0.0), bones["pelvis"].head
        bones["pelvis"].parent, bones["pelvis"].use_connect = bone, True
        bpy.ops.object.mode_set(mode="OBJECT")
        apply_clip(armature, CLIP, _options(root))
        assert np.abs([_head(armature, "pelvis", frame) for frame in (1, 20, 49)] - np.array(wanted)).max() < 1e-4


def test_baking_again_anywhere_on_the_timeline_gives_the_same_motion(ready: Any) -> None:
    ready.retarget.root, ready.bake.frame_start = "OBJECT", 1
    armature = ready.retarget.armature
    starts = []
    for frame in (1, 40, 25):
        bpy.context.scene.frame_set(frame)
        assert bpy.ops.marionet.bake() == {"FINISHED"}
        starts.append(_head(armature, "pelvis", 1))
    np.testing.assert_allclose(starts[1:], [starts[0]] * 2, atol=1e-4)
    assert bpy.ops.marionet.toggle_live() == {"FINISHED"}
    bpy.context.scene.frame_set(40)
    ready.retarget.plant_feet = not ready.retarget.plant_feet
    ready.retarget.plant_feet = not ready.retarget.plant_feet
    assert bpy.ops.marionet.bake() == {"FINISHED"}
    np.testing.assert_allclose(_head(armature, "pelvis", 1), starts[0], atol=1e-4)


@pytest.mark.parametrize("parent", ["none", "object", "bone", "delta", "mirrored x", "mirrored y", "mirrored all"])
def test_an_object_that_carries_the_motion_stands_where_hips_would(parent: str) -> None:
    stands = {}
    for root in (RootMode.HIPS, RootMode.OBJECT):
        armature = canonical_armature(f"{parent} {root.name}")
        _put(armature, parent)
        bpy.context.view_layer.update()
        apply_clip(armature, CLIP, _options(root))
        stands[root] = np.array([[_head(armature, bone, at) for bone in ("pelvis", "head")] for at in (1, 30)])
    np.testing.assert_allclose(stands[RootMode.OBJECT], stands[RootMode.HIPS], atol=2e-3)


def _put(armature: Any, parent: str) -> None:
    if parent in ("object", "bone"):
        holder = canonical_armature("Holder")
        holder.location, holder.rotation_euler = (2.0, 1.0, 0.0), (0.0, 0.0, 1.0)
        armature.parent = holder
        if parent == "bone":
            armature.parent_type, armature.parent_bone = "BONE", "head"
    elif parent == "delta":
        armature.delta_location = (3.0, 0.0, 0.0)
    elif parent.startswith("mirrored"):
        axis = parent.split()[1]
        armature.scale = [-1.0 if axis in (name, "all") else 1.0 for name in "xyz"]


def test_a_live_object_below_a_parent_stands_where_the_bake_puts_it() -> None:
    armature = canonical_armature()
    _put(armature, "object")
    bpy.context.view_layer.update()
    options = _options(RootMode.OBJECT)
    live = LivePose(armature, retarget_clip(armature, CLIP, options).pose)
    live.show(19 / FPS)
    bpy.context.view_layer.update()
    shown = np.array(armature.matrix_world @ armature.pose.bones["pelvis"].head)
    live.restore()
    bpy.context.view_layer.update()
    apply_clip(armature, CLIP, options)
    np.testing.assert_allclose(shown, _head(armature, "pelvis", 20), atol=1e-3)


def test_bvh_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    armature = canonical_armature()
    apply_clip(armature, CLIP, _options(RootMode.OBJECT))
    with pytest.raises(ExportError, match="its way would be lost"):
        export_action(armature, tmp_path / "a.bvh")
    assert export_action(armature, tmp_path / "a.fbx").is_file()


def test_a_moved_root_bone_without_keys_is_said() -> None:
    armature = canonical_armature()
    bpy.ops.object.mode_set(mode="EDIT")
    bones = armature.data.edit_bones
    bone = bones.new("root")
    bone.head, bone.tail = (0.0, 0.0, 0.0), (0.0, 0.3, 0.0)
    bones["pelvis"].parent = bone
    bpy.ops.object.mode_set(mode="OBJECT")
    assert not any("moved from its rest place" in line for line in apply_clip(armature, CLIP, _options()).warnings)
    armature.pose.bones["root"].location = (1.0, 0.0, 0.5)
    warnings = apply_clip(armature, CLIP, _options(into=BakeInto.CURRENT_ACTION)).warnings
    assert any(line.startswith("root is moved from its rest place") for line in warnings)


def test_a_renamed_armature_keeps_its_preview_and_its_pose(ready: Any, state: Any) -> None:
    armature = ready.retarget.armature
    armature.pose.bones["head"].rotation_quaternion = (0.9, 0.1, 0.2, 0.3)
    own = armature.pose.bones["head"].rotation_quaternion.copy()
    assert bpy.ops.marionet.toggle_live() == {"FINISHED"}
    armature.name = "Renamed"
    bpy.context.scene.frame_set(12)
    assert state.live is not None
    assert armature.pose.bones["head"].rotation_quaternion.rotation_difference(own).angle > 1e-3
    assert bpy.ops.marionet.toggle_live() == {"FINISHED"}
    assert armature.pose.bones["head"].rotation_quaternion.rotation_difference(own).angle < 1e-4


def test_a_file_that_fails_to_open_leaves_no_preview_pose(ready: Any, state: Any, tmp_path: Path) -> None:
    armature = ready.retarget.armature
    own = armature.pose.bones["left_elbow"].rotation_quaternion.copy()
    assert bpy.ops.marionet.toggle_live() == {"FINISHED"}
    broken = tmp_path / "broken.blend"
    broken.write_bytes(b"BLENDER-v405" + bytes(64))
    with pytest.raises(RuntimeError):
        bpy.ops.wm.open_mainfile(filepath=str(broken))
    assert state.live is None
    assert armature.pose.bones["left_elbow"].rotation_quaternion.rotation_difference(own).angle < 1e-4


def test_muted_curves_show_what_is_baked() -> None:
    armature = canonical_armature()
    apply_clip(armature, CLIP, _options())
    for curve in actions.action_fcurves(armature):
        curve.mute = True
    apply_clip(armature, smooth_clip(49, fps=FPS, seed=5), _options(into=BakeInto.CURRENT_ACTION))
    assert not any(curve.mute for curve in actions.action_fcurves(armature))


def test_a_switch_keyed_in_between_does_not_switch_back() -> None:
    armature = canonical_armature()
    armature.pose.bones["head"]["IK_FK"] = 0.0
    pose = retarget_clip(armature, CLIP, _options()).pose
    pose = replace(pose, properties=(PropertyValue("head", "IK_FK", 0.0),))
    bake(armature, pose, BakeOptions(fps=FPS))
    bag, path = actions.channelbag(armature), actions.bone_path("head", '["IK_FK"]')
    actions.write_channels(bag, [Channel(path, "head", np.array([20.0]), np.array([[1.0]]), "CONSTANT")])
    assert bag.fcurves.find(path).evaluate(30.0) == 1.0
    bake(armature, pose, BakeOptions(fps=FPS, into=BakeInto.CURRENT_ACTION))
    assert [bag.fcurves.find(path).evaluate(frame) for frame in (1.0, 20.0, 30.0, 49.0)] == [0.0] * 4


@pytest.mark.parametrize("state", ["hide_select", "hide_viewport", "eye", "collection", "collection select"])
@pytest.mark.parametrize("who", ["mesh", "armature"])
def test_what_is_hidden_is_exported_all_the_same(who: str, state: str, tmp_path: Path) -> None:
    armature = canonical_armature()
    mesh = bpy.data.objects.new("Body", bpy.data.meshes.new("Body"))
    mesh.data.from_pydata([(0, 0, 1), (0.1, 0, 1), (0, 0.1, 1)], [], [(0, 1, 2)])
    mesh.vertex_groups.new(name="chest").add([0, 1, 2], 1.0, "REPLACE")
    mesh.modifiers.new("Armature", "ARMATURE").object = armature
    mesh.parent = armature
    holder = bpy.data.collections.new("Character")
    bpy.context.scene.collection.children.link(holder)
    thing = mesh if who == "mesh" else armature
    holder.objects.link(mesh)
    if who == "armature":
        bpy.context.scene.collection.objects.unlink(armature)
        holder.objects.link(armature)
    apply_clip(armature, CLIP, _options())
    bpy.context.view_layer.update()
    layer = bpy.context.view_layer.layer_collection.children["Character"]
    if state in ("hide_select", "hide_viewport"):
        setattr(thing, state, True)
    elif state == "eye":
        layer.hide_viewport = True
    else:
        setattr(holder, "hide_viewport" if state == "collection" else "hide_select", True)
    export_action(armature, tmp_path / "a.glb")
    names = set(read_glb(tmp_path / "a.glb")[0])
    assert {"Body", "chest"} <= names
    held = {"hide_select": thing.hide_select, "hide_viewport": thing.hide_viewport, "eye": layer.hide_viewport}
    held |= {"collection": holder.hide_viewport, "collection select": holder.hide_select}
    assert held[state]


def test_a_spare_costume_is_left_out_and_pose_mode_comes_back(tmp_path: Path) -> None:
    armature = canonical_armature()
    spare = bpy.data.objects.new("Spare", bpy.data.meshes.new("Spare"))
    spare.modifiers.new("Armature", "ARMATURE").object = armature
    holder = bpy.data.collections.new("Costumes")
    bpy.context.scene.collection.children.link(holder)
    holder.objects.link(spare)
    bpy.context.view_layer.layer_collection.children["Costumes"].exclude = True
    apply_clip(armature, CLIP, _options())
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="POSE")
    assert export_action(armature, tmp_path / "a.fbx").is_file()
    assert armature.mode == "POSE"
    bpy.ops.object.mode_set(mode="OBJECT")


def test_a_map_without_hips_is_refused_in_words() -> None:
    armature = canonical_armature()
    found = retarget_clip(armature, CLIP, _options()).skeleton_map
    joints = {joint: bones for joint, bones in found.joints.items() if joint != "pelvis"}
    with pytest.raises(RetargetError, match="mapped to the pelvis"):
        apply_clip(armature, CLIP, replace(_options(), skeleton_map=replace(found, joints=joints, carrier=None)))
