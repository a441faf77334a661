"""Export an armature's active action to BVH, FBX, GLB or USD. May import bpy.

Blender's exporters exist as operators only; here they run on a prepared selection that is put back afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from .actions import action_fcurves

FORMATS = {".bvh": "BVH", ".fbx": "FBX", ".glb": "GLB", ".usd": "USD", ".usdc": "USD", ".usda": "USD"}


class ExportError(RuntimeError):
    """The action could not be exported; the message names the file and the remedy."""


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """`frame_start` and `frame_end` in scene frames (None: the action's range); `with_mesh` adds the skinned meshes."""

    frame_start: int | None = None
    frame_end: int | None = None
    with_mesh: bool = True


def skinned_meshes(armature: Any) -> list[Any]:
    """Objects of the scene that the armature deforms."""
    return [
        thing
        for thing in bpy.context.scene.objects
        if any(modifier.type == "ARMATURE" and modifier.object == armature for modifier in thing.modifiers)
    ]


def action_range(armature: Any) -> tuple[int, int]:
    """First and last frame of the armature's active action. Raises ExportError when it has no keys."""
    curves = [curve for curve in action_fcurves(armature) if len(curve.keyframe_points)]
    if not curves:
        raise ExportError(f"{armature.name} has no keyed action. Bake a clip onto it first")
    spans = [curve.range() for curve in curves]
    return round(min(span[0] for span in spans)), round(max(span[1] for span in spans))


def export_action(armature: Any, path: Path, options: ExportOptions | None = None) -> Path:
    """Write the armature with its active action to `path`; the ending picks the format (.bvh .fbx .glb .usd).

    The scene's frame range and selection are the same afterwards. Raises ExportError when the ending is unknown, the
    armature has no action or is not in the view layer, or Blender's exporter fails.
    """
    options = options or ExportOptions()
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise ExportError(f"{path.name}: unknown ending. Use one of {', '.join(sorted(FORMATS))}")
    bpy.context.view_layer.update()  # a just unlinked object is listed until then
    if armature.name not in bpy.context.view_layer.objects:
        raise ExportError(f"{armature.name} is not in the active view layer. Make its collection visible there")
    first, last = action_range(armature)
    start = first if options.frame_start is None else options.frame_start
    end = last if options.frame_end is None else options.frame_end
    chosen = [armature, *(skinned_meshes(armature) if options.with_mesh and kind != "BVH" else [])]
    path.parent.mkdir(parents=True, exist_ok=True)
    with _selected(chosen), _frame_range(start, end):
        try:
            result = _EXPORTERS[kind](path, start, end)
        except RuntimeError as fault:
            raise ExportError(f"{path.name}: Blender's {kind} exporter failed: {fault}") from fault
    if "FINISHED" not in result or not path.is_file():
        raise ExportError(f"{path.name}: Blender's {kind} exporter wrote no file")
    return path


def _export_bvh(path: Path, start: int, end: int) -> set[str]:
    return bpy.ops.export_anim.bvh(filepath=str(path), frame_start=start, frame_end=end, rotate_mode="NATIVE")


def _export_fbx(path: Path, start: int, end: int) -> set[str]:
    return bpy.ops.export_scene.fbx(
        filepath=str(path),
        use_selection=True,
        object_types={"ARMATURE", "MESH"},
        add_leaf_bones=False,
        bake_anim=True,
        bake_anim_use_all_bones=True,
        bake_anim_use_nla_strips=False,
        bake_anim_use_all_actions=False,
        # the exporter's default drops keys up to centimetres off
        bake_anim_simplify_factor=0.0,
    )


def _export_glb(path: Path, start: int, end: int) -> set[str]:
    return bpy.ops.export_scene.gltf(
        filepath=str(path),
        export_format="GLB",
        use_selection=True,
        export_animations=True,
        export_animation_mode="ACTIVE_ACTIONS",
        export_frame_range=True,
        export_force_sampling=True,
        export_optimize_animation_size=False,
    )


def _export_usd(path: Path, start: int, end: int) -> set[str]:
    return bpy.ops.wm.usd_export(
        filepath=str(path), selected_objects_only=True, export_animation=True, export_armatures=True
    )


_EXPORTERS = {"BVH": _export_bvh, "FBX": _export_fbx, "GLB": _export_glb, "USD": _export_usd}


@contextmanager
def _selected(objects: list[Any]) -> Iterator[None]:
    layer = bpy.context.view_layer
    before = [thing for thing in layer.objects if thing.select_get()]
    active = layer.objects.active
    if active is not None and active.mode != "OBJECT":
        with bpy.context.temp_override(active_object=active, object=active):
            bpy.ops.object.mode_set(mode="OBJECT")
    hidden = [thing for thing in objects if thing.hide_get()]
    try:
        for thing in before:
            thing.select_set(False)
        for thing in hidden:
            thing.hide_set(False)
        for thing in objects:
            thing.select_set(True)
        layer.objects.active = objects[0]
        yield
    finally:
        for thing in objects:
            thing.select_set(False)
        for thing in hidden:
            thing.hide_set(True)
        for thing in before:
            thing.select_set(True)
        layer.objects.active = active


@contextmanager
def _frame_range(start: int, end: int) -> Iterator[None]:
    scene = bpy.context.scene
    before = (scene.frame_start, scene.frame_end, scene.frame_current)
    try:
        scene.frame_start, scene.frame_end = start, end
        yield
    finally:
        scene.frame_start, scene.frame_end = before[:2]
        scene.frame_set(before[2])
