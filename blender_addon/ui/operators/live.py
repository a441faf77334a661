"""Live capture: start, record, stop, list the cameras. May import bpy. A timer ticks the run and shows its frames."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import bpy
from bpy.props import StringProperty
from bpy.types import Context

from ...client.job import JobRequest
from ...client.live_run import TICK_BUDGET_S, CameraListing, LiveRun, LiveTicket, LostRecordings, wall_s
from ...properties import settings
from ...session import session_state
from ...session.backend import AccessError, clip_dir, ensure_link
from ...session.capture_request import needs_upload, solve_options
from ...session.clips import enter_clip
from ...session.extension import EXTENSION_ID, preferences
from ...session.live_view import LiveView, scene_of
from ...session.preview_control import refresh_previews
from ...session.previews import stop_live, stop_live_view, stop_overlay
from ...wire.messages import LiveFrame, Source
from ..panel_words import told
from .base import FAULTS, OperatorResult, push_undo, redraw_sidebars, report_fault, start_timer, watch_link
from .capture import BUSY
from .finishing import keep_finishing

_TIMER_S, _BUSY_S = 0.016, 0.003
# steps of the character's retarget begin so long after the tick did; where Blender draws slower than it takes frames,
# a tick goes on to the character's whole pose: else the next frame is there before it
_STEPS_S, _STEPS_SLOW_S, _SLOW_S = 0.0015, 0.012, 0.04
_CALM_S = 0.1
_ASSUMED_HEIGHT_M = 1.70
_PANEL_EVERY_S = 0.5


class MARIONET_OT_live(bpy.types.Operator):
    """Follow a camera or a stream and show the motion while it happens"""

    bl_idname = "marionet.live"
    bl_label = "Start Live"

    @classmethod
    def poll(cls, context: Context) -> bool:
        state = session_state.STATE
        if state.capture is not None or state.live_capture is not None:
            cls.poll_message_set(BUSY)
            return False
        if EXTENSION_ID not in context.preferences.addons:
            cls.poll_message_set("The extension is not enabled")
            return False
        if not settings(context).capture.live_source.strip():
            cls.poll_message_set("Choose a camera, or type the address of a stream")
            return False
        return True

    def execute(self, context: Context) -> OperatorResult:
        state = session_state.STATE
        try:
            link = ensure_link()
            stop_overlay()
            stop_live()
            state.live_view = LiveView(context, settings(context).capture.live_character)
            state.live_capture = LiveRun(link, _ticket(context))
        except (*FAULTS, AccessError) as fault:
            stop_live_view()
            return report_fault(self, fault)
        state.last_error = state.news = ""
        start_timer(tick_live)
        return {"FINISHED"}


class MARIONET_OT_live_record(bpy.types.Operator):
    """Record from now on, until the live capture is stopped"""

    bl_idname = "marionet.live_record"
    bl_label = "Record"

    @classmethod
    def poll(cls, context: Context) -> bool:
        del context
        run = session_state.STATE.live_capture
        if run is None or run.recording:
            cls.poll_message_set("Nothing is live" if run is None else "It is being recorded")
            return False
        return True

    def execute(self, context: Context) -> OperatorResult:
        del context
        run = session_state.STATE.live_capture
        if run is not None:
            run.record()
        return {"FINISHED"}


class MARIONET_OT_live_stop(bpy.types.Operator):
    """Stop the live capture; the clip of a recording is there at once, and its full solve replaces it"""

    bl_idname = "marionet.live_stop"
    bl_label = "Stop Live"

    @classmethod
    def poll(cls, context: Context) -> bool:
        del context
        if session_state.STATE.live_capture is None:
            cls.poll_message_set("Nothing is live")
            return False
        return True

    def execute(self, context: Context) -> OperatorResult:
        del context
        run = session_state.STATE.live_capture
        if run is not None:
            run.stop()
        return {"FINISHED"}


class MARIONET_OT_list_cameras(bpy.types.Operator):
    """Ask the backend which cameras it has"""

    bl_idname = "marionet.list_cameras"
    bl_label = "Find Cameras"

    def execute(self, context: Context) -> OperatorResult:
        del context
        try:
            session_state.STATE.cameras = CameraListing(ensure_link())
        except (*FAULTS, AccessError) as fault:
            return report_fault(self, fault)
        watch_link()
        return {"FINISHED"}


class MARIONET_OT_pick_camera(bpy.types.Operator):
    """Use this camera"""

    bl_idname = "marionet.pick_camera"
    bl_label = "Use Camera"
    bl_options = {"REGISTER", "UNDO"}

    source: StringProperty(name="Camera")

    def execute(self, context: Context) -> OperatorResult:
        settings(context).capture.live_source = self.source
        return {"FINISHED"}


class MARIONET_OT_recover_live(bpy.types.Operator):
    """Fetch the recording of a live capture that ended because Blender or the backend did"""

    bl_idname = "marionet.recover_live"
    bl_label = "Recover Recording"

    @classmethod
    def poll(cls, context: Context) -> bool:
        del context
        if session_state.STATE.live_capture is not None:
            cls.poll_message_set(BUSY)
            return False
        return True

    def execute(self, context: Context) -> OperatorResult:
        del context
        state = session_state.STATE
        try:
            state.lost_recordings = LostRecordings(ensure_link())
        except (*FAULTS, AccessError) as fault:
            return report_fault(self, fault)
        state.news = "Looking for recordings"
        start_timer(tick_recovery)
        return {"FINISHED"}


def tick_recovery() -> float | None:
    """Wait for the backend's answer, then fetch the newest recording that it has."""
    state = session_state.STATE
    if state.lost_recordings is None or state.link is None or state.live_capture is not None:
        return None
    state.link.tick(TICK_BUDGET_S)
    found = state.lost_recordings.job_ids
    if found is None:
        return _CALM_S
    state.lost_recordings = None
    state.news = "" if found else "The backend has no recording that was cut off"
    if found:
        state.live_capture = LiveRun(state.link, _ticket(bpy.context), found[-1])
        start_timer(tick_live)
    redraw_sidebars()
    return None


def _ticket(context: Context) -> LiveTicket:
    """The request for a live capture with the panel's settings. Raises AccessError."""
    capture = settings(context).capture
    address = capture.live_source.strip()
    stem = re.sub(r"[^\w.-]+", "_", address.rpartition("@")[2])[-40:].strip("_") or "live"
    folder = clip_dir(preferences()) / f"{stem}_{datetime.now():%Y%m%d_%H%M%S_%f}"
    options = solve_options(capture)
    known = {name: getattr(options, name) for name in ("height_m", "fov_deg", "gravity_camera")}
    quick = type(options)(quality="fast", **known)
    source = Source("live", address, record=capture.live_record)
    request = JobRequest(Path(f"live_{stem}"), folder, quick, source=source)
    height_m = capture.height_m if capture.know_height else _ASSUMED_HEIGHT_M
    return LiveTicket(request, settings(context).id_data.name, height_m)


def tick_live() -> float | None:
    """One tick: the job's messages, and the newest frame into the viewport."""
    state = session_state.STATE
    run = state.live_capture
    if run is None:
        return None
    began_s = wall_s()
    frame = run.tick()
    worked = _show_live(run, frame, began_s)
    if worked:
        run.note_tick(wall_s() - began_s)
    if frame is not None and frame.number % max(1, round(_PANEL_EVERY_S * max(frame.fps, 2.0))) == 0:
        redraw_sidebars()
    if run.snapshot.stopped or run.snapshot.state == "fetching":
        stop_live_view()
    if not run.over:
        return _BUSY_S if worked else _TIMER_S if run.newest is not None else _CALM_S
    finish_live(run)
    return None


def _show_live(run: LiveRun, frame: LiveFrame | None, began_s: float) -> bool:
    """Bring the viewport nearer to the newest frame; whether there was something to do."""
    state, worked = session_state.STATE, frame is not None
    slow = began_s - run.ticked_s > _SLOW_S
    until_s = began_s + (_STEPS_SLOW_S if slow else _STEPS_S)
    run.ticked_s = began_s
    if state.live_view is None:
        return worked
    try:
        if frame is not None:
            run.shown += 1
            state.live_view.show(frame)
        while wall_s() < until_s and state.live_view.step():
            worked = True
    except FAULTS as fault:
        state.fail(f"The preview ended: {fault}")  # a preview is a courtesy: the capture itself goes on
        stop_live_view()
    return worked


def finish_live(run: LiveRun) -> None:
    """Take the clip over at once, and start the full solve of each recording."""
    state = session_state.STATE
    state.live_capture = None
    stop_live_view()
    scene, snapshot = scene_of(run.ticket.scene), run.snapshot
    if snapshot.state == "failed":
        state.fail(told(snapshot.words, snapshot.remedy))
    clip = run.clip_path
    try:
        if clip is not None:
            state.load_clip(clip)
            name = enter_clip(scene, clip, "Live", str(run.recordings[0]) if run.recordings else "")
            state.news = f"{name}: the live poses{_what_follows(len(run.recordings))}"
            push_undo("Live Capture")
            refresh_previews(bpy.context)
            if state.link is not None:
                wanted = solve_options(scene.marionet.capture)
                upload = bool(run.recordings) and needs_upload(run.recordings[0])
                for solve in run.full_solves(state.link, upload, wanted):
                    keep_finishing(solve)
    except (*FAULTS, AccessError) as fault:
        state.fail(f"The live clip cannot be read: {fault}")
    redraw_sidebars()
    watch_link()


def _what_follows(recordings: int) -> str:
    if recordings > 1:
        return f". The source changed: each of the {recordings} recordings is solved, and gets a clip of its own"
    return "; the full solve of the recording replaces them" if recordings else ""


CLASSES = (
    MARIONET_OT_live,
    MARIONET_OT_live_record,
    MARIONET_OT_live_stop,
    MARIONET_OT_recover_live,
    MARIONET_OT_list_cameras,
    MARIONET_OT_pick_camera,
)
