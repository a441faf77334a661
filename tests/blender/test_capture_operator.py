"""Capture from Blender against a live backend: the operator's own invoke and modal, ticked by hand, and its faults."""

from __future__ import annotations

import json
import logging
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import MethodType, SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest
from rigs import canonical_armature

REPOSITORY_ROOT = Path(__file__).resolve().parents[2]
BACKEND_PYTHON = Path(os.environ.get("MARIONET_TEST_PYTHON", REPOSITORY_ROOT / ".venv" / "bin" / "python"))
PATIENCE_S = 120.0

pytestmark = pytest.mark.skipif(not BACKEND_PYTHON.is_file(), reason="no backend environment: make dev-venv")


def _load_factor() -> float:
    """How much longer things take than on an idle machine; Windows does not say."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return max(load / (os.cpu_count() or 1), 1.0)


@pytest.fixture
def state(extension: str, addon: Any, tmp_path: Path) -> Iterator[Any]:
    """The add-on's runtime state, with a link to a backend whose workers keep a pace; closed afterwards."""
    access, process = addon("session.backend"), addon("client.backend_process")
    runtime = addon("session.session_state")
    preferences = bpy.context.preferences.addons[extension].preferences
    preferences.clip_dir = str(tmp_path / "clips")
    script = str(Path(__file__).with_name("paced_clip_backend.py"))
    plan = process.LaunchPlan(BACKEND_PYTHON, REPOSITORY_ROOT, tmp_path / "state", module=(script,))
    link = addon("client.link").BackendLink(process.BackendProcess(plan), None, "test")
    runtime.STATE.link, runtime.STATE.link_key = link, access._link_key(preferences)
    yield runtime.STATE
    runtime.STATE.capture = None
    runtime.STATE.finishing.clear()
    runtime.STATE.news = ""
    addon("session.previews").stop_overlay()
    addon("session.previews").stop_live()
    access.close_link()
    runtime.STATE.clips.clear()
    runtime.STATE.last_error = ""
    preferences.clip_dir = ""


def choose(tmp_path: Path, **script: Any) -> None:
    """Choose a paced video as the capture's source."""
    path = tmp_path / "dance.json"
    path.write_text(json.dumps(script))
    bpy.context.scene.marionet.capture.video = str(path)


class Hand:
    """Drives the real operator class without a window: invoke, then modal event by event."""

    def __init__(self, addon: Any) -> None:
        self.kind = addon("ui.operators.capture").MARIONET_OT_capture
        self.reports: list[tuple[str, str]] = []
        self.calls: list[str] = []
        self.operator = SimpleNamespace(report=lambda kind, text: self.reports.append((next(iter(kind)), text)))
        manager = SimpleNamespace(
            event_timer_add=lambda *_args, **_kwargs: self.calls.append("add") or "timer",
            event_timer_remove=lambda _timer: self.calls.append("remove"),
            modal_handler_add=lambda _operator: self.calls.append("handler") or True,
        )
        self.context = SimpleNamespace(window_manager=manager, window=None, scene=bpy.context.scene)

    def invoke(self) -> set[str]:
        return MethodType(self.kind.invoke, self.operator)(self.context, SimpleNamespace(type="LEFTMOUSE"))

    def send(self, event: str = "TIMER") -> set[str]:
        return MethodType(self.kind.modal, self.operator)(self.context, SimpleNamespace(type=event))

    def until(self, condition: Any, what: str) -> set[str]:
        """Tick until `condition` holds or the operator ends."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            result = self.send()
            if not result & {"RUNNING_MODAL", "PASS_THROUGH"} or condition():
                return result
            time.sleep(0.02)
        raise AssertionError(f"waited {PATIENCE_S} s for {what}; {self.reports}")

    def to_the_end(self) -> set[str]:
        return self.until(lambda: False, "the end")


def test_a_capture_runs_to_its_end_and_the_clip_is_in_the_scene(state: Any, addon: Any, tmp_path: Path) -> None:
    choose(tmp_path, frames=60, pace_s=0.01, chunk=10)
    hand = Hand(addon)
    assert hand.invoke() == {"RUNNING_MODAL"}
    run = state.capture
    hand.until(lambda: run.partial is not None and run.snapshot.done > 0, "the preview")
    assert state.overlay is not None
    start = state.overlay._joints[0, 0]  # the skeleton stands where the character would, whatever the camera's distance
    assert np.abs(start[:2]).max() < 1e-6
    assert 0.0 < run.fraction() <= 1.0
    assert "left" in run.text() or run.over
    assert hand.to_the_end() == {"FINISHED"}
    assert hand.calls == ["add", "handler", "remove"]
    assert state.capture is None
    clip = bpy.context.scene.marionet.clips[0]
    assert clip.name == "dance"
    assert Path(clip.filepath).is_file()
    assert hand.reports[-1][0] == "INFO"
    # the add-on's share of a tick, on whatever machine this is: the acceptance figure is 10 ms at the median
    assert np.median(run.tick_s) < 0.010


def test_escape_stops_within_a_second_and_keeps_what_is_done(state: Any, addon: Any, tmp_path: Path) -> None:
    choose(tmp_path, frames=4000, pace_s=0.01, chunk=5)
    hand = Hand(addon)
    hand.invoke()
    run = state.capture
    hand.until(lambda: run.snapshot.done >= 10, "some frames")
    began = time.monotonic()
    assert hand.send("ESC") == {"RUNNING_MODAL"}
    hand.until(lambda: run.stopped or run.snapshot.state == "fetching", "the stop")
    stopped_s = time.monotonic() - began
    if not run.stopped:
        hand.to_the_end()
    assert run.snapshot.state in ("cancelled", "finishing")
    assert hand.reports[-1][0] == "WARNING"
    assert "dance" in hand.reports[-1][1]
    assert len(state.load_clip(Path(bpy.context.scene.marionet.clips[0].filepath)).clip) >= 10
    assert stopped_s < 1.0 * _load_factor()


def until_finished(state: Any, addon: Any) -> None:
    """Tick as the timer does, which there is none of in the background."""
    finishing = addon("ui.operators.finishing")
    deadline = time.monotonic() + PATIENCE_S
    while finishing.tick_finishing() is not None:
        assert time.monotonic() < deadline, state.finishing
        time.sleep(0.02)


def stop_in_the_middle(state: Any, addon: Any, tmp_path: Path, finish_s: float) -> tuple[Hand, Any]:
    """A capture that was stopped while the backend still has `finish_s` to do, and what drove it."""
    choose(tmp_path, frames=4000, pace_s=0.01, chunk=5, finish_s=finish_s)
    hand = Hand(addon)
    hand.invoke()
    run = state.capture
    hand.until(lambda: run.partial is not None and run.snapshot.done >= 20, "the preview")
    began = time.monotonic()
    hand.send("ESC")
    assert hand.to_the_end() == {"CANCELLED"}
    assert time.monotonic() - began < 1.2 * _load_factor()
    assert state.capture is None
    return hand, run


def test_the_backends_clip_takes_the_place_of_the_rough_one(state: Any, addon: Any, tmp_path: Path) -> None:
    hand, run = stop_in_the_middle(state, addon, tmp_path, finish_s=3.0)
    assert state.finishing == [run]
    assert "rough until the backend has finished it" in hand.reports[-1][1]
    clips = bpy.context.scene.marionet.clips
    assert [clip.name for clip in clips] == ["dance"]
    rough = Path(clips[0].filepath)
    assert rough.name == "preview.npz"
    assert "kept from the preview" in state.load_clip(rough).clip.header.warnings[0].text
    bpy.context.scene.marionet.retarget.armature = canonical_armature()
    assert bpy.ops.marionet.bake() == {"FINISHED"}  # the rough clip can be used meanwhile
    until_finished(state, addon)
    assert [clip.name for clip in clips] == ["dance"]
    assert Path(clips[0].filepath).name == "clip.npz"
    better = state.load_clip(Path(clips[0].filepath)).clip
    assert len(better) >= run.snapshot.frames_kept > 0
    assert better.header.source == "synthetic"
    assert "is finished: dance" in state.news
    assert bpy.ops.marionet.bake() == {"FINISHED"}


def test_another_capture_can_be_started_while_the_last_is_finished(state: Any, addon: Any, tmp_path: Path) -> None:
    stop_in_the_middle(state, addon, tmp_path, finish_s=2.0)
    (tmp_path / "next.json").write_text(json.dumps({"frames": 20, "chunk": 10}))
    bpy.context.scene.marionet.capture.video = str(tmp_path / "next.json")
    hand = Hand(addon)
    assert hand.invoke() == {"RUNNING_MODAL"}
    assert hand.to_the_end() == {"FINISHED"}
    until_finished(state, addon)
    paths = {clip.name: Path(clip.filepath).name for clip in bpy.context.scene.marionet.clips}
    assert paths == {"dance": "clip.npz", "next": "clip.npz"}


def test_a_finishing_can_be_given_up_and_the_rough_clip_stays(state: Any, addon: Any, tmp_path: Path) -> None:
    stop_in_the_middle(state, addon, tmp_path, finish_s=60.0)
    assert bpy.ops.marionet.forget_finishing() == {"FINISHED"}
    assert state.finishing == []
    assert Path(bpy.context.scene.marionet.clips[0].filepath).name == "preview.npz"
    choose(tmp_path, frames=20)
    assert bpy.ops.marionet.capture() == {"FINISHED"}  # the worker is free again
    with pytest.raises(RuntimeError, match="No stopped capture is being finished"):
        bpy.ops.marionet.forget_finishing()


@pytest.mark.parametrize("fault", ["backend stopped", "clip removed", "scene removed"])
def test_faults_while_the_kept_part_is_finished(state: Any, addon: Any, tmp_path: Path, fault: str) -> None:
    stop_in_the_middle(state, addon, tmp_path, finish_s=1.5)
    first = bpy.context.scene
    if fault == "backend stopped":
        assert bpy.ops.marionet.stop_backend() == {"FINISHED"}
    elif fault == "clip removed":
        assert bpy.ops.marionet.remove_clip() == {"FINISHED"}
    else:
        bpy.context.window.scene = bpy.data.scenes.new("Second")
        bpy.data.scenes.remove(first)
    until_finished(state, addon)
    assert state.finishing == []
    clips = bpy.context.scene.marionet.clips
    if fault == "backend stopped":
        assert "could not be finished; the rough clip stays" in state.news
        assert [Path(clip.filepath).name for clip in clips] == ["preview.npz"]
    else:
        assert "was removed, so it is not listed" in state.news
        assert len(clips) == 0


def test_a_stop_before_there_is_a_file_keeps_the_preview(state: Any, addon: Any, tmp_path: Path) -> None:
    choose(tmp_path, frames=4000, pace_s=0.01, chunk=5, no_file=True)
    hand = Hand(addon)
    hand.invoke()
    run = state.capture
    hand.until(lambda: run.partial is not None, "the preview")
    hand.send("ESC")
    hand.to_the_end()
    assert run.snapshot.paths == ()
    kept = state.load_clip(Path(bpy.context.scene.marionet.clips[0].filepath)).clip
    assert len(kept) >= 5
    assert "kept from the preview" in kept.header.warnings[0].text


def test_the_operator_called_from_a_script_blocks_until_the_clip_is_there(state: Any, tmp_path: Path) -> None:
    choose(tmp_path, frames=20, chunk=10)
    assert bpy.ops.marionet.capture() == {"FINISHED"}
    assert len(bpy.context.scene.marionet.clips) == 1


def test_a_second_capture_is_refused_while_one_runs(state: Any, addon: Any, tmp_path: Path) -> None:
    choose(tmp_path, frames=4000, pace_s=0.01)
    hand = Hand(addon)
    hand.invoke()
    with pytest.raises(RuntimeError, match="A capture is running"):
        bpy.ops.marionet.capture()
    other = Hand(addon)
    assert other.invoke() == {"CANCELLED"}
    assert "A capture is running" in other.reports[0][1]
    assert bpy.ops.marionet.cancel_capture() == {"FINISHED"}
    assert hand.to_the_end() == {"CANCELLED"}


def test_a_fault_of_the_video_is_said_with_its_remedy(state: Any, addon: Any, tmp_path: Path) -> None:
    choose(tmp_path, frames=20, fail_at=5)
    hand = Hand(addon)
    hand.invoke()
    assert hand.to_the_end() == {"CANCELLED"}
    assert hand.reports[-1] == ("ERROR", state.last_error)
    assert "Frame 5 is damaged" in state.last_error
    assert "Trim the clip" in state.last_error


def test_a_video_that_is_gone_is_said_before_anything_starts(state: Any, addon: Any, tmp_path: Path) -> None:
    bpy.context.scene.marionet.capture.video = str(tmp_path / "gone.mp4")
    hand = Hand(addon)
    assert hand.invoke() == {"CANCELLED"}
    assert "There is no video at" in hand.reports[0][1]
    assert state.capture is None


def test_a_backend_killed_mid_capture_comes_back_and_finishes(
    state: Any, addon: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    choose(tmp_path, frames=300, pace_s=0.02, chunk=10)
    hand = Hand(addon)
    hand.invoke()
    run = state.capture
    # past the time in which a death counts as a failed start
    hand.until(lambda: run.snapshot.done >= 10 and time.monotonic() - state.link.process.started_s > 3.5, "frames")
    assert not run.over
    os.kill(state.link.process.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    assert hand.to_the_end() == {"FINISHED"}
    assert len(bpy.context.scene.marionet.clips) == 1
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_the_scene_is_switched_and_removed_meanwhile(state: Any, addon: Any, tmp_path: Path) -> None:
    choose(tmp_path, frames=40, pace_s=0.01)
    first = bpy.context.scene
    hand = Hand(addon)
    hand.invoke()
    run = state.capture
    hand.until(lambda: run.snapshot.done >= 10, "frames")
    second = bpy.data.scenes.new("Second")
    bpy.context.window.scene = second
    bpy.data.scenes.remove(first)
    hand.context.scene = second
    assert hand.to_the_end() == {"FINISHED"}
    assert len(second.marionet.clips) == 1


def test_another_file_is_opened_meanwhile_and_nothing_is_lost(state: Any, addon: Any, tmp_path: Path) -> None:
    choose(tmp_path, frames=60, pace_s=0.01)
    hand = Hand(addon)
    hand.invoke()
    run = state.capture
    hand.until(lambda: run.snapshot.done >= 10, "frames")
    # Blender calls `cancel` of a modal operator when it opens another file
    MethodType(hand.kind.cancel, hand.operator)(hand.context)
    bpy.ops.wm.read_homefile(use_empty=True)
    assert state.overlay is None
    capture = addon("ui.operators.capture")
    assert bpy.app.timers.is_registered(capture.tick_orphaned_capture)
    deadline = time.monotonic() + PATIENCE_S
    while (
        capture.tick_orphaned_capture() is not None and time.monotonic() < deadline
    ):  # background has no timers: ticked by hand
        time.sleep(0.02)
    bpy.app.timers.unregister(capture.tick_orphaned_capture)
    assert len(bpy.context.scene.marionet.clips) == 1


def test_the_rig_is_deleted_while_it_shows_the_live_preview(state: Any, addon: Any, tmp_path: Path) -> None:
    choose(tmp_path, frames=60, pace_s=0.01)
    bpy.context.scene.marionet.retarget.armature = canonical_armature()
    bpy.ops.marionet.capture()
    assert bpy.ops.marionet.toggle_live() == {"FINISHED"}
    assert state.live is not None
    bpy.data.objects.remove(bpy.context.scene.marionet.retarget.armature)
    bpy.context.scene.frame_set(5)
    assert state.live is None
    assert "its armature is gone" in state.notes[-1]
    with pytest.raises(RuntimeError, match="Choose the armature"):
        bpy.ops.marionet.bake()


def test_the_clip_file_is_deleted_before_the_bake(state: Any, tmp_path: Path) -> None:
    choose(tmp_path, frames=20)
    bpy.context.scene.marionet.retarget.armature = canonical_armature()
    bpy.ops.marionet.capture()
    Path(bpy.context.scene.marionet.clips[0].filepath).unlink()
    assert bpy.ops.marionet.bake() == {"FINISHED"}  # still in memory: nothing is lost
    state.clips.clear()
    with pytest.raises(RuntimeError, match="is gone"):
        bpy.ops.marionet.bake()


def test_results_that_cannot_be_written_are_said(state: Any, addon: Any, extension: str, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be")
    bpy.context.preferences.addons[extension].preferences.clip_dir = str(blocked)
    choose(tmp_path, frames=20)
    hand = Hand(addon)
    assert hand.invoke() == {"CANCELLED"}
    assert "Clips cannot be written to" in hand.reports[0][1]


def test_hands_and_face_are_asked_for_only_where_they_are_switched_on(addon: Any, extension: str) -> None:
    capture = bpy.context.scene.marionet.capture
    requests = addon("session.capture_request")
    assert not requests.solve_options(capture).hands
    assert not requests.solve_options(capture).face
    capture.hands, capture.face = True, True
    asked = requests.solve_options(capture)
    assert asked.hands
    assert asked.face
