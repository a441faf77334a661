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
from typing import Any

import bpy

sys.path.insert(0, str(Path(__file__).parent))

from gui_clicks import CLICKS
from gui_faults import FAULTS
from gui_finish import FINISH
from gui_hands import (
    ARCHIVE,
    BACKEND_FOLDER,
    BACKEND_PYTHON,
    EXTENSION_ID,
    OUTPUT,
    TICK_S,
    VIDEO,
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
from gui_live import LIVE
from gui_take import TAKE


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
    """Look who is in the video; each person has an image of their own, and one is picked."""
    choose_video(2.0)
    require(call(bpy.ops.marionet.find_people) == {"FINISHED"}, f"no search: {state().last_error}")
    yield from until(lambda: state().people.state != "running", "the people")
    yield from pause(3)
    people = state().people
    require(people.state == "done" and people.people, f"the search ended {people.state}: {people.message}")
    require(all(person.icon_id for person in people.people), "a person has no image")
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
    require(run.snapshot.state in ("cancelled", "finishing"), f"Esc left the capture {run.snapshot.state}")
    kept = len(bpy.context.scene.marionet.clips) - before
    seconds = run.ended_s - pressed
    heard_s = run.stop_asked_s - pressed  # Blender's own way from the key to the operator, long where it draws slowly
    note("escape", progress=text, seconds=seconds, heard_s=heard_s, clips_kept=kept)
    require(kept == 1, "nothing was kept after Esc")
    yield from until(lambda: not state().finishing, "the clip of what was kept")
    clip = bpy.context.scene.marionet.clips[bpy.context.scene.marionet.clip_index]
    require(Path(clip.filepath).name == "clip.npz", f"the kept clip is {clip.filepath}; {state().news}")
    note("finished after escape", seconds=time.monotonic() - run.ended_s, clip=clip.filepath, news=state().news)
    limit_s = max(os.getloadavg()[0] / (os.cpu_count() or 1), 1.0)
    ours_s = seconds - heard_s
    require(ours_s < limit_s, f"Esc took {ours_s:.2f} s once heard, more than {limit_s:.2f} s at this machine's load")


def pick_in_image() -> Iterator[None]:
    """A real click on the image in the Movie Clip Editor chooses the person, and the capture solves them."""
    kept = bpy.context.scene.marionet
    clip = state().load_clip(Path(kept.clips[kept.clip_index].filepath)).clip
    hips = [clip.keypoint_names.index(f"{side}_hip") for side in ("left", "right")]
    x_px, y_px = (float(value) for value in clip.keypoints_px[4, hips].mean(axis=0))
    area = window_context()["area"]
    yield from show_clip_editor(area, 4)
    window = bpy.context.window_manager.windows[0]
    region = next(region for region in area.regions if region.type == "WINDOW")
    with bpy.context.temp_override(window=window, area=area, region=region):
        require(bpy.ops.marionet.pick_point("INVOKE_DEFAULT") == {"RUNNING_MODAL"}, "no picking")
    width, height = area.spaces.active.clip.size
    across, up = region.view2d.view_to_region(x_px / width, 1.0 - y_px / height, clip=False)
    x, y = region.x + across, region.y + up
    window.event_simulate(type="MOUSEMOVE", value="NOTHING", x=x, y=y)
    yield from pause_in(area, 2)
    for value in ("PRESS", "RELEASE"):
        window.event_simulate(type="LEFTMOUSE", value=value, x=x, y=y)
    capture = kept.capture
    yield from until(lambda: capture.person == "point", "the click")
    yield from pause_in(area, 4)
    screenshot("6_picked_in_image")
    off = max(abs(capture.point_px[0] - x_px), abs(capture.point_px[1] - y_px))
    note("pick in image", point=list(capture.point_px), off_px=off, image=capture.point_frame)
    require(off < 3.0 * width / region.width + 1.0, f"the click is {off:.1f} px off")
    require(capture.point_frame == 4, f"the click is in image {capture.point_frame}")
    area.type = "VIEW_3D"
    yield from pause(4)
    yield from capture_the_picked(capture)


def capture_the_picked(capture: Any) -> Iterator[None]:
    """A second of whom the click chose."""
    capture.use_range, capture.start_s, capture.end_s, capture.quality = True, 0.0, 1.0, "fast"
    require(call(bpy.ops.marionet.capture, "INVOKE_DEFAULT") == {"RUNNING_MODAL"}, "the capture did not start")
    run = state().capture
    yield from until(lambda: state().capture is None, "the capture of the picked person")
    require(run.snapshot.state == "done", f"picked person: {run.snapshot.state}: {run.snapshot.words}")
    capture.person = "largest"


def show_clip_editor(area: Any, image: int) -> Iterator[None]:
    """Turn an area into a Movie Clip Editor that shows an image of the video, with Marionet's sidebar."""
    area.type = "CLIP_EDITOR"
    space = area.spaces.active
    space.clip = bpy.data.movieclips.load(VIDEO)
    space.show_region_ui = True
    bpy.context.scene.frame_set(image + 1)
    yield from pause_in(area, 4)
    next(region for region in area.regions if region.type == "UI").active_panel_category = "Marionet"
    region = next(region for region in area.regions if region.type == "WINDOW")
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0], area=area, region=region):
        bpy.ops.clip.view_all()
    yield from pause_in(area, 2)


def pause_in(area: Any, ticks: int) -> Iterator[None]:
    """Let Blender draw an area that is no viewport."""
    for _ in range(ticks):
        area.tag_redraw()
        yield


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


def scenario() -> Iterator[float | None]:
    """Everything but the clicks and live, which take longer, in order; or the steps that the command line names."""
    every = (
        install,
        *CLICKS,
        connect,
        find_people,
        cancel_with_escape,
        pick_in_image,
        capture_to_the_end,
        preview,
        bake_and_undo,
        *FINISH,
        *LIVE,
        *FAULTS,
    )
    if TAKE:
        every = (install, connect, *TAKE)
    wanted = set(filter(None, sys.argv[sys.argv.index("--") + 6 :]))
    for step in every:
        if step.__name__ in wanted or (not wanted and step not in (*CLICKS, *LIVE)):
            yield from step()


class Player:
    """Plays the scenario from a timer and writes the outcome."""

    def __init__(self) -> None:
        self.steps = scenario()

    def __call__(self) -> float | None:
        """One tick."""
        try:
            wait_s = next(self.steps)
        except StopIteration:
            self.end("passed")
            return None
        except Exception:
            self.end("failed", traceback.format_exc())
            return None
        return TICK_S if wait_s is None else wait_s

    def end(self, outcome: str, trace: str = "") -> None:
        """Write what was found and leave Blender."""
        found.update(outcome=outcome, traceback=trace)
        if EXTENSION_ID in bpy.context.preferences.addons:
            found["report"] = sys.modules[f"{EXTENSION_ID}.blender_addon.ui.operators.backend"].report_text()
        (Path(OUTPUT) / "result.json").write_text(json.dumps(found, indent=1))
        if outcome == "failed":
            screenshot("failed")
        bpy.ops.wm.quit_blender()


bpy.context.preferences.view.show_splash = False
player = Player()
bpy.app.timers.register(player.__call__, first_interval=1.0, persistent=True)
