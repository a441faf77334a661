"""Rigify's animals: a rig that is no person is refused with the reason, in whatever way its bones are named."""

from __future__ import annotations

import bpy
import pytest

from blender_addon.retarget.auto_map import detect_map
from blender_addon.rig.read_armature import read_armature


@pytest.mark.parametrize("animal", ["basic_quadruped", "cat", "horse", "wolf", "shark"])
def test_an_animal_is_refused_with_the_reason(animal: str) -> None:
    bpy.ops.preferences.addon_enable(module="rigify")
    getattr(bpy.ops.object, f"armature_{animal}_metarig_add")()
    report = detect_map(read_armature(bpy.context.object))
    assert not report.usable
    assert any("not like a person" in problem for problem in report.problems)
