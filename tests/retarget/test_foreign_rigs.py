"""Automatic maps on rigs that nobody tuned on: names of many tools and languages, several bodies, nameless fingers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from blender_addon.retarget.auto_map import detect_map
from blender_addon.retarget.baked_pose import RetargetOptions
from blender_addon.retarget.map_files import rig_families
from blender_addon.retarget.solve import retarget
from blender_addon.retarget.target_rig import TargetRig
from tests.retarget.evaluate_rig import evaluate
from tests.retarget.foreign_rigs import foreign_rigs
from tests.retarget.named_rigs import RigBuilder, family_rig
from tests.retarget.random_motion import LIMBS, angle_deg, clip_limb_directions, random_clip
from tests.retarget.simple_rig import simple_rig

RIGS = foreign_rigs()
FAMILIES = {family.family: family for family in rig_families()}


@pytest.mark.parametrize("name", RIGS)
def test_every_bone_is_right(name):
    foreign = RIGS[name]
    report = detect_map(foreign.rig)
    assert foreign.complaints(dict(report.skeleton_map.joints)) == []
    assert report.usable
    assert not [problem for problem in report.problems if "fingers" not in problem]


@pytest.mark.parametrize("name", RIGS)
def test_other_case_and_another_order_of_bones_change_nothing(name):
    foreign = RIGS[name]
    shuffled = _other_order(foreign.rig)
    assert foreign.complaints(dict(detect_map(shuffled).skeleton_map.joints)) == []


@pytest.mark.parametrize("name", RIGS)
def test_limbs_point_where_the_clip_points(name):
    foreign, clip = RIGS[name], random_clip(11, 30, step=0.4)
    skeleton_map = detect_map(foreign.rig).skeleton_map
    heads = evaluate(foreign.rig, retarget(clip, foreign.rig, skeleton_map, RetargetOptions(plant_feet=False)))
    index = {joint: foreign.rig.index(bones[0]) for joint, bones in skeleton_map.joints.items()}
    spans = np.stack([heads[:, index[lower]] - heads[:, index[upper]] for upper, lower in LIMBS], axis=1)
    spans /= np.linalg.norm(spans, axis=-1, keepdims=True)
    assert angle_deg(spans, clip_limb_directions(clip)).max() < 0.1


def _other_order(rig: TargetRig) -> TargetRig:
    """The same skeleton with siblings in another order, parents still before children."""
    order, waiting = [], [bone for bone in range(len(rig)) if rig.parents[bone] < 0]
    while waiting:
        order.append(waiting.pop(0))
        waiting += reversed(rig.children()[order[-1]])
    place = {bone: row for row, bone in enumerate(order)}
    return simple_rig(
        rig.name,
        tuple(rig.bone_names[bone] for bone in order),
        np.array([place.get(int(rig.parents[bone]), -1) for bone in order]),
        rig.rest_matrices[order],
        rig.lengths[order],
    )


def _two_people(first: str, second: str, rename: str, under_one_root: bool) -> tuple[TargetRig, dict]:
    """Two rigs side by side in one armature; the truth is the first one's."""
    one, truth = family_rig(FAMILIES[first])
    other, _ = family_rig(FAMILIES[second])
    builder = RigBuilder()
    above = builder.add("everything", None, np.zeros(3)) if under_one_root else None
    for rig, pattern, aside in ((one, "{}", 0.0), (other, rename, 1.2)):
        for bone, name in enumerate(rig.bone_names):
            parent = pattern.format(rig.bone_names[rig.parents[bone]]) if rig.parents[bone] >= 0 else above
            builder.add(pattern.format(name), parent, rig.heads()[bone] + [aside, 0.0, 0.0])
    return builder.build("stage"), dict(truth.joints)


@pytest.mark.parametrize("under_one_root", [False, True])
@pytest.mark.parametrize(("second", "rename"), [("mixamo", "{}.001"), ("mixamo", "villain:{}"), ("unreal", "{}")])
def test_two_people_in_one_armature_are_not_mixed(second, rename, under_one_root):
    rig, truth = _two_people("mixamo", second, rename, under_one_root)
    report = detect_map(rig)
    found = dict(report.skeleton_map.joints)
    heads = np.array([rig.heads()[rig.index(bone)] for bones in found.values() for bone in bones])
    people = {bool(x > 0.95) for x in heads[:, 0] if abs(x) < 0.3 or abs(x - 1.2) < 0.3}
    assert len(people) == 1
    assert "2 bodies are in this armature" in report.problems[0]
    assert report.usable
    assert len(found) >= 20
    if second == "mixamo":
        assert found == truth


def test_controls_beside_deform_bones_are_one_body():
    one, truth = family_rig(FAMILIES["mixamo"])
    builder = RigBuilder()
    for pattern in ("{}", "copy_{}"):
        for bone, name in enumerate(one.bone_names):
            parent = pattern.format(one.bone_names[one.parents[bone]]) if one.parents[bone] >= 0 else None
            builder.add(pattern.format(name), parent, one.heads()[bone])
    report = detect_map(builder.build("doubled"))
    assert not [problem for problem in report.problems if "bodies" in problem]
    assert dict(report.skeleton_map.joints) == dict(truth.joints)


def test_nameless_fingers_are_found_by_their_shape():
    rig, truth = family_rig(FAMILIES["mixamo"])
    fingers, builder = set(truth.landmarks.values()), RigBuilder()
    for bone, name in enumerate(rig.bone_names):
        parent = rig.bone_names[rig.parents[bone]] if rig.parents[bone] >= 0 else None
        if name not in fingers:
            builder.add(name, parent, rig.heads()[bone])
    roots = {}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        wrist = truth.joints[f"{side}_wrist"][0]
        start = rig.heads()[rig.index(wrist)]
        for number, (out, across) in enumerate(
            [(0.03, -0.03), (0.09, -0.03), (0.095, -0.01), (0.09, 0.01), (0.08, 0.03)]
        ):
            head = start + np.array([sign * out, across, 0.0])
            roots[side, number] = builder.add(f"{wrist}_{number}a", wrist, head)
            builder.add(f"{wrist}_{number}b", roots[side, number], head + np.array([sign * 0.03, 0.0, 0.0]))
    report = detect_map(builder.build("mitten"))
    landmarks = report.skeleton_map.landmarks
    for side in ("left", "right"):
        wanted = {"thumb": roots[side, 0], "index": roots[side, 1], "pinky": roots[side, 4]}
        assert {finger: landmarks[f"{side}_{finger}"] for finger in wanted} == wanted
    assert not [problem for problem in report.problems if "fingers" in problem]


def test_a_hand_of_two_fingers_is_left_alone():
    rig, truth = family_rig(FAMILIES["mixamo"])
    kept = [bone for bone in rig.bone_names if bone not in set(truth.landmarks.values())]
    builder = RigBuilder()
    for name in kept:
        bone = rig.index(name)
        builder.add(name, rig.bone_names[rig.parents[bone]] if rig.parents[bone] >= 0 else None, rig.heads()[bone])
    report = detect_map(replace(builder.build("stumps")))
    assert "left_index" not in report.skeleton_map.landmarks
    assert any("no fingers were found on the left hand" in problem for problem in report.problems)
