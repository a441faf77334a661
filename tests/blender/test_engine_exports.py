"""Exports for engines hold what the engines document, and the checker says so where a file does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import pytest
from retarget_rigs import generate_rigify

from blender_addon.motion.export_formats import Engine
from blender_addon.rig.export_action import ExportError, ExportOptions, export_action
from tools.check_engine_exports import CHARACTER, check_character, check_file, check_motion, load_character, prepared

# Blender 5.2's FBX exporter sets shapes of arrays, which numpy 2.5 deprecates
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Blender's BVH importer leaves it open
@pytest.mark.parametrize("with_root", [False, True])
def test_the_sample_character_for_every_engine(tmp_path: Path, with_root: bool) -> None:
    armature = load_character(CHARACTER, with_root)
    mesh = next(thing for thing in bpy.data.objects if thing.type == "MESH")
    mesh.modifiers.new("Solidify", "SOLIDIFY").thickness = 0.02
    names = sorted(thing.name for thing in bpy.data.objects)
    found = check_character(armature, tmp_path, "sample")
    assert {name: account.bad for name, account in found.items() if account.bad} == {}
    assert len(found) == 5
    assert sorted(thing.name for thing in bpy.data.objects) == names
    assert bpy.context.scene.unit_settings.scale_length == pytest.approx(1.0)
    assert not [data for data in bpy.data.armatures if "original" in data.name]


def test_a_scaled_and_turned_character_for_unreal(tmp_path: Path) -> None:
    armature = load_character(CHARACTER, with_root=True)
    armature.scale, armature.location = (0.6, 0.6, 0.6), (1.0, 2.0, 0.0)
    bpy.context.view_layer.update()
    wanted = prepared(armature)
    path = export_action(armature, tmp_path / "small.fbx", ExportOptions(engine=Engine.UNREAL))
    assert check_file(path, Engine.UNREAL, wanted).bad == []
    assert check_motion(path, wanted).bad == []


def test_rigify_for_unreal(tmp_path: Path) -> None:
    armature = generate_rigify(with_fingers=False)
    wanted = prepared(armature)
    path = export_action(armature, tmp_path / "rigify.fbx", ExportOptions(engine=Engine.UNREAL, with_mesh=False))
    bad = check_file(path, Engine.UNREAL, wanted).bad
    assert not [sentence for sentence in bad if "scaled" in sentence or "unit" in sentence or "is Y" in sentence]
    assert check_motion(path, wanted).bad == []


@pytest.mark.parametrize(
    ("made", "held", "complaint"),
    [
        (ExportOptions(engine=Engine.UNITY), Engine.UNREAL, "centimetre"),
        (ExportOptions(engine=Engine.UNREAL), Engine.UNITY, "metre"),
        (ExportOptions(), Engine.UNREAL, "armature object is called"),
    ],
)
def test_a_file_for_another_engine_is_told(tmp_path: Path, made: ExportOptions, held: Engine, complaint: str) -> None:
    armature = load_character(CHARACTER, with_root=False)
    wanted = prepared(armature)
    path = export_action(armature, tmp_path / "take.fbx", made)
    assert any(complaint in sentence for sentence in check_file(path, held, wanted).bad)


def test_control_bones_wrong_axes_and_other_motions_are_told(tmp_path: Path) -> None:
    armature: Any = load_character(CHARACTER, with_root=False)
    armature.data.bones["mixamorig:LeftHandThumb3"].use_deform = False
    wanted = prepared(armature)
    path = export_action(armature, tmp_path / "all.fbx", ExportOptions())
    assert any("deforms nothing" in sentence for sentence in check_file(path, Engine.GODOT, wanted).bad)
    path = export_action(armature, tmp_path / "z_up.bvh", ExportOptions(y_up=False))
    assert any("up is Y" in sentence for sentence in check_file(path, Engine.NONE, wanted).bad)
    armature.animation_data.action = None
    armature.pose.bones["mixamorig:Spine"].keyframe_insert("location", frame=1)
    path = export_action(armature, tmp_path / "still.glb", ExportOptions(engine=Engine.GODOT))
    assert any("bones move" in sentence for sentence in check_motion(path, wanted).bad)


def test_bones_that_an_engine_would_take_for_one_are_refused(tmp_path: Path) -> None:
    armature = load_character(CHARACTER, with_root=False)
    prepared(armature)
    armature.data.bones["mixamorig:LeftHandThumb3"].name = "lefthandindex3"
    with pytest.raises(ExportError, match=r"mixamorig:LeftHandIndex3.*lefthandindex3|lefthandindex3.*LeftHandIndex3"):
        export_action(armature, tmp_path / "take.fbx", ExportOptions(engine=Engine.UNREAL))
    assert not (tmp_path / "take.fbx").exists()
    export_action(armature, tmp_path / "take.fbx", ExportOptions(engine=Engine.UNITY))
