"""Operators of the map editor: detect, eyedropper, mirror, clear, load, save, forget. May import bpy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpy
from bpy.types import Context, Operator
from bpy_extras.io_utils import ExportHelper, ImportHelper

from ...motion.body import canonical_body
from ...properties import settings
from ...retarget.edit_map import clear_joint, mirror_map, set_joint
from ...retarget.find_fingers import with_fingers
from ...retarget.map_files import read_map, write_map
from ...rig.read_armature import read_armature
from ...session.map_rows import (
    apply_edited_map,
    chosen_map,
    fill_rows,
    forget_map,
    remember_rows,
    show_detected_map,
)
from ...session.retargeting import refresh_warnings
from .base import FAULTS, OperatorResult, report_fault, require_armature


def require_map(operator: type[Operator], context: Context) -> bool:
    """Whether there is a map to edit; where not, the greyed button says what to do."""
    if not require_armature(operator, context):
        return False
    if not settings(context).retarget.rows:
        operator.poll_message_set("Map the armature's bones first")
        return False
    return True


class MARIONET_OT_detect_map(bpy.types.Operator):
    """Map the armature's bones by names, hierarchy and rest pose, and show the confidence of each choice"""

    bl_idname = "marionet.detect_map"
    bl_label = "Map Bones"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        return require_armature(cls, context)

    def execute(self, context: Context) -> OperatorResult:
        try:
            report = show_detected_map(settings(context).retarget)
        except (*FAULTS, TypeError) as fault:
            return report_fault(self, fault)
        refresh_warnings(context)
        self.report({"INFO"} if report.usable else {"WARNING"}, settings(context).retarget.map_summary)
        return {"FINISHED"}


class MARIONET_OT_pick_bone(bpy.types.Operator):
    """Give the chosen joint the bones that are selected in the viewport, from parent to child"""

    bl_idname = "marionet.pick_bone"
    bl_label = "Bone from Selection"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        if not require_map(cls, context):
            return False
        if not selected_bones(settings(context).retarget.armature):
            cls.poll_message_set("Select a bone of the armature in Pose Mode")
            return False
        return True

    def execute(self, context: Context) -> OperatorResult:
        chosen = settings(context).retarget
        names = selected_bones(chosen.armature)
        row = chosen.rows[chosen.row_index]
        apply_edited_map(chosen, set_joint(chosen_map(chosen), row.name, tuple(names)))
        refresh_warnings(context)
        self.report({"INFO"}, f"{row.name}: {', '.join(names)}")
        return {"FINISHED"}


def selected_bones(armature: Any) -> list[str]:
    """Names of the armature's selected bones, parents first. Selection moved from Bone to PoseBone in Blender 5.0."""
    found = [bone for bone in armature.pose.bones if (bone.select if hasattr(bone, "select") else bone.bone.select)]
    return [bone.name for bone in sorted(found, key=lambda bone: len(bone.parent_recursive))]


class MARIONET_OT_mirror_map(bpy.types.Operator):
    """Give the joints of one side the mirrored bones of the other, by name"""

    bl_idname = "marionet.mirror_map"
    bl_label = "Mirror"
    bl_options = {"REGISTER", "UNDO"}

    source: bpy.props.EnumProperty(
        name="Source Side",
        description="The side that is already correct",
        items=[("left", "Left", "Copy left to right"), ("right", "Right", "Copy right to left")],
    )

    @classmethod
    def poll(cls, context: Context) -> bool:
        return require_map(cls, context)

    def execute(self, context: Context) -> OperatorResult:
        chosen = settings(context).retarget
        try:
            mirrored = mirror_map(chosen_map(chosen), read_armature(chosen.armature), self.source)
        except FAULTS as fault:
            return report_fault(self, fault)
        count = apply_edited_map(chosen, mirrored)
        refresh_warnings(context)
        self.report({"INFO"}, f"{count} joints mirrored" if count else "Both sides are the same already")
        return {"FINISHED"}


class MARIONET_OT_clear_bone(bpy.types.Operator):
    """Remove the bone from the chosen joint"""

    bl_idname = "marionet.clear_bone"
    bl_label = "Clear"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        return require_map(cls, context)

    def execute(self, context: Context) -> OperatorResult:
        chosen = settings(context).retarget
        apply_edited_map(chosen, clear_joint(chosen_map(chosen), chosen.rows[chosen.row_index].name))
        refresh_warnings(context)
        return {"FINISHED"}


class MARIONET_OT_load_map(bpy.types.Operator, ImportHelper):
    """Load a skeleton map that was saved or shared"""

    bl_idname = "marionet.load_map"
    bl_label = "Load Map"
    bl_options = {"REGISTER", "UNDO"}

    if TYPE_CHECKING:
        filepath: str  # a property of the helper

    filename_ext = ".json"
    filter_glob: bpy.props.StringProperty(default="*.json", options={"HIDDEN"})

    @classmethod
    def poll(cls, context: Context) -> bool:
        return require_armature(cls, context)

    def execute(self, context: Context) -> OperatorResult:
        chosen = settings(context).retarget
        path = Path(bpy.path.abspath(self.filepath))
        try:
            loaded = read_map(path)
            if not loaded.fingers:  # a map of version 0.8 or older knows none
                loaded = with_fingers(loaded, read_armature(chosen.armature))
        except FAULTS as fault:
            return report_fault(self, fault)
        fill_rows(chosen, loaded, None, f"From {path.name}")
        remember_rows(chosen, list(chosen.rows))
        refresh_warnings(context)
        absent = [bone for bone in loaded.bones() if bone not in chosen.armature.data.bones]
        if absent:
            self.report({"WARNING"}, f"{len(absent)} bones of the map are not in this rig: {', '.join(absent[:5])}")
        else:
            self.report({"INFO"}, f"{loaded.label}: {len(loaded.joints)} of {len(canonical_body().joint_names)} joints")
        return {"FINISHED"}


class MARIONET_OT_save_map(bpy.types.Operator, ExportHelper):
    """Save the skeleton map as a file, to share or to use for batches"""

    bl_idname = "marionet.save_map"
    bl_label = "Save Map"

    if TYPE_CHECKING:
        filepath: str  # a property of the helper

    filename_ext = ".json"
    filter_glob: bpy.props.StringProperty(default="*.json", options={"HIDDEN"})

    @classmethod
    def poll(cls, context: Context) -> bool:
        return require_map(cls, context)

    def execute(self, context: Context) -> OperatorResult:
        path = Path(bpy.path.abspath(self.filepath))
        try:
            write_map(chosen_map(settings(context).retarget), path)
        except FAULTS as fault:
            return report_fault(self, fault)
        self.report({"INFO"}, f"Saved {path}")
        return {"FINISHED"}


class MARIONET_OT_forget_map(bpy.types.Operator):
    """Discard the corrections of this skeleton and map it again"""

    bl_idname = "marionet.forget_map"
    bl_label = "Discard Corrections"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        return require_map(cls, context)

    def execute(self, context: Context) -> OperatorResult:
        chosen = settings(context).retarget
        try:
            forget_map(chosen.armature)
            show_detected_map(chosen)
        except (*FAULTS, TypeError) as fault:
            return report_fault(self, fault)
        refresh_warnings(context)
        self.report({"INFO"}, chosen.map_summary)
        return {"FINISHED"}


CLASSES = (
    MARIONET_OT_detect_map,
    MARIONET_OT_pick_bone,
    MARIONET_OT_mirror_map,
    MARIONET_OT_clear_bone,
    MARIONET_OT_load_map,
    MARIONET_OT_save_map,
    MARIONET_OT_forget_map,
)
