"""The two previews that follow the timeline: the skeleton of a clip, and its live retarget on a rig. May import bpy.

Both are switched by operators and kept in `runtime`; one frame-change handler shows the frame.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from bpy.app.handlers import persistent
from numpy.typing import NDArray

from ..motion.clip import MotionClip
from ..motion.posing import clip_body, pose_clip
from ..rig.draw_skeleton import SkeletonOverlay, joint_confidence
from ..rig.live_pose import LivePose
from . import session_state

Array = NDArray[np.floating]

logger = logging.getLogger(__name__)
_AFTER_UNDO_S = 0.1


@dataclass(frozen=True, slots=True)
class Timing:
    """How a clip lies on the timeline: the scene frame of its time zero, and frames a second."""

    frame_start: float
    fps: float

    def time_s(self, frame: float) -> float:
        """The clip's time at a scene frame."""
        return (frame - self.frame_start) / self.fps


def scene_fps(scene: Any) -> float:
    """The scene's frames a second, with its base."""
    return float(scene.render.fps / scene.render.fps_base)


class ClipOverlay:
    """A clip's skeleton in the viewport, scrubbed by the timeline."""

    def __init__(self, clip: MotionClip, timing: Timing, world_matrix: Array) -> None:
        self.overlay = SkeletonOverlay(clip_body(clip))
        self.update(clip, timing, world_matrix)

    def update(self, clip: MotionClip, timing: Timing, world_matrix: Array) -> None:
        """Show another clip or another place; `world_matrix` (4, 4) takes clip metres to scene units."""
        self.timing = timing
        self._times_s = np.asarray(clip.times_s, dtype=np.float64)
        positions = pose_clip(clip).positions_m
        self._joints = positions @ world_matrix[:3, :3].T + world_matrix[:3, 3]
        self._confidence = joint_confidence(clip)

    def show(self, frame: float) -> None:
        """Show the clip's frame nearest to a scene frame; nothing outside the clip."""
        time_s = self.timing.time_s(frame)
        half = 0.5 / max(self.timing.fps, 1.0) + 0.05
        if not self._times_s[0] - half <= time_s <= self._times_s[-1] + half:
            self.overlay.show(None)
            return
        row = int(np.abs(self._times_s - time_s).argmin())
        self.overlay.show(self._joints[row], self._confidence[row])


@dataclass(slots=True)
class LiveRetarget:
    """A live retarget on one armature of one scene."""

    pose: LivePose
    timing: Timing
    scene: str


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


def _mark_previewed(live: LiveRetarget, armature: str) -> None:
    """Say in the file which armature holds a preview's pose: undo steps keep it together with the pose."""
    scene = bpy.data.scenes.get(live.scene)
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
def on_load(_path: Any = None, _other: Any = None) -> None:
    """Another file is to be opened: previews of this one end, and leave no pose in it, for the file may fail to open; a
    running capture goes on.
    """
    stop_overlay()
    stop_live()
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
    stop_overlay()
    stop_live()
    for name, handler in HANDLERS:
        hooks = getattr(bpy.app.handlers, name)
        if handler in hooks:
            hooks.remove(handler)
