"""A Blender process of its own that records a live capture until it is killed; prints how many images it has.

usage: python live_until_killed.py BACKEND_PYTHON FOLDER URL, with BLENDER_USER_RESOURCES at an enabled extension.
"""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path

import bpy

REPOSITORY_ROOT = Path(__file__).resolve().parents[2]
EXTENSION_ID = "bl_ext.user_default.marionet"


def main() -> None:
    python, folder, url = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    bpy.ops.preferences.addon_enable(module=EXTENSION_ID)
    load = lambda name: importlib.import_module(f"{EXTENSION_ID}.blender_addon.{name}")  # noqa: E731
    preferences = bpy.context.preferences.addons[EXTENSION_ID].preferences
    preferences.clip_dir = str(folder / "clips")
    process, state = load("client.backend_process"), load("session.session_state").STATE
    plan = process.LaunchPlan(python, REPOSITORY_ROOT, folder / "state")
    state.link = load("client.link").BackendLink(process.BackendProcess(plan), None, "test")
    state.link_key = load("session.backend")._link_key(preferences)
    capture = bpy.context.scene.marionet.capture
    capture.live_source, capture.live_record, capture.live_character = url, True, False
    bpy.ops.marionet.live()
    tick, run = load("ui.operators.live").tick_live, state.live_capture
    while not run.over:
        tick()
        if run.newest is not None and run.newest.recorded > 0:
            sys.stdout.write(f"{run.newest.recorded}\n")
            sys.stdout.flush()
        time.sleep(0.02)


if __name__ == "__main__":
    main()
