"""Clean-up before the bake, and how keys are written. May import bpy; decides nothing."""

from __future__ import annotations

import math

import bpy
from bpy.props import (
    BoolProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    StringProperty,
)

from ..motion.straight_legs import MOST_DEG
from . import change_events

PRESETS = [
    ("off", "Off", "Do not smooth this part"),
    ("light", "Light", "Removes jitter and preserves fast movements"),
    ("medium", "Medium", "For most clips"),
    ("heavy", "Heavy", "Strong smoothing for slow motion and idle poses; softens fast movements"),
]
PRESET_OR_MIXED = [*PRESETS, ("mixed", "Mixed", "The parts of the body differ")]


class MARIONET_PG_cleanup(bpy.types.PropertyGroup):
    """Smoothing and clean-up before the bake; the clip file stays as it is."""

    preset: EnumProperty(
        name="Smoothing",
        description="One strength for all parts of the body; those below it can differ",
        items=PRESET_OR_MIXED,
        get=change_events.smoothing_preset,
        set=change_events.set_smoothing_preset,
    )
    torso: EnumProperty(
        name="Torso",
        description="Smoothing of hips, spine, neck and head",
        items=PRESETS,
        update=change_events.cleanup_changed,
    )
    arms: EnumProperty(
        name="Arms", description="Smoothing of arms and hands", items=PRESETS, update=change_events.cleanup_changed
    )
    legs: EnumProperty(
        name="Legs", description="Smoothing of legs and feet", items=PRESETS, update=change_events.cleanup_changed
    )
    fingers: EnumProperty(
        name="Fingers",
        description="Smoothing of the fingers, where the clip has them",
        items=PRESETS,
        update=change_events.cleanup_changed,
    )
    face: EnumProperty(
        name="Face",
        description="Smoothing of the face, where the clip has one",
        items=PRESETS,
        update=change_events.cleanup_changed,
    )
    root: EnumProperty(
        name="Root",
        description="Smoothing of the path through the world",
        items=PRESETS,
        update=change_events.cleanup_changed,
    )
    spikes: BoolProperty(
        name="Remove Spikes",
        description="Replaces single frames in which a joint jumps and returns",
        update=change_events.cleanup_changed,
    )
    gap_s: FloatProperty(
        name="Fill Gaps",
        description="Longest gap to fill, in seconds; longer gaps stay empty. 0 fills none",
        default=0.0,
        min=0.0,
        soft_max=2.0,
        unit="TIME_ABSOLUTE",
        update=change_events.cleanup_changed,
    )
    straighten: FloatProperty(
        name="Straighten Knees",
        description="Straightens bent knees by up to this angle for people who came out too crouched: raises the hips "
        "while keeping the feet planted. Knees bent beyond a right angle keep their bend",
        default=0.0,
        min=0.0,
        max=math.radians(MOST_DEG),
        step=100,
        precision=0,
        subtype="ANGLE",
        update=change_events.cleanup_changed,
    )
    ground: BoolProperty(
        name="Ground Snap",
        description="Moves the clip so that standing feet are on the floor",
        update=change_events.cleanup_changed,
    )
    use_trim: BoolProperty(name="Trim", description="Use a part of the clip", update=change_events.cleanup_changed)
    trim_start_s: FloatProperty(
        name="Start",
        description="First time to use, in seconds of the clip",
        min=0.0,
        precision=2,
        unit="TIME_ABSOLUTE",
        update=change_events.cleanup_changed,
    )
    trim_end_s: FloatProperty(
        name="End",
        description="Last time to use, in seconds of the clip",
        min=0.0,
        default=10.0,
        precision=2,
        unit="TIME_ABSOLUTE",
        update=change_events.cleanup_changed,
    )
    mirror: BoolProperty(
        name="Mirror",
        description="Exchanges left and right; the motion starts at the same place and in the same direction",
        update=change_events.cleanup_changed,
    )
    loop: EnumProperty(
        name="Loop",
        description="Joins the end of the motion to its start: pose and speed agree there, and the feet stay planted",
        items=[
            ("OFF", "Off", "Do not join the ends"),
            ("FIND", "Find Cycle", "Use the part of the clip that repeats best, such as two steps of a walk"),
            ("RANGE", "Whole Range", "Use the whole clip, or the range of Trim"),
        ],
        update=change_events.cleanup_changed,
    )


class MARIONET_PG_bake(bpy.types.PropertyGroup):
    """How keys are written."""

    action_name: StringProperty(name="Name", description="Name of the action; empty: the clip's name")
    into: EnumProperty(
        name="Into",
        description="Where the keys go",
        items=[
            ("NEW_ACTION", "New Action", "An action of its own; the one that was active is kept"),
            ("CURRENT_ACTION", "Current Action", "The active action; other bones and other frames stay as they are"),
            ("NLA_STRIP", "NLA Strip", "A strip on a new track, over the action that was active"),
        ],
    )
    blend_type: EnumProperty(
        name="Blending",
        description="How the strip mixes with what lies under it",
        items=[
            ("REPLACE", "Replace", "Covers what lies under it"),
            ("COMBINE", "Combine", "Adds to it, rotation by rotation"),
        ],
    )
    parts: EnumProperty(
        name="Parts",
        description="Body parts that get keys; Shift-click to select several",
        options={"ENUM_FLAG"},
        items=[
            ("HIPS", "Hips", "The hips, and everything that carries the body through the world"),
            ("TORSO", "Torso", "Spine and chest"),
            ("HEAD", "Head", "Neck, head and face"),
            ("LEFT_ARM", "L Arm", "Left collarbone, arm and hand"),
            ("RIGHT_ARM", "R Arm", "Right collarbone, arm and hand"),
            ("LEFT_LEG", "L Leg", "Left leg and foot"),
            ("RIGHT_LEG", "R Leg", "Right leg and foot"),
        ],
        default={"HIPS", "TORSO", "HEAD", "LEFT_ARM", "RIGHT_ARM", "LEFT_LEG", "RIGHT_LEG"},
        update=change_events.retarget_changed,
    )
    unseen: EnumProperty(
        name="Unseen Joints",
        description="What becomes of joints that are not in the frame, such as the legs of somebody behind a desk",
        items=[
            ("KEY", "Key", "They get keys: at rest, or as they were last seen"),
            ("LEAVE_OUT", "Leave Out", "They get no keys while they are not seen; their bones stay as they are"),
        ],
        update=change_events.retarget_changed,
    )
    frame_start: IntProperty(
        name="Start Frame",
        description="Scene frame of the clip's first frame",
        default=1,
        update=change_events.retarget_changed,
    )
    interpolation: EnumProperty(
        name="Interpolation",
        description="Interpolation between keys",
        items=[("LINEAR", "Linear", "Straight; exact with a key every frame"), ("BEZIER", "Bezier", "Smooth handles")],
    )
    reduce: BoolProperty(name="Reduce Keys", description="Removes keys that interpolation restores within a tolerance")
    reduce_deg: FloatProperty(
        name="Rotation Tolerance", description="Largest rotation error in degrees", default=0.5, min=0.01, soft_max=5.0
    )
    reduce_mm: FloatProperty(
        name="Location Tolerance",
        description="Largest location error in millimetres",
        default=2.0,
        min=0.01,
        soft_max=50.0,
    )
    set_range: BoolProperty(
        name="Set Scene Range", description="Set the scene's frame range to that of the baked motion", default=True
    )


CLASSES = (MARIONET_PG_cleanup, MARIONET_PG_bake)
