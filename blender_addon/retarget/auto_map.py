"""Find a rig's joints by itself: family, words, shape; say for each joint how sure and why. Its own room and numpy.

A family whose bones are nearly all there settles the map. Otherwise words in the names and the shape of the rig are
read apart from each other and laid together: where both agree a joint is sure, where one is silent the other speaks,
where they differ the words win and the account says so. Corrections that the user once made for the same skeleton
go before everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..motion.body import canonical_body
from .bone_names import read_name
from .check_map import find_problems, is_usable
from .complete_map import add_by_words, add_detached_feet, drop_heaps, stands_at_the_shin
from .find_fingers import with_fingers
from .limb_candidates import Limbs, add_trunk, ancestors, twist_rows
from .map_report import JointMatch, MapReport
from .match_families import FamilyMatch, match_families
from .match_fingers import add_fingers, finger_landmarks, finger_of
from .match_shape import match_shape
from .match_words import match_words
from .skeleton_map import FINGER_NAMES, SkeletonMap
from .split_bodies import only_bones, split_bodies
from .target_rig import TargetRig

# from this share of its bones on a family settles the map
_FAMILY_SETTLED = 0.82
_NEXT = {"clavicle": "shoulder", "shoulder": "elbow", "elbow": "wrist", "hip": "knee", "knee": "ankle"}
# a bone nearer to the next joint than this share of its limb's segment sits where that joint does
_SAME_PLACE = 0.02
_OPTIONAL = {
    "left_hand": "no bone for the knuckles is needed: fingers keep their pose",
    "right_hand": "no bone for the knuckles is needed: fingers keep their pose",
    "chest": "the rig has fewer spine bones: those it has share the whole bend",
    "upper_chest": "the rig has fewer spine bones: those it has share the whole bend",
}


@dataclass(frozen=True, slots=True)
class _Draft:
    """A map in the making: per joint bones, confidence and reason."""

    skeleton_map: SkeletonMap
    notes: Mapping[str, tuple[float, str]]


def detect_map(rig: TargetRig, corrections: Mapping[str, tuple[str, ...]] | None = None) -> MapReport:
    """Map a rig. `corrections` (from `CorrectionFile`) are joints that the user set for this skeleton before.

    Never raises for an odd rig: what could not be found stands in the report's `problems` and reasons. Of several
    people in one armature the one with the most bones is mapped, and the account names the others.
    """
    bodies = sorted(split_bodies(rig), key=len, reverse=True)
    others = {bone for bones in bodies[1:] for bone in bones}
    one = only_bones(rig, tuple(bone for bone in range(len(rig)) if bone not in others)) if others else rig
    report = _detect_one(one, corrections or {})
    if not bodies:
        return report
    names = ", ".join(rig.bone_names[bones[0]] for bones in bodies[1:])
    problem = (
        f"{len(bodies)} bodies are in this armature: the one below {rig.bone_names[bodies[0][0]]} is mapped, "
        f"not {names}. For another one, give its hips, arms and legs by hand"
    )
    return replace(report, problems=(problem, *report.problems))


def _detect_one(rig: TargetRig, corrections: Mapping[str, tuple[str, ...]]) -> MapReport:
    families = match_families(rig)
    settled = next((match for match in families if match.score >= _FAMILY_SETTLED and _is_shaped(rig, match)), None)
    shape = match_shape(rig)
    draft = _family_draft(rig, settled) if settled else _generic_draft(rig, shape)
    draft = _completed(draft, rig, settled is not None)
    own_fingers = draft.skeleton_map.fingers
    draft = _with_bones_between(draft, rig)
    draft = _corrected(replace(draft, skeleton_map=with_fingers(draft.skeleton_map, rig)), rig, corrections)
    matches = tuple(_joint_match(draft, joint) for joint in canonical_body().joint_names)
    problems = find_problems(rig, draft.skeleton_map, shape.notes)
    return MapReport(
        skeleton_map=draft.skeleton_map,
        family_score=(settled or families[0]).score,
        matches=matches,
        fingers=tuple(_finger_match(draft, finger, own_fingers) for finger in FINGER_NAMES),
        problems=problems,
        usable=is_usable(rig, draft.skeleton_map),
    )


def _is_shaped(rig: TargetRig, match: FamilyMatch) -> bool:
    """Whether the family's limbs hang together on this rig: each joint's bone below the one before it."""
    joints = match.skeleton_map.joints
    if match.skeleton_map.follows:
        return "pelvis" in joints
    for side in ("left", "right"):
        for upper, lower in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist")):
            pair = joints.get(f"{side}_{upper}"), joints.get(f"{side}_{lower}")
            hangs = not (pair[0] and pair[1]) or rig.index(pair[0][0]) in ancestors(rig, rig.index(pair[1][0]))
            if not hangs and not (lower == "ankle" and stands_at_the_shin(rig, joints, side)):
                return False
    return "pelvis" in joints


def _family_draft(rig: TargetRig, match: FamilyMatch) -> _Draft:
    exact = match.score > 0.999
    reason = f"{match.family.label} name" if exact else f"{match.family.label} name in another spelling or version"
    confidence = 0.98 if exact else 0.9
    names = set(rig.bone_names)
    joints = {joint: tuple(b for b in bones if b in names) for joint, bones in match.skeleton_map.joints.items()}
    landmarks = add_fingers(rig, joints, {**finger_landmarks(rig), **match.skeleton_map.landmarks})
    skeleton_map = replace(match.skeleton_map, joints=joints, landmarks=landmarks)
    return _Draft(skeleton_map, dict.fromkeys(joints, (confidence, reason)))


def _completed(draft: _Draft, rig: TargetRig, by_family: bool) -> _Draft:
    """The draft with joints that names or places tell beside it, and without toes that are none."""
    joints, notes = dict(draft.skeleton_map.joints), dict(draft.notes)
    if draft.skeleton_map.follows:  # control rigs are known whole
        return draft
    if by_family:
        add_by_words(rig, joints, notes)
    drop_heaps(rig, joints)
    add_detached_feet(rig, joints, notes)
    order = canonical_body().joint_names
    skeleton_map = replace(draft.skeleton_map, joints={joint: joints[joint] for joint in order if joints.get(joint)})
    return _Draft(skeleton_map, notes)


def _generic_draft(rig: TargetRig, shape: Limbs) -> _Draft:
    words = match_words(rig)
    joints, notes, limbs = {}, {}, {}
    for joint in (*words.joints, *(joint for joint in shape.joints if joint not in words.joints)):
        by_words, by_shape = words.joints.get(joint, ()), shape.joints.get(joint, ())
        if by_words and by_shape and set(by_words) & set(by_shape):
            notes[joint] = (0.95, "its name and its place in the body agree")
        elif by_words and by_shape:
            other = ", ".join(rig.bone_names[bone] for bone in by_shape)
            notes[joint] = (0.6, f"its name says so; by shape it could be {other}")
        elif by_words:
            notes[joint] = (0.8, "its name says so")
        else:
            notes[joint] = (0.6, "its place in the body says so; the name says nothing")
        limbs[joint] = by_words or by_shape
    if _is_reversed(rig, limbs, shape):
        notes = {joint: (min(sure, 0.5), f"{why}; left and right look swapped") for joint, (sure, why) in notes.items()}
    found = Limbs(_without_stray(rig, limbs), words.twists)
    joints = add_trunk(rig, found)
    for joint in joints:
        notes.setdefault(joint, (0.85, "it lies between the limbs that were found"))
    order = canonical_body().joint_names
    skeleton_map = SkeletonMap(
        family="generic",
        label="Automatic",
        joints={joint: joints[joint] for joint in order if joints.get(joint)},
        root_bone=_root_bone(rig, joints),
        landmarks=add_fingers(rig, joints, finger_landmarks(rig)),
        twists=twist_rows(rig, found),
    )
    return _Draft(skeleton_map, notes)


def _is_reversed(rig: TargetRig, limbs: Mapping[str, tuple[int, ...]], shape: Limbs) -> bool:
    """Whether the names' left is the shape's right."""
    pairs = [(limbs.get(f"left_{kind}"), shape.joints.get(f"right_{kind}")) for kind in ("hip", "knee")]
    return all(bool(own) and own == other for own, other in pairs)


def _without_stray(rig: TargetRig, limbs: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Limbs without bones that only lead out to the limb (from the hips' middle to the hip) or only undo a rotation
    at its end (they sit where the next joint does).
    """
    heads = rig.heads()
    kept = {}
    for joint, bones in limbs.items():
        side, _, kind = joint.rpartition("_")
        end = limbs.get(f"{side}_{_NEXT.get(kind, '')}")
        first, last = 0, len(bones)
        while end and kind != "clavicle" and first + 1 < last:
            own, whole = heads[bones[first + 1]] - heads[bones[first]], heads[end[0]] - heads[bones[first + 1]]
            if own @ whole >= 0.7 * float((own @ own) ** 0.5) * float((whole @ whole) ** 0.5):
                break
            first += 1
        while end and last - first > 1:
            gap, whole = heads[end[0]] - heads[bones[last - 1]], heads[end[0]] - heads[bones[first]]
            if gap @ gap > _SAME_PLACE**2 * float(whole @ whole):
                break
            last -= 1
        kept[joint] = bones[first:last]
    return kept


def _with_bones_between(draft: _Draft, rig: TargetRig) -> _Draft:
    """The draft with the bones that stand in line within a limb's segment, which share the limb's twist."""
    if draft.skeleton_map.follows:  # control rigs: what lies between their controls is theirs
        return draft
    joints = dict(draft.skeleton_map.joints)
    mapped = {bone for bones in joints.values() for bone in bones}
    for joint, bones in draft.skeleton_map.joints.items():
        side, _, kind = joint.rpartition("_")
        ends = joints.get(f"{side}_{_NEXT.get(kind, '')}", ())
        if kind == "clavicle" or not ends:
            continue
        path = ancestors(rig, rig.index(ends[0]))[1:]
        if (first := rig.index(bones[0])) in path:
            between = [bone for bone in reversed(path[: path.index(first)]) if _in_line(rig, first, bone, ends[0])]
            names = [rig.bone_names[bone] for bone in between]
            kept = [bone for bone in names if bone in bones or bone not in mapped]
            joints[joint] = (bones[0], *kept) if set(bones[1:]) <= set(kept) else bones
    return replace(draft, skeleton_map=replace(draft.skeleton_map, joints=joints))


def _in_line(rig: TargetRig, first: int, bone: int, end: str) -> bool:
    """Whether a bone's head lies on the line from the first bone to the end, between both."""
    heads = rig.heads()
    whole, own = heads[rig.index(end)] - heads[first], heads[bone] - heads[first]
    along = float(own @ whole / max(float(whole @ whole), 1e-12))
    away = own - along * whole
    return 0.02 < along < 0.98 and float(away @ away) < (0.1**2) * float(whole @ whole)


def _root_bone(rig: TargetRig, joints: Mapping[str, tuple[str, ...]]) -> str | None:
    """The topmost bone above the pelvis, when it stands on the floor below it."""
    if "pelvis" not in joints:
        return None
    path = ancestors(rig, rig.index(joints["pelvis"][0]))
    return rig.bone_names[path[-1]] if len(path) > 1 else None


def _corrected(draft: _Draft, rig: TargetRig, corrections: Mapping[str, tuple[str, ...]]) -> _Draft:
    known = {
        joint: bones
        for joint, bones in corrections.items()
        if joint in (*canonical_body().joint_names, *FINGER_NAMES) and all(bone in rig.bone_names for bone in bones)
    }
    if not known:
        return draft
    rows = {**draft.skeleton_map.joints, **draft.skeleton_map.fingers, **known}
    skeleton_map = replace(
        draft.skeleton_map,
        joints={joint: rows[joint] for joint in canonical_body().joint_names if rows.get(joint)},
        fingers={finger: rows[finger] for finger in FINGER_NAMES if rows.get(finger)},
    )
    return _Draft(skeleton_map, {**draft.notes, **dict.fromkeys(known, (1.0, "you set it for this skeleton"))})


def _finger_match(draft: _Draft, finger: str, by_family: Mapping[str, tuple[str, ...]]) -> JointMatch:
    bones = draft.skeleton_map.fingers.get(finger, ())
    if draft.notes.get(finger, (0.0, ""))[0] == 1.0:
        return JointMatch(finger, bones, 1.0, draft.notes[finger][1], needed=False)
    if not bones:
        return JointMatch(finger, (), 0.0, "no bone was found by name or shape", needed=False)
    if by_family.get(finger) == bones:
        return JointMatch(finger, bones, 0.95, f"{draft.skeleton_map.label} name", needed=False)
    if finger_of(read_name(bones[0])):
        return JointMatch(finger, bones, 0.85, "its name says so", needed=False)
    return JointMatch(finger, bones, 0.6, "its place in the hand says so", needed=False)


def _joint_match(draft: _Draft, joint: str) -> JointMatch:
    bones = draft.skeleton_map.joints.get(joint, ())
    confidence, reason = draft.notes.get(joint, (0.0, ""))
    if bones:
        return JointMatch(joint, bones, confidence, reason)
    if draft.notes.get(joint, (0.0, ""))[0] == 1.0:
        return JointMatch(joint, (), 1.0, "you left it empty for this skeleton")
    optional = _OPTIONAL.get(joint, "") if joint.endswith("hand") or "spine" in draft.skeleton_map.joints else ""
    return JointMatch(joint, (), 0.0, optional or "no bone was found by name or shape", needed=not optional)
