"""Choosing a person by a click on the image, in the Movie Clip Editor. May import bpy."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.types import Context, Event

from ...properties import settings
from ...rig.video_rotation import clip_orientation, turn_point, upright_size
from .base import OperatorResult, require_movie_clip, shown_movie_clip

_HELP = "Click the person to capture. Press Esc or right-click to cancel"


class MARIONET_OT_pick_point(bpy.types.Operator):
    """Click on the person to capture, in the frame that is shown; the clip becomes the next capture's video"""

    bl_idname = "marionet.pick_point"
    bl_label = "Pick Person in Image"
    bl_options = {"REGISTER", "UNDO"}

    x_px: bpy.props.FloatProperty(name="X", description="Pixels from the left of the upright image", min=0.0)
    y_px: bpy.props.FloatProperty(name="Y", description="Pixels from the top of the upright image", min=0.0)

    @classmethod
    def poll(cls, context: Context) -> bool:
        return require_movie_clip(cls, context)

    def invoke(self, context: Context, event: Event) -> OperatorResult:
        del event
        context.window.cursor_modal_set("CROSSHAIR")
        context.workspace.status_text_set(_HELP)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: Context, event: Event) -> OperatorResult:
        if event.type in {"ESC", "RIGHTMOUSE"}:
            return self._leave(context, {"CANCELLED"})
        if event.type != "LEFTMOUSE" or event.value != "PRESS":
            return {"PASS_THROUGH"}  # zooming, panning and other frames stay possible
        point = image_point(context.area, shown_movie_clip(context), event.mouse_x, event.mouse_y)
        if point is None:
            self.report({"WARNING"}, "Click inside the image, on the person")
            return {"RUNNING_MODAL"}
        self.x_px, self.y_px = point
        return self._leave(context, self.execute(context))

    def execute(self, context: Context) -> OperatorResult:
        clip = shown_movie_clip(context)
        frame = image_index(clip, context.scene.frame_current)
        if frame is None:
            self.report(
                {"ERROR"},
                f"{clip.name} has no image in frame {context.scene.frame_current}: go to one that has",
            )
            return {"CANCELLED"}
        width, height = upright_size(clip)
        if self.x_px > width or self.y_px > height:
            self.report({"ERROR"}, f"The image has {width} x {height} pixels; the point is outside it")
            return {"CANCELLED"}
        capture = settings(context).capture
        capture.source, capture.movie_clip = "MOVIE_CLIP", clip
        capture.person, capture.point_px, capture.point_frame = "point", (self.x_px, self.y_px), frame
        self.report({"INFO"}, f"The person at {self.x_px:.0f}, {self.y_px:.0f} in image {frame} will be captured next")
        return {"FINISHED"}

    def _leave(self, context: Context, result: OperatorResult) -> OperatorResult:
        context.window.cursor_modal_restore()
        context.workspace.status_text_set(None)
        return result


def image_index(clip: Any, scene_frame: int) -> int | None:
    """The video's image, counted from 0, that the editor shows in a scene frame; None where it shows none."""
    index = scene_frame - clip.frame_start + clip.frame_offset
    return index if 0 <= index < clip.frame_duration else None


def image_point(area: Any, clip: Any, x: int, y: int) -> tuple[float, float] | None:
    """The point of the upright image, in px from its top left corner, under a window's pixel; None beside it."""
    region = next(region for region in area.regions if region.type == "WINDOW")
    across, up = region.view2d.region_to_view(x - region.x, y - region.y)  # 0 to 1 over the image
    if not (0.0 <= across <= 1.0 and 0.0 <= up <= 1.0):
        return None
    width, height = clip.size
    upright = clip_orientation(clip)
    return turn_point(across * width, (1.0 - up) * height, (width, height), upright.quarter_turns, upright.mirrored)


CLASSES = (MARIONET_OT_pick_point,)
