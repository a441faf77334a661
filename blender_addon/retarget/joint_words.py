"""Joints in the words that riggers use: the bone that carries a joint, not the joint that it begins at. No imports."""

from __future__ import annotations

_PARTS = {
    "pelvis": "Hips",
    "spine": "Spine",
    "chest": "Chest",
    "upper_chest": "Upper Chest",
    "neck": "Neck",
    "head": "Head",
    "clavicle": "Clavicle",
    "shoulder": "Upper Arm",
    "elbow": "Forearm",
    "wrist": "Hand",
    "hand": "Knuckles",
    "hip": "Thigh",
    "knee": "Shin",
    "ankle": "Foot",
    "toe": "Toes",
    "thumb": "Thumb",
    "index": "Index Finger",
    "middle": "Middle Finger",
    "ring": "Ring Finger",
    "little": "Little Finger",
}
# joints that a complete rig may lack
SPARE_JOINTS = ("left_hand", "right_hand", "chest", "upper_chest")


def joint_label(joint: str) -> str:
    """A joint's label, such as "Left Upper Arm" for `left_shoulder`."""
    side, _, part = joint.partition("_")
    if side in ("left", "right"):
        return f"{side.capitalize()} {_PARTS.get(part, part)}"
    return _PARTS.get(joint, joint)


def short_label(joint: str) -> str:
    """The label with L or R for the side, for narrow lists."""
    return joint_label(joint).replace("Left ", "L ").replace("Right ", "R ")


def short_bone(bone: str) -> str:
    """A bone's name without its namespace."""
    return bone.rpartition(":")[2] or bone


def sentences(parts: tuple[str, ...] | list[str]) -> str:
    """Parts as sentences: each begins with a capital and ends with a stop."""
    return " ".join(part[:1].upper() + part[1:].rstrip(". ") + "." for part in parts if part)
