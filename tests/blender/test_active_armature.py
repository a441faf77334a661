"""Where no armature is chosen, the active object is the target: of a capture, and of an imported clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import pytest
from rigs import canonical_armature


@pytest.mark.parametrize("active", ["armature", "mesh", "none"])
def test_the_active_character_is_the_target(state: Any, clip_file: Path, active: str) -> None:
    armature = canonical_armature()
    mesh = bpy.data.objects.new("Body", bpy.data.meshes.new("Body"))
    bpy.context.scene.collection.objects.link(mesh)
    mesh.modifiers.new("Rig", "ARMATURE").object = armature
    bpy.context.view_layer.objects.active = {"armature": armature, "mesh": mesh, "none": None}[active]
    assert bpy.ops.marionet.import_clip(filepath=str(clip_file)) == {"FINISHED"}
    chosen = bpy.context.scene.marionet.retarget
    assert chosen.armature == (None if active == "none" else armature)
    assert bool(chosen.rows) == (active != "none")


def test_a_chosen_armature_stays(state: Any, clip_file: Path) -> None:
    chosen, other = canonical_armature("Chosen"), canonical_armature("Other")
    bpy.context.scene.marionet.retarget.armature = chosen
    bpy.context.view_layer.objects.active = other
    assert bpy.ops.marionet.import_clip(filepath=str(clip_file)) == {"FINISHED"}
    assert bpy.context.scene.marionet.retarget.armature == chosen


def test_warnings_are_read_once_when_the_map_is_filled(ready: Any, addon: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    retargeting = addon("session.retargeting")
    monkeypatch.setattr(retargeting, "rig_warnings", lambda rig, *_rest: calls.append(rig.name) or ())
    for press in (bpy.ops.marionet.detect_map, bpy.ops.marionet.mirror_map, bpy.ops.marionet.clear_bone):
        calls.clear()
        assert press() == {"FINISHED"}
        assert len(calls) == 1
    calls.clear()
    ready.retarget.armature = canonical_armature("Second")
    assert len(calls) == 1
