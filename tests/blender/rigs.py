"""Small rigs for the tests, built on the spot."""

from __future__ import annotations

from typing import Any

import bpy

from blender_addon.motion.body import canonical_body


def canonical_armature(name: str = "Puppet", prefix: str = "", scale: float = 1.0) -> Any:
    """An armature with one bone a joint of the canonical body, in its T-pose, bones pointing at the first child."""
    body = canonical_body()
    rest = body.rest_positions_m() * scale
    data = bpy.data.armatures.new(name)
    armature = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(armature)
    bpy.context.view_layer.objects.active = armature
    armature.select_set(True)
    bpy.ops.object.mode_set(mode="EDIT")
    for joint, joint_name in enumerate(body.joint_names):
        bone = data.edit_bones.new(prefix + joint_name)
        children = [child for child, parent in enumerate(body.parents) if parent == joint]
        bone.head = rest[joint]
        bone.tail = rest[children[0]] if children else rest[joint] + [0.0, 0.0, 0.1 * scale]
        if body.parents[joint] >= 0:
            bone.parent = data.edit_bones[prefix + body.joint_names[body.parents[joint]]]
    bpy.ops.object.mode_set(mode="OBJECT")
    return armature
