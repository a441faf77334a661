"""Whether a rig is a person at all, and whether its left is left: animals on four legs, exchanged sides.

Its own room and numpy only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .bone_names import bone_words, read_name
from .limb_candidates import ancestors
from .rest_world import rest_world
from .skeleton_map import SkeletonMap
from .target_rig import TargetRig

Array = NDArray[np.floating]

_FRONT, _HIND = frozenset({"front", "fore", "forward"}), frozenset({"hind", "rear", "back", "hinter"})
_LEG_WORDS = frozenset({"leg", "limb", "paw", "hoof", "upperleg", "lowerleg", "thigh", "shin", "knee", "legs"})
_GLUED = ("frontleg", "foreleg", "frontlimb", "forelimb"), ("backleg", "hindleg", "rearleg", "hindlimb")
# what counts as standing on the floor, and as long enough for a leg, in parts of the rig's height
_ON_FLOOR, _LEG_LONG = 0.1, 0.2
# feet that look this much the other way (cosine) mean exchanged sides
_BACKWARDS = -0.3
FOUR_LEGS = "this looks like an animal on four legs, not like a person"


def four_legs(rig: TargetRig, skeleton_map: SkeletonMap) -> str:
    """Why the rig looks like an animal on four legs; empty when it does not."""
    if _names_of_four_legs(rig):
        return f"bones are named for front and hind legs: {FOUR_LEGS}"
    heads, tails = rest_world(rig).heads_m, rest_world(rig).tails_m
    up = _up(rig, skeleton_map, heads)
    if up is None:
        return ""
    low = np.minimum(heads @ up, tails @ up)
    floor, height = _floor_and_height(rig, skeleton_map, low, heads @ up)
    arms = [skeleton_map.joints.get(f"{side}_wrist", ()) for side in ("left", "right")]
    if all(arms):
        reach = [min(low[bone] for bone in _below(rig, rig.index(bones[0]))) for bones in arms]
        tops = [heads[rig.index(skeleton_map.joints[f"{side}_elbow"][0])] @ up for side in _sides(skeleton_map)]
        on_floor = max(reach) < floor + _ON_FLOOR * height and min(tops, default=0.0) > floor + 0.12 * height
        return f"both arms reach the floor as the legs do: {FOUR_LEGS}" if on_floor else ""
    if not any(arms) and _second_pair(rig, skeleton_map, low, (floor, height)):
        return f"no arms were found, and a second pair of limbs reaches the floor: {FOUR_LEGS}"
    return ""


def sides_exchanged(rig: TargetRig, skeleton_map: SkeletonMap) -> bool:
    """Whether the feet look backwards when left is taken for left: the names of both sides are exchanged."""
    heads = rig.heads()
    up = _up(rig, skeleton_map, heads)
    place = {joint: heads[rig.index(bones[0])] for joint, bones in skeleton_map.joints.items() if bones}
    if up is None or "left_hip" not in place or "right_hip" not in place:
        return False
    forward = np.cross(place["left_hip"] - place["right_hip"], up)
    forward = forward / max(float(np.linalg.norm(forward)), 1e-12)
    looks = []
    for side in ("left", "right"):
        ankle, toe = place.get(f"{side}_ankle"), place.get(f"{side}_toe")
        if ankle is None or toe is None:
            return False
        along = toe - ankle
        flat = along - up * (along @ up)
        if np.linalg.norm(flat) < 0.25 * np.linalg.norm(along):
            return False
        looks.append(float(flat @ forward / max(float(np.linalg.norm(flat)), 1e-12)))
    return max(looks) < _BACKWARDS


def _names_of_four_legs(rig: TargetRig) -> bool:
    found = [False, False]
    for name in rig.bone_names:
        words = read_name(name)
        if any(word in bone_words().exclude - {"ik", "pole", "target", "end"} for word in words.words):
            continue
        for kind, ends in enumerate((_FRONT, _HIND)):
            apart = bool(set(words.words) & ends) and bool(set(words.words) & _LEG_WORDS)
            found[kind] |= apart or any(glued in words.word for glued in _GLUED[kind])
    return all(found)


def _sides(skeleton_map: SkeletonMap) -> list[str]:
    return [side for side in ("left", "right") if skeleton_map.joints.get(f"{side}_elbow")]


def _up(rig: TargetRig, skeleton_map: SkeletonMap, heads: Array) -> Array | None:
    """From the ankles, or the knees, to the hips (3,): an animal's trunk tells nothing."""
    for end in ("ankle", "knee"):
        rows = [
            (skeleton_map.joints.get(f"{side}_hip"), skeleton_map.joints.get(f"{side}_{end}"))
            for side in ("left", "right")
        ]
        spans = [heads[rig.index(a[0])] - heads[rig.index(b[0])] for a, b in rows if a and b]
        if spans and np.linalg.norm(sum(spans)) > 1e-9:
            span = np.asarray(sum(spans), dtype=np.float64)
            axis = np.zeros(3)
            axis[int(np.argmax(np.abs(span)))] = np.sign(span[int(np.argmax(np.abs(span)))])
            near = span @ axis > 0.9 * np.linalg.norm(span)
            return axis if near else np.asarray(span / np.linalg.norm(span))
    return None


def _floor_and_height(rig: TargetRig, skeleton_map: SkeletonMap, low: Array, heads: Array) -> tuple[float, float]:
    """The floor below the legs and the mapped body's height over it."""
    legs = [skeleton_map.joints[f"{side}_hip"][0] for side in ("left", "right") if f"{side}_hip" in skeleton_map.joints]
    floor = min(low[bone] for leg in legs for bone in _below(rig, rig.index(leg)))
    top = max(heads[rig.index(bone)] for bone in skeleton_map.bones())
    return float(floor), float(max(top - floor, 1e-9))


def _below(rig: TargetRig, bone: int) -> list[int]:
    return [other for other in range(len(rig)) if bone in ancestors(rig, other)]


def _second_pair(rig: TargetRig, skeleton_map: SkeletonMap, low: Array, span: tuple[float, float]) -> bool:
    """Whether two chains beside the legs come down from above to the floor."""
    floor, height = span
    legs = {
        bone
        for side in ("left", "right")
        for name in skeleton_map.joints.get(f"{side}_hip", ())
        for bone in _below(rig, rig.index(name))
    }
    chains = 0
    for bone, children in enumerate(rig.children()):
        ends_low = not children and bone not in legs and low[bone] < floor + _ON_FLOOR * height
        if not ends_low or set(read_name(rig.bone_names[bone]).words) & bone_words().exclude:
            continue
        path = ancestors(rig, bone)
        chains += len(path) > 3 and max(low[place] for place in path[:4]) > floor + _LEG_LONG * height
    return chains >= 2
