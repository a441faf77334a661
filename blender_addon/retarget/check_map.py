"""What speaks against a map: missing limbs, broken chains, four legs, swapped sides. Its own room and numpy only."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .body_kind import four_legs, sides_exchanged
from .joint_words import joint_label
from .limb_candidates import ancestors
from .rest_world import rest_world
from .skeleton_map import SkeletonMap
from .target_rig import TargetRig

Array = NDArray[np.floating]

_LIMBS = {
    "left leg": ("left_hip", "left_knee", "left_ankle"),
    "right leg": ("right_hip", "right_knee", "right_ankle"),
    "left arm": ("left_shoulder", "left_elbow", "left_wrist"),
    "right arm": ("right_shoulder", "right_elbow", "right_wrist"),
}


def find_problems(rig: TargetRig, skeleton_map: SkeletonMap, shape_notes: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Sentences about what is missing or contradictory in a map; empty when nothing is."""
    joints = skeleton_map.joints
    problems = []
    if "pelvis" not in joints:
        problems.append("no hips bone was found: set the pelvis by hand, nothing moves without it")
    for limb, names in _LIMBS.items():
        missing = [name for name in names if name not in joints]
        if len(missing) == len(names):
            problems.append(f"no {limb} was found")
        elif missing:
            problems.append(f"the {limb} is not whole: no bone for {', '.join(joint_label(name) for name in missing)}")
    if "head" not in joints:
        problems.append("no head was found")
    if not any(joint in joints for joint in ("spine", "chest", "upper_chest")):
        problems.append("no spine was found: the trunk stays stiff")
    problems += [
        f"no fingers were found on the {side} hand: its palm follows the forearm"
        for side in ("left", "right")
        if f"{side}_wrist" in joints
        and sum(f"{side}_{finger}" in skeleton_map.landmarks for finger in ("index", "middle", "ring", "pinky")) < 2
    ]
    if not skeleton_map.follows:
        problems += _broken_chains(rig, skeleton_map)
    problems += _uneven_sides(skeleton_map)
    problems.append(four_legs(rig, skeleton_map))
    if sides_exchanged(rig, skeleton_map):
        problems.append("left and right look swapped: the feet would point backwards")
    if "pelvis" not in joints or _posture_deg(rig, skeleton_map) > 50.0:
        problems += [note for note in shape_notes if "four legs" in note or "pelvis" not in joints]
    if _posture_deg(rig, skeleton_map) > 50.0:
        problems.append("the trunk lies across the legs: this looks like an animal on four legs, not like a person")
    return tuple(problem for problem in dict.fromkeys(problems) if problem)


def is_usable(rig: TargetRig, skeleton_map: SkeletonMap) -> bool:
    """Whether a retarget can give a body: hips, a pair of legs or of arms, standing upright."""
    joints = skeleton_map.joints
    pairs = [
        all(f"{side}_{joint}" in joints for side in ("left", "right") for joint in names)
        for names in (("hip", "knee"), ("shoulder", "elbow"))
    ]
    upright = _posture_deg(rig, skeleton_map) <= 50.0 and not four_legs(rig, skeleton_map)
    return "pelvis" in joints and any(pairs) and upright


def _broken_chains(rig: TargetRig, skeleton_map: SkeletonMap) -> list[str]:
    found = []
    for limb, names in _LIMBS.items():
        for upper, lower in pairwise(names):
            bones = skeleton_map.joints.get(upper), skeleton_map.joints.get(lower)
            if bones[0] and bones[1] and rig.index(bones[0][0]) not in ancestors(rig, rig.index(bones[1][0])):
                found.append(f"in the {limb}, {bones[1][0]} does not hang from {bones[0][0]}")
    return found


def _uneven_sides(skeleton_map: SkeletonMap) -> list[str]:
    found = []
    for joint, bones in skeleton_map.joints.items():
        if joint.startswith("left_") and joint.replace("left_", "right_") in skeleton_map.joints:
            other = skeleton_map.joints[joint.replace("left_", "right_")]
            if len(other) != len(bones):
                found.append(f"{joint} has {len(bones)} bones, its right partner {len(other)}")
            if set(other) & set(bones):
                found.append(f"{joint} and its right partner share the bone {sorted(set(other) & set(bones))[0]}")
    return found


def _posture_deg(rig: TargetRig, skeleton_map: SkeletonMap) -> float:
    """The angle between trunk and legs at rest: near 0 for a person, near 90 for an animal on four legs."""
    rest = rest_world(rig)
    place = {joint: rest.heads_m[rig.index(bones[0])] for joint, bones in skeleton_map.joints.items() if bones}
    high = next((place[name] for name in ("neck", "head", "upper_chest") if name in place), None)
    legs = [
        place[f"{side}_hip"] - place[f"{side}_ankle"]
        for side in ("left", "right")
        if f"{side}_hip" in place and f"{side}_ankle" in place
    ]
    hips = [place[f"{side}_hip"] for side in ("left", "right") if f"{side}_hip" in place]
    if high is None or not legs or not hips:
        return 0.0
    trunk, leg = high - np.mean(hips, axis=0), np.mean(legs, axis=0)
    cosine = trunk @ leg / max(float(np.linalg.norm(trunk) * np.linalg.norm(leg)), 1e-12)
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))
