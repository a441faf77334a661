"""Operators that write: bake a clip onto the chosen rig, export the result. May import bpy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import bpy
from bpy.types import Context, Event
from bpy_extras.io_utils import ExportHelper

from ...motion.export_formats import DEFAULT_FORMAT, EXPORT_FORMATS, Engine, all_endings
from ...properties import settings
from ...rig.export_action import ExportOptions, export_action
from ...session import session_state
from ...session.preview_control import refresh_previews
from ...session.previews import stop_live
from ...session.retargeting import bake_active_clip
from ..panels.sidebar import wrapped
from .base import FAULTS, OperatorResult, report_fault, require_armature, require_clip


class MARIONET_OT_bake(bpy.types.Operator):
    """Write the clip's motion as keyframes on the chosen armature, and report what was written"""

    bl_idname = "marionet.bake"
    bl_label = "Bake"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        if session_state.STATE.capture is not None:
            cls.poll_message_set("A capture is running: wait for it, or cancel it")
            return False
        return require_clip(cls, context) and require_armature(cls, context)

    def execute(self, context: Context) -> OperatorResult:
        stop_live()  # the rig is read, and left, as the user posed it
        try:
            report = bake_active_clip(context)
        except FAULTS as fault:
            return report_fault(self, fault)
        state = session_state.STATE
        state.bake_lines, state.bake_report = report.lines(), report
        state.last_error = ""
        state.note(report.headline())
        if settings(context).bake.set_range:
            scene = context.scene
            last = report.frame_end - 1 if report.is_cyclic else report.frame_end  # a loop's last frame is its first
            scene.frame_start, scene.frame_end = report.frame_start, max(last, report.frame_start)
        context.scene.frame_set(report.frame_start)
        refresh_previews(context)
        self.report({"WARNING"} if report.warnings else {"INFO"}, report.headline())
        return {"FINISHED"}


class MARIONET_OT_show_bake_report(bpy.types.Operator):
    """Show the full report of the last bake"""

    bl_idname = "marionet.show_bake_report"
    bl_label = "Bake Report"

    @classmethod
    def poll(cls, context: Context) -> bool:
        del context
        if not session_state.STATE.bake_lines:
            cls.poll_message_set("Nothing has been baked yet")
            return False
        return True

    def invoke(self, context: Context, event: Event) -> OperatorResult:
        del event
        return context.window_manager.invoke_popup(self, width=560)

    def draw(self, context: Context) -> None:
        for line in session_state.STATE.bake_lines:
            wrapped(self.layout, context, line, width_px=560)

    def execute(self, context: Context) -> OperatorResult:
        del context
        self.report({"INFO"}, "\n".join(session_state.STATE.bake_lines))
        return {"FINISHED"}


class MARIONET_OT_export(bpy.types.Operator, ExportHelper):
    """Export the chosen armature with its active action; the file extension sets the format"""

    bl_idname = "marionet.export"
    bl_label = "Export Motion"
    bl_options = {"REGISTER", "PRESET"}

    if TYPE_CHECKING:
        filepath: str  # a property of the helper

    filename_ext = ""
    check_extension = None
    filter_glob: bpy.props.StringProperty(
        default=";".join(f"*{ending}" for ending in all_endings()), options={"HIDDEN"}
    )
    file_format: bpy.props.EnumProperty(
        name="Format",
        description="Used if the file name has no extension",
        items=[(one.endings[0], one.label, one.description) for one in EXPORT_FORMATS],
        default=f".{DEFAULT_FORMAT}",
    )
    with_mesh: bpy.props.BoolProperty(
        name="Meshes", description="Export the meshes that the armature deforms too", default=True
    )

    engine: bpy.props.EnumProperty(
        name="For",
        description="Axes, units, bones and the root's name as an engine takes them",
        items=[
            ("NONE", "Any Program", "As Blender exports"),
            ("UNREAL", "Unreal", "FBX in centimetres; deform bones; the root bone stays the root"),
            ("UNITY", "Unity", "FBX in metres, no scale on objects; deform bones"),
            ("GODOT", "Godot", "glTF (.glb) or FBX; deform bones"),
        ],
    )
    deform_only: bpy.props.BoolProperty(
        name="Deform Bones Only", description="Leave out control bones; engines need none (FBX and glTF)"
    )
    y_up: bpy.props.BoolProperty(
        name="BVH Y Up",
        description="Write BVH with Y up, as its readers take it; off: in the armature's own axes",
        default=True,
    )

    @classmethod
    def poll(cls, context: Context) -> bool:
        if not require_armature(cls, context):
            return False
        data = settings(context).retarget.armature.animation_data
        if data is None or data.action is None:
            cls.poll_message_set("The armature has no active action: bake a clip onto it first")
            return False
        return True

    def execute(self, context: Context) -> OperatorResult:
        path = Path(bpy.path.abspath(self.filepath))
        path = path if path.suffix else path.with_suffix(self.file_format)
        stop_live()
        try:
            options = ExportOptions(
                with_mesh=self.with_mesh,
                deform_only=self.deform_only,
                engine=Engine[self.engine],
                y_up=self.y_up,
            )
            written = export_action(settings(context).retarget.armature, path, options)
        except FAULTS as fault:
            return report_fault(self, fault)
        self.report({"INFO"}, f"{written} ({written.stat().st_size / 1e6:.1f} MB)")
        return {"FINISHED"}


CLASSES = (MARIONET_OT_bake, MARIONET_OT_show_bake_report, MARIONET_OT_export)
