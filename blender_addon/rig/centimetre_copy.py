"""A character with sizes in centimetres, for Unreal: copies of the armature with its motion and of its meshes.

Blender's FBX exporter writes metres and scales the objects by 100, so that in Unreal the root bone has a scale of 100.
The copies are a hundred times as large themselves, in a scene whose unit is the centimetre. May import bpy.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from .actions import Channel, assign_action, bone_path, channelbag, write_channels
from .rotation_modes import rotation_values
from .sampled_action import frame_kept

Array = NDArray[np.floating]

_CM = 100.0
_SCALED = 1e-4


@contextmanager
def in_centimetres(armature: Any, meshes: list[Any], frames: range) -> Iterator[list[Any]]:
    """Meanwhile: the armature's copy, unscaled and with a key every frame on every bone, then the meshes' copies, under
    the names of the originals; the scene's unit is the centimetre.
    """
    scene = bpy.context.scene
    unit = scene.unit_settings.scale_length
    with ExitStack() as undo:
        double = _bare_copy(armature, undo)
        size = _CM * float(np.mean(np.abs(armature.matrix_world.to_scale())))
        double.data.transform(Matrix.Scale(size, 4))
        double.matrix_world = _unscaled(armature.matrix_world)
        bodies = [_mesh_copy(mesh, armature, double, undo) for mesh in meshes]
        action = bpy.data.actions.new(armature.animation_data.action.name)
        undo.callback(bpy.data.actions.remove, action)
        channels = _channels(armature, double, frames, size)
        assign_action(double, action)
        write_channels(channelbag(double), channels)
        for original, copy in ((armature, double), *zip(meshes, bodies, strict=True)):
            _take_name(original, copy, undo)
        undo.callback(setattr, scene.unit_settings, "scale_length", unit)
        scene.unit_settings.scale_length = 1.0 / _CM
        bpy.context.view_layer.update()
        yield [double, *bodies]


def _unscaled(matrix: Any) -> Any:
    """A world matrix in metres as one in centimetres, without scale."""
    place, turn, _ = matrix.decompose()
    return Matrix.LocRotScale(place * _CM, turn, None)


def _bare_copy(thing: Any, undo: ExitStack) -> Any:
    """A copy of an object with data of its own, without animation, constraints and parent, in the scene."""
    copy = thing.copy()
    copy.data = thing.data.copy()
    undo.callback(_remove, copy)
    copy.animation_data_clear()
    copy.data.animation_data_clear()
    copy.parent = None
    for constraint in list(copy.constraints):
        copy.constraints.remove(constraint)
    if copy.type == "ARMATURE":
        for bone in copy.pose.bones:
            bone.rotation_mode = "QUATERNION"
            for constraint in list(bone.constraints):
                bone.constraints.remove(constraint)
    bpy.context.scene.collection.objects.link(copy)
    copy.delta_location, copy.delta_scale = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    return copy


def _remove(copy: Any) -> None:
    """Remove a copy with its data."""
    data, kind = copy.data, copy.type
    bpy.data.objects.remove(copy)
    if not data.users:
        (bpy.data.armatures if kind == "ARMATURE" else bpy.data.meshes).remove(data)


def _take_name(original: Any, copy: Any, undo: ExitStack) -> None:
    """Give the copy the original's name, and the original its own back afterwards."""
    for owner, other in ((original, copy), (original.data, copy.data)):
        if owner.library is not None:
            continue
        name = owner.name
        undo.callback(setattr, owner, "name", name)
        undo.callback(setattr, other, "name", f"{name} copy")
        owner.name = f"{name} original"
        other.name = name


def _mesh_copy(mesh: Any, armature: Any, double: Any, undo: ExitStack) -> Any:
    """A mesh's copy that hangs from the armature's, its vertices in centimetres in the armature's space."""
    shaped = None
    if any(modifier.type != "ARMATURE" and modifier.show_viewport for modifier in mesh.modifiers):
        shaped = _with_modifiers(mesh)  # a thickness or a distance of theirs would not grow along
    world = mesh.matrix_world.copy()
    copy = _bare_copy(mesh, undo)
    if shaped is not None:
        old, copy.data = copy.data, shaped
        bpy.data.meshes.remove(old)
    for modifier in list(copy.modifiers):
        if modifier.type != "ARMATURE":
            copy.modifiers.remove(modifier)
        elif modifier.object == armature:
            modifier.object = double
    copy.data.transform(double.matrix_world.inverted_safe() @ Matrix.Scale(_CM, 4) @ world, shape_keys=True)
    copy.parent, copy.matrix_parent_inverse = double, Matrix()
    copy.matrix_basis = Matrix()
    return copy


def _with_modifiers(mesh: Any) -> Any:
    """The mesh with its modifiers applied, except those of armatures."""
    rigged = [modifier for modifier in mesh.modifiers if modifier.type == "ARMATURE" and modifier.show_viewport]
    try:
        for modifier in rigged:
            modifier.show_viewport = False
        evaluated = mesh.evaluated_get(bpy.context.evaluated_depsgraph_get())
        return bpy.data.meshes.new_from_object(evaluated)
    finally:
        for modifier in rigged:
            modifier.show_viewport = True


def _channels(armature: Any, double: Any, frames: range, size: float) -> list[Channel]:
    """The copy's channels that pose it as the armature is posed at scene frames, constraints and layers included."""
    names = [bone.name for bone in armature.pose.bones]
    posed, world = [], []
    with frame_kept() as scene:
        for frame in frames:
            scene.frame_set(frame)
            posed.append({name: armature.pose.bones[name].matrix.copy() for name in names})
            world.append(_unscaled(armature.matrix_world))
    for row in posed:
        for matrix in row.values():
            matrix.translation *= size
    at = np.array(frames, float)
    channels = [channel for name in names for channel in _bone_channels(double.pose.bones[name], posed, at)]
    places = np.array([matrix.to_translation() for matrix in world])
    turns = np.array([matrix.to_quaternion() for matrix in world])
    if np.ptp(places, axis=0).max() > _SCALED or np.ptp(turns, axis=0).max() > _SCALED:
        prop, values = rotation_values(turns, double.rotation_mode)
        channels += [Channel("location", "", at, places), Channel(prop, "", at, values)]
    return channels


def _bone_channels(pose_bone: Any, posed: list[dict[str, Any]], at: Array) -> list[Channel]:
    """One bone's channels for its matrices, in the armature's space, at frames (T,)."""
    bone, parent, name = pose_bone.bone, pose_bone.parent, pose_bone.name
    basis = []
    for row in posed:
        above = {}
        if parent is not None:
            above = {"parent_matrix": row[parent.name], "parent_matrix_local": parent.bone.matrix_local}
        basis.append(bone.convert_local_to_pose(row[name], bone.matrix_local, **above, invert=True))
    prop, turns = rotation_values(np.array([matrix.to_quaternion() for matrix in basis]), "QUATERNION")
    scales = np.array([matrix.to_scale() for matrix in basis])
    channels = [Channel(bone_path(name, prop), name, at, turns)]
    if not bone.use_connect:
        places = np.array([matrix.to_translation() for matrix in basis])
        channels.append(Channel(bone_path(name, "location"), name, at, places))
    if np.abs(scales - 1.0).max() > _SCALED:
        channels.append(Channel(bone_path(name, "scale"), name, at, scales))
    return channels
