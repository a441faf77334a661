"""A bake of chosen parts, and hands that hold objects of the scene."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from clips import smooth_clip
from retarget_rigs import generate_rigify
from rigs import canonical_armature

from blender_addon.motion.clip import write_clip
from blender_addon.retarget.baked_pose import Controls, RetargetOptions
from blender_addon.retarget.body_parts import ALL_PARTS, BodyPart, joint_part
from blender_addon.rig.actions import channelbag
from blender_addon.rig.apply_clip import ApplyOptions, apply_clip
from blender_addon.rig.bake import BakeError, BakeInto, BakeOptions
from blender_addon.rig.prop_targets import HandProp, hand_targets


def keyed_bones(armature: Any) -> set[str]:
    return {
        curve.data_path.split('"')[1] for curve in channelbag(armature).fcurves if curve.data_path.startswith("pose")
    }


def bones_of(armature: Any, *parts: BodyPart) -> set[str]:
    return {
        bone.name for bone in armature.pose.bones if joint_part(bone.name) in parts and not bone.name.endswith("hand")
    }


def test_only_the_chosen_parts_get_keys_and_the_report_follows() -> None:
    armature = canonical_armature()
    parts = frozenset({BodyPart.HEAD, BodyPart.LEFT_ARM})
    report = apply_clip(armature, smooth_clip(20), ApplyOptions(parts=parts))
    assert keyed_bones(armature) - {"left_hand"} == bones_of(armature, *parts)
    assert {joint_part(note.joint) for note in report.mapped} == set(parts)
    assert report.bones == len(keyed_bones(armature))


def test_parts_add_up_to_the_whole_body_in_one_action() -> None:
    whole, pieces = canonical_armature("Whole"), canonical_armature("Pieces")
    clip = smooth_clip(20)
    apply_clip(whole, clip, ApplyOptions())
    for part in sorted(ALL_PARTS, key=lambda part: part.value):
        into = BakeInto.CURRENT_ACTION if pieces.animation_data else BakeInto.NEW_ACTION
        apply_clip(pieces, clip, ApplyOptions(bake=BakeOptions(into=into), parts=frozenset({part})))
    curves = [
        {(curve.data_path, curve.array_index): curve.keyframe_points[-1].co[1] for curve in channelbag(rig).fcurves}
        for rig in (whole, pieces)
    ]
    assert curves[0].keys() == curves[1].keys()
    assert all(abs(curves[0][key] - curves[1][key]) < 1e-5 for key in curves[0])


def test_no_part_at_all_is_refused_in_words() -> None:
    with pytest.raises(BakeError, match="nothing would move"):
        apply_clip(canonical_armature(), smooth_clip(20), ApplyOptions(parts=frozenset()))


@pytest.mark.parametrize("controls", [Controls.FK, Controls.IK])
def test_one_arm_of_rigify_keeps_its_own_controls_and_switches(controls: Controls) -> None:
    armature = generate_rigify(False)
    options = ApplyOptions(retarget=RetargetOptions(controls=controls), parts=frozenset({BodyPart.LEFT_ARM}))
    apply_clip(armature, smooth_clip(20), options)
    bones = keyed_bones(armature)
    assert ("hand_ik.L" in bones) == (controls is Controls.IK)
    assert "upper_arm_parent.L" in bones
    assert not [bone for bone in bones if not bone.endswith(".L") or "thigh" in bone or "foot" in bone], bones


def wrist_places(armature: Any, bone: str, frames: range) -> np.ndarray:
    rows = []
    for frame in frames:
        bpy.context.scene.frame_set(frame)
        posed = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
        rows.append(posed.matrix_world @ posed.pose.bones[bone].head)
    return np.array(rows)


def add_cup(armature: Any, bone: str, moving: bool) -> Any:
    """An empty within the arm's reach around frame 10 (the clip's arms are nearly straight); keyed where it moves."""
    cup = bpy.data.objects.new("Cup", None)
    bpy.context.scene.collection.objects.link(cup)
    shoulder, wrist = (wrist_places(armature, name, range(10, 11))[0] for name in ("left_shoulder", bone))
    cup.location = shoulder + 0.7 * (wrist - shoulder)
    if moving:
        cup.keyframe_insert("location", frame=1)
        cup.location.x += 0.05
        cup.keyframe_insert("location", frame=20)
    return cup


@pytest.mark.parametrize("moving", [False, True])
def test_a_hand_follows_what_it_holds_and_lets_go_outside_the_range(moving: bool) -> None:
    armature, clip = canonical_armature(), smooth_clip(49, fps=24.0, swing_rad=0.15)
    options = ApplyOptions(retarget=RetargetOptions(plant_feet=False))
    apply_clip(armature, clip, options)
    free = wrist_places(armature, "left_wrist", range(1, 50))
    cup = add_cup(armature, "left_wrist", moving)
    bpy.context.scene.frame_set(33)
    armature.animation_data.action = None
    for bone in armature.pose.bones:
        bone.matrix_basis.identity()
    held = ApplyOptions(retarget=options.retarget, props=(HandProp("left_wrist", cup.name, 5, 15),))
    apply_clip(armature, clip, held)
    assert bpy.context.scene.frame_current == 33
    places = wrist_places(armature, "left_wrist", range(1, 50))
    where = hand_targets(bpy.context.scene, (HandProp("left_wrist", cup.name),), np.arange(1.0, 50.0))["left_wrist"]
    assert np.linalg.norm(places[4:15] - where[4:15], axis=1).max() < 0.002
    assert np.linalg.norm(places[30:] - free[30:], axis=1).max() < 1e-4


def test_a_prop_that_is_gone_is_said() -> None:
    options = ApplyOptions(props=(HandProp("left_wrist", "Gone"),))
    with pytest.raises(KeyError, match="The prop Gone is gone"):
        apply_clip(canonical_armature(), smooth_clip(20), options)


@pytest.fixture
def panel(extension: str, addon: Any, tmp_path: Path) -> Iterator[Any]:
    """The scene's settings with a clip and a rig."""
    path = tmp_path / "sway.npz"
    write_clip(smooth_clip(49, fps=24.0), path)
    bpy.ops.marionet.import_clip(filepath=str(path))
    kept = bpy.context.scene.marionet
    kept.retarget.armature = canonical_armature()
    yield kept
    addon("session.session_state").STATE.clips.clear()
    addon("session.map_rows").corrections_path().unlink(missing_ok=True)


def test_the_panel_s_parts_and_props_reach_the_bake(panel: Any) -> None:
    armature = panel.retarget.armature
    panel.bake.parts = {"LEFT_ARM"}
    cup = bpy.data.objects.new("Cup", None)
    bpy.context.scene.collection.objects.link(cup)
    panel.retarget.left_prop.thing = cup
    assert bpy.ops.marionet.bake() == {"FINISHED"}
    assert keyed_bones(armature) <= bones_of(armature, BodyPart.LEFT_ARM) | {"left_hand"}
    panel.bake.parts = set()
    with pytest.raises(RuntimeError, match="nothing would move"):
        bpy.ops.marionet.bake()
