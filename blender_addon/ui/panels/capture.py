"""The panels for capturing and for the clips that came of it. May import bpy."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.types import Context, UILayout

from ...motion.clip import SOURCE_SETTING
from ...motion.quality_words import Grade, quality_lines
from ...properties import active_clip, settings
from ...session import session_state
from ...session.capture_request import DETAILS, lacking_abilities
from ...session.take_videos import is_take
from ..panel_words import in_panel_words
from .sidebar import SidebarPanel, wrapped
from .take import draw_take, draw_videos

_GRADE_ICONS = {Grade.GOOD: "CHECKMARK", Grade.FAIR: "INFO", Grade.POOR: "ERROR"}


class MARIONET_PT_capture(SidebarPanel, bpy.types.Panel):
    """What to solve, and how far it is."""

    bl_idname = "MARIONET_PT_capture"
    bl_label = "Capture"

    def draw(self, context: Context) -> None:
        """Draw the panel."""
        layout = self.layout
        capture = settings(context).capture
        run = session_state.STATE.capture
        column = layout.column()
        column.enabled = run is None
        column.use_property_split = True
        column.use_property_decorate = False
        _draw_source(column, capture)
        if capture.source == "FILE":
            draw_videos(column, context, capture)
        if capture.source != "IMAGE":
            _draw_range(column, capture)
        _draw_options(column, capture)
        if run is None:
            _draw_people(layout, context)
            _draw_start(layout, capture)
            draw_finishing(layout, context)
            return
        layout.progress(factor=run.fraction(), type="BAR", text=run.text())
        layout.operator("marionet.cancel_capture", icon="CANCEL")


def _draw_start(layout: UILayout, capture: Any) -> None:
    """The buttons that start a capture: of the motion, and of one pose."""
    if capture.source == "IMAGE":
        layout.operator("marionet.capture_pose", icon="ARMATURE_DATA")
        return
    layout.operator("marionet.capture", icon="PLAY")
    row = layout.row(align=True)
    row.prop(capture, "pose_s")
    row.operator("marionet.capture_pose", icon="ARMATURE_DATA")


def _draw_source(column: UILayout, capture: Any) -> None:
    column.prop(capture, "source")
    if capture.source == "FILE":
        column.prop(capture, "video")
    elif capture.source == "MOVIE_CLIP":
        column.prop(capture, "movie_clip")
    elif capture.source == "IMAGE":
        column.prop(capture, "image")
    else:
        column.prop(capture, "folder")
        column.prop(capture, "sequence_fps")


def _draw_range(column: UILayout, capture: Any) -> None:
    column.prop(capture, "use_range")
    if capture.use_range:
        pair = column.column(align=True)
        pair.prop(capture, "start_s")
        pair.prop(capture, "end_s")


def _draw_options(column: UILayout, capture: Any) -> None:
    column.prop(capture, "person")
    if capture.person == "index":
        column.prop(capture, "person_number")
    elif capture.person == "point":
        column.prop(capture, "point_px")
        column.prop(capture, "point_frame")
    for switch, value in (("know_height", "height_m"), ("know_fov", "fov_deg")):
        row = column.row(align=True, heading=capture.bl_rna.properties[switch].name)
        row.prop(capture, switch, text="")
        inner = row.row()
        inner.enabled = getattr(capture, switch)
        inner.prop(capture, value, text="")
    _draw_tilt(column, capture)
    column.prop(capture, "quality")
    row = column.row(heading="Also Solve")
    for name in DETAILS:
        row.prop(capture, name, toggle=True)
    link = session_state.STATE.link
    if link is not None and link.status.state == "open":
        lacking = lacking_abilities(capture, link.status.capabilities)
        if lacking:
            column.label(text=f"This backend cannot {' or '.join(lacking)}. Update it", icon="ERROR")
    if capture.source != "IMAGE":
        column.prop(capture, "slow_motion")


def _draw_tilt(column: UILayout, capture: Any) -> None:
    if is_take(capture) and capture.use_setup:
        row = column.row()
        row.enabled = False
        row.prop(capture, "camera_tilt")
        column.label(text="The set-up says which way is down", icon="INFO")
        return
    column.prop(capture, "camera_tilt")
    if capture.camera_tilt == "SET":
        pair = column.column(align=True)
        pair.prop(capture, "pitch_rad")
        pair.prop(capture, "roll_rad")
        pair.operator("marionet.tilt_from_camera", icon="CAMERA_DATA")


def _draw_people(layout: UILayout, context: Context) -> None:
    people = session_state.STATE.people
    layout.operator("marionet.find_people", icon="COMMUNITY")
    if people is None:
        return
    if people.state == "running":
        row = layout.row(align=True)
        row.progress(factor=people.fraction, type="BAR", text=people.words)
        row.operator("marionet.cancel_people", text="", icon="CANCEL")
        return
    if people.message:
        wrapped(layout, context, people.message, "INFO")
    chosen = settings(context).capture
    for person in people.people:
        row = layout.row()
        if person.icon_id:  # without a window there are no icons
            row.template_icon(icon_value=person.icon_id, scale=4.0)
        picked = chosen.person == "index" and chosen.person_number == person.number
        button = row.column()
        button.scale_y = 2.0
        button.operator("marionet.pick_person", text=person.label, icon="USER", depress=picked).number = person.number


def draw_finishing(layout: UILayout, context: Context) -> None:
    """Stopped captures whose clip the backend still makes, and what became of the last one."""
    for run in session_state.STATE.finishing:
        row = layout.row(align=True)
        row.progress(factor=run.fraction(), type="BAR", text=f"{run.text()}: {run.ticket.video.name}")
        row.operator("marionet.forget_finishing", text="", icon="CANCEL")
    if session_state.STATE.news:
        wrapped(layout, context, session_state.STATE.news, "INFO")


class MARIONET_PT_live(SidebarPanel, bpy.types.Panel):
    """A camera or a stream, and how it goes."""

    bl_idname = "MARIONET_PT_live"
    bl_label = "Live"
    bl_parent_id = "MARIONET_PT_capture"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        """Draw the panel."""
        layout, state = self.layout, session_state.STATE
        capture, run = settings(context).capture, state.live_capture
        column = layout.column()
        column.enabled = run is None
        row = column.row(align=True)
        row.prop(capture, "live_source", text="")
        row.operator("marionet.list_cameras", text="", icon="VIEWZOOM")
        for camera in (state.cameras.cameras or ()) if state.cameras is not None else ():
            column.operator("marionet.pick_camera", text=camera.name, icon="CAMERA_DATA").source = camera.source
        if state.cameras is not None and state.cameras.message:
            wrapped(column, context, state.cameras.message, "INFO")
        column.prop(capture, "live_character")
        column.prop(capture, "live_record")
        if run is None:
            layout.operator("marionet.live", icon="PLAY")
            layout.operator("marionet.recover_live", icon="RECOVER_LAST")
            return
        words, rate, recorded = run.lines()
        wrapped(layout, context, words, "ERROR" if run.in_trouble else "INFO")
        if rate:
            layout.label(text=rate, icon="TIME")
        if recorded:
            layout.label(text=recorded, icon="REC")
        row = layout.row(align=True)
        row.operator("marionet.live_record", icon="REC", depress=run.recording)
        row.operator("marionet.live_stop", icon="SNAP_FACE")


class MARIONET_PT_movie_clip(bpy.types.Panel):
    """The way from the Movie Clip Editor to the capture, and how far it is."""

    bl_idname = "MARIONET_PT_movie_clip"
    bl_label = "Marionet"
    bl_space_type = "CLIP_EDITOR"
    bl_region_type = "UI"
    bl_category = "Marionet"

    def draw(self, context: Context) -> None:
        """Draw the panel."""
        layout = self.layout
        layout.operator("marionet.use_movie_clip", icon="TRACKER")
        layout.operator("marionet.pick_point", icon="EYEDROPPER")
        if settings(context).capture.person == "point":
            chosen = settings(context).capture
            where = f"{chosen.point_px[0]:.0f}, {chosen.point_px[1]:.0f} in image {chosen.point_frame}"
            layout.label(text=f"Person at {where}", icon="USER")
        run = session_state.STATE.capture
        if run is None:
            layout.operator("marionet.capture", icon="PLAY")
            draw_finishing(layout, context)
            return
        layout.progress(factor=run.fraction(), type="BAR", text=run.text())
        layout.operator("marionet.cancel_capture", icon="CANCEL")


class MARIONET_UL_clips(bpy.types.UIList):
    """The list of clips."""

    bl_idname = "MARIONET_UL_clips"

    def draw_item(  # type: ignore[override]
        self, _context: Context, layout: UILayout, _data: Any, item: Any, _icon: int, _active: Any, _active_name: str
    ) -> None:
        """Draw one clip."""
        layout.prop(item, "name", text="", emboss=False, icon="ACTION")


class MARIONET_PT_clips(SidebarPanel, bpy.types.Panel):
    """The clips, their figures and their previews."""

    bl_idname = "MARIONET_PT_clips"
    bl_label = "Clips"

    def draw(self, context: Context) -> None:
        """Draw the panel."""
        layout = self.layout
        kept = settings(context)
        row = layout.row()
        row.template_list("MARIONET_UL_clips", "", kept, "clips", kept, "clip_index", rows=3)
        side = row.column(align=True)
        side.operator("marionet.import_clip", text="", icon="FILE_FOLDER")
        side.operator("marionet.remove_clip", text="", icon="REMOVE")
        layout.operator("marionet.use_armature_motion", icon="ARMATURE_DATA")
        state = session_state.STATE
        shown = state.overlay is not None
        column = layout.column(align=True)
        column.operator("marionet.toggle_skeleton", icon="HIDE_OFF" if shown else "HIDE_ON", depress=shown)
        column.operator("marionet.make_camera", icon="CAMERA_DATA")
        column.operator("marionet.apply_pose", icon="ARMATURE_DATA")
        _draw_clip(layout, context)


def _draw_clip(layout: UILayout, context: Context) -> None:
    entry = active_clip(context)
    loaded = session_state.STATE.clips.get(entry.filepath) if entry else None
    if loaded is None:
        return
    clip = loaded.clip
    header = clip.header
    column = layout.column(align=True)
    column.label(text=f"{len(clip)} frames, {clip.times_s[-1] - clip.times_s[0]:.2f} s, {header.source_fps:.5g} fps")
    origin = header.settings.get(SOURCE_SETTING, "")
    if origin:
        wrapped(layout, context, f"From {header.source} ({origin})")
        wrapped(layout, context, f"Height {header.body_height_m:.2f} m")
    else:
        wrapped(layout, context, f"Height {header.body_height_m:.2f} m ({header.body_height_source})")
        wrapped(layout, context, f"Lens: {header.intrinsics_source}")
    for name, group in (("Fingers", clip.hands), ("Face", clip.face)):
        if group is not None:
            wrapped(layout, context, f"{name} seen in {(group.confidence > 0.0).mean():.0%} of the frames")
    draw_take(layout, context, entry, clip)
    for text, grade in quality_lines(header.figures):
        wrapped(layout, context, text, _GRADE_ICONS[grade])
    for warning in header.warnings:
        wrapped(layout, context, in_panel_words(warning.text), "ERROR")


CLASSES = (MARIONET_PT_capture, MARIONET_PT_live, MARIONET_PT_movie_clip, MARIONET_UL_clips, MARIONET_PT_clips)
