"""The settings that a .blend file keeps, per scene: `scene.marionet`. May import bpy; decides nothing.

Units are in the names' tooltips; what is running now lives in `session`, never here. One module a panel: `capture`
with `take`, `retarget`, `bake`.
"""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import CollectionProperty, IntProperty, PointerProperty
from bpy.types import Context

from . import bake, capture, change_events, retarget, take
from .bake import MARIONET_PG_bake, MARIONET_PG_cleanup
from .capture import MARIONET_PG_capture, MARIONET_PG_clip
from .retarget import MARIONET_PG_retarget
from .take import MARIONET_PG_take_camera


class MARIONET_PG_settings(bpy.types.PropertyGroup):
    """Everything that Marionet keeps in a scene."""

    capture: PointerProperty(type=MARIONET_PG_capture)
    retarget: PointerProperty(type=MARIONET_PG_retarget)
    cleanup: PointerProperty(type=MARIONET_PG_cleanup)
    bake: PointerProperty(type=MARIONET_PG_bake)
    clips: CollectionProperty(type=MARIONET_PG_clip)
    take_cameras: CollectionProperty(type=MARIONET_PG_take_camera)
    camera_collection: PointerProperty(
        type=bpy.types.Collection, description="The collection that was made for these cameras", options={"HIDDEN"}
    )
    clip_index: IntProperty(name="Clip", description="The clip in use", update=change_events.clip_changed)


CLASSES = (*take.CLASSES, *capture.CLASSES, *retarget.CLASSES, *bake.CLASSES, MARIONET_PG_settings)


def settings(context: Context) -> Any:
    """The Marionet settings of the scene in use."""
    return settings_of(context.scene)


def settings_of(scene: Any) -> Any:
    """A scene's Marionet settings; the stubs of bpy know no properties of add-ons."""
    return scene.marionet


def active_clip(context: Context) -> Any | None:
    """The clip entry in use, or None."""
    kept = settings(context)
    return kept.clips[kept.clip_index] if 0 <= kept.clip_index < len(kept.clips) else None


def attach() -> None:
    """Hang the settings onto scenes."""
    scene: Any = bpy.types.Scene
    scene.marionet = PointerProperty(type=MARIONET_PG_settings)  # type: ignore[func-returns-value]


def detach() -> None:
    """Take them off again."""
    scene: Any = bpy.types.Scene
    del scene.marionet
