"""Skeleton maps as JSON: the families' files, users' own maps, checks. Standard library, `motion` and its own room.

Format: `docs/skeleton_maps.md`, schema `skeleton_maps/skeleton_map.schema.json`. A key that starts with `side_` and a
name with `{side}` stand for both sides; `spine` and `neck` list bones in order, of which a rig may have fewer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from ..motion.body import SKELETON_MAPS_DIR, canonical_body
from .skeleton_map import FINGER_NAMES, MAP_FORMAT_VERSION, LimbControls, SkeletonMap, Switch, TwistBone

SPINE_JOINTS = ("spine", "chest", "upper_chest")
LIMBS = ("left_arm", "right_arm", "left_leg", "right_leg")
# other files of the folder: the body and the hand, vocabularies, the schema, tables of faces
_NOT_MAPS = ("canonical_", "bone_words", "skeleton_map.schema", "face_")


class MapFileError(ValueError):
    """A skeleton map file that cannot be used; the message names the file and the fault."""


@dataclass(frozen=True, slots=True)
class RigFamily:
    """A family as its file gives it, sides written out. `spine` and `neck` are candidates in order, root bone first."""

    family: str
    label: str
    naming: str
    prefixes: tuple[str, ...]
    joints: Mapping[str, tuple[str, ...]]
    spine: tuple[str, ...]
    neck: tuple[str, ...]
    root_bones: tuple[str, ...]
    carrier: str | None = None
    landmarks: Mapping[str, str] = field(default_factory=dict)
    twists: Mapping[str, tuple[TwistBone, ...]] = field(default_factory=dict)
    follows: Mapping[str, str] = field(default_factory=dict)
    switches: tuple[Switch, ...] = ()
    limbs: Mapping[str, LimbControls] = field(default_factory=dict)
    fingers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def required(self) -> tuple[str, ...]:
        """The bones by which the family is known: everything but the optional rest of spine, neck and twists."""
        return (*(bone for bones in self.joints.values() for bone in bones), *self.spine[:1], *self.neck[:1])


@cache
def rig_families() -> tuple[RigFamily, ...]:
    """Every family that ships. Raises MapFileError for a broken file."""
    paths = sorted(path for path in SKELETON_MAPS_DIR.glob("*.json") if not path.name.startswith(_NOT_MAPS))
    return tuple(read_family(path) for path in paths)


def read_family(path: Path) -> RigFamily:
    """Read one family file. Raises MapFileError."""
    return _family_from_record(_read_record(path), str(path))


def read_map(path: Path) -> SkeletonMap:
    """Read a skeleton map that a user saved, or a family's file as it stands. Raises MapFileError, OSError."""
    return map_from_record(_read_record(path), str(path))


def write_map(skeleton_map: SkeletonMap, path: Path) -> None:
    """Save a map so that `read_map` reads it back. Raises OSError."""
    path.write_text(json.dumps(map_to_record(skeleton_map), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def map_from_record(record: Mapping[str, Any], source: str) -> SkeletonMap:
    """A map from its JSON record; `source` names it in errors. Raises MapFileError."""
    family = _family_from_record(record, source)
    return family_map(family, lambda bone: bone)


def map_to_record(skeleton_map: SkeletonMap) -> dict[str, Any]:
    """The JSON record of a map, with explicit sides."""
    return {
        "version": MAP_FORMAT_VERSION,
        "family": skeleton_map.family,
        "label": skeleton_map.label,
        "root_bone": [skeleton_map.root_bone] if skeleton_map.root_bone else [],
        "carrier": skeleton_map.carrier,
        "joints": {joint: list(bones) for joint, bones in skeleton_map.joints.items() if bones},
        "landmarks": dict(skeleton_map.landmarks),
        "fingers": {finger: list(bones) for finger, bones in skeleton_map.fingers.items() if bones},
        "twists": {
            joint: [{"bone": twist.bone, "fraction": twist.fraction} for twist in twists]
            for joint, twists in skeleton_map.twists.items()
        },
        "follows": dict(skeleton_map.follows),
        "limbs": {
            limb: {"target": controls.target, "pole": controls.pole, "toe": controls.toe}
            for limb, controls in skeleton_map.limbs.items()
        },
        "switches": [
            {"bone": switch.bone, "name": switch.name, "fk": switch.fk, "ik": switch.ik}
            for switch in skeleton_map.switches
        ],
    }


def family_map(family: RigFamily, find: Callable[[str], str | None]) -> SkeletonMap:
    """The family's map on a rig; `find` gives the rig's bone for a name of the family, None where it has none."""

    def found(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(bone for bone in map(find, names) if bone)

    joints = {joint: found(bones) for joint, bones in family.joints.items()}
    joints |= share_spine(found(family.spine)) if family.spine else {}
    joints |= {"neck": found(family.neck)} if family.neck else {}
    order = canonical_body().joint_names
    twists = {
        joint: tuple(TwistBone(bone, twist.fraction) for twist in rows if (bone := find(twist.bone)))
        for joint, rows in family.twists.items()
    }
    return SkeletonMap(
        family=family.family,
        label=family.label,
        joints={joint: joints[joint] for joint in order if joints.get(joint)},
        root_bone=next(iter(found(family.root_bones)), None),
        carrier=find(family.carrier) if family.carrier else None,
        landmarks={mark: bone for mark, name in family.landmarks.items() if (bone := find(name))},
        fingers={finger: bones for finger, names in family.fingers.items() if (bones := found(names))},
        twists={joint: rows for joint, rows in twists.items() if rows},
        follows={a: b for name, other in family.follows.items() if (a := find(name)) and (b := find(other))},
        switches=tuple(
            Switch(bone, switch.name, switch.fk, switch.ik) for switch in family.switches if (bone := find(switch.bone))
        ),
        limbs={
            limb: LimbControls(target, find(rows.pole or ""), find(rows.toe or ""))
            for limb, rows in family.limbs.items()
            if (target := find(rows.target))
        },
    )


def share_spine(bones: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Spread any number of spine bones, from the hips up, over spine, chest and upper chest.

    Fewer than three take the lower joints' names (the solve gives them the whole bend); more are dealt out evenly.
    """
    count = len(bones)
    if count < 3:
        return dict(zip(SPINE_JOINTS[:count], ((bone,) for bone in bones), strict=True))
    cuts = [round(count * part / 3) for part in range(4)]
    return {joint: bones[cuts[i] : cuts[i + 1]] for i, joint in enumerate(SPINE_JOINTS)}


def _read_record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as fault:
        raise MapFileError(f"{path} is not a skeleton map: {fault}") from fault
    if not isinstance(record, dict):
        raise MapFileError(f"{path} is not a skeleton map: it holds no JSON object")
    return record


def _family_from_record(record: Mapping[str, Any], source: str) -> RigFamily:
    version = record.get("version")
    if version != MAP_FORMAT_VERSION:
        raise MapFileError(f"{source} has skeleton map version {version!r}; this program reads {MAP_FORMAT_VERSION}")
    try:
        sides = record.get("sides", {})
        joints = _both_sides(record["joints"], sides)
        _check_bones(joints, canonical_body().joint_names, "joint", source)
        fingers = _both_sides(record.get("fingers") or {}, sides)
        _check_bones(fingers, FINGER_NAMES, "finger", source)
        limbs = _both_sides(record.get("limbs") or {}, sides)
        if unknown := set(limbs) - set(LIMBS):
            raise MapFileError(f"{source}: unknown limb {sorted(unknown)[0]!r}; it must be one of {', '.join(LIMBS)}")
        twists = _both_sides(record.get("twists") or {}, sides)
        return RigFamily(
            family=str(record["family"]),
            label=str(record["label"]),
            naming=str(record.get("naming", "")),
            prefixes=tuple(record.get("prefixes") or ()),
            joints={joint: tuple(bones) for joint, bones in joints.items()},
            spine=tuple(record.get("spine") or ()),
            neck=tuple(record.get("neck") or ()),
            root_bones=tuple(record.get("root_bone") or ()),
            carrier=record.get("carrier"),
            landmarks=_both_sides(record.get("landmarks") or {}, sides),
            twists={joint: tuple(TwistBone(**row) for row in rows) for joint, rows in twists.items()},
            follows=_both_sides(record.get("follows") or {}, sides),
            switches=tuple(Switch(**row) for row in _each_side(record.get("switches") or [], sides)),
            limbs={limb: LimbControls(**row) for limb, row in limbs.items()},
            fingers={finger: tuple(bones) for finger, bones in fingers.items()},
        )
    except (KeyError, TypeError, AttributeError) as fault:
        raise MapFileError(f"{source} is not a skeleton map: {type(fault).__name__} {fault}") from fault


def _check_bones(rows: Mapping[str, Any], known: tuple[str, ...], kind: str, source: str) -> None:
    for name, bones in rows.items():
        if name not in known:
            raise MapFileError(f"{source}: unknown {kind} {name!r}; {kind}s are {', '.join(known)}")
        if not isinstance(bones, list) or not all(isinstance(bone, str) and bone for bone in bones):
            raise MapFileError(f"{source}: {name!r} must be a list of bone names")


def _both_sides(rows: Mapping[str, Any], sides: Mapping[str, str]) -> dict[str, Any]:
    """Rows with every `side_` key and `{side}` name written out for left and right."""
    written: dict[str, Any] = {}
    for key, value in rows.items():
        if key.startswith("side_") or "{side}" in key:
            for side, mark in sides.items():
                own_key = f"{side}_{key[5:]}" if key.startswith("side_") else key.replace("{side}", mark)
                written[own_key] = _with_side(value, mark)
        else:
            written[key] = value
    return written


def _each_side(rows: list[Any], sides: Mapping[str, str]) -> list[Any]:
    """A list whose rows with `{side}` appear once a side."""
    written = []
    for row in rows:
        marked = [_with_side(row, mark) for mark in sides.values()]
        written += marked if marked and marked[0] != row else [row]
    return written


def _with_side(value: Any, mark: str) -> Any:
    if isinstance(value, str):
        return value.replace("{side}", mark)
    if isinstance(value, list):
        return [_with_side(item, mark) for item in value]
    if isinstance(value, dict):
        return {key: _with_side(item, mark) for key, item in value.items()}
    return value
