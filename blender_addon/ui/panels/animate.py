"""The panels for clean-up, retarget, the map editor and the bake. May import bpy."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.types import Context, UILayout

from ...properties import active_clip, settings
from ...retarget.joint_words import joint_label, sentences, short_bone, short_label
from ...retarget.skeleton_map import FINGER_NAMES
from ...rig.contact_keys import contact_properties, property_path
from ...rig.offset_layer import base_strip
from ...rig.prepare_clip import PART_FIELDS
from ...session import session_state
from ...session.contact_edit import contact_object
from ...session.retargeting import last_bake_is_active
from .sidebar import SidebarPanel, draw_clip_name, wrapped

_SURE, _FAIR = 0.75, 0.4


def confidence_icon(row: Any) -> Any:
    """The icon of one joint in the map editor."""
    if not row.bone:
        return "RADIOBUT_OFF"
    if row.confidence >= _SURE:
        return "CHECKMARK"
    return "QUESTION" if row.confidence >= _FAIR else "ERROR"


class MARIONET_PT_cleanup(SidebarPanel, bpy.types.Panel):
    """Smoothing and clean-up; a running preview follows."""

    bl_idname = "MARIONET_PT_cleanup"
    bl_label = "Clean-up"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        """Draw the panel."""
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        cleanup = settings(context).cleanup
        layout.prop(cleanup, "preset")
        column = layout.column(align=True)
        for part in PART_FIELDS:
            column.prop(cleanup, part)
        layout.prop(cleanup, "spikes")
        layout.prop(cleanup, "gap_s")
        layout.prop(cleanup, "ground")
        layout.prop(cleanup, "mirror")
        layout.prop(cleanup, "loop")
        _draw_loop(layout, context)
        layout.prop(cleanup, "use_trim")
        if cleanup.use_trim:
            pair = layout.column(align=True)
            pair.prop(cleanup, "trim_start_s")
            pair.prop(cleanup, "trim_end_s")


def _draw_loop(layout: UILayout, context: Context) -> None:
    """Which part of the clip is the loop, once it is known."""
    entry = active_clip(context)
    loaded = session_state.STATE.clips.get(entry.filepath) if entry else None
    if loaded is not None and loaded.cleaned.header.is_cyclic:
        times_s = loaded.cleaned.times_s
        layout.label(text=f"{times_s[0]:.2f} to {times_s[-1]:.2f} s of the clip", icon="FILE_REFRESH")


class MARIONET_PT_retarget(SidebarPanel, bpy.types.Panel):
    """Which rig, and how the motion goes onto it."""

    bl_idname = "MARIONET_PT_retarget"
    bl_label = "Retarget"

    def draw_header_preset(self, context: Context) -> None:
        """The presets' menu."""
        del context
        row = self.layout.row(align=True)
        row.emboss = "NONE"
        row.menu("MARIONET_MT_presets", text="", icon="PRESET")
        row.operator("marionet.add_preset", text="", icon="ADD")

    def draw(self, context: Context) -> None:
        """Draw the panel."""
        layout = self.layout
        chosen = settings(context).retarget
        layout.prop(chosen, "armature", text="")
        if chosen.armature is not None and chosen.map_summary:
            wrapped(layout, context, chosen.map_summary, "OUTLINER_OB_ARMATURE")
        column = layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        for name in ("root", "travel", "placement", "controls"):
            column.prop(chosen, name)
        row = column.row(align=True, heading="Custom Scale")
        row.prop(chosen, "own_scale", text="")
        inner = row.row()
        inner.enabled = chosen.own_scale
        inner.prop(chosen, "scale", text="")
        layout.prop(settings(context).cleanup, "straighten", slider=True)
        column = layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        column.prop(chosen, "plant_feet")
        column.prop(chosen, "relax_hands")
        if chosen.plant_feet:
            layout.prop(chosen, "contact_threshold", slider=True)
        live = session_state.STATE.live is not None
        layout.operator("marionet.toggle_live", icon="PAUSE" if live else "PLAY", depress=live)


class MARIONET_UL_map(bpy.types.UIList):
    """The joints of the skeleton map; the search at the bottom finds joints and bones."""

    bl_idname = "MARIONET_UL_map"

    def draw_item(  # type: ignore[override]
        self, context: Context, layout: UILayout, data: Any, item: Any, _icon: int, _active: Any, _active_name: str
    ) -> None:
        """Draw one joint; the row of a hand folds its fingers."""
        del context
        split = layout.split(factor=0.57)
        side, _, part = item.name.partition("_")
        if part == "wrist" and any(row.name in FINGER_NAMES for row in data.rows):
            left = split.row(align=True)
            fold = f"show_{side}_fingers"
            icon: Any = "TRIA_DOWN" if getattr(data, fold) else "TRIA_RIGHT"
            left.prop(data, fold, text="", icon=icon, emboss=False)
            left.label(text=short_label(item.name), icon=confidence_icon(item))
        else:
            split.label(text=short_label(item.name), icon=confidence_icon(item))
        split.label(text=short_bone(item.bone))

    def filter_items(  # type: ignore[override]
        self, _context: Context, data: Any, prop: str
    ) -> tuple[list[int], list[int]]:
        """Keep joints whose own or whose bone's name holds the search text; else all but folded fingers."""
        rows = getattr(data, prop)
        wanted = self.filter_name.lower()
        if not wanted:
            shown = {"left": data.show_left_fingers, "right": data.show_right_fingers}
            folded = [row.name in FINGER_NAMES and not shown[row.name.partition("_")[0]] for row in rows]
            return [0 if hidden else self.bitflag_filter_item for hidden in folded], []
        found = [wanted in f"{joint_label(row.name)} {row.name} {row.bone} {row.more}".lower() for row in rows]
        return [self.bitflag_filter_item if hit else 0 for hit in found], []


class MARIONET_PT_map(SidebarPanel, bpy.types.Panel):
    """The skeleton map, joint by joint."""

    bl_idname = "MARIONET_PT_map"
    bl_label = "Skeleton Map"
    bl_parent_id = "MARIONET_PT_retarget"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        """Draw the panel."""
        layout = self.layout
        chosen = settings(context).retarget
        row = layout.row()
        row.template_list("MARIONET_UL_map", "", chosen, "rows", chosen, "row_index", rows=8)
        side = row.column(align=True)
        side.operator("marionet.detect_map", text="", icon="VIEWZOOM")
        side.operator("marionet.pick_bone", text="", icon="EYEDROPPER")
        side.operator("marionet.mirror_map", text="", icon="MOD_MIRROR")
        side.operator("marionet.clear_bone", text="", icon="X")
        side.separator()
        side.operator("marionet.load_map", text="", icon="FILE_FOLDER")
        side.operator("marionet.save_map", text="", icon="FILE_TICK")
        side.operator("marionet.forget_map", text="", icon="LOOP_BACK")
        if not 0 <= chosen.row_index < len(chosen.rows):
            return
        item = chosen.rows[chosen.row_index]
        column = layout.column(align=True)
        column.label(text=joint_label(item.name), icon=confidence_icon(item))
        if chosen.armature is not None:
            column.prop_search(item, "bone", chosen.armature.data, "bones", text="")
        column.prop(item, "more", text="", placeholder="More bones, from parent to child")
        if item.reason:
            wrapped(layout, context, f"{item.confidence:.0%}: {item.reason}")


class MARIONET_PT_face(SidebarPanel, bpy.types.Panel):
    """What of the character takes a face, and faces from other programs."""

    bl_idname = "MARIONET_PT_face"
    bl_label = "Face"
    bl_parent_id = "MARIONET_PT_retarget"
    bl_options = {"DEFAULT_CLOSED"}

    def draw_header(self, context: Context) -> None:
        """The switch."""
        self.layout.prop(settings(context).retarget, "use_face", text="")

    def draw(self, context: Context) -> None:
        """Draw the panel."""
        layout = self.layout
        chosen = settings(context).retarget
        layout.prop(chosen, "face_table")
        for number, line in enumerate(session_state.STATE.face_lines):
            wrapped(layout, context, sentences((line,)), "NONE" if number else "INFO")
        row = layout.row(align=True)
        row.operator("marionet.import_face", icon="IMPORT")
        row.operator("marionet.export_face", icon="EXPORT")


class MARIONET_PT_props(SidebarPanel, bpy.types.Panel):
    """Objects that the hands hold."""

    bl_idname = "MARIONET_PT_props"
    bl_label = "Hands to Props"
    bl_parent_id = "MARIONET_PT_retarget"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        """Draw the panel."""
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        chosen = settings(context).retarget
        for name, prop in (("Left Hand", chosen.left_prop), ("Right Hand", chosen.right_prop)):
            column = layout.column(align=True)
            column.prop(prop, "thing", text=name)
            if prop.thing is not None:
                column.prop(prop, "use_range")
            if prop.thing is not None and prop.use_range:
                column.prop(prop, "first")
                column.prop(prop, "last")


class MARIONET_PT_contacts(SidebarPanel, bpy.types.Panel):
    """When the feet stand, as keys on the timeline."""

    bl_idname = "MARIONET_PT_contacts"
    bl_label = "Contacts"
    bl_parent_id = "MARIONET_PT_retarget"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        """Draw the panel."""
        layout, thing = self.layout, contact_object(context)
        row = layout.row(align=True)
        row.operator("marionet.edit_contacts", icon="ACTION")
        row.operator("marionet.reset_contacts", text="", icon="LOOP_BACK")
        if thing is None:
            wrapped(layout, context, "The contacts are those of the clip")
            return
        column = layout.column()
        column.use_property_split = True
        for name in (name for name in contact_properties(thing) if name in thing):
            column.prop(thing, property_path(name), text=name)
        wrapped(layout, context, "Edit the keyframes in the Dope Sheet. A checked part is in contact at this frame")


class MARIONET_PT_bake(SidebarPanel, bpy.types.Panel):
    """How keys are written, the bake and the export."""

    bl_idname = "MARIONET_PT_bake"
    bl_label = "Bake"

    def draw(self, context: Context) -> None:
        """Draw the panel."""
        layout = self.layout
        kept = settings(context)
        bake = kept.bake
        draw_clip_name(layout, context)
        column = layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        column.prop(bake, "action_name")
        column.prop(bake, "into")
        if bake.into == "NLA_STRIP":
            column.prop(bake, "blend_type")
        grid = layout.grid_flow(row_major=True, columns=4, even_columns=True, align=True)
        grid.prop(bake, "parts")
        column = layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        column.prop(bake, "unseen")
        column.prop(bake, "frame_start")
        column.prop(bake, "interpolation")
        column.prop(bake, "reduce")
        if bake.reduce:
            pair = column.column(align=True)
            pair.prop(bake, "reduce_deg", text="Tolerance (deg)")
            pair.prop(bake, "reduce_mm", text="(mm)")
        column.prop(bake, "set_range")
        layout.operator("marionet.bake", icon="REC")
        _draw_warnings(layout, context)
        row = layout.row(align=True)
        row.operator("marionet.show_bake_report", icon="INFO")
        row.operator("marionet.export", icon="EXPORT")
        if session_state.STATE.bake_lines and last_bake_is_active(kept.retarget.armature):
            wrapped(layout, context, session_state.STATE.bake_lines[0], "CHECKMARK")


class MARIONET_PT_finish(SidebarPanel, bpy.types.Panel):
    """What is done with a finished action."""

    bl_idname = "MARIONET_PT_finish"
    bl_label = "Finish"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        """Draw the panel."""
        layout = self.layout
        armature = settings(context).retarget.armature
        strip = base_strip(armature) if armature is not None else None
        if strip is None:
            layout.operator("marionet.add_offsets", icon="NLA")
        else:
            offsets = armature.animation_data.action
            wrapped(layout, context, f"{offsets.name if offsets else 'No action'} over {strip.action.name}", "NLA")
            layout.operator("marionet.merge_offsets", icon="NLA_PUSHDOWN")
        layout.operator("marionet.extract_root_motion", icon="CON_FOLLOWPATH")


def _draw_warnings(layout: Any, context: Any) -> None:
    """What the last bake warned of while it stands, else what the rig's set-up gives to expect."""
    armature = settings(context).retarget.armature
    stands = last_bake_is_active(armature)
    warnings = session_state.STATE.bake_report.warnings if stands else session_state.STATE.rig_warnings
    for warning in dict.fromkeys(warnings if armature is not None else ()):
        wrapped(layout, context, sentences((warning,)), "ERROR")


CLASSES = (
    MARIONET_PT_cleanup,
    MARIONET_PT_retarget,
    MARIONET_UL_map,
    MARIONET_PT_map,
    MARIONET_PT_face,
    MARIONET_PT_contacts,
    MARIONET_PT_props,
    MARIONET_PT_bake,
    MARIONET_PT_finish,
)
