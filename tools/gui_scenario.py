"""What `tools/gui_check.py` has a real, windowed Blender do: the whole way from the zip to a baked character.

Runs inside Blender (`--python`). Steps are driven from a timer, as a person's clicks are by events; each step waits for
what it needs and says when it waited too long. The outcome is one JSON file beside the screenshots.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).parent))

from gui_faults import FAULTS
from gui_hands import (
    ARCHIVE,
    BACKEND_FOLDER,
    BACKEND_PYTHON,
    EXTENSION_ID,
    OUTPUT,
    TICK_S,
    call,
    choose_video,
    found,
    note,
    pause,
    press,
    require,
    screenshot,
    start_capture,
    state,
    until,
    window_context,
)


def install() -> Iterator[None]:
    """Install the zip into the empty profile, and name the backend."""
    done = bpy.ops.extensions.package_install_files(filepath=ARCHIVE, repo="user_default", enable_on_install=True)
    require(done == {"FINISHED"} and EXTENSION_ID in bpy.context.preferences.addons, f"installation: {done}")
    import zmq

    chosen = bpy.context.preferences.addons[EXTENSION_ID].preferences
    chosen.backend_python, chosen.backend_folder = BACKEND_PYTHON, BACKEND_FOLDER
    chosen.clip_dir = OUTPUT
    note("install", zmq=zmq.__file__)
    space = window_context()["area"].spaces.active
    space.show_region_ui = True
    yield from pause(4)
    region = window_context("UI")["region"]
    region.active_panel_category = "Marionet"
    for thing in list(bpy.context.scene.objects):  # the start-up file's cube, lamp and camera
        bpy.data.objects.remove(thing)
    require(call(bpy.ops.marionet.load_sample) == {"FINISHED"}, "the sample did not load")
    space.region_3d.view_distance = 6.0
    yield from pause(3)
    screenshot("1_sample")


def connect() -> Iterator[None]:
    """Start the backend."""
    began = time.monotonic()
    call(bpy.ops.marionet.connect_backend)
    yield from until(lambda: state().link is not None and state().link.is_open, "the backend")
    note("connect", seconds=time.monotonic() - began, server=state().link.status.server_version)


def find_people() -> Iterator[None]:
    """Look who is in the video; each person has a picture of their own, and one is picked."""
    choose_video(2.0)
    require(call(bpy.ops.marionet.find_people) == {"FINISHED"}, f"no search: {state().last_error}")
    yield from until(lambda: state().people.state != "running", "the people")
    yield from pause(3)
    people = state().people
    require(people.state == "done" and people.people, f"the search ended {people.state}: {people.message}")
    require(all(person.icon_id for person in people.people), "a person has no picture")
    screenshot("2_people")
    call(bpy.ops.marionet.pick_person, number=people.people[0].number)
    bpy.context.scene.marionet.capture.person = "largest"
    note("find people", people=[person.label for person in people.people])


def cancel_with_escape() -> Iterator[None]:
    """Capture, press Esc in the middle, keep what is done."""
    before = len(bpy.context.scene.marionet.clips)
    run = start_capture(60.0)
    yield from until(lambda: run.snapshot.done >= 8 and run.partial is not None, "progress and a preview")
    yield from pause(2)
    screenshot("3_capturing")
    text = run.text()
    pressed = time.monotonic()
    press("ESC")
    yield from until(lambda: state().capture is None, "the end after Esc")
    require(run.snapshot.state == "cancelled", f"Esc left the capture {run.snapshot.state}")
    kept = len(bpy.context.scene.marionet.clips) - before
    seconds = run.ended_s - pressed
    note("escape", progress=text, seconds=seconds, heard_s=run.stop_asked_s - pressed, clips_kept=kept)
    require(kept == 1, "nothing was kept after Esc")
    limit_s = max(os.getloadavg()[0] / (os.cpu_count() or 1), 1.0)
    require(seconds < limit_s, f"Esc took {seconds:.2f} s, more than {limit_s:.2f} s at this machine's load")


def capture_to_the_end() -> Iterator[None]:
    """Capture a part of the video to its end, with a live retarget while it runs."""
    run = start_capture(2.0)
    yield from until(lambda: state().capture is None, "the end of the capture")
    require(run.snapshot.state == "done", f"the capture ended {run.snapshot.state}: {run.snapshot.words}")
    ticks = sorted(run.tick_s)
    clip = state().load_clip(run.snapshot.paths[0]).clip
    note("capture", frames=len(clip), tick_median_ms=1000 * ticks[len(ticks) // 2], ticks=len(ticks))
    require(state().overlay is not None, "no skeleton was shown while capturing")


def preview() -> Iterator[None]:
    """Live retarget, scrubbed by the timeline; switched off, the pose is as before."""
    scene = bpy.context.scene
    rig = scene.marionet.retarget.armature
    bone = rig.pose.bones[scene.marionet.retarget.rows[7].bone]  # left shoulder
    before = bone.matrix_basis.copy()
    require(call(bpy.ops.marionet.toggle_live) == {"FINISHED"}, f"no live retarget: {state().last_error}")
    poses = []
    for frame in (1, 10, 20):
        scene.frame_set(frame)
        poses.append(bone.matrix_basis.copy())
        yield from pause(1)
    yield from pause(2)
    screenshot("4_live_retarget")
    require(poses[0] != poses[2], "the live retarget does not follow the timeline")
    call(bpy.ops.marionet.toggle_live)
    apart = max(abs(bone.matrix_basis[row][column] - before[row][column]) for row in range(4) for column in range(4))
    require(apart < 1e-5, "the pose was not put back")
    note("preview", followed=True)


def bake_and_undo() -> Iterator[None]:
    """Bake with the camera over the video, look, undo the bake in one step, redo it."""
    scene = bpy.context.scene
    name = scene.marionet.retarget.armature.name
    scene.marionet.retarget.placement = "WORLD"
    require(call(bpy.ops.marionet.bake) == {"FINISHED"}, f"no bake: {state().last_error}")
    report = list(state().bake_lines)
    action = bpy.data.objects[name].animation_data.action.name
    call(bpy.ops.ed.undo)
    data = bpy.data.objects[name].animation_data
    require(data is None or data.action is None or data.action.name != action, "one undo did not take the bake back")
    call(bpy.ops.ed.redo)
    require(bpy.data.objects[name].animation_data.action is not None, "redo did not bring the bake back")
    call(bpy.ops.marionet.make_camera)
    bpy.context.scene.frame_set(15)
    yield from pause(6)
    screenshot("5_baked_over_video")
    note("bake", report=report)


def scenario() -> Iterator[None]:
    """Everything, in order."""
    for step in (
        install,
        connect,
        find_people,
        cancel_with_escape,
        capture_to_the_end,
        preview,
        bake_and_undo,
        *FAULTS,
    ):
        yield from step()


class Player:
    """Plays the scenario from a timer and writes the outcome."""

    def __init__(self) -> None:
        self.steps = scenario()

    def __call__(self) -> float | None:
        """One tick."""
        try:
            next(self.steps)
        except StopIteration:
            return self.end("passed")
        except Exception:
            return self.end("failed", traceback.format_exc())
        return TICK_S

    def end(self, outcome: str, trace: str = "") -> None:
        """Write what was found and leave Blender."""
        found.update(outcome=outcome, traceback=trace)
        if EXTENSION_ID in bpy.context.preferences.addons:
            found["report"] = sys.modules[f"{EXTENSION_ID}.blender_addon.operators.backend"].report_text()
        (Path(OUTPUT) / "result.json").write_text(json.dumps(found, indent=1))
        if outcome == "failed":
            screenshot("failed")
        bpy.ops.wm.quit_blender()


bpy.context.preferences.view.show_splash = False
player = Player()
bpy.app.timers.register(player.__call__, first_interval=1.0, persistent=True)
