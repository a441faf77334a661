"""The sample that ships: one click, and a character walks."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
import pytest


def test_one_click_loads_clip_and_character_and_the_bake_makes_it_walk(extension: str, addon: Any) -> None:
    assert bpy.ops.marionet.load_sample() == {"FINISHED"}
    kept = bpy.context.scene.marionet
    armature = kept.retarget.armature
    assert armature is not None
    assert [clip.name for clip in kept.clips] == ["Sample"]
    assert bpy.ops.marionet.bake() == {"FINISHED"}
    hips = armature.pose.bones[next(row.bone for row in kept.retarget.rows if row.name == "pelvis")]
    path = []
    for frame in (bpy.context.scene.frame_start, bpy.context.scene.frame_end):
        bpy.context.scene.frame_set(frame)
        path.append(np.array(armature.matrix_world @ hips.head))
    assert np.linalg.norm(path[1][:2] - path[0][:2]) > 1.0
    assert bpy.ops.marionet.make_camera() == {"FINISHED"}
    assert bpy.context.scene.camera.data.background_images[0].image.source == "MOVIE"
    addon("session.session_state").STATE.clips.clear()


def test_the_sample_stands_free_of_the_start_up_cube_and_is_selected(extension: str, addon: Any) -> None:
    bpy.ops.mesh.primitive_cube_add(size=2.0)
    cube = bpy.context.object
    assert bpy.ops.marionet.load_sample() == {"FINISHED"}
    armature = bpy.context.scene.marionet.retarget.armature
    bones = [armature.matrix_world @ bone.head_local for bone in armature.data.bones]
    assert min(place.x for place in bones) > cube.location.x + 1.0
    assert bpy.context.view_layer.objects.active == armature
    assert not cube.select_get()
    addon("session.session_state").STATE.clips.clear()


def test_a_repeated_bake_takes_the_place_of_the_one_before_unless_it_was_edited(extension: str, addon: Any) -> None:
    assert bpy.ops.marionet.load_sample() == {"FINISHED"}
    armature = bpy.context.scene.marionet.retarget.armature
    for _ in range(3):
        assert bpy.ops.marionet.bake() == {"FINISHED"}
    assert [action.name for action in bpy.data.actions] == ["Sample"]
    armature.keyframe_insert("location", frame=3)
    assert bpy.ops.marionet.bake() == {"FINISHED"}
    assert sorted(action.name for action in bpy.data.actions) == ["Sample", "Sample.001"]
    addon("session.session_state").STATE.clips.clear()


def test_a_missing_sample_is_said(extension: str, addon: Any, monkeypatch: Any, tmp_path: Any) -> None:
    monkeypatch.setattr(addon("rig.sample"), "ASSETS_DIR", tmp_path)
    with pytest.raises(RuntimeError, match="Install the extension again"):
        bpy.ops.marionet.load_sample()
    addon("session.session_state").STATE.last_error = ""
