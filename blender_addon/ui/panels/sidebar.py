"""What all panels share: their place, the status line, the first steps. May import bpy."""

from __future__ import annotations

import textwrap
from typing import Any

import bpy
from bpy.types import Context, UILayout

from ...properties import active_clip, settings
from ...session import session_state
from ...session.extension import EXTENSION_ID, extension_version, preferences

_PX_A_CHARACTER = 7
_MIN_CHARACTERS = 24
_LOG_LINES = 5
_LOG_CHARACTERS = 160


class SidebarPanel:
    """Where the panels are."""

    bl_space_type: Any = "VIEW_3D"
    bl_region_type: Any = "UI"
    bl_category = "Marionet"


def wrapped(layout: UILayout, context: Context, text: str, icon: Any = "NONE", width_px: int = 0) -> None:
    """A text over as many lines as the sidebar's width, or another in unscaled pixels, asks for."""
    region = getattr(context, "region", None)
    scale = context.preferences.system.ui_scale or 1.0  # 0 without a window
    width = int(
        width_px / _PX_A_CHARACTER if width_px else (region.width if region else 280) / (_PX_A_CHARACTER * scale)
    )
    width -= 4 if icon == "NONE" else 8
    column = layout.column(align=True)
    column.scale_y = 0.8
    for number, line in enumerate(textwrap.wrap(text, max(width, _MIN_CHARACTERS), break_on_hyphens=False)):
        column.label(text=line, icon=icon if number == 0 else "BLANK1" if icon != "NONE" else "NONE")


class MARIONET_PT_main(SidebarPanel, bpy.types.Panel):
    """Status of the backend, first steps, the last error."""

    bl_idname = "MARIONET_PT_main"
    bl_label = "Marionet"

    def draw(self, context: Context) -> None:
        """Draw the panel."""
        layout = self.layout
        state, version = session_state.STATE, extension_version()
        wrapped(layout, context, state.backend_text(version), state.backend_icon(version))
        row = layout.row(align=True)
        row.operator("marionet.connect_backend", icon="LINKED")
        row.operator("marionet.stop_backend", text="", icon="UNLINKED")
        row.operator("marionet.open_preferences", text="", icon="PREFERENCES")
        row.operator("marionet.copy_report", text="", icon="COPYDOWN")
        for line in state.backend_log(_LOG_LINES):
            wrapped(layout, context, line[-_LOG_CHARACTERS:])
        if state.last_error:
            wrapped(layout.box(), context, state.last_error, "ERROR")
        if EXTENSION_ID in context.preferences.addons and preferences().show_guide:
            _draw_guide(layout.box(), context)


def _draw_guide(box: UILayout, context: Context) -> None:
    row = box.row()
    row.label(text="First Steps", icon="HELP")
    row.operator("marionet.hide_guide", text="", icon="X", emboss=False)
    kept, state = settings(context), session_state.STATE
    ready = state.link is not None and state.link.is_open
    armature = kept.retarget.armature
    action = armature is not None and armature.animation_data is not None and armature.animation_data.action is not None
    steps = (
        (ready, "Set up the backend in the preferences, then connect. Or load the sample and skip to step 4"),
        (bool(kept.capture.video) or bool(kept.clips), "Choose a video, or drop one into the viewport"),
        (bool(kept.clips), "Start the capture. The skeleton appears while it runs"),
        (armature is not None, "Choose the armature of your character; its bones are mapped automatically"),
        (state.live is not None or action, "Preview the motion with Live Retarget"),
        (action, "Bake. Then export, or continue animating"),
    )
    for number, (done, text) in enumerate(steps, 1):
        wrapped(box, context, f"{number}. {text}", "CHECKMARK" if done else "RADIOBUT_OFF")
    box.operator("marionet.load_sample", icon="ARMATURE_DATA")


def draw_clip_name(layout: UILayout, context: Context) -> None:
    """The clip in use, or how to get one."""
    entry = active_clip(context)
    layout.label(text=entry.name if entry else "No clip yet", icon="ACTION" if entry else "INFO")


CLASSES = (MARIONET_PT_main,)
