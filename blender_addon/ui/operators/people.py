"""Operators for choosing a person: look who is in the video, take a number. May import bpy."""

from __future__ import annotations

import time
from typing import Any

import bpy
import bpy.utils.previews
import numpy as np
from bpy.types import Context

from ...client.people_search import PeopleSearch
from ...properties import settings
from ...session import session_state
from ...session.backend import AccessError, backend_python, ensure_link
from ...session.capture_request import make_search, why_not_ready
from ...session.extension import preferences
from .base import CancelsRunning, OperatorResult, redraw_sidebars, report_fault, start_timer

_POLL_S = 0.1
_BLOCKING_REST_S = 0.02


class MARIONET_OT_find_people(bpy.types.Operator):
    """Search the video for people, to choose one by image and number"""

    bl_idname = "marionet.find_people"
    bl_label = "Find People"

    @classmethod
    def poll(cls, context: Context) -> bool:
        reason = why_not_ready(settings(context).capture)
        if preferences().backend == "LOCAL" and backend_python(preferences()) is None:
            reason = "No backend is set up yet: see the preferences"
        elif session_state.STATE.people is not None and session_state.STATE.people.state == "running":
            reason = "The search is running"
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def execute(self, context: Context) -> OperatorResult:
        try:
            search = make_search(context, ensure_link())
        except (AccessError, OSError) as fault:
            return report_fault(self, fault)
        if session_state.STATE.people is not None:
            session_state.STATE.people.discard()
        session_state.STATE.people = search
        if not bpy.app.background:
            start_timer(poll_people)
            return {"FINISHED"}
        while search.poll() == "running":
            time.sleep(_BLOCKING_REST_S)
        if search.state == "failed":
            self.report({"ERROR"}, session_state.STATE.fail(search.message))
            return {"CANCELLED"}
        return {"FINISHED"}


class MARIONET_OT_cancel_people(CancelsRunning, bpy.types.Operator):
    """Stop the search for people"""

    bl_idname = "marionet.cancel_people"
    bl_label = "Cancel Search"
    idle_message = "No search is running"

    @classmethod
    def running(cls) -> PeopleSearch | None:
        search = session_state.STATE.people
        return search if search is not None and search.state == "running" else None


def poll_people() -> float | None:
    """One look at the running search, from a timer."""
    search = session_state.STATE.people
    if search is None:
        return None
    running = search.poll() == "running"
    if search.state == "done" and search.sheet.is_file():
        show_sheet(search)
    if search.state == "failed":
        session_state.STATE.fail(search.message)
    redraw_sidebars()
    return _POLL_S if running else None


def show_sheet(search: PeopleSearch) -> None:
    """Cut each person's small image out of the contact sheet, as icons for the panel."""
    state = session_state.STATE
    if state.thumbnails is None:
        state.thumbnails = bpy.utils.previews.new()
    sheet = bpy.data.images.load(str(search.sheet))
    width, height = sheet.size
    pixels = np.empty(width * height * 4, np.float32)
    values: Any = sheet.pixels
    values.foreach_get(pixels)
    bpy.data.images.remove(sheet)
    rows = pixels.reshape(height, width, 4)  # Blender's images stand on their last row
    for person in search.people:
        left, top, size = person.tile_px
        tile = rows[max(height - top - size, 0) : height - top, left : left + size]
        preview = state.thumbnails.new(f"{search.sheet}:{person.number}")
        preview.image_size = (tile.shape[1], tile.shape[0])
        preview.image_pixels_float.foreach_set(np.ascontiguousarray(tile).ravel())
        person.icon_id = preview.icon_id


def forget_thumbnails() -> None:
    """Give the images back; for unregister."""
    if session_state.STATE.thumbnails is not None:
        bpy.utils.previews.remove(session_state.STATE.thumbnails)
        session_state.STATE.thumbnails = None


class MARIONET_OT_pick_person(bpy.types.Operator):
    """Capture this person"""

    bl_idname = "marionet.pick_person"
    bl_label = "Pick Person"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    number: bpy.props.IntProperty(name="Number", min=0)

    def execute(self, context: Context) -> OperatorResult:
        capture = settings(context).capture
        capture.person, capture.person_number = "index", self.number
        return {"FINISHED"}


CLASSES = (MARIONET_OT_find_people, MARIONET_OT_cancel_people, MARIONET_OT_pick_person)
