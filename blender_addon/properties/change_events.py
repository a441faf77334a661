"""What follows when a setting changes: previews are made again, corrections of a map are kept. May import bpy.

Changes come in bursts while a slider is dragged, so the work waits for a short rest. In the background there are no
timers: operators read the settings when they run. `registration` hands in what to call, so that this package imports
nothing that lies above it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import bpy
from bpy.types import Context

_REST_S = 0.25


@dataclass(frozen=True)
class ChangeHandlers:
    """What is called after a change."""

    refresh_previews: Callable[[Any], object]
    """Called with the context after a clean-up, retarget or timing setting, or the clip in use, changed."""
    refresh_warnings: Callable[[Any], object]
    """Called with the context after a change that may limit what a bake onto the rig gives."""
    map_armature: Callable[[Any], object]
    """Called with the context after another armature was chosen."""
    edit_map_row: Callable[[Any, Any], object]
    """Called with the row and the context after a joint's bone was changed in the list."""
    forget_people: Callable[[str], object]
    """Called with the absolute path of the video after another one was chosen."""


_attached: list[ChangeHandlers] = []


def attach(handlers: ChangeHandlers) -> None:
    """Call `handlers` after changes from now on."""
    _attached[:] = [handlers]


def detach() -> None:
    """Call nothing any more."""
    _attached.clear()


def _later(function: Any) -> None:
    if bpy.app.background:
        return
    if bpy.app.timers.is_registered(function):
        bpy.app.timers.unregister(function)
    bpy.app.timers.register(function, first_interval=_REST_S)


def _refresh() -> None:
    for handlers in _attached:
        handlers.refresh_previews(bpy.context)


def refresh_later() -> None:
    """Bring the previews up to date after a short rest."""
    _later(_refresh)


def cleanup_changed(_owner: Any, _context: Context) -> None:
    """A smoothing or clean-up setting changed."""
    _later(_refresh)


_PARTS = ("root", "torso", "arms", "legs", "fingers", "face")
_STRENGTHS = ("off", "light", "medium", "heavy")


def smoothing_preset(cleanup: Any) -> int:
    """The strength that all parts have, or the last entry, Mixed."""
    strengths = {getattr(cleanup, part) for part in _PARTS}
    return _STRENGTHS.index(strengths.pop()) if len(strengths) == 1 else len(_STRENGTHS)


def set_smoothing_preset(cleanup: Any, value: int) -> None:
    """Give all parts one strength; Mixed leaves them as they are."""
    if value < len(_STRENGTHS):
        for part in _PARTS:
            setattr(cleanup, part, _STRENGTHS[value])


def retarget_changed(_owner: Any, context: Context) -> None:
    """A retarget or timing setting changed."""
    for handlers in _attached:
        if context.scene is not None:
            handlers.refresh_warnings(context)
    _later(_refresh)


def clip_changed(_owner: Any, _context: Context) -> None:
    """Another clip is in use."""
    _later(_refresh)


def armature_changed(_owner: Any, context: Context) -> None:
    """Another armature was chosen: its bones are mapped at once."""
    for handlers in _attached:
        handlers.map_armature(context)


def map_row_edited(row: Any, context: Context) -> None:
    """A joint's bone was changed in the list."""
    for handlers in _attached:
        handlers.edit_map_row(row, context)
        handlers.refresh_warnings(context)


def source_changed(owner: Any, _context: Context) -> None:
    """Another video was chosen: the people found in the last one are of no use."""
    for handlers in _attached:
        handlers.forget_people(bpy.path.abspath(owner.video))
    owner.first_result.solved = False


def further_video_changed(owner: Any, _context: Context) -> None:
    """Another file was chosen for a further video: what was found out about the last one is of no use."""
    owner.result.solved = False
