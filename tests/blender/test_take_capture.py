"""Capture of several videos against a live backend, as paths and as uploads: from the list to the cameras."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import pytest
from stand_in_layout import draw, texts
from test_capture_operator import BACKEND_PYTHON, Hand, state  # noqa: F401

pytestmark = pytest.mark.skipif(not BACKEND_PYTHON.is_file(), reason="no backend environment: make dev-venv")


@pytest.fixture
def capture(state: Any) -> Any:  # noqa: F811
    """The capture's settings, with the backend's link behind them."""
    return bpy.context.scene.marionet.capture


def choose(folder: Path, *names: str, **script: Any) -> list[Path]:
    """Choose scripts as the videos of a take; the first says how the job goes."""
    paths = [folder / name for name in names]
    for path in paths:
        path.write_text(json.dumps({"frames": 20, "chunk": 10, **script}) + " " * len(path.name))
    files = [{"name": path.name} for path in paths]
    assert bpy.ops.marionet.choose_video(directory=str(folder), files=files) == {"FINISHED"}
    return paths


@pytest.mark.parametrize("upload", [False, True])
def test_a_take_is_captured_and_its_cameras_are_made(
    capture: Any, addon: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, upload: bool
) -> None:
    monkeypatch.setattr(addon("session.capture_request"), "needs_upload", lambda _path: upload)
    videos = choose(tmp_path, "left.json", "right.json", "back.json", left_out=2)
    capture.more_videos[0].know_offset, capture.more_videos[0].offset_s = True, 0.5
    hand = Hand(addon)
    assert hand.invoke() == {"RUNNING_MODAL"}
    assert hand.to_the_end() == {"FINISHED"}, hand.reports
    first, (second, third) = capture.first_result, [row.result for row in capture.more_videos]
    assert [one.solved for one in (first, second, third)] == [True] * 3
    assert [one.used for one in (first, second, third)] == [True, True, False]
    assert (second.start_s, second.error_px) == (0.5, 4.0)
    assert third.reason == "its camera moves"
    entry = bpy.context.scene.marionet.clips[0]
    assert [Path(row.filepath) for row in entry.videos] == videos
    assert json.loads(Path(entry.filepath).with_name("setup.json").read_text()) == {"offsets": [[1, 0.5]]}
    assert bpy.ops.marionet.make_camera(show_video=False) == {"FINISHED"}
    assert [thing.name for thing in bpy.data.objects] == ["Camera 1 left", "Camera 2 right"]
    assert bpy.ops.marionet.save_setup(filepath=str(tmp_path / "room.json")) == {"FINISHED"}
    shown = texts(draw(bpy.types.MARIONET_PT_capture)) + texts(draw(bpy.types.MARIONET_PT_clips))
    assert "Its camera moves" in shown
    again = Hand(addon)
    assert again.invoke() == {"RUNNING_MODAL"}
    assert again.to_the_end() == {"FINISHED"}
    assert [clip.name for clip in bpy.context.scene.marionet.clips] == ["left", "left.002"]
    assert len(bpy.data.objects) == 2, "a capture changes no cameras"
    assert bpy.ops.marionet.make_camera(show_video=False) == {"FINISHED"}
    assert [thing.name for thing in bpy.data.objects] == ["Camera 1 left", "Camera 2 right"]


@pytest.mark.parametrize("upload", [False, True])
def test_a_close_up_and_a_calibration_reach_the_backend(
    capture: Any, addon: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, upload: bool
) -> None:
    monkeypatch.setattr(addon("session.capture_request"), "needs_upload", lambda _path: upload)
    left, _, _ = choose(tmp_path, "left.json", "face_closeup.json", "right.json")
    (tmp_path / "rig.toml").write_text("[cam_1]\n" + "# ä\n" * 3000)
    capture.use_calibration, capture.calibration_file = True, str(tmp_path / "rig.toml")
    hand = Hand(addon)
    assert hand.invoke() == {"RUNNING_MODAL"}
    assert hand.to_the_end() == {"FINISHED"}, hand.reports
    entry = bpy.context.scene.marionet.clips[0]
    told = json.loads(Path(entry.filepath).with_name("setup.json").read_text())
    assert told["close_ups"] == ["face_closeup.json"]
    assert told["calibration"] == {"rig.toml": (tmp_path / "rig.toml").read_text()}
    assert [Path(row.filepath) for row in entry.videos] == [left, tmp_path / "right.json"], "a close-up has no camera"
    results = {Path(row.filepath).stem: row.result for row in capture.more_videos}
    assert results["right"].error_px == 4.0
    assert results["face_closeup"].used


def test_a_backend_without_takes_is_told_before_anything_is_sent(
    capture: Any, addon: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = addon("session.session_state").STATE
    tick, asked = runtime.link.tick, []
    monkeypatch.setattr(runtime.link, "tick", lambda budget: replace(tick(budget), capabilities=("path", "upload")))
    monkeypatch.setattr(runtime.link, "ask", lambda *ask: asked.append(ask))
    choose(tmp_path, "left.json", "right.json")
    hand = Hand(addon)
    assert hand.invoke() == {"RUNNING_MODAL"}
    assert hand.to_the_end() == {"CANCELLED"}
    assert "cannot solve several cameras together" in hand.reports[-1][1]
    assert not asked
    monkeypatch.setattr(runtime, "link", SimpleNamespace(status=replace(runtime.link.status, capabilities=())))
    assert "update it, or capture one video" in texts(draw(bpy.types.MARIONET_PT_capture)).replace("\n", " ")
    monkeypatch.undo()


def test_a_stopped_take_keeps_its_frames(capture: Any, addon: Any, tmp_path: Path) -> None:
    choose(tmp_path, "left.json", "right.json", frames=4000, pace_s=0.01, chunk=5)
    hand = Hand(addon)
    assert hand.invoke() == {"RUNNING_MODAL"}
    run = addon("session.session_state").STATE.capture
    hand.until(lambda: run.snapshot.done >= 20 and run.partial is not None, "some frames")
    hand.send("ESC")
    assert hand.to_the_end() == {"CANCELLED"}
    assert len(bpy.context.scene.marionet.clips) == 1
    bpy.context.scene.marionet.capture.more_videos.clear()
