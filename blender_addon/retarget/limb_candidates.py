"""What name matching and shape matching both find, and the trunk that follows from it. Its own room and numpy only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .map_files import share_spine
from .skeleton_map import TwistBone
from .target_rig import TargetRig

ARM_KINDS = ("clavicle", "shoulder", "elbow", "wrist")
LEG_KINDS = ("hip", "knee", "ankle", "toe")


@dataclass(frozen=True, slots=True)
class Limbs:
    """Limbs found by one way of looking: canonical limb joints and the head to bone indices, parent first."""

    joints: Mapping[str, tuple[int, ...]]
    twists: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def first(self, joint: str) -> int | None:
        """A joint's first bone."""
        bones = self.joints.get(joint, ())
        return bones[0] if bones else None


def ancestors(rig: TargetRig, bone: int) -> list[int]:
    """The bone and its ancestors, child first."""
    path = [bone]
    while rig.parents[path[-1]] >= 0:
        path.append(int(rig.parents[path[-1]]))
    return path


def meeting_bone(rig: TargetRig, bones: list[int]) -> int | None:
    """The lowest bone from which all of the bones hang (itself included when it is one of them)."""
    if not bones:
        return None
    paths = [ancestors(rig, bone) for bone in bones]
    return next((bone for bone in paths[0] if all(bone in path for path in paths[1:])), None)


def add_trunk(rig: TargetRig, limbs: Limbs) -> dict[str, tuple[str, ...]]:
    """All joints by bone name: limbs as found, pelvis, spine and neck from where the limbs meet.

    The pelvis is the bone from which legs and upper body hang; the spine is what lies between it and the bone that
    arms and neck hang from, which is the last of it; the neck is what lies between that and the head.
    """
    legs = [bone for side in ("left", "right") if (bone := limbs.first(f"{side}_hip")) is not None]
    arms = [
        bone
        for side in ("left", "right")
        if (bone := _first_of(limbs, f"{side}_clavicle", f"{side}_shoulder")) is not None
    ]
    head = limbs.first("head")
    upper = arms + ([head] if head is not None else [])
    chest = meeting_bone(rig, upper) if len(upper) > 1 else (int(rig.parents[upper[0]]) if upper else None)
    if chest is not None and chest in upper:
        chest = int(rig.parents[chest])
    joints = {joint: tuple(rig.bone_names[bone] for bone in bones) for joint, bones in limbs.joints.items()}
    pelvis = _pelvis(rig, legs, chest)
    if pelvis is None:
        return joints
    joints["pelvis"] = (rig.bone_names[pelvis],)
    if chest is None or chest < 0:
        return joints
    path = ancestors(rig, chest)
    spine = tuple(reversed(path[: path.index(pelvis)])) if pelvis in path else ()
    joints |= share_spine(tuple(rig.bone_names[bone] for bone in spine))
    if head is not None:
        above = ancestors(rig, head)[1:]
        neck = above[: above.index(chest)] if chest in above else []
        if neck:
            joints["neck"] = tuple(rig.bone_names[bone] for bone in reversed(neck))
    return joints


def _pelvis(rig: TargetRig, legs: list[int], chest: int | None) -> int | None:
    below = legs + ([chest] if chest is not None and chest >= 0 else [])
    if not legs:
        return None if chest is None or chest < 0 else ancestors(rig, chest)[-1]
    meeting = meeting_bone(rig, below)
    return int(rig.parents[meeting]) if meeting in legs and rig.parents[meeting] >= 0 else meeting


def _first_of(limbs: Limbs, *joints: str) -> int | None:
    return next((bone for joint in joints if (bone := limbs.first(joint)) is not None), None)


def twist_rows(rig: TargetRig, limbs: Limbs) -> dict[str, tuple[TwistBone, ...]]:
    """Bones beside a joint that take its whole rotation, such as the other toes."""
    return {
        joint: tuple(TwistBone(rig.bone_names[bone], 1.0) for bone in bones)
        for joint, bones in limbs.twists.items()
        if bones
    }
