"""Faces on characters: shape keys by name and table, face bones, keys, the live preview, files."""

from __future__ import annotations

import json
from dataclasses import replace

import bpy
import numpy as np
import pytest
from face_rigs import face_mesh
from retarget_rigs import family_armature

from blender_addon.motion.face import FACE_WEIGHT_NAMES
from blender_addon.retarget.baked_pose import RetargetOptions
from blender_addon.retarget.face_tables import FaceTableError
from blender_addon.retarget.map_files import rig_families
from blender_addon.rig.actions import action_fcurves
from blender_addon.rig.apply_clip import ApplyOptions, apply_clip, retarget_clip
from blender_addon.rig.bake import BakeError, BakeInto, BakeOptions
from blender_addon.rig.export_action import export_action
from blender_addon.rig.face_targets import read_face_targets
from blender_addon.rig.live_pose import LivePose
from blender_addon.rig.prepare_clip import PrepareSettings
from blender_addon.rig.read_armature import read_armature
from tests.retarget.hand_motion import face_of
from tests.retarget.random_motion import walk_clip

FAMILIES = {family.family: family for family in rig_families()}
FREE = RetargetOptions(plant_feet=False)


@pytest.fixture
def armature():
    return family_armature(FAMILIES["mixamo"], 7).armature


def face_clip(**weights):
    clip = walk_clip()
    wave = 0.5 - 0.5 * np.cos(np.arange(len(clip)) * 0.4)
    return replace(clip, face=face_of({name: wave * factor for name, factor in weights.items()}, len(clip))), wave


def options(**bake):
    return ApplyOptions(PrepareSettings(), FREE, BakeOptions(**{"fps": 30.0, "frame_start": 1.0, **bake}))


def key_at(thing, name, frame):
    bpy.context.scene.frame_set(frame)
    return thing.evaluated_get(bpy.context.evaluated_depsgraph_get()).data.shape_keys.key_blocks[name].value


def test_arkit_keys_are_baked_on_every_mesh(armature):
    bone = armature.pose.bones["Head"].name
    face = face_mesh(armature, list(FACE_WEIGHT_NAMES))
    teeth = face_mesh(armature, ["Jaw_Open", "Eye_Blink_L"], bone, "Teeth")
    clip, wave = face_clip(jawOpen=1.0, eyeBlinkLeft=0.5)
    apply_clip(armature, clip, options())
    for frame in (1, 9, 20):
        assert key_at(face, "jawOpen", frame) == pytest.approx(wave[frame - 1], abs=1e-5)
        assert key_at(teeth, "Jaw_Open", frame) == pytest.approx(wave[frame - 1], abs=1e-5)
        assert key_at(teeth, "Eye_Blink_L", frame) == pytest.approx(0.5 * wave[frame - 1], abs=1e-5)
    still = [curve for curve in action_fcurves(face.data.shape_keys) if "tongueOut" in curve.data_path]
    assert len(still[0].keyframe_points) == 2


def test_of_two_sets_of_shapes_on_a_mesh_one_is_keyed(armature):
    """The larger set of each mesh; a mesh with one set only keeps it."""
    face = face_mesh(armature, ["Eye_Blink_L", "A14_Eye_Blink_Left", "A25_Jaw_Open"])
    lashes = face_mesh(armature, ["Eye_Blink_L"], mesh_name="Lashes")
    clip, wave = face_clip(eyeBlinkLeft=1.0, jawOpen=1.0)
    apply_clip(armature, clip, options())
    assert key_at(face, "A14_Eye_Blink_Left", 9) == pytest.approx(wave[8], abs=1e-5)
    assert key_at(face, "Eye_Blink_L", 9) == 0.0
    assert key_at(lashes, "Eye_Blink_L", 9) == pytest.approx(wave[8], abs=1e-5)


def test_a_repeated_bake_takes_the_place_of_the_first(armature):
    face = face_mesh(armature, list(FACE_WEIGHT_NAMES))
    clip, _ = face_clip(jawOpen=1.0)
    apply_clip(armature, clip, options())
    count = len(bpy.data.actions)
    apply_clip(armature, clip, options())
    assert len(bpy.data.actions) == count
    assert face.data.shape_keys.animation_data.action is not None


def test_a_bake_without_a_face_leaves_no_face_behind(armature):
    face = face_mesh(armature, ["jawOpen"])
    own = face_mesh(armature, ["jawOpen"], mesh_name="By hand")
    clip, _ = face_clip(jawOpen=1.0)
    apply_clip(armature, clip, options())
    own.data.shape_keys.animation_data.action = bpy.data.actions.new("Mine")
    bpy.context.scene.frame_set(9)
    apply_clip(armature, replace(clip, face=None), options())
    assert face.data.shape_keys.animation_data.action is None
    assert face.data.shape_keys.key_blocks["jawOpen"].value == 0.0
    assert "Marionet Face" not in bpy.data.actions
    assert own.data.shape_keys.animation_data.action.name == "Mine"


def test_vrm_shapes_by_table(armature):
    face = face_mesh(armature, ["A", "I", "U", "E", "O", "Blink", "Blink_L", "Blink_R", "Joy", "Neutral"])
    clip, wave = face_clip(jawOpen=0.5, eyeBlinkLeft=1.0, mouthPucker=0.2)
    apply_clip(armature, clip, options())
    assert key_at(face, "A", 9) == pytest.approx(np.clip(0.65 - 0.12, 0, 1) * wave[8], abs=1e-5)
    assert key_at(face, "Blink_L", 9) == pytest.approx(wave[8], abs=1e-5)
    assert key_at(face, "Blink_R", 9) == pytest.approx(0.0)
    assert key_at(face, "Blink", 9) == pytest.approx(0.0)


def test_a_table_of_ones_own_goes_first_and_bad_ones_are_named(armature, tmp_path):
    face_mesh(armature, ["Maul auf", "jawOpen", "Zwinkern"])
    path = tmp_path / "mine.json"
    rows = [{"names": ["Maul auf"], "from": {"jawOpen": 0.5}}, {"names": ["Zwinkern"], "from": {"eyeBlinkLeft": 1.0}}]
    path.write_text(json.dumps({"version": 1, "name": "mine", "label": "Mine", "shapes": rows}), encoding="utf-8")
    rig = read_armature(armature)
    found = read_face_targets(armature, rig, str(path))
    assert dict(found.match.shapes) == {"Maul auf": {"jawOpen": 0.5}, "Zwinkern": {"eyeBlinkLeft": 1.0}}
    assert "Mine" in found.lines()[0]
    path.write_text(json.dumps({"version": 1, "shapes": [{"names": ["x"], "from": {"jawopen": 1}}]}), encoding="utf-8")
    with pytest.raises(FaceTableError, match="jawopen"):
        read_face_targets(armature, rig, str(path))


def test_driven_keys_are_left_alone_and_named(armature):
    face = face_mesh(armature, ["jawOpen", "eyeBlinkLeft", "eyeBlinkRight"])
    face.data.shape_keys.key_blocks["jawOpen"].driver_add("value").driver.expression = "0.25"
    found = read_face_targets(armature, read_armature(armature))
    assert found.held == ("jawOpen",)
    assert any("jawOpen" in line for line in found.lines())
    clip, _ = face_clip(jawOpen=1.0, eyeBlinkLeft=1.0)
    apply_clip(armature, clip, options())
    assert key_at(face, "jawOpen", 9) == pytest.approx(0.25)


def test_nla_and_current_action(armature):
    face = face_mesh(armature, ["jawOpen", "eyeBlinkLeft"])
    clip, wave = face_clip(jawOpen=1.0)
    apply_clip(armature, clip, options(into=BakeInto.NLA_STRIP))
    assert key_at(face, "jawOpen", 9) == pytest.approx(wave[8], abs=1e-5)
    assert face.data.shape_keys.animation_data.action is None
    apply_clip(armature, clip, options(into=BakeInto.CURRENT_ACTION, frame_start=11.0))
    assert key_at(face, "jawOpen", 19) == pytest.approx(wave[8], abs=1e-5)


def test_reduced_keys_stay_close(armature):
    face = face_mesh(armature, ["jawOpen"])
    clip, _ = face_clip(jawOpen=1.0)
    wave = 0.5 - 0.5 * np.cos(np.arange(len(clip)) * 0.08)
    clip = replace(clip, face=face_of({"jawOpen": wave}, len(clip)))
    apply_clip(armature, clip, options(reduce_deg=0.5, reduce_mm=2.0))
    curve = next(iter(action_fcurves(face.data.shape_keys)))
    assert len(curve.keyframe_points) < 0.8 * len(clip)
    assert max(abs(curve.evaluate(frame + 1) - wave[frame]) for frame in range(len(clip))) < 0.006


def test_the_live_preview_shows_a_face_and_puts_it_back(armature):
    face = face_mesh(armature, ["jawOpen"])
    face.data.shape_keys.key_blocks["jawOpen"].value = 0.125
    clip, wave = face_clip(jawOpen=1.0)
    live = LivePose(armature, retarget_clip(armature, clip, options()).pose)
    live.show(8 / 30)
    assert face.data.shape_keys.key_blocks["jawOpen"].value == pytest.approx(wave[8], abs=1e-5)
    live.restore()
    assert face.data.shape_keys.key_blocks["jawOpen"].value == 0.125
    assert face.data.shape_keys.animation_data is None


def test_a_fault_gives_the_actions_back(armature, monkeypatch):
    face = face_mesh(armature, ["jawOpen"])
    clip, _ = face_clip(jawOpen=1.0)
    apply_clip(armature, clip, options(name="First"))
    before = face.data.shape_keys.animation_data.action

    def broken(*_args):
        raise BakeError("injected")

    monkeypatch.setattr("blender_addon.rig.bake_shapes.mark_baked", broken)
    with pytest.raises(BakeError):
        apply_clip(armature, clip, options(name="Second"))
    assert face.data.shape_keys.animation_data.action == before


@pytest.mark.filterwarnings("ignore:Setting the shape:DeprecationWarning")  # Blender 5.2's own FBX exporter
@pytest.mark.parametrize("ending", ["fbx", "glb", "usdc"])
def test_files_hold_the_shape_keys_animation(armature, tmp_path, ending):
    face_mesh(armature, ["jawOpen", "eyeBlinkLeft"])
    clip, wave = face_clip(jawOpen=1.0)
    bpy.context.scene.render.fps = 30
    apply_clip(armature, clip, options())
    path = export_action(armature, tmp_path / f"face.{ending}")
    bpy.ops.wm.read_homefile(use_empty=True, app_template="")
    bpy.context.scene.render.fps = 30
    importer = {"fbx": bpy.ops.import_scene.fbx, "glb": bpy.ops.import_scene.gltf, "usdc": bpy.ops.wm.usd_import}[
        ending
    ]
    importer(filepath=str(path))
    face = next(thing for thing in bpy.data.objects if thing.type == "MESH" and thing.data.shape_keys)
    start = 1
    values = [key_at(face, "jawOpen", frame) for frame in range(start, start + 20)]
    shift = min(range(-2, 3), key=lambda by: max(abs(values[k + 2] - wave[k + 2 + by]) for k in range(15)))
    assert max(abs(values[k + 2] - wave[k + 2 + shift]) for k in range(15)) < 2e-3


def test_rigify_face_bones_move_where_the_face_moves():
    bpy.ops.preferences.addon_enable(module="rigify")
    bpy.ops.object.armature_human_metarig_add()
    bpy.ops.pose.rigify_generate()
    rig_object = bpy.context.object
    found = read_face_targets(rig_object, read_armature(rig_object))
    assert found.bone_weights == frozenset(FACE_WEIGHT_NAMES)
    clip = walk_clip()
    names = ("neutral", "jawOpen", "eyeBlinkLeft", "mouthSmileRight", "browInnerUp", "eyeLookUpLeft")
    table = {name: (np.arange(len(clip)) == number).astype(float) for number, name in enumerate(names) if number}
    still = replace(clip, rotations_wxyz=clip.rotations_wxyz[:1].repeat(len(clip), 0))
    still = replace(still, root_world_m=clip.root_world_m[:1].repeat(len(clip), 0), face=face_of(table, len(clip)))
    apply_clip(rig_object, still, options())

    def head(bone, frame):
        bpy.context.scene.frame_set(frame)
        evaluated = rig_object.evaluated_get(bpy.context.evaluated_depsgraph_get())
        local = evaluated.pose.bones["head"].matrix.inverted() @ evaluated.pose.bones[bone].matrix
        return np.array(local.translation)

    eyes = np.linalg.norm(head("master_eye.L", 1) - head("master_eye.R", 1))
    up = np.array([0.0, 1.0, 0.0])  # the head bone points up
    moved = {
        bone: (head(bone, frame) - head(bone, 1)) / eyes
        for bone, frame in (("DEF-chin", 2), ("lid.T.L.002", 3), ("lid.T.R.002", 3), ("lips.R", 4), ("brow.T.L.003", 5))
    }
    assert moved["DEF-chin"] @ up < -0.2
    assert moved["lid.T.L.002"] @ up < -0.1
    assert np.linalg.norm(moved["lid.T.R.002"]) < 0.02
    assert moved["lips.R"] @ up > 0.05
    assert moved["brow.T.L.003"] @ up > 0.1
    bpy.context.scene.frame_set(6)
    evaluated = rig_object.evaluated_get(bpy.context.evaluated_depsgraph_get())
    eye = evaluated.pose.bones["head"].matrix.inverted() @ evaluated.pose.bones["MCH-eye.L"].matrix
    bpy.context.scene.frame_set(1)
    evaluated = rig_object.evaluated_get(bpy.context.evaluated_depsgraph_get())
    before = evaluated.pose.bones["head"].matrix.inverted() @ evaluated.pose.bones["MCH-eye.L"].matrix
    assert 10.0 < np.degrees(before.to_quaternion().rotation_difference(eye.to_quaternion()).angle) < 35.0
