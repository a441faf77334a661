"""Operators that write: bake a clip onto the chosen rig, export the result. May import bpy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
from bpy_extras.io_utils import ExportHelper

from ...properties import settings
from ...rig.apply_clip import clip_figures
from ...rig.bake import BakeReport, bake
from ...rig.export_action import Engine, ExportOptions, export_action
from ...session import session_state, workflow
from ...session.previews import stop_live
from ..panels.sidebar import wrapped
from .clips import FAULTS, no_armature, no_clip, say


class MARIONET_OT_bake(bpy.types.Operator):
    """Write the clip's motion as keys on the chosen armature, and report what was written"""

    bl_idname = "marionet.bake"
    bl_label = "Bake"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        if session_state.STATE.capture is not None:
            cls.poll_message_set("A capture is running: wait for it, or cancel it")
            return False
        return not no_clip(cls, context) and not no_armature(cls, context)

    def execute(self, context: Any) -> set[str]:
        stop_live()  # the rig is read, and left, as the user posed it
        try:
            report = bake_active_clip(context)
        except FAULTS as fault:
            return say(self, fault)
        state = session_state.STATE
        state.bake_lines, state.bake_report = report.lines(), report
        state.last_error = ""
        state.note(report.headline())
        if settings(context).bake.set_range:
            workflow.scene_range(context, report.frame_start, report.frame_end)
        context.scene.frame_set(report.frame_start)
        workflow.refresh_previews(context)
        self.report({"WARNING"} if report.warnings else {"INFO"}, report.headline())
        return {"FINISHED"}


def bake_active_clip(context: Any) -> BakeReport:
    """Bake the clip in use onto the chosen armature with the panels' settings."""
    clip = workflow.cleaned_clip(context)
    options = workflow.apply_options(context)
    found = workflow.retarget_now(context, clip)
    start = workflow.clip_timing(context, found.clip).frame_start
    report = bake(settings(context).retarget.armature, found.pose, replace(options.bake, frame_start=start))
    return replace(report, figures={**clip_figures(found.clip), **report.figures})


class MARIONET_OT_show_bake_report(bpy.types.Operator):
    """Show the whole account of the last bake"""

    bl_idname = "marionet.show_bake_report"
    bl_label = "Bake Report"

    @classmethod
    def poll(cls, context: Any) -> bool:
        del context
        if not session_state.STATE.bake_lines:
            cls.poll_message_set("Nothing was baked yet")
            return False
        return True

    def invoke(self, context: Any, event: Any) -> set[str]:
        del event
        return context.window_manager.invoke_popup(self, width=560)

    def draw(self, context: Any) -> None:
        for line in session_state.STATE.bake_lines:
            wrapped(self.layout, context, line, width_px=560)

    def execute(self, context: Any) -> set[str]:
        del context
        self.report({"INFO"}, "\n".join(session_state.STATE.bake_lines))
        return {"FINISHED"}


class MARIONET_OT_export(bpy.types.Operator, ExportHelper):
    """Export the chosen armature with its active action; the ending picks the format"""

    bl_idname = "marionet.export"
    bl_label = "Export Motion"
    bl_options = {"REGISTER", "PRESET"}

    filename_ext = ""
    check_extension = None
    filter_glob: bpy.props.StringProperty(default="*.bvh;*.fbx;*.glb;*.usd;*.usdc;*.usda", options={"HIDDEN"})
    file_format: bpy.props.EnumProperty(
        name="Format",
        description="Used when the file name has no ending",
        items=[
            (".fbx", "FBX", "For game engines and other 3D programs"),
            (".glb", "GLB", "glTF in one file, for the web and engines"),
            (".bvh", "BVH", "Skeleton and motion as text"),
            (".usdc", "USD", "Universal Scene Description"),
        ],
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
    def poll(cls, context: Any) -> bool:
        if no_armature(cls, context):
            return False
        data = settings(context).retarget.armature.animation_data
        if data is None or data.action is None:
            cls.poll_message_set("The armature has no active action: bake a clip onto it first")
            return False
        return True

    def execute(self, context: Any) -> set[str]:
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
            return say(self, fault)
        self.report({"INFO"}, f"{written} ({written.stat().st_size / 1e6:.1f} MB)")
        return {"FINISHED"}


CLASSES = (MARIONET_OT_bake, MARIONET_OT_show_bake_report, MARIONET_OT_export)
