"""Steps of `gui_scenario.py` for several videos of one performance: from the list to the character over every video.

Runs inside a real, windowed Blender, where `gui_check.py --take` names the videos.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
from gui_hands import OUTPUT, call, note, pause, require, screenshot, state, until
from gui_mouse import click_button, clicks, region_of, scroll

VIDEOS = [Path(path) for path in os.environ.get("MARIONET_GUI_TAKE", "").split(os.pathsep) if path]


def list_of_videos() -> Iterator[None]:
    """Choose all videos at once, as a drop does; a fault of a file is seen in the list."""
    call(bpy.ops.marionet.hide_guide)
    folder, files = str(VIDEOS[0].parent), [{"name": path.name} for path in VIDEOS]
    require(call(bpy.ops.marionet.choose_video, directory=folder, files=files) == {"FINISHED"}, "not taken")
    capture = bpy.context.scene.marionet.capture
    require(len(capture.more_videos) == len(VIDEOS) - 1, "the list is short")
    capture.quality = "fast"
    yield from pause(4)
    screenshot("t1_list")
    call(bpy.ops.marionet.add_video, filepath=str(VIDEOS[0]))
    yield from pause(4)
    screenshot("t2_list_fault")
    call(bpy.ops.marionet.remove_video)
    capture.more_index = 0


def capture_take() -> Iterator[None]:
    """Solve them together, by a click."""
    clicks.names.clear()
    yield from click_button("marionet.capture(")
    yield from until(lambda: state().capture is not None, "the start of the capture")
    run = state().capture
    yield from until(lambda: run.over or run.partial is not None, "a preview of the take")
    yield from pause(2)
    screenshot("t3_capturing")
    for _ in range(4):  # a take takes longer than one video
        if state().capture is not None:
            yield from until_over(run)
    require(run.snapshot.state == "done", f"the capture ended {run.snapshot.state}: {run.snapshot.words}")
    yield from pause(4)
    screenshot("t4_results")
    rows = bpy.context.scene.marionet.capture.more_videos
    found = [(row.result.used, row.result.start_s, row.result.error_px, row.result.reason) for row in rows]
    note("take", results=found, files=[path.name for path in run.snapshot.paths])
    require(all(row.result.solved for row in rows), "the list has no results")


def until_over(run: Any) -> Iterator[None]:
    """Wait for the end, a while."""
    try:
        yield from until(lambda: state().capture is None or run.over, "the end of the take")
    except AssertionError:
        note("still solving", text=run.text())
    yield from pause(2)


def character_over_every_video() -> Iterator[None]:
    """Bake, make the cameras, look through each of them at the same frame; one undo takes them all back."""
    scene = bpy.context.scene
    scene.marionet.retarget.placement = "WORLD"
    yield from click_button("marionet.bake(")
    yield from until(lambda: state().bake_report is not None, "the bake")
    note("clicks after the drop of the videos", count=len(clicks.names), clicks=list(clicks.names))
    require(len(clicks.names) == 2, f"clicks: {clicks.names}")
    require(call(bpy.ops.marionet.make_camera) == {"FINISHED"}, f"no cameras: {state().last_error}")
    made = len(bpy.context.scene.marionet.take_cameras)
    call(bpy.ops.ed.undo)
    require(len(bpy.context.scene.marionet.take_cameras) == 0, "one undo did not take the cameras back")
    call(bpy.ops.ed.redo)
    require(len(bpy.context.scene.marionet.take_cameras) == made, "redo did not bring the cameras back")
    window, _area, region = region_of("UI")
    yield from scroll(window, region, "WHEELUPMOUSE", 60)
    yield from scroll(window, region, "WHEELDOWNMOUSE", 16)
    yield from pause(2)
    screenshot("t5_cameras_of_clip")
    if state().overlay is None:
        call(bpy.ops.marionet.toggle_skeleton)
    numbers = [row.number for row in bpy.context.scene.marionet.take_cameras]
    for number in numbers:
        call(bpy.ops.marionet.look_through, number=number)
        for frame in (12, 30):
            bpy.context.scene.frame_set(frame)
            yield from pause(8)
            screenshot(f"t5_camera{number}_frame{frame}")
    setup = str(Path(OUTPUT) / "room.json")
    require(call(bpy.ops.marionet.save_setup, filepath=setup) == {"FINISHED"}, "the set-up was not saved")
    note("cameras", numbers=numbers, names=[thing.name for thing in bpy.data.objects if thing.type == "CAMERA"])


TAKE = (list_of_videos, capture_take, character_over_every_video) if VIDEOS else ()
