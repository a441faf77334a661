"""Capture: the modal operator that solves a video, and its cancel. May import bpy.

Interactively the job is ticked from a timer event; called as a script (`execute`) the same job runs to its end.
"""

from __future__ import annotations

import time
from typing import Any

import bpy

from ...client.capture_run import CaptureRun
from ...extension import EXTENSION_ID
from ...properties import settings
from ...session import capture_request, session_state, workflow
from ...session.backend import AccessError, ensure_link
from .backend import redraw_everything, watch_link
from .finishing import keep_finishing, push_undo

_TIMER_S = 0.1
_BLOCKING_REST_S = 0.02
BUSY = "A capture is running: wait for it, or cancel it"


class MARIONET_OT_capture(bpy.types.Operator):
    """Solve the chosen video in the background; Esc or the cancel button stops it and keeps what is finished"""

    bl_idname = "marionet.capture"
    bl_label = "Start Capture"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        if session_state.STATE.capture is not None:
            cls.poll_message_set(BUSY)
            return False
        if EXTENSION_ID not in context.preferences.addons:
            cls.poll_message_set("The extension is not enabled")
            return False
        reason = capture_request.missing(settings(context).capture)
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def invoke(self, context: Any, event: Any) -> set[str]:
        del event
        if not begin(self, context):
            return {"CANCELLED"}
        manager = context.window_manager
        self._timer = manager.event_timer_add(_TIMER_S, window=context.window)
        manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: Any, event: Any) -> set[str]:
        run = session_state.STATE.capture
        if run is None:
            return leave(self, context, {"CANCELLED"})
        escaped = event.type == "ESC"
        if escaped:
            run.cancel()
        elif event.type != "TIMER":
            return {"PASS_THROUGH"}
        step(run)
        if not run.stopped:
            return {"RUNNING_MODAL" if escaped else "PASS_THROUGH"}
        done = finish(run, self.report)
        return leave(self, context, {"FINISHED"} if done else {"CANCELLED"})

    def execute(self, context: Any) -> set[str]:
        if not begin(self, context):
            return {"CANCELLED"}
        run = session_state.STATE.capture
        while not run.over:
            step(run)
            time.sleep(_BLOCKING_REST_S)
        return {"FINISHED"} if finish(run, self.report) else {"CANCELLED"}

    def cancel(self, context: Any) -> None:
        """Blender ends modal operators when another file is opened: the capture goes on from a timer."""
        leave(self, context, set())
        if session_state.STATE.capture is not None:
            bpy.app.timers.register(go_on, persistent=True)


def begin(operator: Any, context: Any) -> bool:
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


def step(run: CaptureRun) -> None:
    """One tick: the job's messages, and the previews when new frames came."""
    said = run.text()
    if run.tick():
        workflow.show_partial(run)
    if run.text() != said:
        redraw_everything()


def finish(run: CaptureRun, report: Any) -> bool:
    """Take the result over into the scene; whether the capture reached its end. Always leaves no capture behind."""
    session_state.STATE.capture = None
    snapshot = run.snapshot
    clips = [path for path in snapshot.paths if path.suffix == ".npz"]
    if snapshot.state == "finishing":
        keep_finishing(run)
    message = " ".join(part for part in (snapshot.words, snapshot.remedy) if part)
    try:
        if not clips and snapshot.state != "done":
            clips = [path for path in (run.keep_preview(),) if path]
        added = workflow.add_clips(clips, run.ticket)
    except (ValueError, OSError) as fault:
        report({"ERROR"}, session_state.STATE.fail(f"The result cannot be read: {fault}"))
        return False
    finally:
        redraw_everything()
    if added and snapshot.state != "done":
        push_undo("Stopped Capture")  # Blender makes a step of finished operators only
    for warning in snapshot.warnings:
        session_state.STATE.note(f"Mind: {warning}")
    if snapshot.state == "failed":
        kept = f" The clip {added[0]} holds what was finished." if added else ""
        report({"ERROR"}, session_state.STATE.fail((message or "The capture failed") + kept))
        return False
    if snapshot.state == "finishing":
        kept = f": the clip {added[0]} is rough until the backend has finished it" if added else ""
        report({"WARNING"}, f"Stopped; {snapshot.frames_kept} frames are kept{kept}")
        return False
    if snapshot.state == "cancelled":
        kept = f"; the clip {added[0]} holds what was finished" if added else ""
        report({"WARNING"}, f"{message or 'Stopped'}{kept}")
        return False
    seconds = time.monotonic() - run.started_s
    report({"INFO"}, f"{len(added)} clip{'s' if len(added) != 1 else ''} solved in {seconds:.0f} s: {', '.join(added)}")
    return True


def leave(operator: Any, context: Any, result: set[str]) -> set[str]:
    """Take the timer away."""
    timer = getattr(operator, "_timer", None)
    if timer is not None:
        context.window_manager.event_timer_remove(timer)
        operator._timer = None
    if session_state.STATE.capture is None and session_state.STATE.link is not None:
        watch_link()
    return result


def go_on() -> float | None:
    """Tick a capture that lost its operator; the result goes to the scene that is open when it ends."""
    run = session_state.STATE.capture
    if run is None:
        return None
    step(run)
    if not run.stopped:
        return _TIMER_S
    if finish(run, lambda _kind, text: session_state.STATE.note(text)):
        push_undo("Capture")
    return None


class MARIONET_OT_cancel_capture(bpy.types.Operator):
    """Stop the capture; finished frames are kept"""

    bl_idname = "marionet.cancel_capture"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, context: Any) -> bool:
        del context
        if session_state.STATE.capture is None:
            cls.poll_message_set("No capture is running")
            return False
        return True

    def execute(self, context: Any) -> set[str]:
        del context
        session_state.STATE.capture.cancel()
        return {"FINISHED"}


CLASSES = (MARIONET_OT_capture, MARIONET_OT_cancel_capture)
