"""The constraints of an armature's pose bones, as plain data. Reads only; bpy objects in, dataclasses out."""

from __future__ import annotations

import re
from typing import Any

from ..retarget.target_rig import BoneConstraint, InfluenceDriver

# what turns a bone away from its keys and can be switched off without changing where the bone stands at rest
_OVERRULING = {
    "IK", "SPLINE_IK", "COPY_ROTATION", "COPY_TRANSFORMS", "STRETCH_TO", "DAMPED_TRACK", "TRACK_TO", "LOCKED_TRACK",
    "LIMIT_ROTATION", "TRANSFORM", "ACTION", "ARMATURE", "COPY_LOCATION",
}  # fmt: skip
# what does not turn a bone
_HARMLESS = {"LIMIT_LOCATION", "LIMIT_SCALE", "COPY_SCALE", "MAINTAIN_VOLUME", "LIMIT_DISTANCE", "FLOOR"}


def read_constraints(armature: Any) -> tuple[BoneConstraint, ...]:
    """All constraints that overrule rotations and are not muted, those of no influence included."""
    drivers = _influence_drivers(armature)
    return tuple(
        _constraint(armature, bone, constraint, drivers.get((bone.name, constraint.name)))
        for bone in armature.pose.bones
        for constraint in bone.constraints
        if constraint.enabled and constraint.type in _OVERRULING
    )


def held_otherwise(pose_bone: Any) -> bool:
    """Whether a constraint of another kind holds a bone, such as Child Of."""
    return any(
        constraint.enabled and constraint.influence > 0.0 and constraint.type not in _OVERRULING | _HARMLESS
        for constraint in pose_bone.constraints
    )


def _constraint(armature: Any, bone: Any, constraint: Any, driver: Any) -> BoneConstraint:
    is_ik = constraint.type == "IK"
    return BoneConstraint(
        bone=bone.name,
        name=constraint.name,
        kind=constraint.type,
        influence=float(constraint.influence),
        target=_bone_of(armature, constraint, "target", "subtarget"),
        pole=_bone_of(armature, constraint, "pole_target", "pole_subtarget") if is_ik else None,
        pole_angle_rad=float(constraint.pole_angle) if is_ik else 0.0,
        chain=_chain(bone, constraint) if is_ik else (),
        use_tail=bool(constraint.use_tail) if is_ik else True,
        driven=driver is not None,
        driver=None if driver is None else _influence_driver(armature, driver),
    )


def _bone_of(armature: Any, constraint: Any, thing: str, bone: str) -> str | None:
    """The bone of the same armature that a constraint aims at."""
    name = getattr(constraint, bone, "")
    return name if getattr(constraint, thing, None) == armature and name in armature.pose.bones else None


def _chain(bone: Any, constraint: Any) -> tuple[str, ...]:
    """The bones that an IK constraint moves, tip first."""
    at = bone if constraint.use_tail else bone.parent
    found: list[str] = []
    while at is not None and (constraint.chain_count == 0 or len(found) < constraint.chain_count):
        found.append(at.name)
        at = at.parent
    return tuple(found)


def _influence_drivers(armature: Any) -> dict[tuple[str, str], Any]:
    """Drivers of influences by bone and constraint."""
    data = armature.animation_data
    found = {}
    for curve in data.drivers if data is not None else ():
        match = re.fullmatch(r'pose\.bones\["(.+)"\]\.constraints\["(.+)"\]\.influence', curve.data_path)
        if match:
            found[match[1], match[2]] = curve.driver
    return found


def _influence_driver(armature: Any, driver: Any) -> InfluenceDriver | None:
    """The property behind a driver that passes on one number, or one minus it."""
    if len(driver.variables) != 1 or driver.variables[0].type != "SINGLE_PROP":
        return None
    variable = driver.variables[0]
    target = variable.targets[0]
    match = re.fullmatch(r'pose\.bones\["(.+)"\]\["(.+)"\]', target.data_path)
    if target.id != armature or match is None:
        return None
    name = re.escape(variable.name)
    if driver.type != "SCRIPTED" or re.fullmatch(rf"\s*{name}\s*", driver.expression):
        return InfluenceDriver(match[1], match[2], 0.0, 1.0)
    if re.fullmatch(rf"\s*1(\.0*)?\s*-\s*{name}\s*", driver.expression):
        return InfluenceDriver(match[1], match[2], 1.0, 0.0)
    return None
