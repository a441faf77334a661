"""What the steps of `gui_scenario.py` and `gui_faults.py` share: clicks, keys, waiting, notes, images.

Runs inside a real, windowed Blender. Steps are generators: what they yield lets Blender run on until the next tick.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bpy

ARCHIVE, VIDEO, OUTPUT, BACKEND_PYTHON, BACKEND_FOLDER = sys.argv[sys.argv.index("--") + 1 :][:5]
EXTENSION_ID = "bl_ext.user_default.marionet"
TICK_S = 0.25
PATIENCE_S = 150.0

found: dict[str, Any] = {"blender": bpy.app.version_string, "steps": []}


def window_context(region_type: str = "WINDOW") -> dict[str, Any]:
    """Window, viewport and region for an operator call from a timer."""
    window = bpy.context.window_manager.windows[0]
    area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
    region = next(region for region in area.regions if region.type == region_type)
    return {"window": window, "area": area, "region": region}


def call(operator: Callable[..., set[str]], context: str = "EXEC_DEFAULT", **values: Any) -> set[str]:
    """Call an operator as a click in the viewport does: with an undo step, which a script's call has not by itself."""
    with bpy.context.temp_override(**window_context()):
        return operator(context, True, **values)


def state() -> Any:
    """The add-on's runtime state."""
    return sys.modules[f"{EXTENSION_ID}.blender_addon.session.session_state"].STATE


def screenshot(name: str) -> None:
    """An image of the whole window."""
    subprocess.run(["scrot", "-o", str(Path(OUTPUT) / f"{name}.png")], check=True)


def note(step: str, **values: Any) -> None:
    """Keep what a step found."""
    found["steps"].append({"step": step, **values})


def require(truth: object, complaint: str) -> None:
    """Stop the scenario with a complaint unless `truth` holds."""
    if not truth:
        raise AssertionError(complaint)


def until(condition: Callable[[], Any], what: str) -> Iterator[None]:
    """Let Blender run until a condition holds."""
    began = time.monotonic()
    while not condition():
        require(time.monotonic() - began < PATIENCE_S, f"waited {PATIENCE_S} s for {what}; {state().last_error}")
        yield


def pause(ticks: int) -> Iterator[None]:
    """Let Blender draw."""
    for _ in range(ticks):
        window_context()["area"].tag_redraw()
        yield


def press(key: str, **modifiers: bool) -> None:
    """A key pressed and let go over the viewport."""
    window = window_context()["window"]
    for value in ("PRESS", "RELEASE"):
        window.event_simulate(type=key, value=value, x=400, y=400, **modifiers)


def choose_video(end_s: float) -> None:
    """Fill in the capture panel."""
    require(call(bpy.ops.marionet.choose_video, filepath=VIDEO) == {"FINISHED"}, "the video was not taken")
    capture = bpy.context.scene.marionet.capture
    capture.use_range, capture.start_s, capture.end_s, capture.quality = True, 0.0, end_s, "fast"


def start_capture(end_s: float) -> Any:
    """Start a capture as a click does; returns the running capture."""
    choose_video(end_s)
    require(call(bpy.ops.marionet.capture, "INVOKE_DEFAULT") == {"RUNNING_MODAL"}, "the capture did not start")
    return state().capture
