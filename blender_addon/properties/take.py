"""The videos of a take, what its solve found out about each, and the cameras made of it. May import bpy."""

from __future__ import annotations

import bpy
from bpy.props import (
    BoolProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from . import change_events


class MARIONET_PG_view_result(bpy.types.PropertyGroup):
    """What the last capture found out about one video of a take."""

    solved: BoolProperty(description="Whether a capture has said something about the video", options={"HIDDEN"})
    used: BoolProperty(name="Used", description="Whether the video takes part in the clip")
    reason: StringProperty(name="Reason", description="Why the video is left out")
    start_s: FloatProperty(
        name="Offset", description="Time of the clip at which the video begins, in seconds", precision=3
    )
    error_px: FloatProperty(
        name="Error", description="Median distance of the keypoints from the solved joints, in pixels", precision=1
    )


class MARIONET_PG_video(bpy.types.PropertyGroup):
    """A further video of the performance."""

    filepath: StringProperty(
        name="File",
        description="A video of the same performance from another camera",
        subtype="FILE_PATH",
        update=change_events.further_video_changed,
    )
    role: EnumProperty(
        name="Role",
        description="What the video shows",
        items=[
            ("BODY", "Body", "The whole body, from another camera"),
            ("CLOSE_UP", "Close-up", "The face or the hands alone, for expression and fingers"),
        ],
        update=change_events.further_video_changed,
    )
    know_offset: BoolProperty(
        name="Known Offset", description="If off, the offset is found from the sound, the time codes or the motion"
    )
    offset_s: FloatProperty(
        name="Offset",
        description="How many seconds after the first video this video begins; negative where it begins earlier",
        soft_min=-60.0,
        soft_max=60.0,
        precision=3,
        unit="TIME_ABSOLUTE",
        step=1,
    )
    result: PointerProperty(type=MARIONET_PG_view_result)


class MARIONET_PG_clip_video(bpy.types.PropertyGroup):
    """Where a video of a clip lies on this computer, in the order of the clip's cameras."""

    filepath: StringProperty(
        name="File", description="The video of this camera; leave empty for the path in the clip", subtype="FILE_PATH"
    )


class MARIONET_PG_take_camera(bpy.types.PropertyGroup):
    """A camera object that was made of a clip; only these are changed or removed again."""

    thing: PointerProperty(name="Camera", type=bpy.types.Object, description="The camera object")
    shown: PointerProperty(type=bpy.types.Image, description="The image that was put behind it", options={"HIDDEN"})
    number: IntProperty(name="Number", description="Place of the video in the take, counted from 1")
    source: StringProperty(description="The video as the clip names it", options={"HIDDEN"})
    video: StringProperty(description="The file of the video that it was made with", options={"HIDDEN"})
    width_px: IntProperty(description="Width of the video's upright frame, in pixels", options={"HIDDEN"})
    height_px: IntProperty(description="Height of the video's upright frame, in pixels", options={"HIDDEN"})
    pixel_aspect: FloatProperty(description="Height of a pixel over its width", default=1.0, options={"HIDDEN"})


CLASSES = (MARIONET_PG_view_result, MARIONET_PG_video, MARIONET_PG_clip_video, MARIONET_PG_take_camera)
