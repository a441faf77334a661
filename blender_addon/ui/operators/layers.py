"""Operators for finished actions: a layer of offsets above the bake, root motion. May import bpy."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.types import Context, Event

from ...properties import settings
from ...rig.offset_layer import add_offset_layer, base_strip, merge_offset_layer
from ...rig.root_extraction import RootMotionOptions, extract_root_motion
from ...session.map_rows import chosen_map
from ...session.previews import stop_live
from .base import FAULTS, OperatorResult, report_fault, require_armature


def _require_action(operator: type[bpy.types.Operator], context: Context) -> bool:
    """Whether the chosen armature has an active action; where not, the greyed button says so."""
    if not require_armature(operator, context):
        return False
    data = settings(context).retarget.armature.animation_data
    if data is None or data.action is None:
        operator.poll_message_set("The armature has no active action: bake a clip onto it first")
        return False
    return True


class MARIONET_OT_add_offsets(bpy.types.Operator):
    """Put an empty action above the bake, combined with it: keys set from now on are offsets, which a new bake keeps"""

    bl_idname = "marionet.add_offsets"
    bl_label = "Add Offset Layer"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        if not _require_action(cls, context):
            return False
        if base_strip(settings(context).retarget.armature) is not None:
            cls.poll_message_set("There is a layer of offsets already: pose the rig and set keys")
            return False
        return True

    def execute(self, context: Context) -> OperatorResult:
        stop_live()
        try:
            offsets = add_offset_layer(settings(context).retarget.armature)
        except FAULTS as fault:
            return report_fault(self, fault)
        self.report({"INFO"}, f"{offsets.name}: keys set from now on are offsets to the bake")
        return {"FINISHED"}


class MARIONET_OT_merge_offsets(bpy.types.Operator):
    """Turn the bake and its offsets into one action with a key every frame; the offsets' action is kept"""

    bl_idname = "marionet.merge_offsets"
    bl_label = "Merge Offset Layer"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        if not require_armature(cls, context):
            return False
        if base_strip(settings(context).retarget.armature) is None:
            cls.poll_message_set("There is no layer of offsets")
            return False
        return True

    def execute(self, context: Context) -> OperatorResult:
        stop_live()
        try:
            merged = merge_offset_layer(settings(context).retarget.armature)
        except FAULTS as fault:
            return report_fault(self, fault)
        self.report({"INFO"}, f"{merged.name} is the active action")
        return {"FINISHED"}


class MARIONET_OT_extract_root_motion(bpy.types.Operator):
    """Copy the active action, whoever made it, and have the root bone travel in it; the pose in the world stays"""

    bl_idname = "marionet.extract_root_motion"
    bl_label = "Extract Root Motion"
    bl_options = {"REGISTER", "UNDO"}

    root: bpy.props.StringProperty(name="Root Bone", description="The bone on the floor that takes the motion")
    hips: bpy.props.StringProperty(name="Hips", description="The bone whose way over the floor is taken")
    turn: bpy.props.BoolProperty(name="Turn", description="The root bone takes the heading too", default=True)
    smooth_s: bpy.props.FloatProperty(
        name="Smoothing",
        description="The way is smoothed over this time, so that the sway of each step stays in the hips",
        default=0.2,
        min=0.0,
        soft_max=1.0,
        unit="TIME_ABSOLUTE",
    )

    @classmethod
    def poll(cls, context: Context) -> bool:
        return _require_action(cls, context)

    def invoke(self, context: Context, event: Event) -> OperatorResult:
        del event
        self._fill(context)
        return context.window_manager.invoke_props_dialog(self)

    def draw(self, context: Context) -> None:
        layout, armature = self.layout, settings(context).retarget.armature
        layout.use_property_split = True
        for name in ("root", "hips"):
            layout.prop_search(self, name, armature.data, "bones")
        layout.prop(self, "turn")
        layout.prop(self, "smooth_s")

    def execute(self, context: Context) -> OperatorResult:
        self._fill(context)
        stop_live()
        options = RootMotionOptions(self.root, self.hips, turn=self.turn, smooth_s=self.smooth_s)
        try:
            report = extract_root_motion(settings(context).retarget.armature, options)
        except FAULTS as fault:
            return report_fault(self, fault)
        self.report({"INFO"}, f"{report.action}: {self.root} travels {report.travel_m:.2f} m; {report.source} is kept")
        return {"FINISHED"}

    def _fill(self, context: Context) -> None:
        """Bones that are not named: those of the skeleton map."""
        chosen = settings(context).retarget
        skeleton_map = chosen_map(chosen)
        if skeleton_map is None:
            return
        self.hips = self.hips or skeleton_map.moving_bone
        self.root = self.root or skeleton_map.root_bone or _topmost(chosen.armature, self.hips)


def _topmost(armature: Any, bone: str) -> str:
    """The bone at the top above another one; empty where there is none."""
    above = armature.data.bones[bone].parent_recursive if bone in armature.data.bones else []
    return above[-1].name if above else ""


CLASSES = (MARIONET_OT_add_offsets, MARIONET_OT_merge_offsets, MARIONET_OT_extract_root_motion)
