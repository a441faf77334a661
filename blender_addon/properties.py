"""The settings that a .blend file keeps, per scene: `scene.marionet`. May import bpy; decides nothing.

Units are in the names' tooltips; what is running now lives in `runtime`, never here.
"""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from . import updates

PRESETS = [
    ("off", "Off", "Leave this part as it was solved"),
    ("light", "Light", "Takes out tremble; a fast hit keeps its speed"),
    ("medium", "Medium", "For most clips"),
    ("heavy", "Heavy", "Calm, for slow motion and idle poses; softens fast moves"),
]


class MARIONET_PG_clip(bpy.types.PropertyGroup):
    """A solved clip on disk."""

    filepath: StringProperty(name="File", description="The clip file (.npz)", subtype="FILE_PATH")
    video: StringProperty(name="Video", description="The video it was solved from", subtype="FILE_PATH")


class MARIONET_PG_capture(bpy.types.PropertyGroup):
    """What to solve."""

    source: EnumProperty(
        name="Source",
        description="Where the pictures come from",
        items=[
            ("FILE", "Video", "A video file"),
            ("MOVIE_CLIP", "Movie Clip", "A clip that is open in the Movie Clip Editor"),
            ("SEQUENCE", "Images", "A folder of numbered images"),
        ],
    )
    video: StringProperty(
        name="Video",
        description="The video file; it can also be dropped into the viewport",
        subtype="FILE_PATH",
        update=updates.source_changed,
    )
    movie_clip: PointerProperty(
        name="Movie Clip", type=bpy.types.MovieClip, description="A clip of the Movie Clip Editor"
    )
    folder: StringProperty(name="Folder", description="Folder that holds the numbered images", subtype="DIR_PATH")
    sequence_fps: FloatProperty(
        name="Frame Rate", description="Images a second", default=24.0, min=1.0, max=1000.0, precision=3
    )
    use_range: BoolProperty(name="Part Only", description="Solve a part of the video instead of all of it")
    start_s: FloatProperty(
        name="From",
        description="First time to solve, in seconds of the video",
        min=0.0,
        precision=2,
        unit="TIME_ABSOLUTE",
    )
    end_s: FloatProperty(
        name="To",
        description="Last time to solve, in seconds of the video",
        min=0.0,
        default=10.0,
        precision=2,
        unit="TIME_ABSOLUTE",
    )
    person: EnumProperty(
        name="Person",
        description="Whom to solve when several people are in the picture",
        items=[
            ("largest", "Largest", "The person who is largest in the picture"),
            ("longest", "Longest", "The person who is in the picture for longest"),
            ("moving", "Most Moving", "The person who moves most"),
            ("index", "Number", "The person with this number on the sheet of people"),
            ("all", "Everyone", "Each person gets a clip"),
        ],
        default="largest",
    )
    person_number: IntProperty(name="Number", description="Number on the sheet of people", min=0, soft_max=20)
    know_height: BoolProperty(
        name="Body Height", description="Off: an average height is assumed, and sizes and distances are scaled by it"
    )
    height_m: FloatProperty(
        name="Height", description="Height of the person in metres", default=1.70, min=0.5, max=2.6, unit="LENGTH"
    )
    know_fov: BoolProperty(
        name="Field of View", description="Off: taken from the video's metadata, or assumed and reported"
    )
    fov_deg: FloatProperty(
        name="Angle",
        description="The camera's horizontal field of view in degrees",
        default=60.0,
        min=5.0,
        max=170.0,
        precision=1,
    )
    quality: EnumProperty(
        name="Quality",
        description="Accuracy against speed",
        items=[
            ("best", "Best", "The most accurate networks"),
            ("balanced", "Balanced", "Between the two"),
            ("fast", "Fast", "For a first look, or a slow computer"),
        ],
        default="best",
    )
    slow_motion: FloatProperty(
        name="Slow Motion",
        description="How many times slower than life the video plays; 1 is normal speed",
        default=1.0,
        min=0.1,
        max=100.0,
    )


class MARIONET_PG_map_row(bpy.types.PropertyGroup):
    """One joint of the skeleton map in the editor; `name` is the joint."""

    bone: StringProperty(
        name="Bone", description="The bone that carries this joint; empty: none", update=updates.map_row_edited
    )
    more: StringProperty(
        name="More Bones",
        description="Further bones that share the joint's rotation, from parent to child, separated by commas",
        update=updates.map_row_edited,
    )
    confidence: FloatProperty(name="Confidence", description="How sure the automatic mapping is", min=0.0, max=1.0)
    reason: StringProperty(name="Reason", description="Why this bone was chosen")


class MARIONET_PG_hand_prop(bpy.types.PropertyGroup):
    """What a hand holds."""

    thing: PointerProperty(
        name="Object",
        type=bpy.types.Object,
        description="The hand is led to this object's origin: add an empty where the palm shall be",
        update=updates.retarget_changed,
    )
    use_range: BoolProperty(
        name="Part Only",
        description="Hold it in a range of frames; off: the whole clip",
        update=updates.retarget_changed,
    )
    first: IntProperty(
        name="From",
        description="First scene frame in which the hand holds it",
        default=1,
        update=updates.retarget_changed,
    )
    last: IntProperty(
        name="To",
        description="Last scene frame in which the hand holds it",
        default=100,
        update=updates.retarget_changed,
    )


class MARIONET_PG_retarget(bpy.types.PropertyGroup):
    """Which rig, and how the motion goes onto it."""

    armature: PointerProperty(
        name="Armature",
        type=bpy.types.Object,
        description="The rig to animate; nothing is applied to it",
        poll=lambda _self, thing: thing.type == "ARMATURE",
        update=updates.armature_changed,
    )
    root: EnumProperty(
        name="Root",
        description="What carries the body through the world",
        items=[
            ("HIPS", "Hips", "The hips' bone, as in most animation files"),
            ("ROOT_BONE", "Root Bone", "The rig's root bone travels, the hips move above it, as game engines want it"),
            ("OBJECT", "Object", "The armature object travels"),
        ],
        update=updates.retarget_changed,
    )
    travel: EnumProperty(
        name="Travel",
        description="Whether the character walks through the world",
        items=[
            ("TRAVEL", "Travel", "Moves through the world as the person did"),
            ("IN_PLACE", "In Place", "Stays on the spot; only the height moves"),
        ],
        update=updates.retarget_changed,
    )
    placement: EnumProperty(
        name="Starts",
        description="Where the motion begins",
        items=[
            ("CHARACTER", "At the Character", "From where the character stands, the way it faces"),
            ("WORLD", "As Filmed", "The clip's own place and direction; needed to lie over the video"),
        ],
        update=updates.retarget_changed,
    )
    controls: EnumProperty(
        name="Controls",
        description="Which controls of a control rig get keys",
        items=[
            ("FK", "FK", "Rotation controls; IK switches are set to FK and keyed"),
            ("IK", "IK", "IK targets and poles; IK switches are set to IK and keyed"),
            ("FK_AND_IK", "Both", "Both get keys; switches are set to FK"),
        ],
        update=updates.retarget_changed,
    )
    own_scale: BoolProperty(
        name="Own Scale",
        description="Off: travel is scaled by the ratio of the leg lengths",
        update=updates.retarget_changed,
    )
    scale: FloatProperty(
        name="Scale",
        description="Travel and pelvis height are multiplied with this",
        default=1.0,
        min=0.01,
        soft_max=10.0,
        update=updates.retarget_changed,
    )
    plant_feet: BoolProperty(
        name="Plant Feet",
        description="Hold standing feet still on this rig's own proportions (two-bone IK)",
        default=True,
        update=updates.retarget_changed,
    )
    contact_threshold: FloatProperty(
        name="Contact",
        description="Probability from which a foot counts as standing",
        default=0.5,
        min=0.05,
        max=0.95,
        update=updates.retarget_changed,
    )
    left_prop: PointerProperty(name="Left Hand", description="What the left hand holds", type=MARIONET_PG_hand_prop)
    right_prop: PointerProperty(name="Right Hand", description="What the right hand holds", type=MARIONET_PG_hand_prop)
    rows: CollectionProperty(type=MARIONET_PG_map_row)
    row_index: IntProperty(name="Joint")
    map_json: StringProperty(name="Skeleton Map", description="The whole skeleton map as it would be saved")
    map_label: StringProperty(name="Map")
    map_summary: StringProperty(name="Summary")


class MARIONET_PG_cleanup(bpy.types.PropertyGroup):
    """Smoothing and clean-up before the bake; the clip file stays as it is."""

    torso: EnumProperty(
        name="Torso",
        description="Smoothing of hips, spine, neck and head",
        items=PRESETS,
        update=updates.cleanup_changed,
    )
    arms: EnumProperty(
        name="Arms", description="Smoothing of arms and hands", items=PRESETS, update=updates.cleanup_changed
    )
    legs: EnumProperty(
        name="Legs", description="Smoothing of legs and feet", items=PRESETS, update=updates.cleanup_changed
    )
    root: EnumProperty(
        name="Root", description="Smoothing of the way through the world", items=PRESETS, update=updates.cleanup_changed
    )
    spikes: BoolProperty(
        name="Remove Spikes",
        description="Replace single frames in which a joint jumps and comes back",
        update=updates.cleanup_changed,
    )
    gap_s: FloatProperty(
        name="Fill Gaps",
        description="Longest gap in seconds that is bridged; longer ones stay empty. 0 fills none",
        default=0.0,
        min=0.0,
        soft_max=2.0,
        unit="TIME_ABSOLUTE",
        update=updates.cleanup_changed,
    )
    ground: BoolProperty(
        name="Ground Snap",
        description="Shift the clip so that standing feet are on the floor",
        update=updates.cleanup_changed,
    )
    use_trim: BoolProperty(name="Trim", description="Use a part of the clip", update=updates.cleanup_changed)
    trim_start_s: FloatProperty(
        name="From",
        description="First time to use, in seconds of the clip",
        min=0.0,
        precision=2,
        unit="TIME_ABSOLUTE",
        update=updates.cleanup_changed,
    )
    trim_end_s: FloatProperty(
        name="To",
        description="Last time to use, in seconds of the clip",
        min=0.0,
        default=10.0,
        precision=2,
        unit="TIME_ABSOLUTE",
        update=updates.cleanup_changed,
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
        description="The parts of the body that get keys; shift-click for several",
        options={"ENUM_FLAG"},
        items=[
            ("HIPS", "Hips", "The hips, and everything that carries the body through the world"),
            ("TORSO", "Torso", "Spine and chest"),
            ("HEAD", "Head", "Neck and head"),
            ("LEFT_ARM", "L Arm", "Left collarbone, arm and hand"),
            ("RIGHT_ARM", "R Arm", "Right collarbone, arm and hand"),
            ("LEFT_LEG", "L Leg", "Left leg and foot"),
            ("RIGHT_LEG", "R Leg", "Right leg and foot"),
        ],
        default={"HIPS", "TORSO", "HEAD", "LEFT_ARM", "RIGHT_ARM", "LEFT_LEG", "RIGHT_LEG"},
        update=updates.retarget_changed,
    )
    frame_start: IntProperty(
        name="Start Frame",
        description="Scene frame of the clip's first frame",
        default=1,
        update=updates.retarget_changed,
    )
    interpolation: EnumProperty(
        name="Interpolation",
        description="Between the keys",
        items=[("LINEAR", "Linear", "Straight; exact with a key every frame"), ("BEZIER", "Bezier", "Smooth handles")],
    )
    reduce: BoolProperty(name="Fewer Keys", description="Leave out keys that the others restore within a bound")
    reduce_deg: FloatProperty(
        name="Within", description="Largest rotation error in degrees", default=0.5, min=0.01, soft_max=5.0
    )
    reduce_mm: FloatProperty(
        name="Within", description="Largest location error in millimetres", default=2.0, min=0.01, soft_max=50.0
    )
    set_range: BoolProperty(
        name="Set Scene Range", description="Make the scene's frame range that of the baked motion", default=True
    )


class MARIONET_PG_settings(bpy.types.PropertyGroup):
    """Everything that Marionet keeps in a scene."""

    capture: PointerProperty(type=MARIONET_PG_capture)
    retarget: PointerProperty(type=MARIONET_PG_retarget)
    cleanup: PointerProperty(type=MARIONET_PG_cleanup)
    bake: PointerProperty(type=MARIONET_PG_bake)
    clips: CollectionProperty(type=MARIONET_PG_clip)
    clip_index: IntProperty(name="Clip", description="The clip in use", update=updates.clip_changed)


CLASSES = (
    MARIONET_PG_clip,
    MARIONET_PG_capture,
    MARIONET_PG_map_row,
    MARIONET_PG_hand_prop,
    MARIONET_PG_retarget,
    MARIONET_PG_cleanup,
    MARIONET_PG_bake,
    MARIONET_PG_settings,
)


def settings(context: Any) -> Any:
    """The scene's Marionet settings."""
    return context.scene.marionet


def active_clip(context: Any) -> Any | None:
    """The clip entry in use, or None."""
    kept = settings(context)
    return kept.clips[kept.clip_index] if 0 <= kept.clip_index < len(kept.clips) else None


def attach() -> None:
    """Hang the settings onto scenes."""
    bpy.types.Scene.marionet = PointerProperty(type=MARIONET_PG_settings)


def detach() -> None:
    """Take them off again."""
    del bpy.types.Scene.marionet
