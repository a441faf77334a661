"""Capture: the modal operator that solves a video, and its cancel. May import bpy.

Interactively the job is ticked from a timer event; called as a script (`execute`) the same job runs to its end.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import bpy
from bpy.types import Context, Event, Operator

from ...client.capture_run import CaptureRun
from ...properties import settings
from ...session import capture_request, session_state
from ...session.backend import AccessError, ensure_link
from ...session.clips import enter_captured_clips
from ...session.extension import EXTENSION_ID
from ...session.preview_control import refresh_previews, show_partial
from .base import CancelsRunning, OperatorResult, push_undo, redraw_sidebars, start_timer, watch_link
from .finishing import keep_finishing

_TIMER_S = 0.1
_BLOCKING_REST_S = 0.02
BUSY = "A capture is running: wait for it, or cancel it"


class MARIONET_OT_capture(bpy.types.Operator):
    """Solve the chosen video in the background; Esc or the cancel button stops it and keeps what is finished"""

    bl_idname = "marionet.capture"
    bl_label = "Start Capture"
    bl_options = {"REGISTER", "UNDO"}
    _timer: Any = None

    @classmethod
    def poll(cls, context: Context) -> bool:
        if session_state.STATE.capture is not None or session_state.STATE.live_capture is not None:
            cls.poll_message_set(BUSY)
            return False
        if EXTENSION_ID not in context.preferences.addons:
            cls.poll_message_set("The extension is not enabled")
            return False
        reason = capture_request.why_not_ready(settings(context).capture)
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def invoke(self, context: Context, event: Event) -> OperatorResult:
        del event
        if not start_capture(self, context):
            return {"CANCELLED"}
        manager = context.window_manager
        self._timer = manager.event_timer_add(_TIMER_S, window=context.window)
        manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

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

    def execute(self, context: Context) -> OperatorResult:
        if not start_capture(self, context):
            return {"CANCELLED"}
        run = session_state.STATE.capture
        while not run.over:
            tick_capture(run)
            time.sleep(_BLOCKING_REST_S)
        return {"FINISHED"} if finish_capture(run, self.report) else {"CANCELLED"}

    def cancel(self, context: Context) -> None:
        """Blender ends modal operators when another file is opened: the capture goes on from a timer."""
        remove_timer(self, context, set())
        if session_state.STATE.capture is not None:
            start_timer(tick_orphaned_capture)


def start_capture(operator: Operator, context: Context) -> bool:
    """Start a capture from the panel's settings; False, with the reason reported, when it cannot be started."""
    if session_state.STATE.capture is not None:  # poll is not asked when a script calls the operator twice in one draw
        operator.report({"ERROR"}, BUSY)
        return False
    try:
        ticket = capture_request.make_ticket(context)
        link = ensure_link()
        session_state.STATE.capture = CaptureRun(link, ticket)
    except (AccessError, OSError) as fault:
        operator.report({"ERROR"}, session_state.STATE.fail(str(fault)))
        return False
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
    if added:
        refresh_previews(bpy.context)
    if added and run.snapshot.state != "done":
        push_undo("Stopped Capture")  # Blender makes a step of finished operators only
    for warning in run.snapshot.warnings:
        state.note(f"Warning: {warning}")
    level, text = _outcome(run, added)
    report({level}, state.fail(text) if level == "ERROR" else text)
    return level == "INFO"


def _result_clips(run: CaptureRun) -> list[Path]:
    """The clip files that came, or what the preview has of a capture that did not end. Raises OSError."""
    clips = [path for path in run.snapshot.paths if path.suffix == ".npz"]
    if not clips and run.snapshot.state != "done":
        clips = [path for path in (run.keep_preview(),) if path]
    return clips


def _outcome(run: CaptureRun, added: list[str]) -> tuple[str, str]:
    """The level and the text of the report on a capture that has ended, with the names of the clips it added."""
    snapshot = run.snapshot
    message = " ".join(part for part in (snapshot.words, snapshot.remedy) if part)
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


CLASSES = (MARIONET_OT_capture, MARIONET_OT_cancel_capture)
