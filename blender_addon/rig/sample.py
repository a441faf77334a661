"""The sample clip and the sample character that come with the extension. May import bpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

ASSETS_DIR = Path(__file__).resolve().parents[2] / "assets"
CLIP_NAME = "sample_clip.npz"
RIG_NAME = "demo_character.blend"
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
    return max(armatures, key=lambda thing: len(thing.data.bones))
