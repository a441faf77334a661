"""The two previews that follow the timeline: the skeleton of a clip, and its live retarget on a rig. May import bpy.

Both are switched by operators and kept in the session state; one frame-change handler shows the frame.
"""

from __future__ import annotations

import logging
from typing import Any

import bpy
from bpy.app.handlers import persistent

from ..properties import change_events
from . import session_state
from .contact_edit import contact_object
from .session_state import LiveRetarget

logger = logging.getLogger(__name__)
_AFTER_UNDO_S = 0.1


def show_frame(scene: Any) -> None:
    """Bring both previews to the scene's current frame."""
    state = session_state.STATE
    frame = scene.frame_current_final
    if state.overlay is not None:
        state.overlay.show(frame)
    live = state.live
    if live is not None and live.scene == scene.name and not live.pose.show(live.timing.time_s(frame)):
        state.live = None
        state.note("The live retarget ended: its armature is gone")


def stop_overlay() -> None:
    """Take the skeleton out of the viewport."""
    if session_state.STATE.overlay is not None:
        session_state.STATE.overlay.overlay.remove()
        session_state.STATE.overlay = None


def stop_live() -> None:
    """End the live retarget and put the armature's pose back."""
    live, session_state.STATE.live = session_state.STATE.live, None
    if live is not None:
        live.pose.restore()
        session_state.STATE.ended_live = live
        _mark_previewed(live, "")


def stop_live_view() -> None:
    """End the view of a live capture; the capture itself goes on."""
    view, session_state.STATE.live_view = session_state.STATE.live_view, None
    if view is not None:
        view.close()


def _mark_previewed(live: LiveRetarget, armature: str) -> None:
    """Say in the file which armature holds a preview's pose: undo steps keep it together with the pose."""
    scene: Any = bpy.data.scenes.get(live.scene)
    if scene is not None:
        scene.marionet.retarget.previewed = armature


def redraw_viewports() -> None:
    """Ask every 3D viewport to draw again."""
    manager = bpy.context.window_manager
    for window in manager.windows if manager else ():
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()


@persistent
def on_frame_change(scene: Any, _depsgraph: Any = None) -> None:
    """Blender's frame-change handler."""
    if session_state.STATE.overlay is None and session_state.STATE.live is None:
        return
    try:
        show_frame(scene)
    except Exception:
        # this border must hold: a handler that raises at every frame would make Blender unusable
        logger.exception("The preview stopped")
        session_state.STATE.fail("The preview stopped; see the report")
        session_state.STATE.live = None
        stop_overlay()


@persistent
def on_depsgraph_update(_scene: Any, depsgraph: Any) -> None:
    """After an edit of the contacts' keys a running preview follows."""
    state = session_state.STATE
    if (state.overlay is None and state.live is None) or not depsgraph.id_type_updated("ACTION"):
        return
    thing = contact_object(bpy.context)
    action = thing.animation_data.action if thing is not None and thing.animation_data is not None else None
    if action is not None and any(update.id.name == action.name for update in depsgraph.updates):
        change_events.refresh_later()


@persistent
def on_load(_path: Any = None, _other: Any = None) -> None:
    """Another file is to be opened: previews of this one end, and leave no pose in it, for the file may fail to open; a
    running capture goes on.
    """
    stop_overlay()
    stop_live()
    stop_live_view()
    session_state.STATE.ended_live = None


@persistent
def on_undo(scene: Any, _depsgraph: Any = None) -> None:
    """After an undo or redo: a running live retarget goes on; one that has ended leaves no pose behind.

    A step that was made during a preview holds its pose. Back in such a step without the preview, the user's own pose
    is put back.
    """
    live, ended = session_state.STATE.live, session_state.STATE.ended_live
    if live is not None:
        _mark_previewed(live, live.pose.armature_name)
        on_frame_change(scene)
        if not bpy.app.background and not bpy.app.timers.is_registered(_show_again):
            bpy.app.timers.register(_show_again, first_interval=_AFTER_UNDO_S)
    elif ended is not None and ended.scene == scene.name and scene.marionet.retarget.previewed:
        if scene.marionet.retarget.previewed == ended.pose.armature_name:
            ended.pose.restore()
        _mark_previewed(ended, "")


def _show_again() -> None:
    """Blender evaluates the rig's own action after the handlers of an undo: the preview goes over it again."""
    if session_state.STATE.live is not None:
        on_frame_change(bpy.context.scene)
        redraw_viewports()


@persistent
def on_save(_path: Any = None, _other: Any = None) -> None:
    """Before a save the live pose is taken off, so that no file stores a preview."""
    if session_state.STATE.live_view is not None:
        session_state.STATE.live_view.put_back()
    if session_state.STATE.live is not None:
        session_state.STATE.live.pose.restore()
        _mark_previewed(session_state.STATE.live, "")


@persistent
def on_saved(_path: Any = None, _other: Any = None) -> None:
    """After a save the live pose comes back."""
    live = session_state.STATE.live
    if live is not None:
        _mark_previewed(live, live.pose.armature_name)
        show_frame(bpy.context.scene)


HANDLERS = (
    ("frame_change_post", on_frame_change),
    ("depsgraph_update_post", on_depsgraph_update),
    ("load_pre", on_load),
    ("undo_post", on_undo),
    ("redo_post", on_undo),
    ("save_pre", on_save),
    ("save_post", on_saved),
)


def attach() -> None:
    """Hang the handlers in."""
    for name, handler in HANDLERS:
        getattr(bpy.app.handlers, name).append(handler)


def detach() -> None:
    """Take handlers and previews out."""
    stop_live_view()
    stop_overlay()
    stop_live()
    for name, handler in HANDLERS:
        hooks = getattr(bpy.app.handlers, name)
        if handler in hooks:
            hooks.remove(handler)
