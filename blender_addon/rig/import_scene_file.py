"""Scene files with motion (FBX, glTF) through Blender's own importers, for as long as their motion is read.

May import bpy. What an importer brings in goes again; the file is as it was before.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from ..motion.motion_file_error import MotionFileError

_KINDS = ("objects", "armatures", "meshes", "actions", "materials", "images", "textures", "collections", "cameras")
_KINDS_MORE = ("lights", "shape_keys", "node_groups")


@dataclass(frozen=True, slots=True)
class Imported:
    """What a file brought: its armature objects and its actions."""

    armatures: tuple[Any, ...]
    actions: tuple[Any, ...]


@contextmanager
def imported_scene(path: Path) -> Iterator[Imported]:
    """A file's armatures and actions, in the scene meanwhile. Raises MotionFileError where it cannot be imported."""
    scene = bpy.context.scene
    before = {kind: set(_ids(kind)) for kind in (*_KINDS, *_KINDS_MORE)}
    kept = (scene.frame_start, scene.frame_end, scene.frame_current, scene.render.fps, scene.render.fps_base)
    selected = [thing.name for thing in bpy.context.view_layer.objects if thing.select_get()]
    active = bpy.context.view_layer.objects.active
    try:
        _import(path)
        things = [thing for thing in bpy.data.objects if thing not in before["objects"]]
        actions = tuple(action for action in bpy.data.actions if action not in before["actions"])
        yield Imported(tuple(thing for thing in things if thing.type == "ARMATURE"), actions)
    finally:
        for kind in (*_KINDS, *_KINDS_MORE):
            for item in [item for item in _ids(kind) if item not in before[kind]]:
                if kind != "shape_keys":  # they go with their mesh
                    getattr(bpy.data, kind).remove(item)
        scene.frame_start, scene.frame_end, _, scene.render.fps, scene.render.fps_base = kept
        scene.frame_set(kept[2])
        for name in selected:
            if name in bpy.context.view_layer.objects:
                bpy.context.view_layer.objects[name].select_set(True)
        bpy.context.view_layer.objects.active = active


def _ids(kind: str) -> list[Any]:
    return list(getattr(bpy.data, kind))


def _import(path: Path) -> None:
    if not path.is_file():
        raise MotionFileError(f"There is no file {path}", "Check the path")
    importer: Any = bpy.ops.import_scene.fbx if path.suffix.lower() == ".fbx" else bpy.ops.import_scene.gltf
    if bpy.context.mode != "OBJECT":
        raise MotionFileError(f"{path.name} cannot be imported in this mode", "Switch to Object Mode and try again")
    try:
        result = importer(filepath=str(path))
    except (RuntimeError, AttributeError, ValueError, KeyError, TypeError) as fault:
        text = str(fault).strip().removeprefix("Error: ").splitlines()
        reason = text[0][:160] if text else type(fault).__name__
        raise MotionFileError(
            f"Blender's importer cannot read {path.name} ({reason})", "Export it again, or import it by hand"
        ) from fault
    if "FINISHED" not in result:
        raise MotionFileError(f"Blender's importer did not read {path.name}", "Export it again")
