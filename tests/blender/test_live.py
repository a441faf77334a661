"""Live capture in Blender: a real backend, a camera in another process, the panel's operators and their timer."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from rigs import canonical_armature

REPOSITORY_ROOT = Path(__file__).resolve().parents[2]
BACKEND_PYTHON = Path(os.environ.get("MARIONET_TEST_PYTHON", REPOSITORY_ROOT / ".venv" / "bin" / "python"))
PATIENCE_S = 180.0

pytestmark = pytest.mark.skipif(not BACKEND_PYTHON.is_file(), reason="no backend environment: make dev-venv")


@pytest.fixture
def camera() -> Iterator[str]:
    """The address of a stream of a person who stands still for a long time."""
    command = (str(BACKEND_PYTHON), "tools/paced_stream.py", "assets/demo_clip.mp4", "--hold", "600")
    process = subprocess.Popen(command, cwd=REPOSITORY_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield f"http://127.0.0.1:{process.stdout.readline().strip()}/video"
    process.kill()
    process.communicate()


@pytest.fixture
def state(extension: str, addon: Any, tmp_path: Path) -> Iterator[Any]:
    access, process = addon("session.backend"), addon("client.backend_process")
    runtime = addon("session.session_state")
    preferences = bpy.context.preferences.addons[extension].preferences
    preferences.clip_dir = str(tmp_path / "clips")
    plan = process.LaunchPlan(BACKEND_PYTHON, REPOSITORY_ROOT, tmp_path / "state")
    runtime.STATE.link = addon("client.link").BackendLink(process.BackendProcess(plan), None, "test")
    runtime.STATE.link_key = access._link_key(preferences)
    yield runtime.STATE
    if runtime.STATE.live_capture is not None:
        runtime.STATE.live_capture.stop()
        runtime.STATE.live_capture = None
    addon("session.previews").stop_live_view()
    runtime.STATE.finishing.clear()
    access.close_link()
    runtime.STATE.clips.clear()
    runtime.STATE.last_error = runtime.STATE.news = ""
    preferences.clip_dir = ""


def tick_until(tick: Any, condition: Any, what: str) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s:
        tick()
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError(f"waited for {what}")


@pytest.mark.slow
def test_live_moves_the_character_records_and_leaves_the_full_clip(state: Any, addon: Any, camera: str) -> None:
    operators, finishing = addon("ui.operators.live"), addon("ui.operators.finishing")
    kept = bpy.context.scene.marionet
    armature = canonical_armature()
    kept.retarget.armature = armature
    before = [tuple(bone.rotation_quaternion) for bone in armature.pose.bones]
    kept.capture.live_source, kept.capture.quality = camera, "fast"
    kept.capture.hands = True
    assert bpy.ops.marionet.live() == {"FINISHED"}
    run = state.live_capture
    assert not bpy.ops.marionet.capture.poll()
    tick_until(
        operators.tick_live, lambda: run.over or (run.newest is not None and run.newest.state == "live"), "live poses"
    )
    assert not run.over, run.snapshot
    moved = [tuple(bone.rotation_quaternion) for bone in armature.pose.bones]
    assert not np.allclose(moved, before, atol=1e-3)
    words, rate, _ = run.lines()
    assert words == "Live"
    assert "poses/s" in rate
    assert "ms" in rate
    assert bpy.ops.marionet.live_record() == {"FINISHED"}
    tick_until(operators.tick_live, lambda: run.newest.recorded > 40, "recorded images")
    assert run.shown > 5
    logging.getLogger(__name__).info("tick %.2f ms", np.median(run.tick_s) * 1e3)
    assert state.live_view.shown > 5
    assert np.median(run.tick_s) < 0.005 * max(1.0, os.getloadavg()[0])
    assert bpy.ops.marionet.live_stop() == {"FINISHED"}
    begun = time.monotonic()
    tick_until(operators.tick_live, lambda: state.live_view is None, "the stop")
    assert time.monotonic() - begun < 1.0 * max(1.0, os.getloadavg()[0])
    tick_until(operators.tick_live, lambda: state.live_capture is None, "the files")
    assert np.allclose([tuple(bone.rotation_quaternion) for bone in armature.pose.bones], before, atol=1e-6)
    entry = kept.clips[kept.clip_index]
    assert entry.name.startswith("Live")
    live = entry.filepath
    assert Path(live).name == "live.npz"
    assert len(state.finishing) == 1
    tick_until(finishing.tick_finishing, lambda: not state.finishing, "the full solve")
    assert kept.clips[kept.clip_index].filepath != live, (state.news, state.last_error)
    solved = state.load_clip(Path(kept.clips[kept.clip_index].filepath)).clip
    assert len(solved) > 30
    assert solved.hands is not None, "the switches of the Capture panel hold for the full solve"


@pytest.mark.slow
def test_a_recording_outlives_its_backend(state: Any, addon: Any, camera: str) -> None:
    operators = addon("ui.operators.live")
    kept = bpy.context.scene.marionet
    kept.retarget.armature, kept.capture.live_source, kept.capture.live_record = None, camera, True
    assert bpy.ops.marionet.live() == {"FINISHED"}
    run = state.live_capture
    tick_until(operators.tick_live, lambda: run.newest is not None and run.newest.recorded > 40, "recorded images")
    state.link.process._process.kill()  # the backend; the run is forgotten, as in a Blender that ended with it
    state.live_capture = None
    addon("session.previews").stop_live_view()
    kept.capture.live_record = False
    assert bpy.ops.marionet.recover_live() == {"FINISHED"}
    tick_until(operators.tick_recovery, lambda: state.live_capture is not None, "the backend's list")
    tick_until(operators.tick_live, lambda: state.live_capture is None, "the files")
    entry = kept.clips[kept.clip_index]
    assert Path(entry.filepath).name == "live.npz"
    assert Path(entry.video).name == "recording.mkv"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGKILL")
def test_a_recording_outlives_its_blender(state: Any, addon: Any, camera: str, tmp_path: Path) -> None:
    script = Path(__file__).with_name("live_until_killed.py")
    command = (sys.executable, str(script), str(BACKEND_PYTHON), str(tmp_path), camera)
    blender = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    recorded = 0
    for line in blender.stdout:
        if line.strip().isdigit() and (recorded := int(line)) > 60:
            break
    blender.kill()
    blender.wait()
    blender.stdout.close()
    assert recorded > 60
    folder = addon("client.backend_process")  # the backend notices by itself that its Blender is gone
    tick_until(lambda: None, lambda: folder.free_state_dir(tmp_path / "state") == tmp_path / "state", "its end")
    operators, kept = addon("ui.operators.live"), bpy.context.scene.marionet
    kept.retarget.armature, kept.capture.live_record, kept.capture.quality = None, False, "fast"
    assert bpy.ops.marionet.recover_live() == {"FINISHED"}
    tick_until(operators.tick_recovery, lambda: state.live_capture is not None, "the backend's list")
    tick_until(operators.tick_live, lambda: state.live_capture is None, "the files")
    entry = kept.clips[kept.clip_index]
    assert Path(entry.filepath).name == "live.npz", (state.news, state.last_error)
    numbers = numbers_in(Path(entry.video))
    assert len(numbers) >= recorded - 6  # a tenth of a second is not written yet
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    finishing = addon("ui.operators.finishing")
    tick_until(finishing.tick_finishing, lambda: not state.finishing, "the full solve")
    assert Path(kept.clips[kept.clip_index].filepath).name != "live.npz", (state.news, state.last_error)


def test_a_character_that_is_gone_before_its_first_pose_leaves_the_skeleton(addon: Any) -> None:
    wire, body = addon("wire.messages"), addon("motion.body").canonical_body()
    armature = canonical_armature()
    bpy.context.scene.marionet.retarget.armature = armature
    view = addon("session.live_view").LiveView(bpy.context, True)
    bpy.data.objects.remove(armature)  # undo does the same to references
    still = np.tile(np.array([1.0, 0.0, 0.0, 0.0], np.float32), (len(body.joint_names), 1))
    root, seen = np.array([0.0, 0.0, 1.0], np.float32), np.zeros((17, 3), np.float32)
    try:
        for number in range(2):
            view.show(wire.LiveFrame("job", number, "live", number, still, root, seen, 0.1 * number, confidence=0.9))
            while view.step():
                pass
        assert view.shown == 1
        assert not view.step()
    finally:
        view.close()


@pytest.mark.parametrize("names", [("recording.mkv",), ("recording.1.mkv", "recording.10.mkv", "recording.mkv")])
def test_each_recording_is_solved(state: Any, addon: Any, tmp_path: Path, names: tuple[str, ...]) -> None:
    """Only the clip of a single recording takes the place of the live poses. A salvaged capture names files by name."""
    shutil.copy(REPOSITORY_ROOT / "assets" / "sample_clip.npz", tmp_path / "live.npz")
    job_state, live_run = addon("client.job_state"), addon("client.live_run")
    request = job_state.JobRequest(Path("live"), tmp_path, source=addon("wire.messages").Source("live", "http://x/y"))
    run = live_run.LiveRun(state.link, live_run.LiveTicket(request, bpy.context.scene.name, 1.7))
    paths = tuple(tmp_path / name for name in ("live.npz", *names))
    run.job.snapshot = replace(run.snapshot, state="done", paths=paths)
    addon("ui.operators.live").finish_live(run)
    assert not state.last_error
    in_time = sorted(names, key=len)
    assert [solve.ticket.video.name for solve in state.finishing] == in_time
    assert len({solve.ticket.request.result_dir for solve in state.finishing}) == len(names)
    alone = len(names) == 1
    assert {solve.rough for solve in state.finishing} == {paths[0] if alone else None}
    kept = bpy.context.scene.marionet
    assert Path(kept.clips[kept.clip_index].video).name == "recording.mkv"
    assert ("replaces them" in state.news) == alone


def numbers_in(video: Path) -> list[int]:
    """The numbers of the images in a recording, read in the backend's environment."""
    code = (
        "import sys, json; sys.path[:0] = ['tools', '.']; from pathlib import Path\n"
        "from tests.live.feed import recorded_numbers; print(json.dumps(recorded_numbers(Path(sys.argv[1]))))"
    )
    command = (str(BACKEND_PYTHON), "-c", code, str(video))
    return json.loads(subprocess.check_output(command, cwd=REPOSITORY_ROOT, text=True))


def test_a_camera_that_is_not_there_is_told(state: Any, addon: Any) -> None:
    operators = addon("ui.operators.live")
    bpy.context.scene.marionet.retarget.armature = None
    bpy.context.scene.marionet.capture.live_source = "camera:no such camera"
    assert bpy.ops.marionet.live() == {"FINISHED"}
    tick_until(operators.tick_live, lambda: state.live_capture is None, "the end")
    assert "There is no camera" in state.last_error
    assert "Find Cameras" in state.last_error
    assert state.live_view is None
