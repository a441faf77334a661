"""Operators that take motion from elsewhere: the motion of armatures in the scene. May import bpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
from bpy.types import Context, Event, Operator

from ...properties import settings
from ...session import session_state
from ...session.motion_sources import clips_of_armature, enter_motions, moving_armatures
from ...session.previews import stop_live
from .base import FAULTS, OperatorResult, report_fault


def told_of_clips(operator: Operator, context: Context, names: list[str], faults: list[str]) -> OperatorResult:
    """Report which clips were entered and which sources were not, each in words."""
    for fault in faults:
        session_state.STATE.fail(fault)
    if not names:
        operator.report({"ERROR"}, session_state.STATE.fail("\n".join(faults) or "Nothing was imported"))
        return {"CANCELLED"}
    entry = settings(context).clips[settings(context).clip_index]
    clip = session_state.STATE.load_clip(_path(entry)).clip
    told = f"{names[-1]}: {len(clip)} frames, {clip.times_s[-1] - clip.times_s[0]:.2f} s"
    if len(names) > 1:
        told = f"{len(names)} clips, the last {told}"
    if faults:
        operator.report({"WARNING"}, f"{told}. Not imported: " + "; ".join(faults))
    elif clip.header.warnings and len(names) == 1:
        session_state.STATE.last_error = ""
        operator.report({"WARNING"}, f"{told}. " + " ".join(f"{warning.text}." for warning in clip.header.warnings))
    else:
        session_state.STATE.last_error = ""
        operator.report({"INFO"}, told)
    return {"FINISHED"}


def _path(entry: Any) -> Path:
    return Path(bpy.path.abspath(entry.filepath))


class MARIONET_OT_use_armature_motion(bpy.types.Operator):
    """Make clips of what the selected armatures play, whatever moves them, to clean up and bake onto another rig"""

    bl_idname = "marionet.use_armature_motion"
    bl_label = "Use Motion of Armature"
    bl_options = {"REGISTER", "UNDO"}

    armature: bpy.props.StringProperty(name="Armature", description="The armature whose motion to use")
    every_action: bpy.props.BoolProperty(
        name="All Actions", description="One clip an action of the armature, not what it plays now"
    )

    @classmethod
    def poll(cls, context: Context) -> bool:
        if not any(thing.type == "ARMATURE" for thing in context.scene.objects):
            cls.poll_message_set("The scene has no armature: import one with its motion (File > Import)")
            return False
        return True

    def invoke(self, context: Context, event: Event) -> OperatorResult:
        del event
        if self.armature or moving_armatures(context):
            return self.execute(context)
        return context.window_manager.invoke_props_dialog(self)

    def draw(self, context: Context) -> None:
        self.layout.prop_search(self, "armature", context.scene, "objects")
        self.layout.prop(self, "every_action")

    def execute(self, context: Context) -> OperatorResult:
        stop_live()
        try:
            chosen = self._chosen(context)
        except ValueError as fault:
            return report_fault(self, fault)
        names, faults = [], []
        for armature in chosen:
            try:
                names += enter_motions(context.scene, clips_of_armature(context, armature, self.every_action))
            except FAULTS as fault:
                faults.append(str(fault))
        return told_of_clips(self, context, names, faults)

    def _chosen(self, context: Context) -> list[Any]:
        if self.armature:
            thing: Any = context.scene.objects.get(self.armature)
            if thing is None or thing.type != "ARMATURE":
                raise ValueError(f"There is no armature {self.armature} in the scene. Choose one that is there")
            return [thing]
        found = moving_armatures(context)
        if not found:
            raise ValueError("No armature is selected that moves. Select the one whose motion you want")
        return found


CLASSES = (MARIONET_OT_use_armature_motion,)
