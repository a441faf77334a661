"""What goes wrong while animators work, done on purpose in a real, windowed Blender (see `gui_scenario.py`).

After each fault: a message where one is due, the capture at its end, the clip in a scene, and no traceback in the
console, which `gui_check.py` looks for.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
from gui_hands import call, note, pause, press, require, start_capture, state, until


def clips(scene: Any = None) -> list[str]:
    """Names of the clips in a scene."""
    return [clip.name for clip in (scene or bpy.context.scene).marionet.clips]


def to_the_end(run: Any, what: str) -> Iterator[None]:
    """Wait for a capture's end, which must be a clip."""
    yield from until(lambda: state().capture is None, f"the end of the capture ({what})")
    require(run.snapshot.state == "done", f"{what}: the capture ended {run.snapshot.state}: {run.snapshot.words}")


def undo_during_capture() -> Iterator[None]:
    """Ctrl Z, and Ctrl Shift Z, in the middle: Blender's undo works, and the capture goes on."""
    before = len(clips())
    run = start_capture(3.0)
    yield from until(lambda: run.snapshot.done >= 2, "progress before the undo")
    call(bpy.ops.object.empty_add)  # the animator works on while the video is solved
    later = bpy.context.object.name
    press("Z", ctrl=True)
    yield from until(lambda: later not in bpy.data.objects, "the undo")
    require(state().capture is run, "the undo ended the capture")
    press("Z", ctrl=True, shift=True)
    yield from until(lambda: later in bpy.data.objects, "the redo")
    yield from to_the_end(run, "undo during capture")
    require(len(clips()) == before + 1, f"the clip is not in the scene after an undo: {clips()}")
    note("undo during capture", clips=len(clips()))


def undo_during_live_preview() -> Iterator[None]:
    """Undo and redo while the live retarget poses the rig, and after it: the user's own pose comes back each time."""
    scene = bpy.context.scene
    name = scene.marionet.retarget.armature.name
    bone = scene.marionet.retarget.rows[7].bone  # left shoulder

    def turned() -> Any:
        return bpy.data.objects[name].pose.bones[bone].matrix_basis.copy()

    def apart(one: Any, other: Any) -> float:
        return max(abs(one[row][column] - other[row][column]) for row in range(4) for column in range(4))

    bpy.data.objects[name].animation_data_clear()  # a pose of the user's own, which no action brings back
    bpy.data.objects[name].pose.bones[bone].rotation_mode = "QUATERNION"
    bpy.data.objects[name].pose.bones[bone].rotation_quaternion = (0.9, 0.3, 0.3, 0.1)
    bpy.context.scene.frame_set(20)
    own = turned()
    call(bpy.ops.object.empty_add)
    require(call(bpy.ops.marionet.toggle_live) == {"FINISHED"}, f"no live retarget: {state().last_error}")
    posed = turned()
    require(apart(own, posed) > 1e-3, "the live retarget does not pose the rig")
    call(bpy.ops.object.empty_add)
    later = bpy.context.object.name
    press("Z", ctrl=True)
    yield from until(lambda: later not in bpy.data.objects, "the undo during the preview")
    require(state().live is not None, "the undo ended the live retarget")
    yield from until(lambda: apart(turned(), posed) < 1e-4, "the preview's pose after the undo")
    bpy.context.scene.frame_set(10)
    require(apart(turned(), posed) > 1e-4, "the live retarget does not follow the timeline after the undo")
    press("Z", ctrl=True, shift=True)
    yield from until(lambda: later in bpy.data.objects, "the redo during the preview")
    call(bpy.ops.object.empty_add)
    last = bpy.context.object.name
    call(bpy.ops.marionet.toggle_live)
    require(apart(turned(), own) < 1e-5, "the pose was not put back after an undo")
    call(bpy.ops.object.empty_add)
    yield from pause(1)
    press("Z", ctrl=True)  # back to a step that was made while the preview posed the rig
    yield from pause(2)
    press("Z", ctrl=True)
    yield from until(lambda: last not in bpy.data.objects, "the undo into the preview")
    require(state().live is None, "an undo began a live retarget")
    require(apart(turned(), own) < 1e-5, "an undo left the preview's pose on the rig")
    bpy.data.objects.remove(bpy.data.objects[later])
    note("undo during live preview", kept=True)


def undo_during_capture_with_live_preview() -> Iterator[None]:
    """The capture poses the rig live while it runs; undo and redo in the middle lose neither of them."""
    before = len(clips())
    require(call(bpy.ops.marionet.toggle_live) == {"FINISHED"}, f"no live retarget: {state().last_error}")
    run = start_capture(6.0)
    yield from until(lambda: run.partial is not None, "a preview before the undo")
    call(bpy.ops.object.empty_add)
    later = bpy.context.object.name
    for redo in (False, True):
        press("Z", ctrl=True, shift=redo)
        yield from until(lambda redo=redo: (later in bpy.data.objects) == redo, "undo and redo")
        yield from pause(2)
    require(state().capture is run or run.over, "the undo ended the capture")
    yield from to_the_end(run, "undo during capture with live preview")
    require(state().live is not None, f"the live retarget ended: {list(state().notes)[-2:]}")
    call(bpy.ops.marionet.toggle_live)
    require(len(clips()) == before + 1, f"the clip is not in the scene after undos: {clips()}")
    note("undo during capture with live preview", clips=len(clips()))


def two_captures() -> Iterator[None]:
    """A second start while one runs is refused in words."""
    run = start_capture(1.0)
    yield from until(lambda: run.snapshot.done >= 2, "progress before the second start")
    try:
        call(bpy.ops.marionet.capture, "INVOKE_DEFAULT")
    except RuntimeError as refusal:
        require("A capture is running" in str(refusal), f"the refusal says: {refusal}")
    else:
        require(False, "a second capture started")
    yield from to_the_end(run, "two captures")
    note("two captures", refused=True)


def backend_killed() -> Iterator[None]:
    """The backend's process is killed in the middle: it comes back, and the capture ends with its clip."""
    before = len(clips())
    run = start_capture(3.0)
    yield from until(lambda: run.snapshot.done >= 8, "progress before the kill")
    pid = state().link.process.pid
    os.kill(pid, signal.SIGKILL)
    yield from to_the_end(run, "backend killed")
    require(state().link.process.pid != pid, "the backend was not killed")
    require(len(clips()) == before + 1, "no clip after the backend was killed")
    note("backend killed", clips=len(clips()))


def scene_switched() -> Iterator[None]:
    """The window shows another scene in the middle: the clip goes to the one that asked for it."""
    first = bpy.context.window_manager.windows[0].scene
    before = len(clips(first))
    run = start_capture(1.0)
    yield from until(lambda: run.snapshot.done >= 2, "progress before the switch")
    second = bpy.data.scenes.new("Elsewhere")
    bpy.context.window_manager.windows[0].scene = second
    yield from to_the_end(run, "scene switched")
    require(len(clips(first)) == before + 1, "the clip is not in the scene that asked for it")
    require(clips(second) == [], "the clip went to the other scene")
    bpy.context.window_manager.windows[0].scene = first
    bpy.data.scenes.remove(second)
    yield from pause(1)
    note("scene switched", clips=len(clips(first)))


def rig_and_clip_deleted() -> Iterator[None]:
    """The rig is deleted under the live retarget, the clip's file behind the list: both are said, nothing breaks."""
    scene = bpy.context.scene
    require(call(bpy.ops.marionet.toggle_live) == {"FINISHED"}, f"no live retarget: {state().last_error}")
    bpy.data.objects.remove(scene.marionet.retarget.armature)
    scene.frame_set(scene.frame_current + 1)
    yield from pause(2)
    require(state().live is None, "the live retarget goes on without its armature")
    require("its armature is gone" in state().notes[-1], f"the note says: {state().notes[-1]}")
    clip = scene.marionet.clips[scene.marionet.clip_index]
    Path(clip.filepath).unlink()
    state().clips.clear()
    call(bpy.ops.marionet.load_sample)  # a rig again; its clip is put aside
    scene.marionet.clip_index = len(scene.marionet.clips) - 2
    try:
        call(bpy.ops.marionet.bake)
    except RuntimeError as refusal:
        require("is gone" in str(refusal), f"the bake says: {refusal}")
    else:
        require(False, "a clip without its file was baked")
    yield from pause(1)
    note("rig and clip deleted", message=state().last_error)


def file_reloaded() -> Iterator[None]:
    """File > New in the middle: the capture goes on, and its clip comes to the scene that is open then."""
    run = start_capture(2.0)
    yield from until(lambda: run.snapshot.done >= 8, "progress before the new file")
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=False)
    yield
    yield from to_the_end(run, "file reloaded")
    require(len(clips()) == 1, f"the clip is not in the new file: {clips()}")
    note("file reloaded", clips=clips())


FAULTS = (
    undo_during_capture,
    undo_during_live_preview,
    undo_during_capture_with_live_preview,
    two_captures,
    backend_killed,
    scene_switched,
    rig_and_clip_deleted,
    file_reloaded,
)
