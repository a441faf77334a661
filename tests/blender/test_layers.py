"""Finished actions: a layer of offsets that survives another bake, and root motion extracted from anyone's action."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from clips import smooth_clip
from mathutils import Matrix, Quaternion, Vector
from readers import read_bvh, read_glb
from retarget_rigs import family_armature, generate_rigify
from rigs import canonical_armature

from blender_addon.motion.clip import read_clip
from blender_addon.motion.looping import Loop
from blender_addon.retarget.baked_pose import Controls, RetargetOptions
from blender_addon.retarget.map_files import rig_families
from blender_addon.rig.actions import Channel, assign_action, bone_path, channelbag, write_channels
from blender_addon.rig.apply_clip import ApplyOptions, apply_clip, detected_map
from blender_addon.rig.bake import BakeError, BakeInto, BakeOptions
from blender_addon.rig.export_action import export_action
from blender_addon.rig.offset_layer import OffsetLayerError, add_offset_layer, base_strip, merge_offset_layer
from blender_addon.rig.prepare_clip import PrepareSettings
from blender_addon.rig.read_armature import read_armature
from blender_addon.rig.root_extraction import RootMotionError, RootMotionOptions, extract_root_motion

SAMPLE = Path(__file__).resolve().parents[2] / "assets" / "sample_clip.npz"
Z_UP = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])


def world(armature: Any, frames: range, names: list[str]) -> np.ndarray:
    """World matrices (T, N, 4, 4) of bones on the evaluated armature."""
    rows = []
    for frame in frames:
        bpy.context.scene.frame_set(frame)
        posed = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
        rows.append([np.array(posed.matrix_world @ posed.pose.bones[name].matrix) for name in names])
    return np.array(rows)


def apart(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """How far matrices lie apart: metres and degrees at most."""
    turns = [m[..., :3, :3] / np.linalg.norm(m[..., :3, :3], axis=-2, keepdims=True) for m in (a, b)]
    sine = np.linalg.norm(turns[0] - turns[1], axis=(-2, -1)).max() / np.sqrt(8.0)
    return float(np.abs(a - b)[..., :3, 3].max()), float(2 * np.degrees(np.arcsin(min(sine, 1.0))))


@pytest.fixture
def baked() -> Any:
    """An armature with a bake named Take."""
    armature = canonical_armature()
    apply_clip(armature, smooth_clip(49, fps=24.0), ApplyOptions(bake=BakeOptions(name="Take")))
    return armature


def test_offsets_are_combined_with_the_bake_and_survive_another(baked: Any) -> None:
    names = [bone.name for bone in baked.pose.bones]
    plain = world(baked, range(1, 50), names)
    offsets = add_offset_layer(baked)
    assert baked.animation_data.action == offsets
    assert apart(world(baked, range(1, 50), names), plain)[0] < 1e-5
    offset = Quaternion((0.0, 0.0, 1.0), 0.4)
    for frame in (1, 49):
        key_offset(baked, "head", frame, offset)
    raised = world(baked, range(1, 50), names)
    at = names.index("head")
    wanted = plain[:, at, :3, :3] @ np.array(offset.to_matrix())
    assert np.abs(raised[:, at, :3, :3] - wanted).max() < 1e-4
    others = [place for place, name in enumerate(names) if name != "head"]
    assert apart(raised[:, others], plain[:, others])[0] < 1e-5
    # another clip, longer than the first: a new bake goes below the same offsets
    report = apply_clip(baked, smooth_clip(73, fps=24.0, seed=3), ApplyOptions(bake=BakeOptions(name="Take")))
    assert report.action == "Take"
    assert baked.animation_data.action == offsets
    assert base_strip(baked).action.name == "Take"
    assert len([action for action in bpy.data.actions if action.name.startswith("Take")]) == 2
    other = canonical_armature("Other")
    apply_clip(other, smooth_clip(73, fps=24.0, seed=3), ApplyOptions(bake=BakeOptions(name="Bare")))
    bare, again = world(other, range(1, 74), names), world(baked, range(1, 74), names)
    assert apart(again[:, others], bare[:, others])[0] < 1e-4
    wanted = bare[:49, at, :3, :3] @ np.array(offset.to_matrix())
    assert np.abs(again[:49, at, :3, :3] - wanted).max() < 1e-3


def key_offset(armature: Any, bone: str, frame: int, offset: Quaternion) -> None:
    """A key in the layer, as it stands in the action."""
    path = bone_path(bone, "rotation_quaternion")
    write_channels(channelbag(armature), [Channel(path, bone, np.array([float(frame)]), np.array([offset]))])


def test_a_key_set_in_the_viewport_is_an_offset(baked: Any) -> None:
    """Blender itself works out what the layer has to add for the pose that the user gave."""
    add_offset_layer(baked)
    bpy.context.scene.frame_set(20)
    bone = baked.pose.bones["left_elbow"]
    bone.rotation_quaternion = bone.rotation_quaternion @ Quaternion((1.0, 0.0, 0.0), 0.5)
    wanted = bone.rotation_quaternion.copy()
    assert bone.keyframe_insert("rotation_quaternion", frame=20)
    bpy.context.scene.frame_set(5)
    bpy.context.scene.frame_set(20)
    assert bone.rotation_quaternion.rotation_difference(wanted).angle < 1e-3


def test_an_edited_bake_below_the_offsets_is_kept(baked: Any) -> None:
    add_offset_layer(baked)
    strip = base_strip(baked)
    curve = strip.action.fcurves[0] if hasattr(strip.action, "fcurves") else curves_below(strip)[0]
    curve.keyframe_points[3].co.y += 0.1
    report = apply_clip(baked, smooth_clip(49, fps=24.0), ApplyOptions(bake=BakeOptions(name="Take")))
    assert report.kept_action == "Take"
    assert bpy.data.actions["Take"].use_fake_user


def curves_below(strip: Any) -> list[Any]:
    bags = [part.channelbag(strip.action_slot) for layer in strip.action.layers for part in layer.strips]
    return [curve for bag in bags for curve in bag.fcurves]


def test_merged_layers_and_exports_are_what_was_seen(baked: Any, tmp_path: Path) -> None:
    names = [bone.name for bone in baked.pose.bones]
    add_offset_layer(baked)
    for frame, angle in ((1, 0.0), (25, 0.7), (49, 0.2)):
        key_offset(baked, "spine", frame, Quaternion((1.0, 0.0, 0.0), angle))
    seen = world(baked, range(1, 50), names)
    found, positions = read_bvh(export_action(baked, tmp_path / "take.bvh"))
    assert np.abs(positions @ Z_UP.T - seen[..., :3, 3][:, [names.index(name) for name in found]]).max() < 1e-3
    found, positions = read_glb(export_action(baked, tmp_path / "take.glb"))
    kept = [place for place, name in enumerate(found) if name in names]
    wanted = seen[..., :3, 3][:, [names.index(found[place]) for place in kept]]
    assert np.abs(positions[:, kept] @ Z_UP.T - wanted).max() < 1e-3
    assert base_strip(baked) is not None
    assert baked.animation_data.action_blend_type == "COMBINE"
    assert not [action for action in bpy.data.actions if "Layers" in action.name]
    merged = merge_offset_layer(baked)
    assert baked.animation_data.action == merged
    assert base_strip(baked) is None
    assert apart(world(baked, range(1, 50), names), seen)[0] < 1e-4


def test_what_a_layer_cannot_take_is_said(baked: Any) -> None:
    add_offset_layer(baked)
    with pytest.raises(OffsetLayerError, match="already"):
        add_offset_layer(baked)
    with pytest.raises(BakeError, match="layer of offsets"):
        apply_clip(baked, smooth_clip(), ApplyOptions(bake=BakeOptions(into=BakeInto.CURRENT_ACTION)))
    with pytest.raises(OffsetLayerError, match="no active action"):
        add_offset_layer(canonical_armature("Bare"))


def with_root(armature: Any) -> Any:
    """A root bone on the floor, from which the pelvis and whatever stands alone hang."""
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    bones = armature.data.edit_bones
    root = bones.new("root")
    root.head, root.tail, root.roll = (0, 0, 0), (0, 0.3, 0), 0.7
    for bone in bones:
        if bone.parent is None and bone != root:
            bone.parent = root
    bpy.ops.object.mode_set(mode="OBJECT")
    return armature


def add_leg_ik(armature: Any) -> None:
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    bones = armature.data.edit_bones
    for side in ("left", "right"):
        bones[f"{side}_knee"].head.y -= 0.01
        bones[f"{side}_hip"].tail = bones[f"{side}_knee"].head
        bones[f"{side}_knee"].tail = bones[f"{side}_ankle"].head
        target = bones.new(f"ik_{side}")
        target.head = bones[f"{side}_ankle"].head
        target.tail = target.head + Vector((0.0, 0.1, 0.0))
        target.use_deform = False
    bpy.ops.object.mode_set(mode="OBJECT")
    for side in ("left", "right"):
        constraint = armature.pose.bones[f"{side}_knee"].constraints.new("IK")
        constraint.target, constraint.subtarget, constraint.chain_count = armature, f"ik_{side}", 2


def plain_rig() -> Any:
    return with_root(canonical_armature())


def scaled_rig() -> Any:
    armature = with_root(canonical_armature(scale=100.0))
    armature.matrix_world = Matrix.Translation((1, 2, 0)) @ Matrix.Rotation(0.8, 4, "Z") @ Matrix.Scale(0.01, 4)
    for bone in armature.pose.bones:
        bone.rotation_mode = "XYZ"
    return armature


def unreal_rig() -> Any:
    return family_armature(next(one for one in rig_families() if one.family == "unreal"), 4).armature


def own_ik_rig() -> Any:
    armature = canonical_armature()
    add_leg_ik(armature)
    return with_root(armature)


RIGS = {"plain": plain_rig, "scaled": scaled_rig, "unreal": unreal_rig, "own IK": own_ik_rig}


@pytest.mark.parametrize("kind", list(RIGS))
def test_the_root_travels_and_the_pose_stays(kind: str) -> None:
    armature = RIGS[kind]()
    controls = Controls.IK if kind == "own IK" else Controls.FK
    report = apply_clip(armature, read_clip(SAMPLE), ApplyOptions(retarget=RetargetOptions(controls=controls)))
    names = [bone.name for bone in armature.pose.bones if bone.name not in ("root", "Root")]
    frames = range(report.frame_start, report.frame_end + 1)
    before = world(armature, frames, names)
    found = detected_map(read_armature(armature))
    root = found.root_bone or "root"
    done = extract_root_motion(armature, RootMotionOptions(root, found.moving_bone))
    metres, degrees = apart(world(armature, frames, names), before)
    assert metres < 1e-3
    assert degrees < 0.1
    assert bpy.data.actions[done.source].use_fake_user
    ways = world(armature, frames, [root, found.moving_bone])[..., :3, 3]
    assert done.travel_m > 1.0
    if kind != "unreal":  # that one lies tilted in the world: its root is not below its hips
        assert np.linalg.norm((ways[..., 0, :2] - ways[..., 1, :2]), axis=-1).max() < 0.15
    assert np.ptp(ways[:, 0, 2]) < 1e-4


def test_rigify_keeps_its_pose() -> None:
    armature = generate_rigify(with_fingers=False)
    report = apply_clip(armature, read_clip(SAMPLE))
    names = [bone.name for bone in armature.pose.bones if bone.name.startswith("DEF-")]
    frames = range(report.frame_start, report.frame_end + 1, 5)
    before = world(armature, frames, names)
    done = extract_root_motion(armature, RootMotionOptions("root", "torso"))
    metres, degrees = apart(world(armature, frames, names), before)
    assert done.travel_m > 1.0
    assert metres < 2e-3
    assert degrees < 0.3
    assert len(done.bones) < 10


def test_an_action_of_someone_else_with_bezier_keys() -> None:
    armature = plain_rig()
    assign_action(armature, bpy.data.actions.new("Own"))
    place, turn = bone_path("pelvis", "location"), bone_path("pelvis", "rotation_quaternion")
    frames, up = np.array([1.0, 20.0, 40.0]), [Quaternion((0.0, 1.0, 0.0), angle) for angle in (0.0, 0.9, 2.5)]
    values = np.array([[0.0, 0.0, 0.0], [1.0, 0.1, 0.3], [2.0, 0.0, -1.0]])
    bezier = [
        Channel(place, "pelvis", frames, values, "BEZIER"),
        Channel(turn, "pelvis", frames, np.array(up), "BEZIER"),
    ]
    write_channels(channelbag(armature), bezier)
    names = [bone.name for bone in armature.pose.bones if bone.name != "root"]
    before = world(armature, range(1, 41), names)
    extract_root_motion(armature, RootMotionOptions("root", "pelvis", smooth_s=0.0))
    assert apart(world(armature, range(1, 41), names), before)[0] < 1e-4
    root = world(armature, range(1, 41), ["root"])[:, 0]
    assert np.abs(root[:, :2, 3] - before[:, names.index("pelvis"), :2, 3]).max() < 1e-3


def test_a_loop_stays_a_loop() -> None:
    armature = plain_rig()
    apply_clip(armature, read_clip(SAMPLE), ApplyOptions(prepare=PrepareSettings(loop=Loop.FIND)))
    action = armature.animation_data.action
    first, last = round(action.frame_start), round(action.frame_end)
    extract_root_motion(armature, RootMotionOptions("root", "pelvis"))
    assert armature.animation_data.action.use_cyclic
    bones = world(armature, range(first, last + 1), ["root", "pelvis"])
    relative = np.linalg.inv(bones[:, 0]) @ bones[:, 1]
    metres, degrees = apart(relative[0], relative[-1])
    assert metres < 1e-3
    assert degrees < 0.5
    travel = bones[-1, :, :3, 3] - bones[0, :, :3, 3]
    assert np.abs(travel[0] - travel[1]).max() < 1e-3


def test_what_gives_no_root_motion_is_said() -> None:
    armature = plain_rig()
    with pytest.raises(RootMotionError, match="no keyed action"):
        extract_root_motion(armature, RootMotionOptions("root", "pelvis"))
    apply_clip(armature, smooth_clip(20))
    for root, hips, words in (("nobody", "pelvis", "no root bone"), ("pelvis", "pelvis", "no root above")):
        with pytest.raises(RootMotionError, match=words):
            extract_root_motion(armature, RootMotionOptions(root, hips))
    add_offset_layer(armature)
    key_offset(armature, "head", 1, Quaternion())
    with pytest.raises(RootMotionError, match="layers of offsets"):
        extract_root_motion(armature, RootMotionOptions("root", "pelvis"))


def test_the_buttons(ready: Any) -> None:
    with_root(ready.retarget.armature)
    assert not bpy.ops.marionet.add_offsets.poll()
    assert bpy.ops.marionet.bake() == {"FINISHED"}
    assert bpy.ops.marionet.add_offsets() == {"FINISHED"}
    ready.cleanup.arms = "heavy"
    assert bpy.ops.marionet.bake() == {"FINISHED"}
    assert bpy.ops.marionet.merge_offsets() == {"FINISHED"}
    assert bpy.ops.marionet.extract_root_motion() == {"FINISHED"}
    assert ready.retarget.armature.animation_data.action.name.endswith("Root Motion")
