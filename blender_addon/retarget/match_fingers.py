"""Find the roots of the fingers, which show how a rig's palm lies: by name, else by shape. numpy and its own room only.

By shape: of the bones that fan out from the hand the thumb is the one whose root lies much nearer to the wrist; the
others are ordered across the hand, the index finger beside the thumb. Hands of fewer than four such bones, or without
a thumb that stands out, are left alone: a palm turned by a wrong guess is worse than one that follows the forearm.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from .bone_names import BoneName, bone_words, read_name
from .limb_candidates import ancestors
from .target_rig import TargetRig

Array = NDArray[np.floating]

_FEWEST_FINGERS = 4
_LONGEST_FINGER = 3
# how much nearer to the wrist the thumb's root lies than the other fingers', in parts of their distance
_THUMB_BACK = 0.8
_PALM_BONE = 0.55


def finger_landmarks(rig: TargetRig) -> dict[str, str]:
    """The first bone of index, middle, ring, little finger and thumb by canonical site name, by name."""
    found: dict[str, str] = {}
    for bone, bone_name in enumerate(rig.bone_names):
        name = read_name(bone_name)
        finger = finger_of(name) if name.side else None
        if finger is None or any("toe" in word or "metacarpal" in word for word in name.words):
            continue
        mark = f"{name.side}_{finger}"
        if mark not in found or bone in _path_names(rig, found[mark]):
            found[mark] = rig.bone_names[bone]
    return found


def _path_names(rig: TargetRig, bone: str) -> list[int]:
    return ancestors(rig, rig.index(bone))


def finger_of(name: BoneName) -> str | None:
    """The finger of names such as `LeftHandIndex1`, `IndexProximal`, `mHandIndex1`; None for anything else."""
    vocabulary = bone_words()
    words = [word for word in name.words if word not in ("hand", "finger")]
    if any(word in vocabulary.exclude for word in words):
        return None
    runs = (("".join(words),), (name.word,), tuple(words))
    return next((f for run in runs for f, known in vocabulary.fingers.items() if known & set(run)), None)


def add_fingers(rig: TargetRig, joints: Mapping[str, tuple[str, ...]], named: Mapping[str, str]) -> dict[str, str]:
    """The landmarks that names give, completed by shape on hands where index or little finger have no name."""
    found = dict(named)
    for side in ("left", "right"):
        wrist = joints.get(f"{side}_wrist")
        if wrist and not {f"{side}_index", f"{side}_pinky"} <= set(found):
            by_shape = _fingers_by_shape(rig, rig.index(wrist[-1]))
            found |= {f"{side}_{finger}": bone for finger, bone in by_shape.items()}
    return found


def _fingers_by_shape(rig: TargetRig, wrist: int) -> dict[str, str]:
    """Index, little finger and thumb of a hand; empty where the shape does not tell them."""
    heads = rig.heads()
    roots = finger_roots(rig, wrist)
    if len(roots) < _FEWEST_FINGERS:
        return {}
    offsets = heads[roots] - heads[wrist]
    along = offsets.mean(axis=0)
    along /= max(float(np.linalg.norm(along)), 1e-12)
    reach = offsets @ along
    thumb = int(np.argmin(reach))
    others = [place for place in range(len(roots)) if place != thumb]
    if reach[thumb] > _THUMB_BACK * float(np.median(reach[others])):
        return {}
    spread = offsets - np.outer(reach, along)
    across = np.linalg.svd(spread[others] - spread[others].mean(axis=0))[2][0]
    order = sorted(others, key=lambda place: float(spread[place] @ across))
    gaps = [abs(float((spread[place] - spread[thumb]) @ across)) for place in (order[0], order[-1])]
    if gaps[1] < gaps[0]:  # the index finger is the one beside the thumb
        order.reverse()
    names = [rig.bone_names[roots[place]] for place in (thumb, order[0], order[-1])]
    return dict(zip(("thumb", "index", "pinky"), names, strict=True))


def finger_roots(rig: TargetRig, wrist: int) -> list[int]:
    """The first bones of what fans out from a hand, past the palm."""
    return [past_palm(rig, wrist, bone) for bone in fan(rig, wrist)]


def fan(rig: TargetRig, wrist: int) -> list[int]:
    """The first bones of what fans out from a hand; a bone that only carries some of them is opened up."""
    children = rig.children()
    found: list[int] = []
    waiting = list(children[wrist])
    while waiting:
        bone = waiting.pop(0)
        if len(children[bone]) > 1 and depth_below(children, bone) > 1:
            waiting.extend(children[bone])
        elif children[bone]:  # a lone bone is a socket, a prop or an end
            found.append(bone)
    return found


def depth_below(children: tuple[tuple[int, ...], ...], bone: int) -> int:
    """How many bones the longest chain from a bone on has."""
    return 1 + max((depth_below(children, child) for child in children[bone]), default=0)


def past_palm(rig: TargetRig, wrist: int, bone: int) -> int:
    """The knuckle: of a chain longer than a finger the first bone lies in the palm when it starts near the wrist."""
    if depth_below(rig.children(), bone) <= _LONGEST_FINGER:
        return bone
    following, heads = rig.children()[bone][0], rig.heads()
    near, far = (float(np.linalg.norm(heads[place] - heads[wrist])) for place in (bone, following))
    return following if near < _PALM_BONE * far else bone
