"""Every panel draws in every state, with what this Blender has; greyed buttons say why."""

from __future__ import annotations

import ast
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import pytest
from clips import smooth_clip
from rigs import canonical_armature
from stand_in_layout import StandInLayout, draw, texts

from blender_addon.motion.clip import write_clip


def _panels() -> list[Any]:
    return [getattr(bpy.types, name) for name in dir(bpy.types) if name.startswith("MARIONET_PT_")]


@pytest.fixture
def clip_file(tmp_path: Path) -> Path:
    path = tmp_path / "sway.npz"
    write_clip(smooth_clip(30), path)
    return path


def test_panels_draw_in_a_new_file(extension: str) -> None:
    panels = _panels()
    assert len(panels) >= 7
    for panel in panels:
        assert draw(panel)


@pytest.mark.parametrize("source", ["FILE", "MOVIE_CLIP", "SEQUENCE"])
def test_panels_draw_with_a_clip_a_rig_and_every_option(
    extension: str, addon: Any, clip_file: Path, source: str
) -> None:
    bpy.ops.marionet.import_clip(filepath=str(clip_file))
    kept = bpy.context.scene.marionet
    kept.retarget.armature = canonical_armature()
    kept.capture.source, kept.capture.use_range, kept.capture.person = source, True, "index"
    kept.cleanup.use_trim = kept.bake.reduce = kept.retarget.own_scale = True
    kept.bake.into = "NLA_STRIP"
    state = addon("session.session_state").STATE
    state.last_error, state.bake_lines = "A very long message " * 10, ["Take: 22 bones"]
    try:
        drawn = {panel.bl_idname: draw(panel) for panel in _panels()}
    finally:
        state.last_error, state.bake_lines = "", []
    assert "24 of 24" in texts(drawn["MARIONET_PT_retarget"]) or "joints" in texts(drawn["MARIONET_PT_retarget"])
    assert "30 frames" in texts(drawn["MARIONET_PT_clips"])


def test_lists_draw_and_search(extension: str, clip_file: Path) -> None:
    bpy.ops.marionet.import_clip(filepath=str(clip_file))
    kept = bpy.context.scene.marionet
    kept.retarget.armature = canonical_armature()
    log: list[Any] = []
    rows, panel = kept.retarget.rows, bpy.types.MARIONET_UL_map
    chosen, layout = kept.retarget, StandInLayout(log)
    for row in rows:
        panel.draw_item(SimpleNamespace(), bpy.context, layout, chosen, row, 0, chosen, "row_index")
    clips = bpy.types.MARIONET_UL_clips
    clips.draw_item(SimpleNamespace(), bpy.context, StandInLayout(log), kept, kept.clips[0], 0, kept, "clip_index")
    shown = [arguments["text"] for name, _, arguments in log if name == "label"]
    assert len(rows) == 34
    everything = SimpleNamespace(filter_name="", bitflag_filter_item=1 << 30)
    for left, expected in ((False, 24), (True, 29)):
        kept.retarget.show_left_fingers = left
        flags, _ = panel.filter_items(everything, bpy.context, kept.retarget, "rows")
        assert sum(map(bool, flags)) == expected
    names = [row.name for row in rows]
    assert names[names.index("left_hand") + 1 :][:5] == [
        f"left_{f}" for f in ("thumb", "index", "middle", "ring", "little")
    ]
    assert {"L Upper Arm", "R Shin", "Hips", "left_shoulder"} <= set(shown)
    search = SimpleNamespace(filter_name="knee", bitflag_filter_item=1 << 30)
    flags, _ = panel.filter_items(search, bpy.context, kept.retarget, "rows")
    assert [row.name for row, flag in zip(rows, flags, strict=True) if flag] == ["left_knee", "right_knee"]


def test_the_chosen_joint_stands_below_the_list_in_full(extension: str) -> None:
    kept = bpy.context.scene.marionet
    kept.retarget.armature = canonical_armature(prefix="mixamorig:")
    kept.retarget.row_index = [row.name for row in kept.retarget.rows].index("left_shoulder")
    drawn = draw(bpy.types.MARIONET_PT_map)
    assert "Left Upper Arm" in texts(drawn)
    assert any(name == "prop_search" and arguments[1] == "bone" for name, arguments, _ in drawn)


def test_warnings_stand_under_the_bake_button(extension: str, clip_file: Path) -> None:
    bpy.ops.marionet.import_clip(filepath=str(clip_file))
    kept = bpy.context.scene.marionet
    rig = canonical_armature()
    holder = rig.pose.bones["left_elbow"].constraints.new("CHILD_OF")
    holder.target, holder.subtarget = rig, "pelvis"
    rig.scale = (1.0, 1.0, 1.4)
    bpy.context.view_layer.update()
    kept.retarget.armature = rig
    kept.bake.into = "NEW_ACTION"
    before = texts(draw(bpy.types.MARIONET_PT_bake)).replace("\n", " ")
    assert "left_elbow" in before
    assert "uneven scale" in before
    bpy.ops.marionet.bake()
    drawn = draw(bpy.types.MARIONET_PT_bake)
    after = texts(drawn).replace("\n", " ")
    assert "left_elbow" in after
    assert "uneven scale" in after
    names = [arguments[0] if name == "operator" else name for name, arguments, _ in drawn]
    icons = [arguments.get("icon") for _, _, arguments in drawn]
    assert icons.index("ERROR") > names.index("marionet.bake")
    rig.animation_data.action = None  # as after an undo
    assert "bones (" not in texts(draw(bpy.types.MARIONET_PT_bake))


def test_one_strength_for_all_parts(extension: str) -> None:
    cleanup = bpy.context.scene.marionet.cleanup
    cleanup.preset = "medium"
    assert {cleanup.root, cleanup.torso, cleanup.arms, cleanup.legs} == {"medium"}
    cleanup.arms = "off"
    assert cleanup.preset == "mixed"
    cleanup.preset = "off"


def test_figures_and_warnings_are_in_the_panels_words(extension: str, addon: Any) -> None:
    figures = addon("motion.quality_words")
    lines = [text for text, _ in figures.quality_lines({"foot_skate_m_s": 0.5, "penetration_m": 0.0})]
    assert any("poor" in line for line in lines), lines
    assert any("good" in line for line in lines), lines
    words = addon("ui.panel_words")
    told = words.in_panel_words("the camera is not known (assumed): distances may be off; give --fov")
    assert "--" not in told
    assert "Field of View" in told


@pytest.mark.parametrize("setup_state", [None, "running", "done", "failed", "cancelled"])
def test_preferences_draw(extension: str, addon: Any, setup_state: str | None, tmp_path: Path) -> None:
    setup = addon("client.backend_setup")
    state = addon("session.session_state").STATE
    if setup_state:
        (tmp_path / "log").write_text("Collecting numpy\n")
        plan = setup.SetupPlan(tmp_path, (setup.SetupStep("Install", ("pip",)),))
        state.setup = setup.SetupRun(plan, tmp_path / "log", setup_state, message="Ready")
    preferences = bpy.context.preferences.addons[extension].preferences
    try:
        for backend in ("LOCAL", "REMOTE"):
            preferences.backend = backend
            log: list[Any] = []
            addon("ui.preferences").draw_preferences(preferences, StandInLayout(log), bpy.context)
            assert log
            if setup_state == "running" and backend == "LOCAL":
                assert "Collecting numpy" in texts(log)
    finally:
        state.setup = None
        preferences.backend = "LOCAL"


def test_the_setup_dialog_shows_the_exact_commands(extension: str, addon: Any) -> None:
    said = " ".join(texts(draw(addon("ui.operators.backend").MARIONET_OT_setup_backend)).split())
    assert "-m venv --clear" in said
    assert "--require-hashes" in said
    assert "-m backend doctor" in said


def test_the_setup_dialog_refuses_the_name_of_a_package(extension: str, addon: Any) -> None:
    preferences = bpy.context.preferences.addons[extension].preferences
    preferences.setup_package = "marionet"
    try:
        said = texts(draw(addon("ui.operators.backend").MARIONET_OT_setup_backend))
    finally:
        preferences.setup_package = ""
    assert "never installed by name" in said
    assert "pip install" not in said


def test_the_setup_dialog_shows_a_fault_in_full_and_no_commands(extension: str, addon: Any, tmp_path: Path) -> None:
    """A fault is longer than the dialog is wide: Blender would cut one line in the middle."""
    preferences = bpy.context.preferences.addons[extension].preferences
    preferences.setup_python = str(tmp_path / "no_python_is_here")
    try:
        lines = texts(draw(addon("ui.operators.backend").MARIONET_OT_setup_backend)).splitlines()
    finally:
        preferences.setup_python = ""
    assert "Choose another Python for Set-up" in " ".join(lines)
    assert max(map(len, lines)) < 110
    assert not any("These commands" in line for line in lines)


def test_a_dead_backend_shows_the_end_of_its_log_and_what_to_do(extension: str, addon: Any, tmp_path: Path) -> None:
    """Backend Python names a Python without the backend, away from any checkout."""
    subprocess.run((sys.executable, "-I", "-m", "venv", "--without-pip", str(tmp_path / "empty")), check=True)
    access, state = addon("session.backend"), addon("session.session_state").STATE
    preferences = bpy.context.preferences.addons[extension].preferences
    preferences.backend_python = str(tmp_path / "empty")
    preferences.backend_folder = str(tmp_path)
    try:
        link = access.ensure_link()
        deadline = time.monotonic() + 60
        while link.tick(0.01).state != "dead" and time.monotonic() < deadline:
            time.sleep(0.02)
        for log in (_preferences_text(addon, preferences), texts(draw(bpy.types.MARIONET_PT_main))):
            assert "No module named backend" in " ".join(log.split())
        assert "Press Set Up Backend" in link.status.remedy
    finally:
        access.close_link()
        state.last_error = preferences.backend_python = preferences.backend_folder = ""


def _preferences_text(addon: Any, preferences: Any) -> str:
    log: list[Any] = []
    addon("ui.preferences").draw_preferences(preferences, StandInLayout(log), bpy.context)
    return texts(log)


def test_greyed_buttons_say_why(extension: str, addon: Any) -> None:
    reasons = []
    for name in ("bake", "toggle_live", "toggle_skeleton", "make_camera", "capture", "export", "remove_clip"):
        with pytest.raises(RuntimeError) as fault:
            getattr(bpy.ops.marionet, name)()
        reasons.append(str(fault.value))
    assert all("poll() " in reason and len(reason.split("poll()")[1]) > 15 for reason in reasons), reasons
    assert "Choose a video first" in reasons[4]
    assert "There is no clip yet" in reasons[0]


def test_every_operator_that_can_be_greyed_says_why(extension: str) -> None:
    greyed = []
    for name in (name for name in dir(bpy.ops.marionet) if not name.startswith("_")):
        operator = getattr(bpy.ops.marionet, name)
        if operator.poll():
            continue
        with pytest.raises(RuntimeError) as fault:
            operator()
        greyed.append(name)
        said = str(fault.value).split("poll()")[1]
        assert len(said) > 15, (name, said)
        assert "context is incorrect" not in said, name  # Blender's own word where an operator has none
    assert {"bake", "cancel_setup", "open_setup_log", "cancel_people", "pick_point", "use_movie_clip"} <= set(greyed)


def _silent_returns(poll: ast.FunctionDef) -> list[int]:
    """Lines of a poll that may answer no without a word: neither itself nor through a helper that is given `cls`."""

    def speaks(node: ast.AST) -> bool:
        calls = [call for call in ast.walk(node) if isinstance(call, ast.Call)]
        given = [isinstance(word, ast.Name) and word.id == "cls" for call in calls for word in call.args]
        return any(given) or any(isinstance(c.func, ast.Attribute) and c.func.attr == "poll_message_set" for c in calls)

    told = {ast.dump(part.test) for part in ast.walk(poll) if isinstance(part, ast.If) and speaks(part)}
    silent = []
    for part in ast.walk(poll):
        body = getattr(part, "body", None)
        for place, line in enumerate(body if isinstance(body, list) else []):
            if not isinstance(line, ast.Return) or (isinstance(line.value, ast.Constant) and line.value.value is True):
                continue
            before = any(speaks(other) for other in body[:place] if not isinstance(other, ast.If))
            asked = isinstance(part, ast.If) and speaks(part.test)
            same = isinstance(line.value, ast.UnaryOp) and ast.dump(line.value.operand) in told
            if not (before or asked or same or speaks(line)):
                silent.append(line.lineno)
    return silent


def test_no_poll_answers_no_without_a_word() -> None:
    folder = Path(__file__).resolve().parents[2] / "blender_addon" / "ui" / "operators"
    polls = [
        (path.name, part)
        for path in sorted(folder.glob("*.py"))
        for part in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(part, ast.FunctionDef) and part.name == "poll"
    ]
    assert len(polls) > 20
    assert [(name, line) for name, poll in polls for line in _silent_returns(poll)] == []


@pytest.mark.parametrize(
    ("body", "silent"),
    [
        ("return True", []),
        ("return context.scene is not None", [2]),
        ("return not no_clip(cls, context)", []),
        ("if no_clip(cls, context):\n        return False\n    return True", []),
        ("if context.scene is None:\n        return False\n    return True", [3]),
        ("if context.scene is None:\n        cls.poll_message_set('None')\n        return False\n    return True", []),
        ("if reason:\n        cls.poll_message_set(reason)\n    return not reason", []),
        ("if reason:\n        cls.poll_message_set(reason)\n    return not other", [4]),
    ],
)
def test_a_silent_poll_is_noticed(body: str, silent: list[int]) -> None:
    poll = ast.parse(f"def poll(cls, context):\n    {body}\n").body[0]
    assert isinstance(poll, ast.FunctionDef)
    assert _silent_returns(poll) == silent


def test_every_setting_has_a_tooltip_and_every_operator_too(extension: str) -> None:
    names = [name for name in dir(bpy.ops.marionet) if not name.startswith("_")]
    silent = [name for name in names if not getattr(bpy.ops.marionet, name).get_rna_type().description]
    assert len(names) > 25
    assert not silent
    kept = bpy.context.scene.marionet
    for part in (kept.capture, kept.retarget, kept.cleanup, kept.bake):
        shown = [p for p in part.bl_rna.properties if p.identifier not in ("rna_type", "name", "rows", "row_index")]
        missing = [p.identifier for p in shown if not p.description and not p.identifier.startswith("map_")]
        assert not missing, missing


def test_the_guide_ticks_off_what_is_done(extension: str, clip_file: Path) -> None:
    before = [kwargs.get("icon") for _, _, kwargs in draw(bpy.types.MARIONET_PT_main)]
    bpy.ops.marionet.import_clip(filepath=str(clip_file))
    bpy.context.scene.marionet.retarget.armature = canonical_armature()
    after = [kwargs.get("icon") for _, _, kwargs in draw(bpy.types.MARIONET_PT_main)]
    assert after.count("CHECKMARK") > before.count("CHECKMARK")
