"""Joints that a map found in one way lacks, or has wrongly: filled in and taken out, in place. Its own room and numpy.

`joints` maps canonical joints to bone names, `notes` to (confidence, reason).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .bone_names import read_name
from .joint_words import SPARE_JOINTS
from .limb_candidates import LEG_KINDS, ancestors
from .match_words import match_words, name_kinds
from .target_rig import TargetRig

Joints = dict[str, tuple[str, ...]]
Notes = dict[str, tuple[float, str]]

_BEFORE = {"elbow": "shoulder", "wrist": "elbow", "knee": "hip", "ankle": "knee", "toe": "ankle"}
# toes nearer to the ankle than this part of the shin sit where it does; feet count as the shin's up to this far off
_HEAP, _FOOT_NEAR = 0.06, 0.5


def add_by_words(rig: TargetRig, joints: Joints, notes: Notes) -> None:
    """Give joints that a family leaves empty the bones whose names tell them, where they hang in place."""
    taken = {bone for bones in joints.values() for bone in bones}
    for joint, bones in match_words(rig).joints.items():
        names = tuple(rig.bone_names[bone] for bone in bones)
        side, _, kind = joint.rpartition("_")
        before = joints.get(f"{side}_{_BEFORE.get(kind, '')}", ())
        hangs = not before or rig.index(before[-1]) in ancestors(rig, bones[0])
        if joint not in joints and joint not in SPARE_JOINTS and not taken & set(names) and hangs:
            joints[joint], notes[joint] = names, (0.8, "its name says so; the family calls it otherwise")


def drop_heaps(rig: TargetRig, joints: Joints) -> None:
    """Take out toes that sit where the ankle does (collision volumes); another toe bone takes their place if any."""
    heads = rig.heads()
    for side in ("left", "right"):
        knee, ankle, toe = (joints.get(f"{side}_{kind}") for kind in ("knee", "ankle", "toe"))
        if not (knee and ankle and toe):
            continue
        foot = rig.index(ankle[0])
        away = np.linalg.norm(heads - heads[foot], axis=-1)
        least = _HEAP * float(away[rig.index(knee[0])])
        if away[rig.index(toe[0])] > least:
            continue
        others = [
            bone
            for bone, name in enumerate(rig.bone_names)
            if away[bone] > least
            and foot in ancestors(rig, bone)[1:]
            and "toe" in name_kinds(read_name(name), LEG_KINDS)
        ]
        best = min(others, key=lambda bone: (not rig.deform[bone], len(ancestors(rig, bone))), default=None)
        joints[f"{side}_toe"] = () if best is None else (rig.bone_names[best],)


def stands_at_the_shin(rig: TargetRig, joints: Mapping[str, tuple[str, ...]], side: str) -> bool:
    """Whether a side's foot, which does not hang from the shin, stands at its end."""
    hip, knee, ankle = (joints.get(f"{side}_{kind}") for kind in ("hip", "knee", "ankle"))
    if not (hip and knee and ankle):
        return False
    heads, shin = rig.heads(), rig.index(knee[-1])
    length = float(np.linalg.norm(heads[shin] - heads[rig.index(hip[0])]))
    return float(np.linalg.norm(heads[rig.index(ankle[0])] - rig.tails()[shin])) < _FOOT_NEAR * length


def add_detached_feet(rig: TargetRig, joints: Joints, notes: Notes) -> None:
    """Find feet that hang from the root (goals of an IK that is gone) and stand at the shins' ends."""
    heads, tails = rig.heads(), rig.tails()
    for side in ("left", "right"):
        hip, knee = joints.get(f"{side}_hip"), joints.get(f"{side}_knee")
        if not hip or not knee or joints.get(f"{side}_ankle"):
            continue
        shin = rig.index(knee[-1])
        length = float(np.linalg.norm(heads[shin] - heads[rig.index(hip[0])]))
        near = [
            (float(np.linalg.norm(heads[bone] - tails[shin])), bone)
            for bone, name in enumerate(rig.bone_names)
            if shin not in ancestors(rig, bone)
            and bone not in ancestors(rig, shin)
            and "ankle" in name_kinds(read_name(name), LEG_KINDS)
            and read_name(name).side in (side, "")
        ]
        away, foot = min(near, default=(np.inf, -1))
        if away < _FOOT_NEAR * length:
            joints[f"{side}_ankle"] = (rig.bone_names[foot],)
            notes[f"{side}_ankle"] = (0.7, "it stands at the shin's end and hangs from another bone")
