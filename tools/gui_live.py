"""Steps of `gui_scenario.py` for the live panel: every state of it, the rate at the character, the full solve after it.

Runs inside a real, windowed Blender. The camera is `paced_stream.py` in a process of its own, and its images carry
their numbers, so that the recording can be counted.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import bpy
from gui_hands import (
    BACKEND_FOLDER,
    BACKEND_PYTHON,
    EXTENSION_ID,
    OUTPUT,
    call,
    note,
    pause,
    require,
    screenshot,
    state,
    until,
)
from gui_mouse import open_panel_below

LEAST_FPS, MOST_TICK_MS = 20.0, 5.0
MEASURED_S, PATIENT_S = 8.0, 60.0
IDLE_LOAD = 2.0  # a processor: backend, camera and window alone are more than one
_COUNT = """
import json, sys, av
sys.path.insert(0, "tools")
from paced_stream import read_number
with av.open(sys.argv[1]) as video:
    print(json.dumps([read_number(frame.to_ndarray(format="rgb24")) for frame in video.decode(video=0)]))
"""


class Camera:
    """A paced stream at a port of its own, which begins when it is told to."""

    def __init__(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self.port = taken.getsockname()[1]
        self.process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """Where it sends, or will."""
        return f"http://127.0.0.1:{self.port}/video"

    def begin(self) -> None:
        """Start sending."""
        command = [BACKEND_PYTHON, "tools/paced_stream.py", "assets/demo_clip.mp4", "--hold", "12"]
        command += ["--http", str(self.port)]
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        self.process = subprocess.Popen(command, cwd=BACKEND_FOLDER, stdin=subprocess.PIPE, text=True, env=environment)

    def tell(self, word: str) -> None:
        """Change what is sent."""
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def end(self) -> None:
        """Stop sending."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def frame_state() -> str:
    """The state of the newest frame."""
    run = state().live_capture
    return run.newest.state if run is not None and run.newest is not None else ""


def shown(name: str) -> Iterator[None]:
    """Let the panel be drawn, and take an image of it."""
    sys.modules[f"{EXTENSION_ID}.blender_addon.ui.operators.base"].redraw_sidebars()
    yield from pause(2)
    screenshot(name)


def open_live_panel() -> Iterator[float | None]:
    """Open the panel as a user does: a click on its header."""
    panel = sys.modules[f"{EXTENSION_ID}.blender_addon.ui.panels.capture"].MARIONET_PT_live
    drawn: list[bool] = []
    before = panel.draw

    def draw(self: Any, context: Any) -> None:
        drawn.append(True)
        before(self, context)

    panel.draw = draw
    try:
        yield from open_panel_below("marionet.capture_pose", lambda: bool(drawn))
    finally:
        panel.draw = before


def live_panel() -> Iterator[float | None]:
    """Idle, error, opening, calibrating, live, recording, stalled, stopped, and the clip of the full solve."""
    capture = bpy.context.scene.marionet.capture
    call(bpy.ops.marionet.hide_guide)
    yield from pause(2)
    yield from open_live_panel()
    call(bpy.ops.marionet.list_cameras)
    yield from until(lambda: state().cameras.cameras is not None, "the list of cameras")
    yield from shown("20_live_idle")
    capture.live_source = "camera:no such camera"
    call(bpy.ops.marionet.live)
    yield from until(lambda: state().live_capture is None and state().last_error, "the error")
    yield from shown("21_live_error")
    camera = Camera()
    capture.live_source, capture.quality = camera.url, "fast"
    try:
        yield from until_live(camera)
        yield from measure()
        yield from record_and_stall(camera)
    finally:
        camera.end()
    yield from full_solve()


def until_live(camera: Camera) -> Iterator[float | None]:
    """Nobody sends yet, then somebody stands still."""
    call(bpy.ops.marionet.live)
    yield from until(lambda: frame_state() == "opening", "a source that is not there yet")
    yield from shown("22_live_opening")
    camera.begin()
    yield from until(lambda: frame_state() == "calibrating", "the calibration")
    yield from shown("23_live_calibrating")
    yield from until(lambda: frame_state() == "live", "live frames")


def measure() -> Iterator[None]:
    """Poses a second that reach the character, and what a tick costs."""
    run, view = state().live_capture, state().live_view
    yield from pause(4)
    rig = bpy.context.scene.marionet.retarget.armature
    bone = rig.pose.bones[bpy.context.scene.marionet.retarget.rows[7].bone]
    stood = bone.matrix.to_quaternion()
    yield from until(lambda: view.shown > 10, "poses on the character")
    poses, ticks, began = view.shown, len(run.tick_s), time.monotonic()
    cpu, turned_rad = time.process_time(), 0.0
    while (seconds := time.monotonic() - began) < MEASURED_S or (view.shown - poses < 10 and seconds < PATIENT_S):
        turned_rad = max(turned_rad, stood.rotation_difference(bone.matrix.to_quaternion()).angle)
        yield
    seconds = time.monotonic() - began
    rate = (view.shown - poses) / seconds
    ms = sorted(1000.0 * tick for tick in run.tick_s[ticks:])
    found = {"poses_a_second": rate, "tick_median_ms": ms[len(ms) // 2], "tick_95_ms": ms[int(0.95 * len(ms))]}
    cpu_ms = 1000.0 * (time.process_time() - cpu) / max(view.shown - poses, 1)  # drawing included
    note(
        "live",
        **found,
        tick_most_ms=ms[-1],
        blender_cpu_ms_a_pose=cpu_ms,
        source=run.lines()[1],
        load=os.getloadavg()[0],
    )
    yield from shown("24_live")
    require(turned_rad > 0.05, "the character does not move")
    if os.getloadavg()[0] > IDLE_LOAD * (os.cpu_count() or 1):
        note("live on a busy machine", held="nothing: the figures are lower bounds")
        return
    require(rate > LEAST_FPS, f"{rate:.1f} poses a second reach the character")
    require(found["tick_median_ms"] < MOST_TICK_MS, f"a tick takes {found['tick_median_ms']:.1f} ms")


def record_and_stall(camera: Camera) -> Iterator[float | None]:
    """Record, stall, go on, stop: the recording holds every image that came."""
    run = state().live_capture
    call(bpy.ops.marionet.live_record)
    yield from until(lambda: run.newest.recorded > 40, "recorded images")
    yield from shown("25_live_recording")
    camera.tell("stall")
    yield from until(lambda: frame_state() == "stalled", "the stall")
    yield from shown("26_live_stalled")
    camera.tell("go")
    yield from until(lambda: frame_state() == "live", "live frames after the stall")
    yield from pause(2)
    asked = time.monotonic()
    call(bpy.ops.marionet.live_stop)
    yield from until(lambda: state().live_view is None, "the stop")
    note("live stop", seconds=time.monotonic() - asked)
    yield from until(lambda: state().live_capture is None, "the files")
    video = next(path for path in run.snapshot.paths if path.suffix == ".mkv")
    counted = subprocess.check_output([BACKEND_PYTHON, "-c", _COUNT, str(video)], cwd=BACKEND_FOLDER, text=True)
    numbers = json.loads(counted)
    lost = [one for one, other in pairwise(numbers) if other != one + 1]
    note("live recording", images=len(numbers), lost_after=lost)
    require(not lost, f"the recording lost images after {lost}")


def full_solve() -> Iterator[None]:
    """The live clip is there at once, the clip of the full solve takes its place."""
    kept = bpy.context.scene.marionet
    entry = kept.clips[kept.clip_index]
    live = entry.filepath
    require(Path(live).name == "live.npz", f"the clip at once is {live}")
    yield from shown("27_live_stopped")
    yield from until(lambda: not state().finishing, "the full solve")
    entry = kept.clips[kept.clip_index]
    require(entry.filepath != live and Path(entry.filepath).is_file(), f"{state().news}; {state().last_error}")
    note("live full solve", clip=str(Path(entry.filepath).relative_to(OUTPUT)), frames=frames_of(entry))
    yield from shown("28_live_solved")


def frames_of(entry: Any) -> int:
    """The length of a clip in the list."""
    return len(state().load_clip(Path(entry.filepath)).clip)


LIVE = (live_panel,)
