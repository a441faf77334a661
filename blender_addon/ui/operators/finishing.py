"""Stopped captures whose clip the backend still makes: followed from a timer, taken over in place. May import bpy."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.types import Context

from ...client.capture_run import CaptureRun
from ...properties import settings_of
from ...session import session_state
from ...session.clips import enter_captured_clips, keep_finished_results
from ...session.preview_control import refresh_previews
from ..panel_words import told
from .base import OperatorResult, push_undo, redraw_sidebars, start_timer

_TIMER_S = 0.1


def keep_finishing(run: CaptureRun) -> None:
    """Follow a stopped capture until its clip is there, or will not come."""
    session_state.STATE.finishing.append(run)
    start_timer(tick_finishing)


def tick_finishing() -> float | None:
    """One look at all of them."""
    for run in list(session_state.STATE.finishing):
        said = run.text()
        run.tick()
        if run.over:
            session_state.STATE.finishing.remove(run)
            take_over_finished(run)
        if run.over or run.text() != said:
            redraw_sidebars()
    return _TIMER_S if session_state.STATE.finishing else None


def take_over_finished(run: CaptureRun) -> None:
    """Put the backend's clip where the rough one stands; without one, say why the rough one stays."""
    state, name = session_state.STATE, run.ticket.video.name
    clips = [path for path in run.snapshot.paths if path.suffix == ".npz"]
    if not clips:
        reason = told(run.snapshot.words, run.snapshot.remedy)
        state.news = f"The kept part of {name} could not be finished; the rough clip stays. {reason}"
        state.note(state.news)
        return
    try:
        entered = _replace_rough(run, clips[0])
        keep_finished_results(clips[0], run.ticket)
        added = enter_captured_clips(clips[1:] if run.rough else clips, run.ticket)
    except (ValueError, OSError) as fault:
        state.fail(f"The finished clip cannot be read: {fault}")
        return
    if run.rough and not entered:
        state.news = f"The kept part of {name} is finished: {clips[0]}. Its rough clip was removed, so it is not listed"
    else:
        state.news = f"The kept part of {name} is finished: {', '.join([*entered, *added])}"
    state.note(state.news)
    push_undo("Finish Capture")
    refresh_previews(bpy.context)


def _replace_rough(run: CaptureRun, path: Path) -> list[str]:
    """Lead every list entry of the rough clip to the finished one; their names. Raises ClipError, OSError."""
    session_state.STATE.load_clip(path)
    rough, names = str(run.rough), []
    for scene in bpy.data.scenes:
        for entry in settings_of(scene).clips:
            if run.rough and entry.filepath == rough:
                entry.filepath = str(path)
                names.append(entry.name)
    if names and run.rough:
        session_state.STATE.forget_clip(run.rough)
    return names


class MARIONET_OT_forget_finishing(bpy.types.Operator):
    """Discard the final solve of a stopped capture: the backend is free at once, and the rough clip stays"""

    bl_idname = "marionet.forget_finishing"
    bl_label = "Discard Final Solve"

    @classmethod
    def poll(cls, context: Context) -> bool:
        del context
        if not session_state.STATE.finishing:
            cls.poll_message_set("No stopped capture is being finished")
            return False
        return True

    def execute(self, context: Context) -> OperatorResult:
        del context
        for run in session_state.STATE.finishing:
            run.job.forget()
            run.job.tick(0.0)
        session_state.STATE.finishing.clear()
        redraw_sidebars()
        return {"FINISHED"}


CLASSES = (MARIONET_OT_forget_finishing,)
