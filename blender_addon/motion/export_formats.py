"""The animation files that Blender writes, one row a format: for the panel, batch conversion and tools. stdlib only.

A new format is a row here, a member of `OutputKind` in `backend/batch/tasks.py` where batch conversion offers it, and a
line in the documentation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any


class Engine(Enum):
    """Whose conventions an export follows: NONE as Blender has it, else axes, units, bones and the root's name."""

    NONE = "none"
    UNREAL = "unreal"
    UNITY = "unity"
    GODOT = "godot"


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """One format, and the operators of `bpy.ops` that write and read it."""

    name: str
    """The name on the command line."""
    label: str
    """The name for people."""
    description: str
    """The tooltip in the list of formats."""
    endings: tuple[str, ...]
    """Endings that mean this format; a name without an ending gets the first."""
    exporter: str
    """The operator that writes the selection, as `export_scene.fbx`."""
    importer: str
    """The operator that reads the file again."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of the exporter besides `filepath`."""
    in_batch: bool = True
    """Whether `batch --format` offers it."""
    takes_range: bool = False
    """Whether the exporter is given the frame range as arguments instead of reading the scene's."""
    deform_only_option: str = ""
    """The exporter's argument that leaves out control bones; empty where there is none. Engines read these formats."""
    engine_options: Mapping[Engine, Mapping[str, Any]] = field(default_factory=dict)
    """Arguments of the exporter for an engine: axes, and the unit in the file."""
    bones_only: bool = False
    """Whether it holds bones only: no meshes, and no motion of the armature object itself."""


_Y_UP = {"axis_forward": "-Z", "axis_up": "Y"}

EXPORT_FORMATS = (
    ExportFormat(
        "bvh",
        "BVH",
        "Skeleton and motion as text",
        endings=(".bvh",),
        exporter="export_anim.bvh",
        importer="import_anim.bvh",
        options=MappingProxyType({"rotate_mode": "NATIVE"}),
        takes_range=True,
        bones_only=True,
    ),
    ExportFormat(
        "fbx",
        "FBX",
        "For game engines and other 3D programs",
        endings=(".fbx",),
        exporter="export_scene.fbx",
        importer="import_scene.fbx",
        deform_only_option="use_armature_deform_only",
        options=MappingProxyType(
            {
                "use_selection": True,
                "object_types": {"ARMATURE", "MESH"},
                "add_leaf_bones": False,
                "bake_anim": True,
                "bake_anim_use_all_bones": True,
                "bake_anim_use_nla_strips": False,
                "bake_anim_use_all_actions": False,
                # the exporter's default drops keys up to centimetres off
                "bake_anim_simplify_factor": 0.0,
            }
        ),
        engine_options=MappingProxyType(
            {
                Engine.UNREAL: MappingProxyType({**_Y_UP, "apply_scale_options": "FBX_SCALE_NONE"}),
                Engine.UNITY: MappingProxyType({**_Y_UP, "apply_scale_options": "FBX_SCALE_ALL"}),
                Engine.GODOT: MappingProxyType({**_Y_UP, "apply_scale_options": "FBX_SCALE_UNITS"}),
            }
        ),
    ),
    ExportFormat(
        "glb",
        "GLB",
        "glTF in one file, for the web and engines",
        endings=(".glb",),
        exporter="export_scene.gltf",
        importer="import_scene.gltf",
        deform_only_option="export_def_bones",
        options=MappingProxyType(
            {
                "export_format": "GLB",
                "use_selection": True,
                "export_animations": True,
                "export_animation_mode": "ACTIVE_ACTIONS",
                # else every other action of the file that fits is played and written too, and leaves its last frame
                "export_anim_single_armature": False,
                "export_frame_range": True,
                "export_force_sampling": True,
                "export_optimize_animation_size": False,
            }
        ),
    ),
    ExportFormat(
        "usd",
        "USD",
        "Universal Scene Description",
        endings=(".usdc", ".usd", ".usda"),
        exporter="wm.usd_export",
        importer="wm.usd_import",
        options=MappingProxyType({"selected_objects_only": True, "export_animation": True, "export_armatures": True}),
    ),
)

DEFAULT_FORMAT = "fbx"


def format_named(name: str) -> ExportFormat | None:
    """The format of a name on the command line, or None."""
    return next((one for one in EXPORT_FORMATS if one.name == name), None)


def format_of_ending(ending: str) -> ExportFormat | None:
    """The format of a file name's ending, in capitals or not, or None."""
    return next((one for one in EXPORT_FORMATS if ending.lower() in one.endings), None)


def all_endings() -> tuple[str, ...]:
    """Every ending that means a format."""
    return tuple(ending for one in EXPORT_FORMATS for ending in one.endings)


def engine_bone_name(name: str, engine: Engine) -> str:
    """A bone's name as an engine reads it: what it replaces is replaced. Unreal does not tell capitals apart."""
    if engine is Engine.UNREAL:
        bare = name.strip().rpartition(":")[2] or name
        return bare.translate(str.maketrans(" .,/`%", "-_____")).casefold()
    return name.translate(str.maketrans(":/", "__")) if engine is Engine.GODOT else name


def names_that_meet(names: Iterable[str], engine: Engine) -> tuple[str, ...]:
    """Bones that an engine would take for one, the first such group; empty where each has a name of its own."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(engine_bone_name(name, engine), []).append(name)
    return next((tuple(group) for group in groups.values() if len(group) > 1), ())
