"""Read a Blender armature object into a `TargetRig`; changes nothing in the file. bpy objects in, arrays out.

Works on local, linked and overridden armatures: only reads rest data and pose channels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..retarget.target_rig import TargetRig
from .read_constraints import held_otherwise, read_constraints
from .switches import switchable

Array = NDArray[np.floating]


def read_armature(armature_object: Any) -> TargetRig:
    """The rest pose and set-up of an armature object (Blender 4.2 to 5.x).

    Raises TypeError for an object that is no armature, ValueError for an armature without bones.
    """
    if armature_object is None or armature_object.type != "ARMATURE":
        raise TypeError(f"{getattr(armature_object, 'name', None)!r} is not an armature object")
    bones = _parents_first(armature_object.data.bones)
    if not bones:
        raise ValueError(f"the armature {armature_object.name!r} has no bones")
    index = {bone.name: place for place, bone in enumerate(bones)}
    pose_bones = [armature_object.pose.bones[bone.name] for bone in bones]
    driven = _driven_bones(armature_object)
    return TargetRig(
        name=armature_object.name,
        bone_names=tuple(bone.name for bone in bones),
        parents=np.array([index[bone.parent.name] if bone.parent else -1 for bone in bones], dtype=np.intp),
        rest_matrices=np.array([bone.matrix_local for bone in bones], dtype=np.float64),
        lengths=np.array([bone.length for bone in bones], dtype=np.float64),
        rotation_modes=tuple(pose_bone.rotation_mode for pose_bone in pose_bones),
        object_matrix=np.array(armature_object.matrix_world, dtype=np.float64),
        inherit_rotation=np.array([bone.use_inherit_rotation for bone in bones], dtype=bool),
        local_location=np.array([bone.use_local_location for bone in bones], dtype=bool),
        basis=np.array([pose_bone.matrix_basis for pose_bone in pose_bones], dtype=np.float64),
        constrained=np.array([held_otherwise(pose_bone) or pose_bone.name in driven for pose_bone in pose_bones]),
        deform=np.array([bone.use_deform for bone in bones], dtype=bool),
        properties=switchable(pose_bones),
        skin_bounds=_skin_bounds(armature_object),
        connected=np.array([bone.use_connect and bone.parent is not None for bone in bones], dtype=bool),
        constraints=read_constraints(armature_object),
        mirrored=_mirrored(armature_object),
    )


def _mirrored(armature_object: Any) -> tuple[float, float, float]:
    x, y, z = (float(np.copysign(1.0, scale)) for scale in armature_object.scale)
    return x, y, z


def _parents_first(bones: Any) -> list[Any]:
    ordered: list[Any] = []
    waiting = [bone for bone in bones if bone.parent is None]
    while waiting:
        bone = waiting.pop(0)
        ordered.append(bone)
        waiting.extend(bone.children)
    return ordered


def _driven_bones(armature_object: Any) -> set[str]:
    """Bones with a driver on a rotation channel."""
    animation = armature_object.animation_data
    if animation is None:
        return set()
    return {
        curve.data_path.split('"')[1]
        for curve in animation.drivers
        if curve.data_path.startswith('pose.bones["') and ".rotation" in curve.data_path.rpartition('"]')[2]
    }


def _skin_bounds(armature_object: Any) -> Array | None:
    """The box (2, 3), in armature space, around the rest vertices of the meshes that the armature deforms."""
    clouds = [_vertices_in(armature_object, item) for item in _deformed_meshes(armature_object)]
    if not clouds:
        return None
    points = np.concatenate(clouds)
    return np.stack([points.min(axis=0), points.max(axis=0)])


def _deformed_meshes(armature_object: Any) -> list[Any]:
    import bpy

    return [
        item
        for item in bpy.data.objects
        if item.type == "MESH" and len(item.data.vertices) and _is_deformed_by(item, armature_object)
    ]


def _is_deformed_by(thing: Any, armature_object: Any) -> bool:
    return any(modifier.type == "ARMATURE" and modifier.object == armature_object for modifier in thing.modifiers)


def _vertices_in(armature_object: Any, mesh_object: Any) -> Array:
    flat = np.empty(len(mesh_object.data.vertices) * 3, dtype=np.float32)
    mesh_object.data.vertices.foreach_get("co", flat)
    armature_from_mesh = np.array(armature_object.matrix_world.inverted_safe() @ mesh_object.matrix_world)
    return np.asarray(flat.reshape(-1, 3) @ armature_from_mesh[:3, :3].T + armature_from_mesh[:3, 3])
