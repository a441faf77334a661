"""Operators for faces: a table of weights in Live Link Face's form, in and out. May import bpy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import bpy
import numpy as np
from bpy.types import Context
from bpy_extras.io_utils import ExportHelper, ImportHelper

from ...motion.clip import write_clip
from ...motion.live_link import face_at_times, read_live_link, write_live_link
from ...session.clips import cleaned_clip, enter_clip, loaded_clip
from ...session.session_state import scene_fps
from .base import FAULTS, OperatorResult, report_fault, require_clip


class MARIONET_OT_import_face(bpy.types.Operator, ImportHelper):
    """Give the clip a face from a CSV of Live Link Face; makes a new clip beside it"""

    bl_idname = "marionet.import_face"
    bl_label = "Import Face"
    bl_options = {"REGISTER", "UNDO"}

    if TYPE_CHECKING:
        filepath: str  # a property of the helper

    filename_ext = ".csv"
    filter_glob: bpy.props.StringProperty(default="*.csv", options={"HIDDEN"})
    start_s: bpy.props.FloatProperty(
        name="Start",
        description="Time of the clip at which the face begins, in seconds after its first frame; negative where the "
        "face was recorded earlier",
        unit="TIME_ABSOLUTE",
        precision=3,
    )

    @classmethod
    def poll(cls, context: Context) -> bool:
        return require_clip(cls, context)

    def execute(self, context: Context) -> OperatorResult:
        path = Path(bpy.path.abspath(self.filepath))
        try:
            loaded = loaded_clip(context)
            times_s, face = read_live_link(path.read_text(encoding="utf-8-sig"))
            start_s = float(loaded.clip.times_s[0]) + self.start_s
            clip = replace(loaded.clip, face=face_at_times(times_s + start_s, face, loaded.clip.times_s))
            target = loaded.path.with_name(f"{loaded.path.stem}_{path.stem}.npz")
            write_clip(clip, target)
            name = enter_clip(context.scene, target, target.stem, clip.header.source)
            loaded_clip(context)
        except FAULTS as fault:
            return report_fault(self, fault)
        inside = float(np.mean(clip.face.confidence > 0.0)) if clip.face is not None else 0.0
        self.report({"INFO"}, f"{name}: {len(times_s)} rows, a face in {inside:.0%} of the clip's frames")
        return {"FINISHED"}


class MARIONET_OT_export_face(bpy.types.Operator, ExportHelper):
    """Save the clip's face as a CSV in Live Link Face's form"""

    bl_idname = "marionet.export_face"
    bl_label = "Export Face"

    if TYPE_CHECKING:
        filepath: str  # a property of the helper

    filename_ext = ".csv"
    filter_glob: bpy.props.StringProperty(default="*.csv", options={"HIDDEN"})

    @classmethod
    def poll(cls, context: Context) -> bool:
        return require_clip(cls, context)

    def execute(self, context: Context) -> OperatorResult:
        path = Path(bpy.path.abspath(self.filepath))
        try:
            clip = cleaned_clip(context)
            if clip.face is None:
                self.report({"ERROR"}, "The clip has no face: capture with Face switched on, or import a face")
                return {"CANCELLED"}
            fps = clip.header.source_fps or scene_fps(context.scene)
            path.write_text(write_live_link(clip.times_s - clip.times_s[0], clip.face, fps), encoding="utf-8")
        except FAULTS as fault:
            return report_fault(self, fault)
        self.report({"INFO"}, f"Saved {path}")
        return {"FINISHED"}


CLASSES = (MARIONET_OT_import_face, MARIONET_OT_export_face)
