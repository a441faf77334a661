"""Fingers found by name, number and shape; maps, corrections and files that know them. numpy only."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from blender_addon.motion.body import canonical_body
from blender_addon.retarget.auto_map import detect_map
from blender_addon.retarget.edit_map import clear_joint, mirror_map, set_joint
from blender_addon.retarget.map_files import MapFileError, map_from_record, map_to_record, rig_families
from tests.retarget.named_rigs import RigBuilder, family_rig

FAMILIES = {family.family: family for family in rig_families()}
NAMES = dict(zip(canonical_body().joint_names, canonical_body().joint_names, strict=True))
# where a finger's root lies: along the hand, and towards the thumb, in parts of the hand
ROOTS = {
    "thumb": (0.3, 0.35),
    "index": (0.95, 0.25),
    "middle": (1.0, 0.08),
    "ring": (0.95, -0.1),
    "little": (0.85, -0.25),
}


def hand_rig(fingers: dict[str, list[str]], *, side_mark=("L", "R"), metacarpals=False, seed=0):
    """The canonical skeleton with fingers of those bone names (`{side}` is the side's mark), in any order of bones."""
    body, builder = canonical_body(), RigBuilder()
    places = dict(zip(body.joint_names, body.rest_positions_m(), strict=True))
    for joint in body.joint_names:
        if joint.endswith("_hand"):
            continue
        parent = int(body.parents[body.joint_index(joint)])
        builder.add(joint, body.joint_names[parent] if parent >= 0 else None, places[joint])
    order = list(fingers)
    np.random.default_rng(seed).shuffle(order)
    for side, sign, mark in (("left", 1.0, side_mark[0]), ("right", -1.0, side_mark[1])):
        wrist = places[f"{side}_wrist"]
        for finger in order:
            along, aside = ROOTS[finger]
            head, above = wrist + 0.1 * np.array([sign * along, -aside, 0.0]), f"{side}_wrist"
            step = np.array([sign * 0.03, -0.03 if finger == "thumb" else 0.0, 0.0])
            if metacarpals and finger != "thumb":
                above = builder.add(f"carp_{finger}.{mark}", above, wrist + 0.25 * (head - wrist))
            for name in [*fingers[finger], f"{fingers[finger][-1]}_end"]:
                above = builder.add(name.replace("{side}", mark), above, head)
                head = head + step
    return builder.build()


def bones(finger, names, mark="L"):
    return tuple(name.replace("{side}", mark) for name in names[finger])


FIVE = ("thumb", "index", "middle", "ring", "little")
GERMAN = ("Daumen", "Zeigefinger", "Mittelfinger", "Ringfinger", "KleinerFinger")
SPELLINGS = {
    "numbers from 0": {
        finger: [f"Finger{n}_{{side}}", f"Finger{n}1_{{side}}", f"Finger{n}2_{{side}}"] for n, finger in enumerate(FIVE)
    },
    "numbers from 1": {finger: [f"finger{n + 1}-{k}.{{side}}" for k in (1, 2, 3)] for n, finger in enumerate(FIVE)},
    "numbers that a biped glues": {
        finger: [f"Bip001 {{side}} Finger{n}", f"Bip001 {{side}} Finger{n}1", f"Bip001 {{side}} Finger{n}2"]
        for n, finger in enumerate(FIVE)
    },
    "numbers behind the side, the thumb by name": {
        finger: [f"{'thumb' if n == 0 else 'finger'}_{{side}}{max(n - 1, 0)}_{k}_jnt" for k in range(3)]
        for n, finger in enumerate(FIVE)
    },
    "words": {finger: [f"{{side}}_{finger}_{k}_jnt" for k in (1, 2, 3)] for finger in FIVE},
    "german": {
        finger: [f"{word}{k}_{{side}}" for k in (1, 2, 3)]
        for finger, word in zip(
            FIVE, ("Daumen", "Zeigefinger", "Mittelfinger", "Ringfinger", "KleinerFinger"), strict=True
        )
    },
    "three fingers and a thumb": {
        finger: [f"{finger}{k}.{{side}}" for k in (1, 2)] for finger in ("thumb", "index", "middle", "little")
    },
    "two bones": {finger: [f"{finger}{k}.{{side}}" for k in (1, 2)] for finger in FIVE},
}


@pytest.mark.parametrize("spelling", list(SPELLINGS))
@pytest.mark.parametrize("seed", [0, 1])
def test_fingers_are_found_by_name_and_number(spelling, seed):
    names = SPELLINGS[spelling]
    found = detect_map(hand_rig(names, seed=seed)).skeleton_map
    assert {finger: found.fingers[f"left_{finger}"] for finger in names} == {f: bones(f, names) for f in names}
    assert {finger: found.fingers[f"right_{finger}"] for finger in names} == {f: bones(f, names, "R") for f in names}
    assert len(found.fingers) == 2 * len(names)


@pytest.mark.parametrize(
    ("kept", "read_as"),
    [
        (FIVE, FIVE),
        (("thumb", "index", "middle", "little"), ("thumb", "index", "middle", "little")),
        (("thumb", "index", "little"), ("thumb", "index", "little")),
        (("thumb", "middle"), ("thumb", "middle")),
    ],
)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_fingers_without_names_are_told_by_their_shape(kept, read_as, seed):
    names = {finger: [f"bone_{number}_{k}.{{side}}" for k in "abc"] for number, finger in enumerate(kept)}
    found = detect_map(hand_rig(names, seed=seed)).skeleton_map
    expected = {f"left_{to}": bones(finger, names) for finger, to in zip(kept, read_as, strict=True)}
    assert {finger: found.fingers.get(finger) for finger in expected} == expected


def test_metacarpals_stay_with_the_palm():
    names = {finger: [f"{finger}{k}.{{side}}" for k in (1, 2, 3)] for finger in FIVE}
    found = detect_map(hand_rig(names, metacarpals=True)).skeleton_map
    assert found.fingers["left_index"] == ("index1.L", "index2.L", "index3.L")
    unnamed = {finger: [f"b{number}{k}.{{side}}" for k in "abc"] for number, finger in enumerate(FIVE)}
    found = detect_map(hand_rig(unnamed, metacarpals=True)).skeleton_map
    assert found.fingers["left_index"] == ("b1a.L", "b1b.L", "b1c.L")


def test_equal_fingers_without_a_thumb_are_left_alone():
    names = {finger: [f"bone_{n}_{k}.{{side}}" for k in "abc"] for n, finger in enumerate(("index", "middle", "ring"))}
    assert not detect_map(hand_rig(names)).skeleton_map.fingers


def test_the_account_counts_fingers():
    report = detect_map(hand_rig(SPELLINGS["words"]))
    assert "5 fingers a hand" in report.summary()
    assert [match.joint for match in report.fingers][:2] == ["left_thumb", "left_index"]
    assert all(match.reason and match.confidence > 0.5 for match in report.fingers)


def test_a_map_with_fingers_is_saved_edited_and_mirrored():
    rig = hand_rig(SPELLINGS["words"])
    found = detect_map(rig).skeleton_map
    assert map_from_record(json.loads(json.dumps(map_to_record(found))), "test").fingers == found.fingers
    without = clear_joint(found, "right_ring")
    assert "right_ring" not in without.fingers
    assert mirror_map(without, rig, "left").fingers == found.fingers
    moved = set_joint(found, "left_ring", ("L_middle_1_jnt",))
    assert moved.fingers["left_middle"] == ("L_middle_2_jnt", "L_middle_3_jnt")
    with pytest.raises(KeyError):
        set_joint(found, "left_sixth", ("L_middle_1_jnt",))
    with pytest.raises(MapFileError, match="left_sixth"):
        map_from_record({**map_to_record(found), "fingers": {"left_sixth": ["x"]}}, "test")


def test_corrections_of_fingers_go_before_everything():
    rig = hand_rig(SPELLINGS["words"])
    report = detect_map(rig, {"left_thumb": (), "left_index": ("L_index_2_jnt",)})
    assert "left_thumb" not in report.skeleton_map.fingers
    assert report.skeleton_map.fingers["left_index"] == ("L_index_2_jnt",)
    assert {m.joint: m.confidence for m in report.fingers}["left_index"] == 1.0


def test_families_complete_their_fingers_from_what_the_rig_has():
    family = FAMILIES["mixamo"]
    rig, _ = family_rig(replace(family, landmarks={}))
    assert not detect_map(rig).skeleton_map.fingers
