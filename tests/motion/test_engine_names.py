"""Bone names as engines read them, and bones that meet there."""

from __future__ import annotations

import pytest

from blender_addon.motion.export_formats import Engine, engine_bone_name, names_that_meet


@pytest.mark.parametrize(
    ("name", "engine", "read"),
    [
        ("mixamorig:LeftArm", Engine.UNREAL, "leftarm"),
        ("thigh.L", Engine.UNREAL, "thigh_l"),
        ("Bip01 L Thigh", Engine.UNREAL, "bip01-l-thigh"),
        ("mixamorig:LeftArm", Engine.GODOT, "mixamorig_LeftArm"),
        ("thigh.L", Engine.GODOT, "thigh.L"),
        ("thigh.L", Engine.UNITY, "thigh.L"),
    ],
)
def test_a_name_is_read_as_the_engine_replaces_it(name: str, engine: Engine, read: str) -> None:
    assert engine_bone_name(name, engine) == read


def test_names_that_meet_are_told_together() -> None:
    assert names_that_meet(["spine.001", "hips", "spine_001"], Engine.UNREAL) == ("spine.001", "spine_001")
    assert names_that_meet(["Hips", "hips"], Engine.UNREAL) == ("Hips", "hips")
    assert names_that_meet(["a:b", "a/b"], Engine.GODOT) == ("a:b", "a/b")
    assert names_that_meet(["Hips", "hips", "spine.001", "spine_001"], Engine.UNITY) == ()
