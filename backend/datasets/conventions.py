"""Which joint of a mocap file is which joint of the canonical body: one table a naming convention. Data only.

A value is the source joint whose world rotation the canonical joint takes. `left_*` rows are written once and
mirrored by each convention's own side words. A canonical joint that a convention lacks follows its parent.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Convention:
    """`joints`: canonical joint -> source joint. `first_frame_is_rest`: the zero pose is no T-pose, frame 0 is."""

    name: str
    joints: dict[str, str]
    first_frame_is_rest: bool = False
    neck_between: bool = False


_LIMBS = ("clavicle", "shoulder", "elbow", "wrist", "hand", "hip", "knee", "ankle", "toe")


def _with_sides(center: dict[str, str], limbs: tuple[str, ...], left: str, right: str) -> dict[str, str]:
    """Fill `{}` of each limb's source name with the side's word; an empty name leaves the joint out."""
    joints = dict(center)
    for side, word in (("left", left), ("right", right)):
        joints.update({f"{side}_{k}": v.format(word) for k, v in zip(_LIMBS, limbs, strict=True) if v})
    return joints


CONVENTIONS = (
    Convention(
        "acclaim",
        _with_sides(
            {"pelvis": "root", "spine": "lowerback", "chest": "upperback", "upper_chest": "thorax", "head": "head"},
            ("{}clavicle", "{}humerus", "{}radius", "{}wrist", "{}hand", "{}femur", "{}tibia", "{}foot", "{}toes"),
            "l",
            "r",
        ),
        neck_between=True,
    ),
    Convention(
        "daz",
        _with_sides(
            {"pelvis": "hip", "spine": "abdomen", "upper_chest": "chest", "neck": "neck", "head": "head"},
            ("{}Collar", "{}Shldr", "{}ForeArm", "{}Hand", "{}Mid1", "{}Thigh", "{}Shin", "{}Foot", ""),
            "l",
            "r",
        ),
    ),
    Convention(
        "character_creator",
        _with_sides(
            {
                "pelvis": "CC_Base_Pelvis",
                "spine": "CC_Base_Waist",
                "chest": "CC_Base_Spine01",
                "upper_chest": "CC_Base_Spine02",
                "head": "CC_Base_Head",
            },
            tuple(
                f"CC_Base_{{}}_{part}"
                for part in ("Clavicle", "Upperarm", "Forearm", "Hand", "Mid1", "Thigh", "Calf", "Foot", "ToeBase")
            ),
            "L",
            "R",
        ),
        first_frame_is_rest=True,
        neck_between=True,
    ),
    Convention(
        "3ds_max",
        _with_sides(
            {"pelvis": "Hips", "spine": "lowerback", "chest": "Chest", "upper_chest": "Chest2", "head": "Head"},
            ("{}Collar", "{}Shoulder", "{}Elbow", "{}Wrist", "", "{}Hip", "{}Knee", "{}Ankle", "{}Toe"),
            "Left",
            "Right",
        ),
        neck_between=True,
    ),
    Convention(
        "motionbuilder",
        _with_sides(
            {
                "pelvis": "Hips",
                "spine": "Spine",
                "chest": "Spine1",
                "upper_chest": "Spine2",
                "neck": "Neck",
                "head": "Head",
            },
            ("{}Shoulder", "{}Arm", "{}ForeArm", "{}Hand", "", "{}UpLeg", "{}Leg", "{}Foot", "{}ToeBase"),
            "Left",
            "Right",
        ),
    ),
    Convention(
        "kaykit",
        _with_sides(
            {"pelvis": "hips", "spine": "spine", "chest": "spine", "upper_chest": "chest", "head": "head"},
            (
                "",
                "upperarm.{}",
                "lowerarm.{}",
                "wrist.{}",
                "hand.{}",
                "upperleg.{}",
                "lowerleg.{}",
                "foot.{}",
                "toes.{}",
            ),
            "l",
            "r",
        ),
        neck_between=True,
    ),
)
"""Tried in order; names are compared without a namespace, prefix (`Character1_`, `mixamorig:`) or case."""
