"""Faces to animate, in Blender: a mesh of named shape keys on an armature."""

from __future__ import annotations

from typing import Any

import bpy


def face_mesh(armature: Any, names: list[str], bone: str | None = None, mesh_name: str = "Face") -> Any:
    """A small mesh with those shape keys, each of which moves one corner up; deformed by the armature, or on a bone."""
    mesh = bpy.data.meshes.new(mesh_name)
    count = max(len(names), 3)
    mesh.from_pydata([(0.01 * i, 0.0, 0.0) for i in range(count)], [], [(0, 1, 2)])
    thing = bpy.data.objects.new(mesh_name, mesh)
    bpy.context.scene.collection.objects.link(thing)
    thing.shape_key_add(name="Basis")
    for number, name in enumerate(names):
        block = thing.shape_key_add(name=name)
        block.data[number].co.z += 0.01
        block.value = 0.0  # Blender 5.2 begins with 1
    if bone is None:
        thing.modifiers.new("Armature", "ARMATURE").object = armature
    else:
        thing.parent, thing.parent_type, thing.parent_bone = armature, "BONE", bone
    return thing
