"""The sample clip and the sample character that come with the extension. May import bpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
from mathutils import Vector

ASSETS_DIR = Path(__file__).resolve().parents[2] / "assets"
CLIP_NAME = "sample_clip.npz"
RIG_NAME = "demo_character.blend"
# things this near to the origin are stepped aside of, by so much
_ABOUT_M, _BESIDE_M = 3.0, 1.3
SAMPLE_VIDEO = ASSETS_DIR / "demo_clip.mp4"


class SampleError(RuntimeError):
    """A sample that cannot be loaded; the message names the file."""


def sample_clip_path() -> Path:
    """The sample clip's file. Raises SampleError when this installation has none."""
    path = ASSETS_DIR / CLIP_NAME
    if not path.is_file():
        raise SampleError(f"The sample clip {path} is missing. Install the extension again")
    return path


def load_sample_rig(scene: Any) -> Any:
    """Append the sample character to a scene, in a collection of its own; returns its armature object.

    Raises SampleError when the file is missing, unreadable or holds no armature.
    """
    path = ASSETS_DIR / RIG_NAME
    if not path.is_file():
        raise SampleError(f"The sample character {path} is missing. Install the extension again")
    try:
        libraries: Any = bpy.data.libraries  # the stubs say that `load` returns None
        with libraries.load(str(path), link=False) as (stored, taken):
            taken.objects = list(stored.objects)
    except OSError as fault:
        raise SampleError(f"The sample character {path} cannot be read: {fault}") from fault
    things = [thing for thing in taken.objects if thing is not None and thing.type in {"ARMATURE", "MESH"}]
    armatures = [thing for thing in things if thing.type == "ARMATURE"]
    if not armatures:
        raise SampleError(f"The sample character {path} holds no armature")
    collection = bpy.data.collections.new("Marionet Sample")
    scene.collection.children.link(collection)
    for thing in things:
        collection.objects.link(thing)
    rig = max(armatures, key=lambda thing: len(thing.data.bones))
    rig.location.x += _free_x(scene, {thing.name for thing in things})
    return rig


def _free_x(scene: Any, own: set[str]) -> float:
    """How far to the side the character stands free of what is about the origin, such as the start-up file's cube."""
    taken = [
        corner.x
        for thing in scene.objects
        if thing.name not in own and thing.type == "MESH" and thing.visible_get()
        for corner in (thing.matrix_world @ Vector(place) for place in thing.bound_box)
        if abs(corner.x) < _ABOUT_M and abs(corner.y) < _ABOUT_M
    ]
    return max(taken) + _BESIDE_M if taken else 0.0


def frame_things(context: Any, things: list[Any]) -> None:
    """Select things and bring them into view in every 3D viewport of the screen."""
    for thing in context.view_layer.objects.selected[:]:
        thing.select_set(False)
    for thing in things:
        thing.select_set(True)
    context.view_layer.objects.active = things[0]
    for area in context.screen.areas if context.screen else ():
        region = next((region for region in area.regions if region.type == "WINDOW"), None)
        if area.type == "VIEW_3D" and region is not None and context.window is not None:
            with context.temp_override(area=area, region=region):
                bpy.ops.view3d.view_selected()
