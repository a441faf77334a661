"""Steps of `gui_scenario.py` that count clicks: from a video, and from motion of elsewhere, to a baked character.

Every click is a real one at the button's place. What is typed (a file's name) and the wheel are not counted. Tables of
other tools' clicks: Rokoko 6 and its cloud, Expy-Kit 8, Auto-Rig Pro 15, KeeMap 60, from a video or a motion to a bake.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
from gui_hands import BACKEND_FOLDER, BACKEND_PYTHON, OUTPUT, VIDEO, note, pause, require, screenshot, state, until
from gui_mouse import area_of, click_button, clicks

MOST_CLICKS, MOST_FROM_ELSEWHERE = 5, 3
_WRITE_BVH = """
import sys
sys.path.insert(0, ".")
from pathlib import Path
from tests.motion.foreign_motion import bvh_text
from tests.retarget.random_motion import walk_clip
Path(sys.argv[1]).write_text(bvh_text(walk_clip(steps=2), "mixamo"))
"""


def file_browser() -> Any:
    """The file browser's space where one is open."""
    try:
        return area_of("FILE_BROWSER")[1].spaces.active
    except AssertionError:
        return None


def choose_file(path: Path) -> Iterator[float | None]:
    """Type a file's name into the browser that is open, and click its button."""
    yield from until(lambda: file_browser() is not None and file_browser().params is not None, "the file browser")
    yield from settle()
    params = file_browser().params
    params.directory, params.filename = str(path.parent).encode(), path.name
    yield from settle()
    yield from click_button("file.execute", "EXECUTE", "FILE_BROWSER")
    yield from until(lambda: file_browser() is None, "the end of the file browser")


def settle() -> Iterator[float | None]:
    """Let Blender draw whatever is on the screen."""
    for _ in range(3):
        for area in bpy.context.window_manager.windows[0].screen.areas:
            area.tag_redraw()
        yield None


def baked() -> bool:
    """Whether the chosen character has an action."""
    data = bpy.context.scene.marionet.retarget.armature.animation_data
    return data is not None and data.action is not None


def clean_slate() -> None:
    """No clip and no action, a second of video, and file browsers in the same window, where clicks reach them."""
    kept = bpy.context.scene.marionet
    bpy.context.preferences.view.filebrowser_display_type = "SCREEN"
    kept.clips.clear()
    kept.retarget.armature.animation_data_clear()
    kept.capture.video, kept.capture.quality = "", "fast"
    kept.capture.use_range, kept.capture.start_s, kept.capture.end_s = True, 0.0, 1.0
    clicks.names.clear()


def from_a_video() -> Iterator[float | None]:
    """Connect, the video's folder icon, its file, Start Capture, Bake."""
    clean_slate()
    yield from click_button("marionet.connect_backend")
    yield from until(lambda: state().link is not None and state().link.is_open, "the backend")
    yield from click_button("buttons.file_browse")
    yield from choose_file(Path(VIDEO))
    require(Path(bpy.path.abspath(bpy.context.scene.marionet.capture.video)) == Path(VIDEO), "the video was not taken")
    yield from click_button("marionet.capture(")
    yield from until(lambda: len(bpy.context.scene.marionet.clips) == 1, "the clip")
    yield from click_button("marionet.bake(")
    yield from until(baked, "the bake")
    yield from pause(2)
    screenshot("30_five_clicks")
    note("clicks from a video", count=len(clicks.names), clicks=list(clicks.names))
    require(len(clicks.names) <= MOST_CLICKS, f"{len(clicks.names)} clicks: {clicks.names}")


def from_elsewhere() -> Iterator[float | None]:
    """Import Clip, the motion's file, Bake."""
    motion = Path(OUTPUT) / "walk.bvh"
    subprocess.run([BACKEND_PYTHON, "-c", _WRITE_BVH, str(motion)], cwd=BACKEND_FOLDER, check=True)
    clean_slate()
    yield from click_button("marionet.import_clip")
    yield from choose_file(motion)
    yield from until(lambda: len(bpy.context.scene.marionet.clips) == 1, "the clip")
    yield from click_button("marionet.bake(")
    yield from until(baked, "the bake")
    yield from pause(2)
    screenshot("31_from_elsewhere")
    note("clicks from elsewhere", count=len(clicks.names), clicks=list(clicks.names))
    require(len(clicks.names) <= MOST_FROM_ELSEWHERE, f"{len(clicks.names)} clicks: {clicks.names}")


CLICKS = (from_a_video, from_elsewhere)
