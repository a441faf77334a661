"""Find limbs by the words in bone names, whatever the naming scheme. numpy-free; its own room only.

Ambiguous words ("shoulder", "arm", "leg", "hip") are settled by what else stands on the same limb: a limb's bones,
from the trunk outwards, must come in the body's order, and the reading that names most joints wins.
"""

from __future__ import annotations

from itertools import product

from .bone_names import BoneName, bone_words, read_name
from .limb_candidates import ARM_KINDS, LEG_KINDS, Limbs, ancestors
from .target_rig import TargetRig

# a limb that lacks its clavicle or toes is likelier than one that lacks anything else
_WEIGHT = {**dict.fromkeys((*ARM_KINDS, *LEG_KINDS), 3.0), "clavicle": 2.0, "toe": 2.0}
_LONGEST_READ = 8


def match_words(rig: TargetRig) -> Limbs:
    """Limb joints and head by name; joints that no name points to are absent."""
    names = [read_name(name) for name in rig.bone_names]
    joints: dict[str, tuple[int, ...]] = {}
    twists: dict[str, tuple[int, ...]] = {}
    for side in ("left", "right"):
        for kinds in (ARM_KINDS, LEG_KINDS):
            found = _best_limb(rig, names, side, kinds)
            joints |= {f"{side}_{kind}": bones for kind, bones in found.items()}
        toes = joints.get(f"{side}_toe")
        if toes:
            twists[f"{side}_toe"] = tuple(
                bone
                for bone, name in enumerate(names)
                if bone != toes[0]
                and rig.parents[bone] == rig.parents[toes[0]]
                and name.side == side
                and "toe" in _kinds(name, LEG_KINDS)
            )
    head = _head(rig, names)
    if head is not None:
        joints["head"] = (head,)
    return Limbs(joints, twists)


def finger_landmarks(rig: TargetRig) -> dict[str, str]:
    """The first bone of index, middle, ring, little finger and thumb by canonical site name, by name."""
    found: dict[str, str] = {}
    for bone, bone_name in enumerate(rig.bone_names):
        name = read_name(bone_name)
        finger = next((f for f, words in bone_words().fingers.items() if name.side and _core(name) in words), None)
        if finger is None or any("toe" in word or "metacarpal" in word for word in name.words):
            continue
        mark = f"{name.side}_{finger}"
        if mark not in found or bone in _path_names(rig, found[mark]):
            found[mark] = rig.bone_names[bone]
    return found


def _path_names(rig: TargetRig, bone: str) -> list[int]:
    return ancestors(rig, rig.index(bone))


def _core(name: BoneName) -> str:
    """The finger word of names such as `LeftHandIndex1` or `IndexProximal`."""
    drop = ("hand", "proximal", "intermediate", "distal", "in", "finger")
    words = [word for word in name.words if word not in drop]
    return "".join(words) if words else name.word


def _kinds(name: BoneName, order: tuple[str, ...]) -> tuple[str, ...]:
    """Which joints of a limb a name may mean."""
    vocabulary = bone_words()
    word = _longest_known(name)
    if not word:
        return ()
    kinds = {kind for kind in order if word in vocabulary.joints[kind]}
    if word in vocabulary.arm_any:
        kinds |= {"clavicle", "shoulder", "elbow"} & set(order)
    if word in vocabulary.leg_any:
        kinds |= {"hip", "knee"} & set(order)
    if word == "hip" and name.side:
        kinds |= {"hip"} & set(order)
    return tuple(kind for kind in order if kind in kinds)


def _longest_known(name: BoneName) -> str:
    """The longest run of the name's words that the vocabulary knows; nothing for helper bones."""
    vocabulary = bone_words()
    count = len(name.words)
    for length in range(count, 0, -1):
        for start in range(count - length + 1):
            joined = "".join(name.words[start : start + length])
            if vocabulary.known(joined):
                rest = name.words[:start] + name.words[start + length :]
                return "" if any(word in vocabulary.exclude for word in rest) else joined
    return ""


def _best_limb(rig: TargetRig, names: list[BoneName], side: str, order: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    kinds = {bone: row for bone, name in enumerate(names) if name.side == side and (row := _kinds(name, order))}
    best: tuple[float, list[tuple[int, str]]] = (0.0, [])
    for bone in kinds:
        path = [place for place in reversed(ancestors(rig, bone)) if place in kinds][-_LONGEST_READ:]
        score, reading = _read_limb([(place, kinds[place]) for place in path], order)
        if score > best[0]:
            best = (score, reading)
    found: dict[str, list[int]] = {}
    for bone, kind in best[1]:
        found.setdefault(kind, []).append(bone)
    return _outer_ends({kind: tuple(bones) for kind, bones in found.items()})


def _read_limb(path: list[tuple[int, tuple[str, ...]]], order: tuple[str, ...]) -> tuple[float, list[tuple[int, str]]]:
    """The best reading of a limb's bones in the body's order, with its score."""
    best: tuple[float, list[tuple[int, str]]] = (0.0, [])
    for choice in product(*(range(len(kinds)) for _, kinds in path)):
        reading = [(bone, kinds[pick]) for (bone, kinds), pick in zip(path, choice, strict=True)]
        places = [order.index(kind) for _, kind in reading]
        if places != sorted(places):
            continue
        score = sum(_WEIGHT[kind] for kind in {kind for _, kind in reading}) - 0.05 * len(reading)
        if score > best[0]:
            best = (score, reading)
    return best


def _outer_ends(found: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """A second hand or foot bone is what comes after the wrist or ankle (SMPL: wrist, hand; ankle, foot)."""
    if len(found.get("wrist", ())) > 1:
        found["hand"] = found["wrist"][1:2]
        found["wrist"] = found["wrist"][:1]
    if len(found.get("ankle", ())) > 1:
        found.setdefault("toe", found["ankle"][1:2])
        found["ankle"] = found["ankle"][:1]
    if len(found.get("toe", ())) > 1:
        found["toe"] = found["toe"][:1]
    return found


def _head(rig: TargetRig, names: list[BoneName]) -> int | None:
    words = bone_words().joints["head"]
    heads = [bone for bone, name in enumerate(names) if not name.side and _longest_known(name) in words]
    # the topmost: face rigs name bones below the head after it
    return min(heads, key=lambda bone: len(ancestors(rig, bone)), default=None)
