"""Capture: the modal operator that solves a video, and its cancel. May import bpy.

Interactively the job is ticked from a timer event; called as a script (`execute`) the same job runs to its end.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
from bpy.types import Context, Event, Operator

from ...client.capture_run import CaptureRun, CaptureTicket
from ...properties import settings
from ...session import capture_request, session_state
from ...session.backend import AccessError, ensure_link
from ...session.clips import enter_captured_clips, loaded_clip
from ...session.extension import EXTENSION_ID
from ...session.preview_control import adopt_active_armature, refresh_previews, show_partial
from ...session.previews import stop_live
from ...session.retargeting import apply_pose
from ..panel_words import told
from .base import (
    FAULTS,
    CancelsRunning,
    OperatorResult,
    push_undo,
    redraw_sidebars,
    require_armature,
    start_timer,
    watch_link,
)
from .finishing import keep_finishing

MakeTicket = Callable[[Context], CaptureTicket]

_TIMER_S = 0.1
_BLOCKING_REST_S = 0.02
BUSY = "A capture is running: wait for it, or cancel it"


class _Captures:
    """What the captures of a motion and of a pose share: they are ticked from a timer and can be stopped."""

    report: Any
    _timer: Any = None
    _reason = staticmethod(capture_request.why_not_ready)

    @classmethod
    def poll(cls, context: Context) -> bool:
        reason = cls._reason(settings(context).capture)
        if session_state.STATE.capture is not None or session_state.STATE.live_capture is not None:
            reason = BUSY
        elif EXTENSION_ID not in context.preferences.addons:
            reason = "The extension is not enabled"
        if reason:
            cls.poll_message_set(reason)  # type: ignore[attr-defined]
        return not reason

    def modal(self, context: Context, event: Event) -> OperatorResult:
        run = session_state.STATE.capture
        if run is None:
            return remove_timer(self, context, {"CANCELLED"})
        escaped = event.type == "ESC"
        if escaped:
            run.cancel()
        elif event.type != "TIMER":
            return {"PASS_THROUGH"}
        tick_capture(run)
        if not run.stopped:
            return {"RUNNING_MODAL" if escaped else "PASS_THROUGH"}
        done = finish_capture(run, self.report)
        return remove_timer(self, context, {"FINISHED"} if done else {"CANCELLED"})

    def cancel(self, context: Context) -> None:
        """Blender ends modal operators when another file is opened: the capture goes on from a timer."""
        remove_timer(self, context, set())
        if session_state.STATE.capture is not None:
            start_timer(tick_orphaned_capture)


class MARIONET_OT_capture(_Captures, bpy.types.Operator):
    """Solve the chosen video in the background; Esc or the cancel button stops it and keeps what is finished"""

    bl_idname = "marionet.capture"
    bl_label = "Start Capture"
    bl_options = {"REGISTER", "UNDO"}
    _reason = staticmethod(capture_request.why_no_capture)

    def invoke(self, context: Context, event: Event) -> OperatorResult:
        del event
        return _run_modal(self, context, capture_request.make_ticket)

    def execute(self, context: Context) -> OperatorResult:
        return _run_to_end(self, context, capture_request.make_ticket)


class MARIONET_OT_capture_pose(_Captures, bpy.types.Operator):
    """Capture the pose of one frame of the video, or of the image, onto the chosen armature at the current frame"""

    bl_idname = "marionet.capture_pose"
    bl_label = "Capture Pose"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        return require_armature(cls, context) and super().poll(context)

    def invoke(self, context: Context, event: Event) -> OperatorResult:
        del event
        return _run_modal(self, context, capture_request.make_pose_ticket)

    def execute(self, context: Context) -> OperatorResult:
        return _run_to_end(self, context, capture_request.make_pose_ticket)


def _run_modal(operator: Any, context: Context, make_ticket: MakeTicket) -> OperatorResult:
    """Start a capture that goes on from a timer."""
    if not start_capture(operator, context, make_ticket):
        return {"CANCELLED"}
    manager = context.window_manager
    operator._timer = manager.event_timer_add(_TIMER_S, window=context.window)
    manager.modal_handler_add(operator)
    return {"RUNNING_MODAL"}


def _run_to_end(operator: Any, context: Context, make_ticket: MakeTicket) -> OperatorResult:
    """Start a capture and wait for it."""
    if not start_capture(operator, context, make_ticket):
        return {"CANCELLED"}
    run = session_state.STATE.capture
    while not run.over:
        tick_capture(run)
        time.sleep(_BLOCKING_REST_S)
    return {"FINISHED"} if finish_capture(run, operator.report) else {"CANCELLED"}


def start_capture(operator: Operator, context: Context, make_ticket: MakeTicket) -> bool:
    """Start a capture from the panel's settings; False, with the reason reported, when it cannot be started."""
    if session_state.STATE.capture is not None:  # poll is not asked when a script calls the operator twice in one draw
        operator.report({"ERROR"}, BUSY)
        return False
    try:
        ticket = make_ticket(context)
        link = ensure_link()
        session_state.STATE.capture = CaptureRun(link, ticket)
    except (AccessError, OSError) as fault:
        operator.report({"ERROR"}, session_state.STATE.fail(str(fault)))
        return False
    adopt_active_armature(context)
    session_state.STATE.last_error = session_state.STATE.news = ""
    session_state.STATE.note(f"Capture of {ticket.video}: {ticket.request.options}")
    return True


def tick_capture(run: CaptureRun) -> None:
    """One tick: the job's messages, and the previews when new frames came."""
    said = run.text()
    if run.tick():
        show_partial(run)
    if run.text() != said:
        redraw_sidebars()


def finish_capture(run: CaptureRun, report: Any) -> bool:
    """Take the result over into the scene; whether the capture reached its end. Always leaves no capture behind."""
    state = session_state.STATE
    state.capture = None
    if run.snapshot.state == "finishing":
        keep_finishing(run)
    try:
        added = enter_captured_clips(_result_clips(run), run.ticket)
    except (ValueError, OSError) as fault:
        report({"ERROR"}, state.fail(f"The result cannot be read: {fault}"))
        return False
    finally:
        redraw_sidebars()
    if added and run.ticket.pose_s is not None and run.snapshot.state == "done":
        return _finish_pose(run, report)
    if added:
        refresh_previews(bpy.context)
    if added and run.snapshot.state != "done":
        push_undo("Stopped Capture")  # Blender makes a step of finished operators only
    for warning in run.snapshot.warnings:
        state.note(f"Warning: {warning}")
    level, text = _outcome(run, added)
    report({level}, state.fail(text) if level == "ERROR" else text)
    return level == "INFO"


def _finish_pose(run: CaptureRun, report: Any) -> bool:
    """Put the pose of a capture's clip onto the chosen armature; whether that was possible."""
    state, context = session_state.STATE, bpy.context
    stop_live()
    try:
        clip = loaded_clip(context).clip
        done = apply_pose(context, clip, float(clip.times_s[0]) + (run.ticket.pose_s or 0.0))
    except FAULTS as fault:
        report({"ERROR"}, state.fail(str(fault)))
        return False
    context.scene.frame_set(context.scene.frame_current)
    refresh_previews(context)
    text = f"The pose is on {done.armature} at frame {done.frame_start}, in the action {done.action}"
    report({"WARNING"} if done.warnings else {"INFO"}, text)
    return True


def _result_clips(run: CaptureRun) -> list[Path]:
    """The clip files that came, or what the preview has of a capture that did not end. Raises OSError."""
    clips = [path for path in run.snapshot.paths if path.suffix == ".npz"]
    if not clips and run.snapshot.state != "done":
        clips = [path for path in (run.keep_preview(),) if path]
    return clips


def _outcome(run: CaptureRun, added: list[str]) -> tuple[str, str]:
    """The level and the text of the report on a capture that has ended, with the names of the clips it added."""
    snapshot = run.snapshot
    message = told(snapshot.words, snapshot.remedy)
    first = f"the clip {added[0]}" if added else ""
    if snapshot.state == "failed":
        kept = f" The clip {added[0]} holds what was finished." if added else ""
        return "ERROR", (message or "The capture failed") + kept
    if snapshot.state == "finishing":
        kept = f": {first} is rough until the backend has finished it" if added else ""
        return "WARNING", f"Stopped; {snapshot.frames_kept} frames are kept{kept}"
    if snapshot.state == "cancelled":
        kept = f"; {first} holds what was finished" if added else ""
        return "WARNING", f"{message or 'Stopped'}{kept}"
    seconds = time.monotonic() - run.started_s
    return "INFO", f"{len(added)} clip{'s' if len(added) != 1 else ''} solved in {seconds:.0f} s: {', '.join(added)}"


def remove_timer(operator: Any, context: Context, result: OperatorResult) -> OperatorResult:
    """Take the modal operator's timer away; returns `result`."""
    timer = getattr(operator, "_timer", None)
    if timer is not None:
        context.window_manager.event_timer_remove(timer)
        operator._timer = None
    if session_state.STATE.capture is None and session_state.STATE.link is not None:
        watch_link()
    return result


def tick_orphaned_capture() -> float | None:
    """Tick a capture that lost its operator; the result goes to the scene that is open when it ends."""
    run = session_state.STATE.capture
    if run is None:
        return None
    tick_capture(run)
    if not run.stopped:
        return _TIMER_S
    if finish_capture(run, lambda _kind, text: session_state.STATE.note(text)):
        push_undo("Capture")
    return None


class MARIONET_OT_cancel_capture(CancelsRunning, bpy.types.Operator):
    """Stop the capture; finished frames are kept"""

    bl_idname = "marionet.cancel_capture"
    bl_label = "Cancel"
    idle_message = "No capture is running"

    @classmethod
    def running(cls) -> CaptureRun | None:
        return session_state.STATE.capture


CLASSES = (MARIONET_OT_capture, MARIONET_OT_capture_pose, MARIONET_OT_cancel_capture)
