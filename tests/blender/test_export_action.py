"""Exports of a baked action reopen with the same motion, read by readers that are not Blender's exporters."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import bpy
import numpy as np
import pytest
from clips import smooth_clip
from mathutils import Matrix
from readers import read_bvh, read_glb
from rigs import canonical_armature

from blender_addon.motion.export_formats import EXPORT_FORMATS, Engine
from blender_addon.rig import actions
from blender_addon.rig.actions import Channel, bone_path
from blender_addon.rig.export_action import ExportError, ExportOptions, action_range, export_action

FRAMES = 24


@pytest.fixture
def puppet() -> bpy.types.Object:
    """A canonical armature with a moving action; every bone and the pelvis' place are keyed."""
    armature = canonical_armature()
    clip = smooth_clip(FRAMES)
    frames = np.arange(1.0, FRAMES + 1)
    channels = [
        Channel(bone_path(name, "rotation_quaternion"), name, frames, clip.rotations_wxyz[:, joint])
        for joint, name in enumerate(clip.body_joint_names)
    ]
    place = clip.root_world_m - clip.root_world_m[0]
    channels.append(Channel(bone_path("pelvis", "location"), "pelvis", frames, place))
    actions.assign_action(armature, bpy.data.actions.new("Take"))
    actions.write_channels(actions.channelbag(armature), channels)
    return armature


def heads(armature: bpy.types.Object, names: list[str]) -> np.ndarray:
    """World positions (FRAMES, N, 3) of bone heads on the evaluated armature."""
    rows = []
    for frame in range(1, FRAMES + 1):
        bpy.context.scene.frame_set(frame)
        posed = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
        rows.append([posed.matrix_world @ posed.pose.bones[name].head for name in names])
    return np.array(rows)


# file axes (Y up) to Blender's (Z up)
Z_UP = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])


@pytest.mark.parametrize("handler", ["strict", "surrogateescape"])
def test_a_name_outside_the_code_page_is_exported_where_output_is_a_pipe_of_windows(
    handler: str, puppet: bpy.types.Object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = io.TextIOWrapper(io.BytesIO(), "cp1252", handler)
    monkeypatch.setattr(sys, "stdout", output)
    path = export_action(puppet, tmp_path / "歩く.bvh")
    assert path.is_file()
    assert output.errors == handler


def test_bvh_read_as_text_is_the_same_motion(puppet: bpy.types.Object, tmp_path: Path) -> None:
    path = export_action(puppet, tmp_path / "take.bvh")
    names, positions = read_bvh(path)
    wanted = heads(puppet, names)
    assert positions.shape == wanted.shape
    assert np.abs(positions @ Z_UP.T - wanted).max() < 1e-3


def test_bvh_in_the_armatures_own_axes(puppet: bpy.types.Object, tmp_path: Path) -> None:
    names, positions = read_bvh(export_action(puppet, tmp_path / "take.bvh", ExportOptions(y_up=False)))
    assert np.abs(positions - heads(puppet, names)).max() < 1e-3


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Blender's importer leaves it open
@pytest.mark.parametrize("order", ["QUATERNION", "XYZ", "ZYX", "YXZ"])
def test_bvh_read_by_blenders_importer_with_its_defaults(puppet: bpy.types.Object, tmp_path: Path, order: str) -> None:
    puppet.matrix_world = Matrix.Translation((1.0, 2.0, 0.5)) @ Matrix.Rotation(1.0, 4, "X") @ Matrix.Scale(0.5, 4)
    for bone in puppet.pose.bones:
        bone.rotation_mode = order  # the native order of the file; without keys on it the pose rests
    names = list(puppet.pose.bones.keys())
    wanted = heads(puppet, names)
    path = export_action(puppet, tmp_path / "take.bvh")
    bpy.ops.import_anim.bvh(filepath=str(path), update_scene_fps=False)
    back = bpy.context.object
    assert np.abs(heads(back, names) - wanted).max() < 2e-3


@pytest.mark.parametrize("ending", ["fbx", "glb"])
@pytest.mark.parametrize("engine", list(Engine))
def test_deform_bones_alone_for_engines(puppet: bpy.types.Object, tmp_path: Path, engine: Engine, ending: str) -> None:
    controls = ("left_hand", "right_hand")
    for name in controls:
        puppet.data.bones[name].use_deform = False
    names = [name for name in puppet.pose.bones.keys() if name not in controls]  # noqa: SIM118
    wanted = heads(puppet, names)
    path = export_action(puppet, tmp_path / f"take.{ending}", ExportOptions(engine=engine, deform_only=True))
    assert puppet.name == "Puppet"
    bpy.data.objects.remove(puppet)
    if ending == "fbx":
        bpy.ops.import_scene.fbx(filepath=str(path), anim_offset=0.0)
    else:
        bpy.ops.import_scene.gltf(filepath=str(path))
    back = next(thing for thing in bpy.data.objects if thing.type == "ARMATURE")
    assert not set(controls) & set(back.pose.bones.keys())
    if ending == "fbx":
        assert np.abs(heads(back, names) - wanted).max() < 1e-3
        assert engine is not Engine.UNREAL or back.name.startswith("root")


def test_an_engine_is_told_what_it_cannot_read(puppet: bpy.types.Object, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="Unity reads no BVH"):
        export_action(puppet, tmp_path / "take.bvh", ExportOptions(engine=Engine.UNITY))
    for bone in puppet.data.bones:
        bone.use_deform = False
    with pytest.raises(ExportError, match="no deform bone"):
        export_action(puppet, tmp_path / "take.fbx", ExportOptions(deform_only=True))


def test_glb_read_as_json_is_the_same_motion(puppet: bpy.types.Object, tmp_path: Path) -> None:
    path = export_action(puppet, tmp_path / "take.glb")
    names, positions = read_glb(path)
    kept = [index for index, name in enumerate(names) if name in puppet.pose.bones]
    assert len(kept) == len(puppet.pose.bones)
    wanted = heads(puppet, [names[index] for index in kept])
    assert len(positions) == FRAMES
    assert np.abs(positions[:, kept] @ Z_UP.T - wanted).max() < 1e-3


def test_fbx_reopens_with_the_same_motion(puppet: bpy.types.Object, tmp_path: Path) -> None:
    names = list(puppet.pose.bones.keys())
    wanted = heads(puppet, names)
    path = export_action(puppet, tmp_path / "take.fbx")
    bpy.data.objects.remove(puppet)
    bpy.ops.import_scene.fbx(filepath=str(path), anim_offset=0.0)
    back = next(thing for thing in bpy.data.objects if thing.type == "ARMATURE")
    assert np.abs(heads(back, names) - wanted).max() < 1e-3


def test_usd_reopens_with_the_same_motion(puppet: bpy.types.Object, tmp_path: Path) -> None:
    names = list(puppet.pose.bones.keys())
    wanted = heads(puppet, names)
    path = export_action(puppet, tmp_path / "take.usdc")
    bpy.data.objects.remove(puppet)
    bpy.ops.wm.usd_import(filepath=str(path))
    back = next(thing for thing in bpy.data.objects if thing.type == "ARMATURE")
    assert np.abs(heads(back, names) - wanted).max() < 1e-3


def test_the_scene_is_as_before(puppet: bpy.types.Object, tmp_path: Path) -> None:
    scene = bpy.context.scene
    other = bpy.data.objects.new("Other", None)
    scene.collection.objects.link(other)
    bpy.ops.object.select_all(action="DESELECT")
    other.select_set(True)
    bpy.context.view_layer.objects.active = other
    scene.frame_start, scene.frame_end = 3, 99
    scene.frame_set(7)
    export_action(puppet, tmp_path / "take.glb")
    assert (scene.frame_start, scene.frame_end, scene.frame_current) == (3, 99, 7)
    assert [thing.name for thing in bpy.context.view_layer.objects if thing.select_get()] == ["Other"]
    assert bpy.context.view_layer.objects.active == other


def test_faults_are_said(puppet: bpy.types.Object, tmp_path: Path) -> None:
    assert action_range(puppet) == (1, FRAMES)
    with pytest.raises(ExportError, match="unknown ending"):
        export_action(puppet, tmp_path / "take.xyz")
    still = canonical_armature("Still")
    with pytest.raises(ExportError, match="no keyed action"):
        export_action(still, tmp_path / "take.bvh")
    bpy.context.scene.collection.objects.unlink(puppet)
    with pytest.raises(ExportError, match="not in the active view layer"):
        export_action(puppet, tmp_path / "take.bvh")


def test_blender_has_the_operators_of_every_format() -> None:
    for one in EXPORT_FORMATS:
        for operator in (one.exporter, one.importer):
            group, _, name = operator.partition(".")
            kind = getattr(getattr(bpy.ops, group), name).get_rna_type()  # raises KeyError where there is none
            if operator == one.exporter:
                assert set(one.options) <= set(kind.properties.keys()), one.name
