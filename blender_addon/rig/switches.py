"""Numbers on pose bones that choose how a rig works: custom properties such as Rigify's IK_FK, and the bone's own
settings such as `ik_stretch`. Read, set, and named as an F-curve names them. May import bpy.
"""

from __future__ import annotations

from typing import Any

import bpy

from ..retarget.own_ik import INFLUENCE, MMD_TOGGLE
from .actions import bone_path

# settings that every pose bone has and that a skeleton map may switch
OWN_SETTINGS = ("ik_stretch", MMD_TOGGLE)


def switchable(pose_bones: Any) -> frozenset[tuple[str, str]]:
    """The (bone, name) pairs of numbers that can be switched."""
    found = set()
    for pose_bone in pose_bones:
        for key in list(pose_bone.keys()):  # a pose bone's properties are no mapping of its own
            if isinstance(pose_bone[key], bool | int | float):
                found.add((pose_bone.name, key))
        found |= {(pose_bone.name, name) for name in OWN_SETTINGS if getattr(pose_bone, name, None)}
    return frozenset(found)


def _is_own(pose_bone: Any, name: str) -> bool:
    """Whether a name is one of the bone's own settings here; MMD's exists where its add-on is active."""
    return name in OWN_SETTINGS and hasattr(pose_bone, name)


def read_switch(pose_bone: Any, name: str) -> float | None:
    """The present value, None when the bone has no such number."""
    if name.startswith(INFLUENCE):
        constraint = pose_bone.constraints.get(name.removeprefix(INFLUENCE))
        return None if constraint is None else float(constraint.influence)
    return getattr(pose_bone, name) if _is_own(pose_bone, name) else pose_bone.get(name)


def set_switch(pose_bone: Any, name: str, value: float) -> None:
    """Set a value, in the type that the property has; one that is set already is not touched."""
    if name.startswith(INFLUENCE):
        constraint = pose_bone.constraints.get(name.removeprefix(INFLUENCE))
        if constraint is not None and constraint.influence != value:
            constraint.influence = value
        return
    if _is_own(pose_bone, name):
        old = getattr(pose_bone, name)
        if old != value:  # an assignment has Blender build its IK anew
            setattr(pose_bone, name, type(old)(value))
        return
    old = pose_bone.get(name)
    pose_bone[name] = type(old)(value) if isinstance(old, bool | int | float) else value


def switch_path(bone: str, name: str) -> str:
    """The data path of a switch, from the object."""
    if name.startswith(INFLUENCE):
        constraint = bpy.utils.escape_identifier(name.removeprefix(INFLUENCE))
        return bone_path(bone, f'constraints["{constraint}"].influence')
    own = name in OWN_SETTINGS and name in bpy.types.PoseBone.bl_rna.properties
    return bone_path(bone, name if own else f'["{bpy.utils.escape_identifier(name)}"]')
