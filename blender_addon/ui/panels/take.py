"""What the panels show of several videos: the list before a capture, the cameras of a clip after it. May import bpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
from bpy.types import Context, UILayout

from ...client.take_options import why_unsupported
from ...motion.clip import MotionClip
from ...session import session_state
from ...session.clip_videos import file_name, shown_videos
from ...session.take_cameras import take_camera_rows
from ...session.take_videos import close_up_count, is_close_up, row_numbers, video_faults, why_no_take
from ...wire.messages import CalibrationFile, TakeOptions
from ..panel_words import in_panel_words
from .sidebar import wrapped

_CAMERAS_MENU = "VIEW3D_MT_view_cameras"


class MARIONET_UL_videos(bpy.types.UIList):
    """The further videos of the performance; the first one stands above the list."""

    bl_idname = "MARIONET_UL_videos"

    def draw_item(  # type: ignore[override]
        self,
        _context: Context,
        layout: UILayout,
        data: Any,
        item: Any,
        _icon: int,
        _active: Any,
        _active_name: str,
        index: int = 0,
    ) -> None:
        """Draw one video: its number, its name, and its offset or what is wrong with it."""
        number = row_numbers(data)[index]
        fault = video_faults(data)[number - 1]
        split = layout.split(factor=0.62, align=True)
        name = file_name(item.filepath) or "No file"
        icon: Any = "ERROR" if fault else _state_icon(item.result, is_close_up(item))
        split.label(text=f"{number}  {name}", icon=icon)
        words = split.row()
        words.alignment = "RIGHT"
        words.label(text=_short(item, fault))


def _state_icon(result: Any, close_up: bool = False) -> Any:
    if not result.solved:
        return "ZOOM_IN" if close_up else "FILE_MOVIE"
    return "CHECKMARK" if result.used else "CANCEL"


def _short(item: Any, fault: str) -> str:
    """A row's few words on the right."""
    if fault:
        return "see below"
    if item.result.solved:
        found = "close-up" if is_close_up(item) else f"{item.result.start_s:+.3f} s"
        return found if item.result.used else "left out"
    return f"{item.offset_s:+.3f} s" if item.know_offset else "to be found"


def draw_videos(layout: UILayout, context: Context, capture: Any) -> None:
    """The further videos, the settings and the result of the chosen one, and the set-up."""
    faults = video_faults(capture) if capture.more_videos else []
    if not capture.more_videos:
        layout.operator("marionet.add_video", icon="ADD")
        return
    if faults[0] and capture.video:
        wrapped(layout, context, f"1  {Path(capture.video).name}: {faults[0]}", "ERROR")
    elif capture.first_result.solved:
        wrapped(layout, context, f"1  {result_words(capture.first_result)}", _state_icon(capture.first_result))
    row = layout.row()
    row.template_list("MARIONET_UL_videos", "", capture, "more_videos", capture, "more_index", rows=3)
    side = row.column(align=True)
    side.operator("marionet.add_video", text="", icon="ADD")
    side.operator("marionet.remove_video", text="", icon="REMOVE")
    side.operator("marionet.move_video", text="", icon="TRIA_UP").step = "UP"
    side.operator("marionet.move_video", text="", icon="TRIA_DOWN").step = "DOWN"
    for number, item in sorted(zip(row_numbers(capture), capture.more_videos, strict=True), key=lambda pair: pair[0]):
        if faults[number - 1]:
            name = file_name(item.filepath) or "No file"
            wrapped(layout, context, f"{number}  {name}: {faults[number - 1]}", "ERROR")
    if 0 <= capture.more_index < len(capture.more_videos):
        _draw_video(layout, context, capture.more_videos[capture.more_index])
    for switch, file in (("use_setup", "setup_file"), ("use_calibration", "calibration_file")):
        _draw_file(layout, capture, switch, file)
    reason = "" if any(faults) else why_no_take(capture)
    if reason:
        wrapped(layout, context, reason, "ERROR")
    _draw_lacking(layout, context, capture)


def _draw_lacking(layout: UILayout, context: Context, capture: Any) -> None:
    """What the connected backend is too old for."""
    link = session_state.STATE.link
    if link is None or link.status.state != "open":
        return
    calibration = (CalibrationFile("", ()),) if capture.use_calibration else ()
    take = TakeOptions(close_ups=close_up_count(capture), calibration=calibration)
    lacking, instead = why_unsupported(take, link.status.capabilities)
    if lacking:
        wrapped(layout, context, f"This backend {lacking}: update it, or {instead}", "ERROR")


def _draw_video(layout: UILayout, context: Context, item: Any) -> None:
    column = layout.column()
    column.use_property_split, column.use_property_decorate = True, False
    column.prop(item, "filepath")
    column.prop(item, "role")
    row = column.row(align=True, heading="Known Offset")
    row.prop(item, "know_offset", text="")
    inner = row.row()
    inner.enabled = item.know_offset
    inner.prop(item, "offset_s", text="")
    if item.result.solved:
        words = "It is used for expression and fingers" if is_close_up(item) and item.result.used else ""
        wrapped(layout, context, words or result_words(item.result), _state_icon(item.result))


def _draw_file(layout: UILayout, capture: Any, switch: str, file: str) -> None:
    """A switch and the file that it is for."""
    column = layout.column()
    column.use_property_split, column.use_property_decorate = True, False
    row = column.row(align=True, heading=capture.bl_rna.properties[switch].name)
    row.prop(capture, switch, text="")
    inner = row.row()
    inner.enabled = getattr(capture, switch)
    inner.prop(capture, file, text="")


def result_words(result: Any) -> str:
    """What the last capture found out about a video."""
    if not result.used:
        return left_out_words(result.reason)
    return f"Begins at {result.start_s:.3f} s; keypoints {result.error_px:.1f} px off"


def left_out_words(reason: str) -> str:
    """Why a video is left out, in the words of the panel."""
    return in_panel_words(reason) if reason else "It is left out"


def draw_take(layout: UILayout, context: Context, entry: Any, clip: MotionClip) -> None:
    """The cameras of a clip: how they were found, the button that looks through each, and the videos that are gone."""
    if not clip.header.cameras:
        return
    made = {row.number: row for row in take_camera_rows(context.scene)}
    videos = shown_videos(entry, clip)
    column = layout.column(align=True)
    for number, camera in enumerate(clip.header.cameras, 1):
        video = videos[number - 1]
        name = video.name
        if not camera.used:
            wrapped(column, context, f"{number}  {name}: {left_out_words(camera.reason)}", "CANCEL")
            continue
        row = column.row(align=True)
        thing = _camera_of(made.get(number), camera.source, video.path)
        looked = thing is not None and context.scene.camera == thing
        button = row.row(align=True)
        button.enabled = thing is not None
        icon: Any = "OUTLINER_OB_CAMERA" if looked else "CAMERA_DATA"
        button.operator("marionet.look_through", text="", icon=icon, depress=looked).number = number
        row.label(text=f"{number}  {name}", icon="NONE" if video.file else "ERROR")
        words = row.row()
        words.alignment = "RIGHT"
        words.label(text=f"{camera.start_s:+.2f} s, {camera.reprojection_px:.1f} px")
    if not all(video.file for video in videos):
        layout.operator("marionet.find_videos", icon="VIEWZOOM")
    layout.operator("marionet.save_setup", icon="FILE_TICK")


def _camera_of(row: Any, source: str, path: str) -> Any:
    """The camera object that was made of a video; None where that of another clip has its number."""
    return row.thing if row is not None and (row.source == source or row.video == path) else None


class MARIONET_MT_look_through(bpy.types.Menu):
    """The cameras made of the clip's videos."""

    bl_idname = "MARIONET_MT_look_through"
    bl_label = "Look Through Camera of Video"

    def draw(self, context: Context) -> None:
        """Draw the menu."""
        for row in take_camera_rows(context.scene):
            icon: Any = "OUTLINER_OB_CAMERA" if context.scene.camera == row.thing else "CAMERA_DATA"
            name = row.thing.name
            self.layout.operator("marionet.look_through", text=name, icon=icon, translate=False).number = row.number


def draw_cameras_menu(menu: Any, context: Context) -> None:
    """The entry in the viewport's View > Cameras, where there are such cameras."""
    if take_camera_rows(context.scene):
        menu.layout.separator()
        menu.layout.menu("MARIONET_MT_look_through", icon="CAMERA_DATA")


def attach() -> None:
    """Add the entry to View > Cameras."""
    menu: Any = getattr(bpy.types, _CAMERAS_MENU, None)
    if menu is not None:
        menu.append(draw_cameras_menu)


def detach() -> None:
    """Take it out again."""
    menu: Any = getattr(bpy.types, _CAMERAS_MENU, None)
    if menu is not None:
        menu.remove(draw_cameras_menu)


CLASSES = (MARIONET_UL_videos, MARIONET_MT_look_through)
