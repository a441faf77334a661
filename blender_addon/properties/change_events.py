"""What follows when a setting changes: previews are made again, corrections of a map are kept. May import bpy.

Changes come in bursts while a slider is dragged, so the work waits for a short rest. In the background there are no
timers: operators read the settings when they run.
"""

from __future__ import annotations

from typing import Any

import bpy

_REST_S = 0.25


def _later(function: Any) -> None:
    if bpy.app.background:
        return
    if bpy.app.timers.is_registered(function):
        bpy.app.timers.unregister(function)
    bpy.app.timers.register(function, first_interval=_REST_S)


def _refresh() -> None:
    from ..session import workflow

    workflow.refresh_previews(bpy.context)


def cleanup_changed(_owner: Any, _context: Any) -> None:
    """A smoothing or clean-up setting changed."""
    _later(_refresh)


_PARTS = ("root", "torso", "arms", "legs")
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


def retarget_changed(_owner: Any, context: Any) -> None:
    """A retarget or timing setting changed."""
    from ..session import workflow

    if context.scene is not None:
        workflow.refresh_warnings(context)
    _later(_refresh)


def clip_changed(_owner: Any, _context: Any) -> None:
    """Another clip is in use."""
    _later(_refresh)


def armature_changed(_owner: Any, context: Any) -> None:
    """Another armature was chosen: its bones are mapped at once."""
    from ..session import workflow

    workflow.map_chosen_armature(context)


def map_row_edited(row: Any, context: Any) -> None:
    """A joint's bone was changed in the list."""
    from ..session import workflow

    workflow.map_row_edited(row, context)
    workflow.refresh_warnings(context)


def source_changed(owner: Any, _context: Any) -> None:
    """Another video was chosen: the people found in the last one are of no use."""
    from ..session import session_state

    people = session_state.STATE.people
    if people is not None and str(people.video) != bpy.path.abspath(owner.video):
        people.discard()
        session_state.STATE.people = None
