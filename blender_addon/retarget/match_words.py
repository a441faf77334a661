"""Find limbs by the words in bone names, whatever the naming scheme. numpy-free; its own room only.

Ambiguous words ("shoulder", "arm", "leg", "hip") are settled by what else stands on the same limb: a limb's bones,
from the trunk outwards, must come in the body's order, and the reading that names most joints wins. A bone whose name
only continues the name above it ("shoulder", "shoulder part") belongs to the same joint. A limb of which all bones bear
one and the same ambiguous word ("Arm", "Arm.001") is not read at all: it is left to the rig's shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, product

from .bone_names import BoneName, bone_words, read_name
from .limb_candidates import ARM_KINDS, LEG_KINDS, Limbs, ancestors
from .target_rig import TargetRig

# a limb that lacks its clavicle or toes is likelier than one that lacks anything else
_WEIGHT = {**dict.fromkeys((*ARM_KINDS, *LEG_KINDS), 3.0), "clavicle": 2.0, "toe": 2.0, "hand": 1.0}
_LONGEST_READ = 8
# each further bone of a joint costs a little, at the ends of a limb more: what comes after the ankle is the toe's
_BONE_COST, _END_COST = 0.05, 0.07
_READ_ARM = (*ARM_KINDS, "hand")


def match_words(rig: TargetRig) -> Limbs:
    """Limb joints and head by name; joints that no name points to are absent."""
    names = [read_name(name) for name in rig.bone_names]
    joints: dict[str, tuple[int, ...]] = {}
    twists: dict[str, tuple[int, ...]] = {}
    for side in ("left", "right"):
        for kinds in (_READ_ARM, LEG_KINDS):
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
                and "toe" in name_kinds(name, LEG_KINDS)
            )
    head = _head(rig, names)
    if head is not None:
        joints["head"] = (head,)
    return Limbs(joints, twists)


def name_kinds(name: BoneName, order: tuple[str, ...]) -> tuple[str, ...]:
    """Which joints of a limb (`ARM_KINDS` or `LEG_KINDS`) a name may mean."""
    vocabulary = bone_words()
    word, rest = _known_run(name)
    if not word or any(set(rest) & fingers for fingers in vocabulary.fingers.values()):
        return ()
    kinds = {kind for kind in order if word in vocabulary.joints.get(kind, ())}
    if word in vocabulary.arm_any:
        kinds |= {"clavicle", "shoulder", "elbow"} & set(order)
    if word in vocabulary.leg_any:
        kinds |= {"hip", "knee"} & set(order)
    if word == "hip" and name.side:
        kinds |= {"hip"} & set(order)
    if "wrist" in kinds:  # of two such bones the outer one is the hand (wrist, hand; hand, palm)
        kinds |= {"hand"} & set(order)
    if "ankle" in kinds:  # and of two foot bones the outer one carries the toes (ankle, foot, toe)
        kinds |= {"toe"} & set(order)
    return tuple(kind for kind in order if kind in kinds)


def _longest_known(name: BoneName) -> str:
    """The longest run of the name's words that the vocabulary knows; nothing for helper bones.

    Of several words the one that names a joint goes before one that names a limb (`leg_thigh`).
    """
    return _known_run(name)[0]


def _known_run(name: BoneName) -> tuple[str, tuple[str, ...]]:
    """The word that `_longest_known` gives, and the words that are left beside it."""
    vocabulary = bone_words()
    count = len(name.words)
    vague = vocabulary.arm_any | vocabulary.leg_any
    for length in range(count, 0, -1):
        runs = [(start, "".join(name.words[start : start + length])) for start in range(count - length + 1)]
        runs = [(start, joined) for start, joined in runs if vocabulary.known(joined)]
        for start, joined in sorted(runs, key=lambda run: (run[1] in vague, run[0])):
            rest = name.words[:start] + name.words[start + length :]
            return ("", ()) if any(word in vocabulary.exclude for word in rest) else (joined, rest)
    return "", ()


@dataclass(frozen=True, slots=True)
class _Step:
    """A bone on the way out along a limb: what it may be, its known word and the words beside it."""

    bone: int
    kinds: tuple[str, ...]
    word: str
    rest: tuple[str, ...]

    def continues(self, above: _Step) -> bool:
        """Whether its name only adds words to that of the bone above, or the other way round."""
        return self.word == above.word and self.rest != above.rest and not (self.rest and above.rest)


def _best_limb(rig: TargetRig, names: list[BoneName], side: str, order: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    steps = {
        bone: _Step(bone, row, *_known_run(name))
        for bone, name in enumerate(names)
        if name.side == side and (row := name_kinds(name, order))
    }
    carried = _carried(rig)
    best: tuple[float, int, int, list[tuple[_Step, str]]] = (0.0, 0, 0, [])
    for bone in steps:
        path = [steps[place] for place in reversed(ancestors(rig, bone)) if place in steps][-_LONGEST_READ:]
        score, reading = _read_limb(path, order)
        # of equal readings the plainer names ("knee", not "knee D"), then the one that ends in the bone that carries
        # more (a hand, not a helper at the wrist)
        rank = (score, -sum(len(step.rest) for step in path), carried[bone])
        if rank > best[:3]:
            best = (*rank, reading)
    reading = best[3]
    vague = bone_words().arm_any | bone_words().leg_any
    if len(reading) > 1 and len({step.word for step, _ in reading}) == 1 and reading[0][0].word in vague:
        return {}
    found: dict[str, list[_Step]] = {}
    for step, kind in reading:
        found.setdefault(kind, []).append(step)
    return _outer_ends({kind: _plainest(steps) for kind, steps in found.items()})


def _carried(rig: TargetRig) -> list[int]:
    """How many bones hang from each bone."""
    counts = [0] * len(rig)
    for bone in range(len(rig) - 1, 0, -1):
        if rig.parents[bone] >= 0:
            counts[int(rig.parents[bone])] += counts[bone] + 1
    return counts


def _plainest(steps: list[_Step]) -> tuple[int, ...]:
    """A joint's bones; where one bears the bare word, those beside it that add to it ("肩P", "肩C") are helpers."""
    bare = [step.bone for step in steps if not step.rest]
    return tuple(bare or [step.bone for step in steps])


def _read_limb(path: list[_Step], order: tuple[str, ...]) -> tuple[float, list[tuple[_Step, str]]]:
    """The best reading of a limb's bones in the body's order, with its score."""
    best: tuple[float, list[tuple[_Step, str]]] = (0.0, [])
    for choice in product(*(range(len(step.kinds)) for step in path)):
        reading = [(step, step.kinds[pick]) for step, pick in zip(path, choice, strict=True)]
        places = [order.index(kind) for _, kind in reading]
        if places != sorted(places) or _splits_a_name(reading):
            continue
        held = [kind for _, kind in reading]
        score = sum(_WEIGHT[kind] for kind in set(held)) - _BONE_COST * len(held)
        score -= _END_COST * sum(held.count(kind) - 1 for kind in ("wrist", "ankle") if kind in held)
        if score > best[0]:
            best = (score, reading)
    return best


def _splits_a_name(reading: list[tuple[_Step, str]]) -> bool:
    """Whether a bone that only continues the name above it was given to another joint."""
    return any(b.continues(a) and own != other for (a, other), (b, own) in pairwise(reading))


def _outer_ends(found: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """At the ends of a limb one bone a joint: the innermost."""
    return {kind: bones[:1] if kind in ("wrist", "hand", "ankle", "toe") else bones for kind, bones in found.items()}


def _head(rig: TargetRig, names: list[BoneName]) -> int | None:
    words = bone_words().joints["head"]
    heads = [bone for bone, name in enumerate(names) if not name.side and _longest_known(name) in words]
    # the topmost: face rigs name bones below the head after it
    return min(heads, key=lambda bone: len(ancestors(rig, bone)), default=None)
