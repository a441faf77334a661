"""Operators that help: the guide, the manual, presets. May import bpy."""

from __future__ import annotations

import bpy
from bl_operators.presets import AddPresetBase
from bpy.types import Context

from ...session.extension import EXTENSION_ID, preferences
from .base import OperatorResult

PRESET_FOLDER = "marionet"


class MARIONET_OT_hide_guide(bpy.types.Operator):
    """Hide the first steps; the preferences show them again"""

    bl_idname = "marionet.hide_guide"
    bl_label = "Hide"

    def execute(self, context: Context) -> OperatorResult:
        del context
        preferences().show_guide = False
        return {"FINISHED"}


class MARIONET_OT_open_preferences(bpy.types.Operator):
    """Open Marionet's preferences"""

    bl_idname = "marionet.open_preferences"
    bl_label = "Preferences"

    def execute(self, context: Context) -> OperatorResult:
        del context
        return bpy.ops.preferences.addon_show(module=EXTENSION_ID)


class MARIONET_MT_presets(bpy.types.Menu):
    """Presets of the retarget, clean-up and bake settings."""

    bl_idname = "MARIONET_MT_presets"
    bl_label = "Presets"
    preset_subdir = PRESET_FOLDER
    preset_operator = "script.execute_preset"
    draw = bpy.types.Menu.draw_preset  # type: ignore[assignment]


class MARIONET_OT_add_preset(AddPresetBase, bpy.types.Operator):
    """Save the current retarget, clean-up and bake settings as a preset, or remove the chosen one"""

    bl_idname = "marionet.add_preset"
    bl_label = "Add Preset"
    preset_menu = "MARIONET_MT_presets"
    preset_subdir = PRESET_FOLDER
    preset_defines = ["kept = bpy.context.scene.marionet"]
    preset_values = [
        *(f"kept.retarget.{name}" for name in ("root", "travel", "placement", "controls", "own_scale", "scale")),
        *(f"kept.retarget.{name}" for name in ("plant_feet", "contact_threshold", "relax_hands", "use_face")),
        *(f"kept.cleanup.{name}" for name in ("root", "torso", "arms", "legs", "fingers", "face", "spikes", "gap_s")),
        *(f"kept.cleanup.{name}" for name in ("straighten", "ground")),
        *(f"kept.bake.{name}" for name in ("parts", "unseen", "into", "blend_type", "interpolation")),
        *(f"kept.bake.{name}" for name in ("reduce", "reduce_deg", "reduce_mm")),
    ]


CLASSES = (
    MARIONET_OT_hide_guide,
    MARIONET_OT_open_preferences,
    MARIONET_MT_presets,
    MARIONET_OT_add_preset,
)
