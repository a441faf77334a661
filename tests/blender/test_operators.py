"""The buttons as a user presses them: clips, maps, previews, camera, bake, export, set-up. None fails in silence."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest


def test_import_names_are_unique_and_faults_are_said(state: Any, clip_file: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert bpy.ops.marionet.import_clip(filepath=str(clip_file)) == {"FINISHED"}
    assert [clip.name for clip in bpy.context.scene.marionet.clips] == ["sway", "sway.002"]
    foreign = tmp_path / "foreign.npz"
    np.savez(foreign, header=np.array(json.dumps({"format": "other"})))
    for path, complaint in ((foreign, "not a Marionet clip"), (tmp_path / "gone.npz", "There is no file")):
        with pytest.raises(RuntimeError, match=complaint):
            bpy.ops.marionet.import_clip(filepath=str(path))
    assert bpy.ops.marionet.remove_clip() == {"FINISHED"}
    assert len(bpy.context.scene.marionet.clips) == 1
    assert clip_file.is_file()


def test_choosing_an_armature_maps_it_and_the_bake_reports(ready: Any, state: Any) -> None:
    assert sum(bool(row.bone) for row in ready.retarget.rows) >= 22
    assert bpy.ops.marionet.bake() == {"FINISHED"}
    assert "49 frames" in state.bake_lines[0]
    assert (bpy.context.scene.frame_start, bpy.context.scene.frame_end) == (1, 49)
    assert bpy.ops.marionet.show_bake_report("EXEC_DEFAULT") == {"FINISHED"}


def test_the_live_retarget_follows_the_timeline_and_leaves_no_trace(ready: Any, state: Any) -> None:
    armature = ready.retarget.armature
    armature.pose.bones["head"].rotation_quaternion = (0.9, 0.1, 0.2, 0.3)
    before = {bone.name: bone.matrix_basis.copy() for bone in armature.pose.bones}
    assert bpy.ops.marionet.toggle_live() == {"FINISHED"}
    assert bpy.ops.marionet.toggle_skeleton() == {"FINISHED"}
    seen = []
    for frame in (1, 20, 40):
        bpy.context.scene.frame_set(frame)
        posed = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
        seen.append(np.array(posed.pose.bones["left_wrist"].head))
    assert np.linalg.norm(seen[0] - seen[1]) > 0.01
    assert state.overlay.overlay.visible_joints == 24
    bpy.context.scene.frame_set(400)
    assert state.overlay.overlay.visible_joints == 0
    assert bpy.ops.marionet.toggle_live() == {"FINISHED"}
    for bone in armature.pose.bones:
        assert np.abs(np.array(bone.matrix_basis) - np.array(before[bone.name])).max() < 1e-6
    assert armature.animation_data is None


def test_a_live_retarget_that_moves_the_object_puts_all_back(ready: Any, addon: Any) -> None:
    armature = ready.retarget.armature
    armature.location, armature.rotation_euler = (3.0, -2.0, 0.0), (0.0, 0.0, 0.7)
    before = [*armature.location, *armature.rotation_euler]
    ready.retarget.root = "OBJECT"
    assert bpy.ops.marionet.toggle_live() == {"FINISHED"}
    places = []
    for frame in (1, 40):
        bpy.context.scene.frame_set(frame)
        places.append(np.array(armature.location))
    assert np.linalg.norm(places[1] - places[0]) > 0.01
    # an option that changes meanwhile: the hips travel now, the object stands where the user left it
    ready.retarget.root = "HIPS"
    addon("session.preview_control").refresh_previews(bpy.context)  # what a timer does where Blender has a window
    bpy.context.scene.frame_set(39)
    assert [*armature.location, *armature.rotation_euler] == pytest.approx(before)
    assert bpy.ops.marionet.toggle_live() == {"FINISHED"}
    assert [*armature.location, *armature.rotation_euler] == pytest.approx(before)
    assert all(np.abs(np.array(bone.matrix_basis) - np.eye(4)).max() < 1e-6 for bone in armature.pose.bones)
    assert armature.animation_data is None


def test_an_object_that_moves_only_later_in_a_live_retarget_is_put_back(ready: Any, addon: Any) -> None:
    armature = ready.retarget.armature
    armature.location = (3.0, -2.0, 0.0)
    before = [*armature.location, *armature.rotation_euler]
    assert bpy.ops.marionet.toggle_live() == {"FINISHED"}
    ready.retarget.root = "OBJECT"
    addon("session.preview_control").refresh_previews(bpy.context)
    bpy.context.scene.frame_set(40)
    assert [*armature.location, *armature.rotation_euler] != pytest.approx(before)
    assert bpy.ops.marionet.toggle_live() == {"FINISHED"}
    assert [*armature.location, *armature.rotation_euler] == pytest.approx(before)


def test_no_file_stores_a_live_preview(ready: Any, state: Any, tmp_path: Path) -> None:
    path = tmp_path / "scene.blend"
    name = ready.retarget.armature.name
    bpy.ops.marionet.toggle_live()
    bpy.context.scene.frame_set(20)
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    assert state.live is not None
    bpy.ops.wm.open_mainfile(filepath=str(path))
    assert state.live is None
    turned = [bone.name for bone in bpy.data.objects[name].pose.bones if bone.rotation_quaternion.angle > 1e-4]
    assert not turned
    # the settings came back with the file, and the clip is read again from its own
    assert bpy.ops.marionet.bake() == {"FINISHED"}


def test_a_step_made_during_a_preview_leaves_no_pose_behind(ready: Any, state: Any, addon: Any) -> None:
    """What an undo brings back is set by hand: the background has no undo (tools/gui_faults.py undoes in a window)."""
    previews, armature = addon("session.previews"), ready.retarget.armature
    bone = armature.pose.bones["left_shoulder"]
    bone.rotation_quaternion = (0.8, 0.6, 0.0, 0.0)
    own = bone.rotation_quaternion.copy()
    assert bpy.ops.marionet.toggle_live() == {"FINISHED"}
    bpy.context.scene.frame_set(20)
    posed = bone.rotation_quaternion.copy()
    assert posed.rotation_difference(own).angle > 0.01
    assert ready.retarget.previewed == armature.name
    bone.rotation_quaternion = own  # an undo to a step before the preview: it goes on
    ready.retarget.previewed = ""
    previews.on_undo(bpy.context.scene)
    assert bone.rotation_quaternion.rotation_difference(posed).angle < 1e-4
    assert ready.retarget.previewed == armature.name
    assert bpy.ops.marionet.toggle_live() == {"FINISHED"}
    assert ready.retarget.previewed == ""
    bone.rotation_quaternion, ready.retarget.previewed = posed, armature.name  # an undo to a step of the preview
    previews.on_undo(bpy.context.scene)
    assert bone.rotation_quaternion.rotation_difference(own).angle < 1e-4
    assert ready.retarget.previewed == ""
    bone.rotation_quaternion = posed  # posed by the user, who is left alone
    previews.on_undo(bpy.context.scene)
    assert bone.rotation_quaternion.rotation_difference(posed).angle < 1e-4


def test_smoothing_changes_what_is_baked_and_the_trim_what_is_used(ready: Any, addon: Any) -> None:
    clips = addon("session.clips")
    raw = clips.cleaned_clip(bpy.context)
    ready.cleanup.arms = "heavy"
    smooth = clips.cleaned_clip(bpy.context)
    elbow = raw.body_joint_names.index("left_elbow")
    assert np.abs(smooth.rotations_wxyz[:, elbow] - raw.rotations_wxyz[:, elbow]).max() > 1e-4
    ready.cleanup.straighten = math.radians(12.0)
    straight = clips.cleaned_clip(bpy.context)
    assert (straight.root_world_m[:, 2] - smooth.root_world_m[:, 2]).max() > 0.002
    knee = raw.body_joint_names.index("left_knee")
    assert np.abs(straight.rotations_wxyz[:, knee] - smooth.rotations_wxyz[:, knee]).max() > 0.01
    ready.cleanup.use_trim, ready.cleanup.trim_start_s, ready.cleanup.trim_end_s = True, 0.5, 1.0
    ready.bake.frame_start = 101
    assert bpy.ops.marionet.bake() == {"FINISHED"}
    assert (bpy.context.scene.frame_start, bpy.context.scene.frame_end) == (101, 113)
    ready.cleanup.trim_start_s, ready.cleanup.trim_end_s = 50.0, 60.0
    with pytest.raises(RuntimeError, match="no frame of the clip lies between"):
        bpy.ops.marionet.bake()


def test_maps_are_edited_mirrored_remembered_saved_and_loaded(ready: Any, state: Any, tmp_path: Path) -> None:
    chosen = ready.retarget
    index = [row.name for row in chosen.rows].index("left_toe")
    chosen.row_index = index
    bpy.ops.marionet.clear_bone()
    assert chosen.rows[index].bone == ""
    assert bpy.ops.marionet.mirror_map(source="right") == {"FINISHED"}
    assert chosen.rows[index].bone == "left_toe"
    pick(chosen.armature, "left_ankle")
    assert bpy.ops.marionet.pick_bone() == {"FINISHED"}
    assert chosen.rows[index].bone == "left_ankle"
    assert chosen.rows[index].reason == "Chosen by hand"
    bpy.ops.marionet.detect_map()
    assert chosen.rows[index].bone == "left_ankle", "the correction was not remembered"
    path = tmp_path / "my_rig.json"
    assert bpy.ops.marionet.save_map(filepath=str(path)) == {"FINISHED"}
    assert bpy.ops.marionet.forget_map() == {"FINISHED"}
    assert chosen.rows[index].bone == "left_toe"
    assert bpy.ops.marionet.load_map(filepath=str(path)) == {"FINISHED"}
    assert chosen.rows[index].bone == "left_ankle"
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(RuntimeError, match="version"):
        bpy.ops.marionet.load_map(filepath=str(tmp_path / "bad.json"))


def pick(armature: Any, name: str) -> None:
    """Select one bone, as Blender 4 and Blender 5 keep it."""
    for bone in armature.pose.bones:
        holder = bone if hasattr(bone, "select") else bone.bone
        holder.select = bone.name == name


def test_the_camera_and_the_export_work_from_the_panel(ready: Any, state: Any, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no active action"):
        bpy.ops.marionet.export(filepath=str(tmp_path / "take.bvh"))
    assert bpy.ops.marionet.make_camera(show_video=False) == {"FINISHED"}
    assert bpy.context.scene.camera.data.lens == pytest.approx(1100 * 36 / 1280, abs=1e-3)
    bpy.ops.marionet.bake()
    assert bpy.ops.marionet.export(filepath=str(tmp_path / "take"), file_format=".bvh") == {"FINISHED"}
    assert (tmp_path / "take.bvh").stat().st_size > 10_000
    with pytest.raises(RuntimeError, match="unknown ending"):
        bpy.ops.marionet.export(filepath=str(tmp_path / "take.xyz"))


def test_a_read_only_profile_still_works_and_says_what_is_not_kept(
    ready: Any, state: Any, addon: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_name: str = "") -> Path:
        raise OSError("Read-only file system")

    monkeypatch.setattr(addon("session.map_rows"), "user_dir", refuse)
    monkeypatch.setattr(addon("session.backend"), "user_dir", refuse)
    ready.retarget.rows[10].bone = "left_wrist"
    assert "could not be kept for later (Read-only file system)" in state.last_error
    assert bpy.ops.marionet.detect_map() == {"FINISHED"}
    assert bpy.ops.marionet.bake() == {"FINISHED"}
    assert addon("session.backend").clip_dir(addon("session.extension").preferences()).is_dir()


def test_presets_keep_the_settings(ready: Any) -> None:
    ready.retarget.travel, ready.cleanup.legs, ready.cleanup.straighten = "IN_PLACE", "medium", 0.25
    assert bpy.ops.marionet.add_preset(name="Game") == {"FINISHED"}
    ready.retarget.travel, ready.cleanup.legs, ready.cleanup.straighten = "TRAVEL", "off", 0.0
    path = next(Path(folder) for folder in bpy.utils.preset_paths("marionet")) / "Game.py"
    bpy.ops.script.execute_preset(filepath=str(path), menu_idname="MARIONET_MT_presets")
    assert (ready.retarget.travel, ready.cleanup.legs) == ("IN_PLACE", "medium")
    assert ready.cleanup.straighten == pytest.approx(0.25)


def test_the_guided_set_up_makes_an_environment_and_shows_its_log(state: Any, addon: Any, tmp_path: Path) -> None:
    setup = addon("client.backend_setup")
    echo = setup.SetupStep("Say", (sys.executable, "-c", "print('downloading')"))
    run = setup.SetupRun(setup.SetupPlan(tmp_path / "environment", (echo, echo)), tmp_path / "log")
    while run.poll() == "running":
        pass
    assert (run.state, run.step) == ("done", 1)
    assert run.log_tail() == [f"$ {setup.command_line(echo.command)}", "downloading"] * 2
    fail = setup.SetupStep("Fail", (sys.executable, "-c", "import sys; sys.exit('no network')"))
    run = setup.SetupRun(setup.SetupPlan(tmp_path / "environment", (fail,)), tmp_path / "log")
    while run.poll() == "running":
        pass
    assert run.state == "failed"
    assert "no network" in run.log_tail()[-1]


def test_the_set_up_is_cancelled_with_its_children_and_leaves_nothing_half_made(addon: Any, tmp_path: Path) -> None:
    setup = addon("client.backend_setup")
    half_made = tmp_path / "environment"
    half_made.mkdir()
    sleep = setup.SetupStep("Wait", (sys.executable, "-c", "import time; time.sleep(600)"))
    run = setup.SetupRun(setup.SetupPlan(half_made, (sleep,)), tmp_path / "log")
    run.poll()
    child = run._child
    run.cancel()
    assert run.state == "cancelled"
    assert child.poll() is not None
    assert not half_made.exists()


@pytest.mark.parametrize(
    ("package", "complaint"), [("/no/such/folder", "does not exist"), ("{tmp}", "holds no pyproject.toml")]
)
def test_a_set_up_that_cannot_work_is_refused_in_words(
    addon: Any, tmp_path: Path, package: str, complaint: str
) -> None:
    setup = addon("client.backend_setup")
    with pytest.raises(setup.SetupError, match=complaint):
        setup.plan_setup(Path(sys.executable), tmp_path / "environment", package.format(tmp=tmp_path))


def test_a_backend_elsewhere_is_refused_while_blender_is_offline(
    state: Any, addon: Any, extension: str, tmp_path: Path
) -> None:
    connection = addon("wire.connection_file")
    path = tmp_path / "server.json"
    connection.write_connection_file(connection.ConnectionInfo("tcp://studio.example:5570", "secret"), path)
    preferences = bpy.context.preferences.addons[extension].preferences
    preferences.backend, preferences.connection_file = "REMOTE", str(path)
    bpy.context.preferences.system.use_online_access = False
    try:
        with pytest.raises(RuntimeError, match="Blender is kept offline"):
            bpy.ops.marionet.connect_backend()
        preferences.connection_file = str(tmp_path / "gone.json")
        with pytest.raises(RuntimeError, match="no connection file"):
            bpy.ops.marionet.connect_backend()
        assert "secret" not in addon("ui.operators.backend").report_text()
    finally:
        preferences.backend, preferences.connection_file = "LOCAL", ""


def test_versions_are_compared(addon: Any) -> None:
    mismatch = addon("session.session_state").version_mismatch
    assert mismatch("0.1.0", "0.1.7") == ""
    assert mismatch("0.1.0", "0.0.0") == ""  # from a checkout
    assert mismatch("0.2.0", "0.1.7").endswith("update the backend")
    assert mismatch("0.1.0", "1.0.0").endswith("update the extension")


def test_a_face_goes_in_and_out_as_a_table(ready: Any, tmp_path: Path) -> None:
    from blender_addon.motion.face import FACE_WEIGHT_NAMES
    from blender_addon.motion.live_link import read_live_link, write_live_link
    from tests.retarget.hand_motion import face_of

    wave = 0.5 - 0.5 * np.cos(np.arange(60) * 0.2)
    table = tmp_path / "talk.csv"
    table.write_text(write_live_link(np.arange(60) / 60, face_of({"jawOpen": wave}, 60), 60.0), encoding="utf-8")
    with pytest.raises(RuntimeError, match="no face"):
        bpy.ops.marionet.export_face(filepath=str(tmp_path / "none.csv"))
    assert bpy.ops.marionet.import_face(filepath=str(table)) == {"FINISHED"}
    assert len(ready.clips) == 2
    assert ready.clips[ready.clip_index].name.endswith("talk")
    assert bpy.ops.marionet.export_face(filepath=str(tmp_path / "out.csv")) == {"FINISHED"}
    times_s, face = read_live_link((tmp_path / "out.csv").read_text(encoding="utf-8"))
    jaw = face.weights[:, FACE_WEIGHT_NAMES.index("jawOpen")]
    assert np.abs(jaw[1:20] - np.interp(times_s[1:20], np.arange(60) / 60, wave)).max() < 0.01
    bad = tmp_path / "bad.csv"
    bad.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(RuntimeError, match="no weight"):
        bpy.ops.marionet.import_face(filepath=str(bad))


def test_the_preview_draws_fingers_and_a_face(ready: Any, state: Any, tmp_path: Path) -> None:
    from blender_addon.motion.clip import read_clip, write_clip
    from tests.retarget.hand_motion import face_of, random_hands

    clip = read_clip(Path(ready.clips[0].filepath))
    path = tmp_path / "full.npz"
    write_clip(replace(clip, hands=random_hands(1, len(clip)), face=face_of({"jawOpen": 0.5}, len(clip))), path)
    bpy.ops.marionet.toggle_skeleton()
    assert state.overlay.overlay.visible_lines == 0
    bpy.ops.marionet.import_clip(filepath=str(path))
    bpy.ops.marionet.toggle_skeleton()
    bpy.ops.marionet.toggle_skeleton()
    assert state.overlay.overlay.visible_lines == 40 + 14
