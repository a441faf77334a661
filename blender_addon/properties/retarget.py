"""Which rig the motion goes onto, its skeleton map, and how. May import bpy; decides nothing."""

from __future__ import annotations

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

from . import change_events


class MARIONET_PG_map_row(bpy.types.PropertyGroup):
    """One joint of the skeleton map in the editor; `name` is the joint."""

    bone: StringProperty(
        name="Bone",
        description="The bone that this joint drives; leave empty for none",
        update=change_events.map_row_edited,
    )
    more: StringProperty(
        name="More Bones",
        description="Further bones that share the joint's rotation, from parent to child, separated by commas",
        update=change_events.map_row_edited,
    )
    confidence: FloatProperty(name="Confidence", description="Confidence of the automatic mapping", min=0.0, max=1.0)
    reason: StringProperty(name="Reason", description="Why this bone was chosen")


class MARIONET_PG_hand_prop(bpy.types.PropertyGroup):
    """What a hand holds."""

    thing: PointerProperty(
        name="Object",
        type=bpy.types.Object,
        description="Pins the hand to this object's origin (two-bone IK): add an empty at the palm position",
        update=change_events.retarget_changed,
    )
    use_range: BoolProperty(
        name="Use Range",
        description="Hold the object in a range of frames; if off, for the whole clip",
        update=change_events.retarget_changed,
    )
    first: IntProperty(
        name="Start",
        description="First scene frame in which the hand holds the object",
        default=1,
        update=change_events.retarget_changed,
    )
    last: IntProperty(
        name="End",
        description="Last scene frame in which the hand holds the object",
        default=100,
        update=change_events.retarget_changed,
    )


class MARIONET_PG_retarget(bpy.types.PropertyGroup):
    """Which rig, and how the motion goes onto it."""

    armature: PointerProperty(
        name="Armature",
        type=bpy.types.Object,
        description="The rig to animate; nothing is applied to it",
        poll=lambda _self, thing: thing.type == "ARMATURE",
        update=change_events.armature_changed,
    )
    root: EnumProperty(
        name="Root",
        description="What carries the body through the world",
        items=[
            ("HIPS", "Hips", "The hips' bone, as in most animation files"),
            ("ROOT_BONE", "Root Bone", "The rig's root bone travels, the hips move above it, as game engines want it"),
            ("OBJECT", "Object", "The armature object travels"),
        ],
        update=change_events.retarget_changed,
    )
    travel: EnumProperty(
        name="Travel",
        description="Whether the character walks through the world",
        items=[
            ("TRAVEL", "Travel", "Moves through the world like the person"),
            ("IN_PLACE", "In Place", "Stays in place; only the height changes"),
        ],
        update=change_events.retarget_changed,
    )
    placement: EnumProperty(
        name="Placement",
        description="Where the motion starts",
        items=[
            ("CHARACTER", "At Character", "Starts where the character stands, in the direction that it faces"),
            ("WORLD", "World Space", "Keeps the clip's own place and direction; needed to match the video"),
        ],
        update=change_events.retarget_changed,
    )
    controls: EnumProperty(
        name="Controls",
        description="Which controls of a control rig get keys",
        items=[
            ("FK", "FK", "Rotation controls; IK switches are set to FK and keyed"),
            ("IK", "IK", "IK targets and poles; IK switches are set to IK and keyed"),
            ("FK_AND_IK", "Both", "Both get keys; switches are set to FK"),
        ],
        update=change_events.retarget_changed,
    )
    own_scale: BoolProperty(
        name="Custom Scale",
        description="If off, travel is scaled by the ratio of the leg lengths",
        update=change_events.retarget_changed,
    )
    scale: FloatProperty(
        name="Scale",
        description="Multiplies travel and pelvis height",
        default=1.0,
        min=0.01,
        soft_max=10.0,
        update=change_events.retarget_changed,
    )
    plant_feet: BoolProperty(
        name="Plant Feet",
        description="Keeps standing feet still on this rig's proportions (two-bone IK)",
        default=True,
        update=change_events.retarget_changed,
    )
    contact_threshold: FloatProperty(
        name="Contact Threshold",
        description="Contact probability from which a foot counts as planted",
        default=0.5,
        min=0.05,
        max=0.95,
        update=change_events.retarget_changed,
    )
    relax_hands: BoolProperty(
        name="Relax Hands",
        description="Bends the mapped fingers a little where the clip has no hands; if off, they keep their pose",
        default=True,
        update=change_events.retarget_changed,
    )
    use_face: BoolProperty(
        name="Face",
        description="Moves shape keys and face bones where the clip has a face",
        default=True,
        update=change_events.retarget_changed,
    )
    face_table: StringProperty(
        name="Table",
        description="Your own table of shape keys or face bones (JSON); empty: known names and the tables that come "
        "with the extension",
        subtype="FILE_PATH",
        update=change_events.retarget_changed,
    )
    show_left_fingers: BoolProperty(name="Left Fingers", description="Show the fingers of the left hand in the list")
    show_right_fingers: BoolProperty(name="Right Fingers", description="Show the fingers of the right hand in the list")
    left_prop: PointerProperty(name="Left Hand", description="What the left hand holds", type=MARIONET_PG_hand_prop)
    right_prop: PointerProperty(name="Right Hand", description="What the right hand holds", type=MARIONET_PG_hand_prop)
    previewed: StringProperty(
        description="Armature that the live retarget poses; part of every undo step", options={"HIDDEN"}
    )
    rows: CollectionProperty(type=MARIONET_PG_map_row)
    row_index: IntProperty(name="Joint")
    map_json: StringProperty(name="Skeleton Map", description="The whole skeleton map as it would be saved")
    map_label: StringProperty(name="Map")
    map_summary: StringProperty(name="Summary")


CLASSES = (MARIONET_PG_map_row, MARIONET_PG_hand_prop, MARIONET_PG_retarget)
