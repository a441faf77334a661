"""Settings of a capture, and the clips that came of it. May import bpy; decides nothing."""

from __future__ import annotations

import math

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    FloatVectorProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from ..motion.input_limits import NARROWEST_FOV_DEG, SHORTEST_BODY_M, TALLEST_BODY_M, WIDEST_FOV_DEG
from . import change_events
from .take import MARIONET_PG_clip_video, MARIONET_PG_video, MARIONET_PG_view_result


class MARIONET_PG_clip(bpy.types.PropertyGroup):
    """A solved clip on disk."""

    filepath: StringProperty(name="File", description="The clip file (.npz)", subtype="FILE_PATH")
    video: StringProperty(name="Video", description="The video it was solved from", subtype="FILE_PATH")
    videos: CollectionProperty(type=MARIONET_PG_clip_video)
    contacts: PointerProperty(
        name="Contacts", description="Object whose keys say when the feet stand", type=bpy.types.Object
    )
    contacts_zero: FloatProperty(description="Scene frame of the clip's time zero for these keys", options={"HIDDEN"})
    contacts_fps: FloatProperty(
        description="Frames a second of the scene for these keys", default=24.0, options={"HIDDEN"}
    )
    contacts_threshold: FloatProperty(
        description="Contact Threshold with which these keys were made", default=0.5, options={"HIDDEN"}
    )
    contacts_mirrored: BoolProperty(description="Whether the keys are those of the mirrored clip", options={"HIDDEN"})


class MARIONET_PG_capture(bpy.types.PropertyGroup):
    """What to solve."""

    source: EnumProperty(
        name="Source",
        description="Where the images come from",
        items=[
            ("FILE", "Video", "A video file"),
            ("MOVIE_CLIP", "Movie Clip", "A clip that is open in the Movie Clip Editor"),
            ("SEQUENCE", "Images", "A folder of numbered images"),
            ("IMAGE", "Single Image", "One image, for its pose"),
        ],
    )
    video: StringProperty(
        name="Video",
        description="The video file; it can also be dropped into the viewport",
        subtype="FILE_PATH",
        update=change_events.source_changed,
    )
    first_result: PointerProperty(
        description="What the last capture found out about the first video", type=MARIONET_PG_view_result
    )
    more_videos: CollectionProperty(
        name="More Videos", description="Further videos of the same performance", type=MARIONET_PG_video
    )
    more_index: IntProperty(name="Video", description="The further video whose settings are shown")
    use_setup: BoolProperty(
        name="Use Set-up", description="Take cameras, gravity and floor from an earlier take of the same set-up"
    )
    setup_file: StringProperty(
        name="Set-up", description="The set-up file (.json) that Save Set-up has written", subtype="FILE_PATH"
    )
    use_calibration: BoolProperty(
        name="Use Calibration", description="Read lenses and positions of the cameras from a calibration file"
    )
    calibration_file: StringProperty(
        name="Calibration",
        description="A file of Pose2Sim, Caliscope, anipose, FreeMoCap or OpenCV, or a folder with one file a camera",
        subtype="FILE_PATH",
    )
    movie_clip: PointerProperty(
        name="Movie Clip", type=bpy.types.MovieClip, description="A clip of the Movie Clip Editor"
    )
    folder: StringProperty(name="Folder", description="Folder that holds the numbered images", subtype="DIR_PATH")
    image: StringProperty(name="Image", description="The image file", subtype="FILE_PATH")
    pose_s: FloatProperty(
        name="Pose At",
        description="Time whose pose is captured, in seconds of the video",
        min=0.0,
        precision=2,
        unit="TIME_ABSOLUTE",
    )
    sequence_fps: FloatProperty(
        name="Frame Rate", description="Images a second", default=24.0, min=1.0, max=1000.0, precision=3
    )
    use_range: BoolProperty(name="Use Range", description="Solve a range of the video instead of all of it")
    start_s: FloatProperty(
        name="Start",
        description="Start of the range, in seconds of the video",
        min=0.0,
        precision=2,
        unit="TIME_ABSOLUTE",
    )
    end_s: FloatProperty(
        name="End",
        description="End of the range, in seconds of the video",
        min=0.0,
        default=10.0,
        precision=2,
        unit="TIME_ABSOLUTE",
    )
    person: EnumProperty(
        name="Person",
        description="The person to capture when several people are visible",
        items=[
            ("largest", "Largest", "The person who appears largest in the image"),
            ("longest", "Longest", "The person who is visible for the longest time"),
            ("moving", "Most Moving", "The person who moves the most"),
            ("index", "Number", "The person with this number on the contact sheet"),
            ("point", "At a Point", "The person at a point of the image that you click in the Movie Clip Editor"),
            ("all", "Everyone", "Every person, one clip each"),
        ],
        default="largest",
    )
    person_number: IntProperty(
        name="Number", description="Number of the person on the contact sheet", min=0, soft_max=20
    )
    point_px: FloatVectorProperty(
        name="Point",
        description="Point in the upright image, in pixels from its top left corner, as the Movie Clip Editor counts "
        "them; for a video file, as a player shows it",
        size=2,
        min=0.0,
        precision=0,
    )
    point_frame: IntProperty(name="Frame", description="Frame of the video, counted from 0", min=0)
    know_height: BoolProperty(
        name="Body Height", description="If off, an average height is assumed, and sizes and distances scale with it"
    )
    height_m: FloatProperty(
        name="Height",
        description="Height of the person in metres",
        default=1.70,
        min=SHORTEST_BODY_M,
        max=TALLEST_BODY_M,
        unit="LENGTH",
    )
    know_fov: BoolProperty(
        name="Field of View", description="If off, it is read from the video's metadata, or assumed and reported"
    )
    fov_deg: FloatProperty(
        name="Angle",
        description="The camera's field of view in degrees, measured over the longer side of the image: the width of "
        "a landscape video, the height of a portrait video",
        default=60.0,
        min=NARROWEST_FOV_DEG,
        max=WIDEST_FOV_DEG,
        precision=1,
    )
    camera_tilt: EnumProperty(
        name="Camera Tilt",
        description="Which way is down: how the camera was tilted. With several videos, the camera of the first one",
        items=[
            ("FOUND", "From Video", "Estimated from straight edges of the scene and from the poses"),
            ("LEVEL", "Level", "The camera was level: it looked neither up nor down and was not rolled"),
            ("SET", "Pitch and Roll", "The angles below"),
        ],
        default="FOUND",
    )
    pitch_rad: FloatProperty(
        name="Pitch",
        description="How far the camera looked down; negative if it looked up",
        default=0.0,
        min=-math.pi / 2,
        max=math.pi / 2,
        precision=1,
        step=100,
        subtype="ANGLE",
    )
    roll_rad: FloatProperty(
        name="Roll",
        description="How far the camera was rolled clockwise, seen from behind: upright things lean to the left in "
        "the image",
        default=0.0,
        min=-math.pi,
        max=math.pi,
        precision=1,
        step=100,
        subtype="ANGLE",
    )
    quality: EnumProperty(
        name="Quality",
        description="Trade accuracy for speed",
        items=[
            ("best", "Best", "The most accurate networks"),
            ("balanced", "Balanced", "Between the two"),
            ("fast", "Fast", "For a preview, or for a slow computer"),
        ],
        default="best",
    )
    hands: BoolProperty(
        name="Hands",
        description="Solve the fingers too; takes longer, and needs hands that are large enough in the image",
    )
    face: BoolProperty(
        name="Face",
        description="Solve the expression of the face too; takes longer, and needs a face "
        "that is large enough in the image",
    )
    live_source: StringProperty(
        name="Camera or URL",
        description="A camera of the backend's computer (camera:NAME, or its number), or the address of a stream: "
        "http, rtsp, srt or udp, as a phone's camera app shows it",
        default="0",
    )
    live_record: BoolProperty(
        name="Record", description="Record the video from the start; at the end it is solved in full", default=False
    )
    live_character: BoolProperty(
        name="Move Character", description="Show the motion on the chosen armature, without keyframes", default=True
    )
    slow_motion: FloatProperty(
        name="Slow Motion",
        description="How many times slower than real time the video plays; 1 is normal speed",
        default=1.0,
        min=0.1,
        max=100.0,
    )


CLASSES = (MARIONET_PG_clip, MARIONET_PG_capture)
