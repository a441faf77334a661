"""Operators of the contacts on the timeline: show them as keys, give them back to the clip. May import bpy."""

from __future__ import annotations

import bpy
from bpy.types import Context

from ...session.clips import cleaned_clip, loaded_clip
from ...session.contact_edit import contact_object, drop_contacts, show_contacts
from ...session.preview_control import refresh_previews
from .base import FAULTS, OperatorResult, report_fault, require_clip


class MARIONET_OT_edit_contacts(bpy.types.Operator):
    """Show when each foot stands and each part of the body rests as keys of an object, which the Dope Sheet shows: move
    the keys, and the motion follows
    """

    bl_idname = "marionet.edit_contacts"
    bl_label = "Edit Contacts"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        return require_clip(cls, context)

    def execute(self, context: Context) -> OperatorResult:
        if context.mode != "OBJECT":  # the keys are those of an object, which becomes the active one
            bpy.ops.object.mode_set(mode="OBJECT")
        try:
            thing = show_contacts(context, loaded_clip(context).clip, cleaned_clip(context))
        except FAULTS as fault:
            return report_fault(self, fault)
        self.report({"INFO"}, f"{thing.name}: edit its keyframes in the Dope Sheet. 1 is a contact")
        return {"FINISHED"}


class MARIONET_OT_reset_contacts(bpy.types.Operator):
    """Remove the edited contacts: those of the clip hold again"""

    bl_idname = "marionet.reset_contacts"
    bl_label = "Reset Contacts"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        if not require_clip(cls, context):
            return False
        if contact_object(context) is None:
            cls.poll_message_set("The contacts are the clip's own")
            return False
        return True

    def execute(self, context: Context) -> OperatorResult:
        drop_contacts(context)
        refresh_previews(context)
        return {"FINISHED"}


CLASSES = (MARIONET_OT_edit_contacts, MARIONET_OT_reset_contacts)
