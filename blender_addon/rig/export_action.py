"""Export an armature's active action to a file of one of the `EXPORT_FORMATS`. May import bpy.

Blender's exporters exist as operators only; here they run on a prepared selection that is put back afterwards.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ..motion.export_formats import Engine, ExportFormat, all_endings, format_of_ending, names_that_meet
from .actions import OBJECT_PATHS, action_fcurves
from .bvh_axes import Y_UP, turned_bvh
from .centimetre_copy import in_centimetres
from .face_targets import face_meshes
from .offset_layer import layers_merged


class ExportError(RuntimeError):
    """The action could not be exported; the message names the file and the remedy."""


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """`frame_start` and `frame_end` in scene frames (None: the action's range); `with_mesh` adds the skinned meshes.

    `deform_only` leaves out control bones (FBX, GLB), `engine` follows an engine's conventions and implies it;
    `y_up` writes BVH in the world, Y up, as its readers take it, else in the armature's own space.
    """

    frame_start: int | None = None
    frame_end: int | None = None
    with_mesh: bool = True
    deform_only: bool = False
    engine: Engine = Engine.NONE
    y_up: bool = True

    @property
    def bones_only_deform(self) -> bool:
        """Whether control bones stay behind."""
        return self.deform_only or self.engine is not Engine.NONE


@contextmanager
def _any_name_printed() -> Iterator[None]:
    """Exporters print the file's name. Where standard output takes the characters of a code page alone, as a pipe on
    Windows does, a name with other characters would end the export.

    Whatever the error handler is: Windows gives a pipe `surrogateescape`, which encodes no more names than `strict`.
    """
    streams = [stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, io.TextIOWrapper)]
    handlers = [stream.errors for stream in streams]
    for stream in streams:
        stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        for stream, handler in zip(streams, handlers, strict=True):
            stream.reconfigure(errors=handler)


def skinned_meshes(armature: Any) -> list[Any]:
    """Objects of the view layer that the armature deforms, and meshes with shape keys that hang from it.

    A spare costume in an excluded collection is none.
    """
    faces = face_meshes(armature)
    return [
        thing
        for thing in bpy.context.view_layer.objects
        if any(modifier.type == "ARMATURE" and modifier.object == armature for modifier in thing.modifiers)
        or (thing.type == "MESH" and thing.data.shape_keys is not None and thing in faces)
    ]


def action_range(armature: Any) -> tuple[int, int]:
    """First and last frame of the armature's active action. Raises ExportError when it has no keys."""
    curves = [curve for curve in action_fcurves(armature) if len(curve.keyframe_points)]
    if not curves:
        raise ExportError(f"{armature.name} has no keyed action. Bake a clip onto it first")
    spans = [curve.range() for curve in curves]
    return round(min(span[0] for span in spans)), round(max(span[1] for span in spans))


def export_action(armature: Any, path: Path, options: ExportOptions | None = None) -> Path:
    """Write the armature with its active action to `path`; the ending picks the format.

    The scene's frame range and selection are the same afterwards. Raises ExportError when the ending is unknown, the
    armature has no action or is not in the view layer, or Blender's exporter fails.
    """
    options = options or ExportOptions()
    kind = format_of_ending(path.suffix)
    if kind is None:
        raise ExportError(f"{path.name}: unknown ending. Use one of {', '.join(sorted(all_endings()))}")
    bpy.context.view_layer.update()  # a just unlinked object is listed until then
    if armature.name not in bpy.context.view_layer.objects:
        raise ExportError(f"{armature.name} is not in the active view layer. Make its collection visible there")
    with layers_merged(armature):
        result = _exported(armature, path, kind, options)
    if "FINISHED" not in result or not path.is_file():
        raise ExportError(f"{path.name}: Blender's {kind.label} exporter wrote no file")
    if kind.name == "bvh" and options.y_up:
        matrix = np.eye(4)
        matrix[:3, :3] = Y_UP
        turned = turned_bvh(path.read_text(encoding="utf-8"), matrix @ np.array(armature.matrix_world))
        path.write_text(turned, encoding="utf-8", newline="\n")  # as Blender writes it, on Windows too
    return path


def _exported(armature: Any, path: Path, kind: ExportFormat, options: ExportOptions) -> set[str]:
    """Run the exporter on the prepared armature; returns what it says."""
    first, last = action_range(armature)
    if kind.bones_only and _object_moves(armature):
        raise ExportError(
            f"{path.name}: {kind.label} holds bones only, and the object {armature.name} is keyed: "
            "its way would be lost. Bake with Root: Hips or Root Bone, or export FBX"
        )
    start = first if options.frame_start is None else options.frame_start
    end = last if options.frame_end is None else options.frame_end
    chosen = [armature, *(skinned_meshes(armature) if options.with_mesh and not kind.bones_only else [])]
    path.parent.mkdir(parents=True, exist_ok=True)
    _check_engine(armature, path, kind, options)
    with ExitStack() as meanwhile:
        if options.engine is Engine.UNREAL and kind.name == "fbx":
            chosen = meanwhile.enter_context(in_centimetres(armature, chosen[1:], range(start, end + 1)))
        for prepared in (_selected(chosen), _frame_range(start, end), _any_name_printed()):
            meanwhile.enter_context(prepared)
        meanwhile.enter_context(_named_for(chosen[0], options.engine))
        try:
            return _run_exporter(kind, path, (start, end), options)
        except RuntimeError as fault:
            raise ExportError(f"{path.name}: Blender's {kind.label} exporter failed: {fault}") from fault


def _check_engine(armature: Any, path: Path, kind: ExportFormat, options: ExportOptions) -> None:
    """Raise ExportError where an engine cannot read the format, or no bone deforms anything."""
    if options.engine is not Engine.NONE and not kind.deform_only_option:
        raise ExportError(f"{path.name}: {options.engine.name.capitalize()} reads no {kind.label}. Choose FBX or GLB")
    if options.bones_only_deform and not any(bone.use_deform for bone in armature.data.bones):
        raise ExportError(f"{armature.name} has no deform bone (Bone properties > Deform). Export all bones")
    same = names_that_meet((bone.name for bone in armature.data.bones if bone.use_deform), options.engine)
    if same:
        label = options.engine.name.capitalize()
        raise ExportError(f"{path.name}: {label} would take the bones {', '.join(same)} for one. Rename them")


@contextmanager
def _named_for(armature: Any, engine: Engine) -> Iterator[None]:
    """The object's name as the engine takes it, meanwhile: Unreal makes a bone of the armature object unless it is
    called Armature, so one with a root bone is called that and one without is called root.
    """
    name = armature.name
    roots = [bone for bone in armature.data.bones if bone.parent is None and bone.use_deform]
    if engine is not Engine.UNREAL:
        yield
        return
    single = len(roots) == 1 and roots[0].name.lower() in ("root", "reference", "armature_root")
    try:
        armature.name = "Armature" if single else "root"
        yield
    finally:
        armature.name = name


def _object_moves(armature: Any) -> bool:
    """Whether keys move the object itself."""
    for curve in action_fcurves(armature):
        if curve.data_path in OBJECT_PATHS and len({round(key.co.y, 5) for key in curve.keyframe_points}) > 1:
            return True
    return False


def _run_exporter(kind: ExportFormat, path: Path, frames: tuple[int, int], options: ExportOptions) -> set[str]:
    group, _, name = kind.exporter.partition(".")
    arguments: dict[str, Any] = dict(kind.options)
    if kind.takes_range:
        arguments |= {"frame_start": frames[0], "frame_end": frames[1]}
    if kind.deform_only_option:
        arguments[kind.deform_only_option] = options.bones_only_deform
    arguments |= kind.engine_options.get(options.engine, {})
    return getattr(getattr(bpy.ops, group), name)(filepath=str(path), **arguments)


@contextmanager
def _selected(objects: list[Any]) -> Iterator[None]:
    """Only these objects selected, the first one active. Raises ExportError for one that cannot be."""
    layer = bpy.context.view_layer
    before = [thing for thing in layer.objects if thing.select_get()]
    active = layer.objects.active
    mode = active.mode if active is not None else "OBJECT"
    if mode != "OBJECT":
        _set_mode(active, "OBJECT")
    with _selectable(objects):
        try:
            for thing in before:
                thing.select_set(False)
            for thing in objects:
                thing.select_set(True)
                if not thing.select_get():
                    raise ExportError(f"{thing.name} cannot be selected, so it would be missing. Make it visible")
            layer.objects.active = objects[0]
            yield
        finally:
            for thing in objects:
                thing.select_set(False)
            for thing in before:
                thing.select_set(True)
            layer.objects.active = active
            if mode != "OBJECT":
                _set_mode(active, mode)


def _set_mode(thing: Any, mode: Any) -> None:
    with bpy.context.temp_override(active_object=thing, object=thing):
        bpy.ops.object.mode_set(mode=mode)


@contextmanager
def _selectable(objects: list[Any]) -> Iterator[None]:
    """What keeps these objects, or the collections that hold them, from being shown and selected, lifted meanwhile:
    exporters leave out what is not selected.
    """
    layer = bpy.context.view_layer
    holders = [
        child for child in _layer_collections(layer.layer_collection) if any(_holds(child, one) for one in objects)
    ]
    switches = [(child, "hide_viewport") for child in holders]
    switches += [(child.collection, name) for child in holders for name in ("hide_viewport", "hide_select")]
    switches += [(one, name) for one in objects for name in ("hide_viewport", "hide_select")]
    was = [(holder, name, getattr(holder, name)) for holder, name in switches]
    hidden: list[Any] = []
    try:
        for holder, name in switches:
            if getattr(holder, name):
                setattr(holder, name, False)
        layer.update()
        hidden += [one for one in objects if one.hide_get()]
        for one in hidden:
            one.hide_set(False)
        yield
    finally:
        for one in hidden:
            one.hide_set(True)
        for holder, name, value in was:
            if getattr(holder, name) != value:
                setattr(holder, name, value)


def _holds(child: Any, thing: Any) -> bool:
    return not child.exclude and thing.name in child.collection.all_objects


def _layer_collections(top: Any) -> Iterator[Any]:
    yield top
    for child in top.children:
        yield from _layer_collections(child)


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
