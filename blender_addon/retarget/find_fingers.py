"""Find the bones of every finger, from the knuckle to the tip: by family, by name, by shape.

numpy and its own room only.

A finger may have any number of bones. Bones in the palm (metacarpals) are none of it, but the thumb's is its first; end
bones that move no skin are left out. By shape the thumb's root lies nearest to the wrist, and the others are ordered
across the hand, the index finger beside the thumb.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .bone_names import read_name
from .limb_candidates import ancestors
from .match_fingers import depth_below, fan, finger_of, finger_roots, past_palm
from .skeleton_map import FINGER_NAMES, FINGERS, SkeletonMap
from .target_rig import TargetRig

Array = NDArray[np.floating]
Fingers = dict[str, tuple[str, ...]]

_LONGEST = 3
_SURE_HAND = 4
_PALM_WORDS = ("metacarpal", "carpal", "palm", "base", "meta")
_END_WORDS = frozenset({"end", "tip", "nub", "leaf", "effector", "eff", "endsite"})
# names of fingers by their place, the thumb first, for hands that have fewer
_BY_COUNT = {
    1: ("middle",),
    2: ("thumb", "middle"),
    3: ("thumb", "index", "little"),
    4: ("thumb", "index", "middle", "little"),
    5: FINGERS,
}
# numbered fingers without names: Finger0, or Finger1 where there is no 0, is the thumb, and a hand may end early
_NUMBERED = re.compile(r"(?:finger|fingr|digit|dedo|doigt|palec)[ _.-]?(?:left|right|l|r)?[ _.-]?(\d+)", re.IGNORECASE)
# two numbered bones are fingers only where a thumb stands out
_FEWEST_NUMBERS = 3
# without names, the thumb's root lies nearer to the wrist than this part of the others'
_THUMB_BACK = 0.8


def with_fingers(skeleton_map: SkeletonMap, rig: TargetRig) -> SkeletonMap:
    """The map with the fingers that it lacks. Those that it has keep their bones, less those that the rig has not."""
    fingers = {
        finger: kept for finger, bones in skeleton_map.fingers.items() if (kept := _hanging_together(rig, bones))
    }
    taken = {bone for bones in (*fingers.values(), *skeleton_map.joints.values()) for bone in bones}
    for side in ("left", "right"):
        if not any(finger.startswith(side) for finger in fingers):
            fingers |= _side_fingers(rig, skeleton_map, side, taken)
    landmarks = dict(skeleton_map.landmarks)
    for finger, bones in fingers.items():
        # fewer fingers without names may be anything: a palm turned by a wrong guess is worse than none
        if sum(other.startswith(finger[:4]) for other in fingers) >= _SURE_HAND or finger_of(read_name(bones[0])):
            landmarks.setdefault(finger.replace("little", "pinky"), bones[0])
    ordered = {finger: fingers[finger] for finger in FINGER_NAMES if fingers.get(finger)}
    return replace(skeleton_map, fingers=ordered, landmarks=landmarks)


def _hanging_together(rig: TargetRig, bones: tuple[str, ...]) -> tuple[str, ...]:
    """A finger's bones that the rig has and that hang from the first one: in another spelling a name may fit another
    finger's bone (Finger01 is no Finger1).
    """
    there = [rig.index(bone) for bone in bones if bone in rig.bone_names]
    return tuple(rig.bone_names[bone] for bone in there if there[0] in ancestors(rig, bone))


def _side_fingers(rig: TargetRig, skeleton_map: SkeletonMap, side: str, taken: set[str]) -> Fingers:
    """A hand's fingers by their names, else by numbers in them, else by their shape."""
    wrist = skeleton_map.joints.get(f"{side}_wrist", ())
    hand = rig.index(wrist[-1]) if wrist and wrist[-1] in rig.bone_names else -1
    roots = _named_roots(rig, side, hand)
    if set(roots) <= {"thumb"} and hand >= 0:
        roots |= _numbered_roots(rig, hand, FINGERS[len(roots) :])
    if not roots and hand >= 0:
        roots = _roots_by_shape(rig, hand)
    found = {}
    for finger, root in roots.items():
        chain = finger_chain(rig, root, finger)
        if chain and not taken & set(chain):
            found[f"{side}_{finger}"] = chain
    return found


def finger_chain(rig: TargetRig, root: int, finger: str) -> tuple[str, ...]:
    """A finger's bones from its first one on: at most three, without metacarpals and without end bones."""
    children = rig.children()
    path = [root]
    while children[path[-1]]:
        path.append(max(children[path[-1]], key=lambda bone: _continues(rig, bone, children)))
    path = [bone for bone in path if not _END_WORDS & set(read_name(rig.bone_names[bone]).words)]
    if len(path) > 1 and not children[path[-1]] and rig.deform[root] and not rig.deform[path[-1]]:
        path.pop()
    if finger != "thumb":
        while len(path) > 1 and _in_palm(rig, path[0]):
            path.pop(0)
    return tuple(rig.bone_names[bone] for bone in path[:_LONGEST])


def _continues(rig: TargetRig, bone: int, children: tuple[tuple[int, ...], ...]) -> tuple[bool, int]:
    """How much a bone looks like the next one of a finger: it is no helper, and it leads far."""
    name = read_name(rig.bone_names[bone])
    helper = any(word in ("twist", "mch", "helper", "corrective", "muscle") for word in name.words)
    return not helper, depth_below(children, bone)


def _in_palm(rig: TargetRig, bone: int) -> bool:
    return any(word.endswith(_PALM_WORDS) for word in read_name(rig.bone_names[bone]).words)


def _named_roots(rig: TargetRig, side: str, hand: int) -> dict[str, int]:
    """First bones of fingers by name: the topmost of each, below the hand where a side's hand is known."""
    found: dict[str, int] = {}
    for bone, bone_name in enumerate(rig.bone_names):
        name = read_name(bone_name)
        finger = finger_of(name)
        if finger is None or any("toe" in word for word in name.words) or name.side not in (side, ""):
            continue
        above = ancestors(rig, bone)
        if hand not in above and not (name.side and hand < 0):
            continue
        key = {"pinky": "little"}.get(finger, finger)
        if key not in found or found[key] not in above:
            better = key not in found or len(above) < len(ancestors(rig, found[key]))
            found[key] = bone if better else found[key]
    return {finger: _past_metacarpal(rig, hand, bone, finger) for finger, bone in found.items()}


def _past_metacarpal(rig: TargetRig, hand: int, bone: int, finger: str) -> int:
    """The knuckle where a finger's chain begins in the palm; a thumb begins there."""
    if finger == "thumb":
        return bone
    children = rig.children()
    while _in_palm(rig, bone) and children[bone]:
        bone = max(children[bone], key=lambda child: _continues(rig, child, children))
    return past_palm(rig, hand, bone) if hand >= 0 else bone


def _numbered_roots(rig: TargetRig, hand: int, fingers: tuple[str, ...]) -> dict[str, int]:
    """First bones of `fingers`, in order, that are called by numbers: Finger0, Finger1 or digit_1."""
    numbers: dict[int, int] = {}
    for bone, name in enumerate(rig.bone_names):
        found = _NUMBERED.search(name)
        above = ancestors(rig, bone)[1:]
        if found and hand in above and not set(above) & set(numbers) and not _END_WORDS & set(read_name(name).words):
            numbers[bone] = int(found.group(1))
    roots = sorted(numbers, key=lambda bone: numbers[bone])
    if not 2 <= len(roots) <= len(fingers):
        return {}
    by_shape = _ordered_by_shape(rig, hand, roots) if fingers == FINGERS else roots
    if len(roots) < _FEWEST_NUMBERS and not by_shape:
        return {}
    return dict(zip(fingers, by_shape if by_shape and by_shape[0] != roots[0] else roots, strict=False))


def _roots_by_shape(rig: TargetRig, hand: int) -> dict[str, int]:
    """First bones of fingers that nothing names, by where they lie; empty where no thumb stands out."""
    firsts, past = fan(rig, hand), finger_roots(rig, hand)
    in_palm = [place for place, bone in enumerate(firsts) if bone != past[place]]
    # fingers have bones in the palm all together, so a single one is the thumb's
    roots = _ordered_by_shape(rig, hand, firsts if len(in_palm) == 1 else past)
    if not roots:
        return {}
    thumb, children = roots[0], rig.children()
    above = int(rig.parents[thumb])
    # what looks like a bone in the palm is the thumb's first, unless it has three without it
    if above != hand and children[above] == (thumb,) and depth_below(children, above) <= _LONGEST + 1:
        roots[0] = above
    return dict(zip(_BY_COUNT[len(roots)], roots, strict=True))


def _ordered_by_shape(rig: TargetRig, hand: int, roots: list[int]) -> list[int]:
    """The roots from the thumb to the little finger; empty where no thumb stands out or they are too many."""
    if not 2 <= len(roots) <= len(FINGERS):
        return []
    heads = rig.heads()
    offsets = heads[roots] - heads[hand]
    along = offsets.mean(axis=0)
    along = along / max(float(np.linalg.norm(along)), 1e-12)
    reach = offsets @ along
    thumb = int(np.argmin(reach))
    others = [place for place in range(len(roots)) if place != thumb]
    if reach[thumb] > _THUMB_BACK * float(np.median(reach[others])):
        return []
    across = offsets - np.outer(reach, along)
    beside = across[thumb] - across[others].mean(axis=0)
    order = sorted(others, key=lambda place: -float(across[place] @ beside))
    return [roots[place] for place in (thumb, *order)]
