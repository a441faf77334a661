"""Automatic maps: every family, other spellings, other languages, no names at all, and rigs that are no people."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from blender_addon.motion.body import canonical_body
from blender_addon.retarget.auto_map import detect_map
from blender_addon.retarget.bone_names import read_name
from blender_addon.retarget.edit_map import CorrectionFile, clear_joint, mirror_bone, mirror_map, set_joint
from blender_addon.retarget.map_files import rig_families
from blender_addon.retarget.solve import retarget
from blender_addon.retarget.split_bodies import only_bones
from blender_addon.retarget.target_rig import rig_fingerprint
from tests.retarget.evaluate_rig import evaluate, evaluate_matrices
from tests.retarget.named_rigs import RigBuilder, family_rig, plain_rig
from tests.retarget.random_motion import walk_clip
from tests.retarget.soles import rig_soles

FAMILIES = {family.family: family for family in rig_families()}
JOINTS = [joint for joint in canonical_body().joint_names if not joint.endswith("_hand")]

GERMAN = {
    "pelvis": "Becken", "spine": "Wirbelsaule1", "chest": "Wirbelsaule2", "upper_chest": "Brust", "neck": "Hals",
    "head": "Kopf", "clavicle": "Schlusselbein", "shoulder": "Oberarm", "elbow": "Unterarm", "wrist": "Hand",
    "hip": "Oberschenkel", "knee": "Unterschenkel", "ankle": "Fuss", "toe": "Zehen",
}  # fmt: skip
SPANISH = {
    "pelvis": "cadera", "spine": "columna1", "chest": "columna2", "upper_chest": "pecho", "neck": "cuello",
    "head": "cabeza", "clavicle": "clavicula", "shoulder": "brazo", "elbow": "antebrazo", "wrist": "mano",
    "hip": "muslo", "knee": "pantorrilla", "ankle": "pie", "toe": "dedos",
}  # fmt: skip
JAPANESE = {
    "pelvis": "センター", "spine": "上半身", "chest": "上半身2", "upper_chest": "胸", "neck": "首", "head": "頭",
    "clavicle": "肩", "shoulder": "腕", "elbow": "ひじ", "wrist": "手首", "hip": "足", "knee": "ひざ",
    "ankle": "足首", "toe": "つま先",
}  # fmt: skip
STUDIO = {
    "pelvis": "pelvis_jnt", "spine": "spine_a1_jnt", "chest": "spine_b2_jnt", "upper_chest": "chest_jnt",
    "neck": "neck_jnt", "head": "head_jnt", "clavicle": "clav_jnt", "shoulder": "uparm_jnt", "elbow": "lowarm_jnt",
    "wrist": "hand_jnt", "hip": "upleg_jnt", "knee": "lowleg_jnt", "ankle": "foot_jnt", "toe": "ball_jnt",
}  # fmt: skip
AMBIGUOUS = {
    "pelvis": "Hip", "spine": "Torso", "chest": "Torso2", "upper_chest": "Torso3", "neck": "Neck", "head": "Head",
    "clavicle": "Shoulder", "shoulder": "Arm", "elbow": "Elbow", "wrist": "Hand", "hip": "Leg", "knee": "Knee",
    "ankle": "Foot", "toe": "Toe",
}  # fmt: skip


def named(words: dict[str, str], left: str, right: str) -> dict[str, str]:
    """Names for every joint; `left` and `right` are patterns such as "L_{}"."""
    names = {}
    for joint in JOINTS:
        side, _, kind = joint.rpartition("_")
        if side in ("left", "right"):
            names[joint] = (left if side == "left" else right).format(words[kind])
        else:
            names[joint] = words[joint]
    return names


def assert_right(report, names):
    found = dict(report.skeleton_map.joints)
    assert found == {joint: (name,) for joint, name in names.items()}
    assert report.usable


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_knows_its_own_rig(family):
    rig, truth = family_rig(FAMILIES[family])
    report = detect_map(rig)
    assert report.skeleton_map.family == family
    assert dict(report.skeleton_map.joints) == dict(truth.joints)
    assert all(match.confidence > 0.9 for match in report.mapped())
    assert report.usable


@pytest.mark.parametrize(
    "rename", [str.upper, lambda n: f"Hero:{n}", lambda n: f"hero|{n}", lambda n: n.replace("_", "-")]
)
@pytest.mark.parametrize("family", ["mixamo", "unreal", "vrm", "character_creator", "smplx"])
def test_other_spellings_of_a_family(family, rename):
    rig, truth = family_rig(FAMILIES[family])
    rig = replace(rig, bone_names=tuple(rename(name) for name in rig.bone_names))
    report = detect_map(rig)
    assert dict(report.skeleton_map.joints) == {
        joint: tuple(rename(bone) for bone in bones) for joint, bones in truth.joints.items()
    }


@pytest.mark.parametrize(
    ("words", "left", "right"),
    [
        (GERMAN, "{}.L", "{}.R"),
        (GERMAN, "{}_links", "{}_rechts"),
        (SPANISH, "{}_izq", "{}_der"),
        (JAPANESE, "左{}", "右{}"),
        (JAPANESE, "{}.L", "{}.R"),
        (STUDIO, "l_{}", "r_{}"),
        (STUDIO, "{}_lft", "{}_rgt"),
        (AMBIGUOUS, "Left{}", "Right{}"),
        (AMBIGUOUS, "{} left", "{} right"),
    ],
)
def test_words_in_names_of_other_tools(words, left, right):
    names = named(words, left, right)
    assert_right(detect_map(plain_rig(names)), names)


SYNTY = {
    "pelvis": "Hips", "spine": "Spine_01", "chest": "Spine_02", "upper_chest": "Spine_03", "neck": "Neck",
    "head": "Head", "clavicle": "Clavicle", "shoulder": "Shoulder", "elbow": "Elbow", "wrist": "Hand",
    "hip": "UpperLeg", "knee": "LowerLeg", "ankle": "Ankle", "toe": "Ball",
}  # fmt: skip
SECOND_LIFE = {
    "pelvis": "mPelvis", "spine": "mSpine1", "chest": "mTorso", "upper_chest": "mChest", "neck": "mNeck",
    "head": "mHead", "clavicle": "mCollar", "shoulder": "mShoulder", "elbow": "mElbow", "wrist": "mWrist",
    "hip": "mHip", "knee": "mKnee", "ankle": "mAnkle", "toe": "mToe",
}  # fmt: skip
SOURCE_ENGINE = {
    "pelvis": "ValveBiped.Bip01_Pelvis", "spine": "ValveBiped.Bip01_Spine", "chest": "ValveBiped.Bip01_Spine1",
    "upper_chest": "ValveBiped.Bip01_Spine4", "neck": "ValveBiped.Bip01_Neck1", "head": "ValveBiped.Bip01_Head1",
    "clavicle": "Clavicle", "shoulder": "UpperArm", "elbow": "Forearm", "wrist": "Hand", "hip": "Thigh",
    "knee": "Calf", "ankle": "Foot", "toe": "Toe0",
}  # fmt: skip


@pytest.mark.parametrize(
    ("words", "left", "right"),
    [
        (SYNTY, "{}_L", "{}_R"),
        (SECOND_LIFE, "{}Left", "{}Right"),
        (SOURCE_ENGINE, "ValveBiped.Bip01_L_{}", "ValveBiped.Bip01_R_{}"),
    ],
)
def test_game_rigs_that_have_no_file_of_their_own(words, left, right):
    names = named(words, left, right)
    assert_right(detect_map(plain_rig(names)), names)


def test_nameless_bones_by_shape_alone():
    names = {joint: f"bone.{number:03d}" for number, joint in enumerate(JOINTS)}
    report = detect_map(plain_rig(names, fingers=True))
    assert_right(report, names)
    assert all(match.confidence <= 0.85 for match in report.mapped())
    assert any("place in the body" in match.reason for match in report.mapped())


def test_nameless_bones_facing_the_other_way_keep_left_left():
    names = {joint: f"bone.{number:03d}" for number, joint in enumerate(JOINTS)}
    rig = plain_rig(names, fingers=True)
    turned = np.diag([-1.0, -1.0, 1.0, 1.0]) @ rig.rest_matrices
    assert_right(detect_map(replace(rig, rest_matrices=turned)), names)


def test_a_missing_arm_is_named():
    names = named(STUDIO, "l_{}", "r_{}")
    rig = plain_rig(names, drop=("left_clavicle", "left_shoulder", "left_elbow", "left_wrist"))
    report = detect_map(rig)
    assert report.usable
    assert any("no left arm" in problem for problem in report.problems)
    assert {match.joint for match in report.missing()} >= {"left_shoulder", "left_elbow", "left_wrist"}
    assert all(match.reason for match in report.missing())


def test_missing_fingers_are_named():
    rig, _ = family_rig(FAMILIES["cmu_motionbuilder"])
    assert any("no fingers" in problem for problem in detect_map(rig).problems)


def test_a_quadruped_is_refused_with_the_reason():
    builder = RigBuilder()
    builder.add("pelvis", None, [0.0, 0.5, 0.7])
    spine = "pelvis"
    for number in range(3):
        spine = builder.add(f"spine_{number}", spine, [0.0, 0.3 - 0.3 * number, 0.72])
    neck = builder.add("neck", spine, [0.0, -0.5, 0.8])
    builder.add("head", neck, [0.0, -0.65, 1.0])
    for side, x in (("l", 0.12), ("r", -0.12)):
        for word, y, root in (("thigh", 0.5, "pelvis"), ("upperarm", -0.35, spine)):
            lower, foot = {"thigh": ("calf", "foot"), "upperarm": ("lowerarm", "hand")}[word]
            top = builder.add(f"{word}_{side}", root, [x, y, 0.65])
            middle = builder.add(f"{lower}_{side}", top, [x, y + 0.05, 0.35])
            end = builder.add(f"{foot}_{side}", middle, [x, y, 0.06])
            builder.add(f"tip_{word}_{side}", end, [x, y - 0.08, 0.0])
    report = detect_map(builder.build("horse"))
    assert not report.usable
    assert any("four legs" in problem for problem in report.problems)


def test_a_rig_that_is_no_body_is_not_usable():
    builder = RigBuilder()
    previous = None
    for number in range(6):
        previous = builder.add(f"chain_{number}", previous, [0.0, 0.0, 0.2 * number])
    report = detect_map(builder.build("rope"))
    assert not report.usable
    assert any("hips" in problem for problem in report.problems)
    assert "0 of 22" in report.summary()


def test_swapped_sides_are_noticed():
    names = named(STUDIO, "r_{}", "l_{}")
    report = detect_map(plain_rig(names))
    assert any("swapped" in match.reason for match in report.mapped())


def test_swapped_sides_are_a_problem_in_families_too():
    rig, _ = family_rig(FAMILIES["mixamo"])
    other = {"Left": "Right", "Right": "Left"}
    renamed = tuple(re.sub("Left|Right", lambda hit: other[hit[0]], bone) for bone in rig.bone_names)
    report = detect_map(replace(rig, bone_names=renamed))
    assert any("swapped" in problem for problem in report.problems)
    assert not any("swapped" in problem for problem in detect_map(rig).problems)


def animal(words: dict[str, str], front: str, neck_up: float = 0.0) -> RigBuilder:
    """A four-legged rig: `front` is the pattern of front leg bones by number, the hind legs are named by `words`."""
    builder = RigBuilder()
    builder.add("Hips", None, [0.0, 0.4, 0.7])
    builder.add("Spine", "Hips", [0.0, 0.1, 0.75])
    builder.add("Chest", "Spine", [0.0, -0.3, 0.75 + neck_up])
    builder.add("Neck", "Chest", [0.0, -0.4, 0.9 + neck_up])
    builder.add("Head", "Neck", [0.0, -0.5, 1.1 + neck_up])
    for side, x in (("Left", 0.12), ("Right", -0.12)):
        above, root = "Hips", "Chest"
        for number, z in enumerate((0.65, 0.35, 0.08, 0.0)):
            above = builder.add(f"{side}{words[str(number)]}", above, [x, 0.45 - 0.1 * (number == 3), z])
            root = builder.add(side + front.format(number), root, [x, -0.3 - 0.1 * (number == 3), z])
    return builder


HIND = {"0": "UpLeg", "1": "Leg", "2": "Foot", "3": "Toe"}


@pytest.mark.parametrize("neck_up", [0.0, 0.6])
@pytest.mark.parametrize("front", ["FrontLeg{}", "arms {}", "Front_{}", "bone{}"])
def test_animals_are_refused_in_words(front, neck_up):
    builder = animal(HIND, front, neck_up)
    arms = {"0": "Arm", "1": "ForeArm", "2": "Hand", "3": "HandIndex1"}
    builder.bones = [(_arm(name, arms), _arm(above, arms), head) for name, above, head in builder.bones]
    report = detect_map(builder.build("fox"))
    assert not report.usable
    assert any("four legs" in problem for problem in report.problems), report.problems


def _arm(name: str | None, arms: dict[str, str]) -> str | None:
    side, _, number = (name or "").partition("arms ")
    return side + arms[number] if number else name


def test_people_are_no_animals():
    for family in rig_families():
        assert detect_map(family_rig(family)[0]).usable


def test_a_family_is_completed_by_words():
    rig, _ = family_rig(FAMILIES["mixamo"])
    names = tuple(bone.replace("ToeBase", "Toes") for bone in rig.bone_names)
    joints = detect_map(replace(rig, bone_names=names)).skeleton_map.joints
    assert joints["left_toe"] == ("LeftToes",)


def test_a_toe_that_sits_at_the_ankle_is_none():
    names = named(STUDIO, "l_{}", "r_{}")
    rig = plain_rig(names)
    rest = rig.rest_matrices.copy()
    for side in ("left", "right"):
        rest[rig.index(names[f"{side}_toe"]), :3, 3] = rest[rig.index(names[f"{side}_ankle"]), :3, 3]
    joints = detect_map(replace(rig, rest_matrices=rest)).skeleton_map.joints
    assert "left_toe" not in joints
    assert "left_ankle" in joints


def test_feet_that_hang_from_the_root_are_found():
    rig, skeleton_map, feet = detached_feet_rig()
    joints = detect_map(rig).skeleton_map.joints
    assert (joints["left_ankle"], joints["right_ankle"]) == feet
    assert skeleton_map.joints["left_knee"] == joints["left_knee"]


def detached_feet_rig():
    """A rig as robots and toys have: feet, with their toes, hang from the root bone."""
    rig, truth = family_rig(FAMILIES["mixamo"])
    parents = np.array(rig.parents)
    feet = [truth.joints[f"{side}_ankle"] for side in ("left", "right")]
    for foot in feet:
        parents[rig.index(foot[0])] = rig.index(truth.root_bone)
    return replace(rig, parents=parents), truth, tuple(feet)


@pytest.mark.parametrize(
    ("family", "without", "rename"),
    [
        ("kaykit", ("neck", "clavicle"), {}),
        ("quaternius", ("Toes", "Thumb"), {}),
        ("lafan", (), {"Toe": "Toes"}),
        ("soma", ("Neck2",), {}),
        ("mhr", ("_index", "_pinky"), {}),
        ("cloudrig", ("FK-RibCage",), {}),
        ("second_life", ("mSpine", "mHand"), {}),
    ],
)
def test_named_families_as_their_files_come(family, without, rename):
    """Bones that some files lack, or call otherwise, change neither the family nor what the others are."""
    rig, truth = family_rig(FAMILIES[family])
    kept = [bone for bone in range(len(rig)) if not any(word in rig.bone_names[bone] for word in without)]
    parents = []
    for bone in kept:
        above = int(rig.parents[bone])
        while above >= 0 and above not in kept:
            above = int(rig.parents[above])
        parents.append(kept.index(above) if above >= 0 else -1)
    small = only_bones(rig, tuple(kept))
    names = tuple(_renamed(name, rename) for name in small.bone_names)
    report = detect_map(replace(small, bone_names=names, parents=np.array(parents)))
    assert report.skeleton_map.family == family
    assert report.usable
    for joint, bones in truth.joints.items():
        wanted = tuple(_renamed(bone, rename) for bone in bones if _renamed(bone, rename) in names)
        if joint not in ("spine", "chest", "upper_chest"):
            assert report.skeleton_map.joints.get(joint, ()) == wanted, joint


def _renamed(name: str, rename: dict[str, str]) -> str:
    for old, new in rename.items():
        name = name.replace(old, new)
    return name


def test_detached_feet_go_where_the_shins_end_and_stand_still():
    rig, truth, feet = detached_feet_rig()
    clip = walk_clip()
    report = detect_map(rig)
    pose = retarget(clip, rig, report.skeleton_map)
    heads = evaluate(rig, pose)
    shin = rig.index(truth.joints["left_knee"][0])
    ends = evaluate_matrices(rig, pose)[:, shin] @ np.array([0.0, rig.lengths[shin], 0.0, 1.0])
    assert np.linalg.norm(ends[:, :3] - heads[:, rig.index(feet[0][0])], axis=-1).max() < 1e-6
    assert rig_soles(clip, rig, report.skeleton_map).good()
    assert pose.report.figures["scale"] == pytest.approx(1.0, abs=0.05)


def test_set_clear_and_mirror():
    rig, truth = family_rig(FAMILIES["unreal"])
    moved = set_joint(truth, "left_hand", ("middle_01_l",))
    assert moved.joints["left_hand"] == ("middle_01_l",)
    taken = set_joint(moved, "neck", ("head",))
    assert "head" not in taken.joints
    assert "neck" not in clear_joint(truth, "neck").joints
    mirrored = mirror_map(moved, rig, "left")
    assert mirrored.joints["right_hand"] == ("middle_01_r",)
    assert mirror_bone("head", rig) is None
    with pytest.raises(KeyError, match="tail"):
        set_joint(truth, "tail", ("head",))


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_map_mirrors_onto_itself(family):
    rig, truth = family_rig(FAMILIES[family])
    assert dict(mirror_map(truth, rig, "left").joints) == dict(truth.joints)
    assert dict(mirror_map(truth, rig, "right").joints) == dict(truth.joints)


def test_corrections_are_remembered_for_the_same_skeleton_only(tmp_path):
    rig, _ = family_rig(FAMILIES["unreal"])
    other, _ = family_rig(FAMILIES["mixamo"])
    book = CorrectionFile(tmp_path / "deep" / "corrections.json")
    book.remember(rig, {"left_hand": ("middle_01_l",), "neck": ()})
    again = CorrectionFile(tmp_path / "deep" / "corrections.json")
    report = detect_map(replace(rig, name="another file"), again.for_rig(rig))
    assert report.skeleton_map.joints["left_hand"] == ("middle_01_l",)
    assert "neck" not in report.skeleton_map.joints
    reasons = {match.joint: match.reason for match in report.matches}
    assert "you set it" in reasons["left_hand"]
    assert "you left it empty" in reasons["neck"]
    assert again.for_rig(other) == {}
    again.forget(rig)
    assert CorrectionFile(tmp_path / "deep" / "corrections.json").for_rig(rig) == {}


def test_a_damaged_correction_file_is_an_empty_book(tmp_path):
    path = tmp_path / "corrections.json"
    path.write_text("[1, 2", encoding="utf-8")
    rig, _ = family_rig(FAMILIES["unreal"])
    assert CorrectionFile(path).for_rig(rig) == {}


def test_the_fingerprint_is_of_the_skeleton_not_of_the_object():
    rig, _ = family_rig(FAMILIES["unreal"])
    assert rig_fingerprint(rig) == rig_fingerprint(replace(rig, name="x", object_matrix=2 * np.eye(4)))
    renamed = (*rig.bone_names[:-1], "other")
    assert rig_fingerprint(rig) != rig_fingerprint(replace(rig, bone_names=renamed))


@pytest.mark.parametrize(
    ("name", "side", "word"),
    [
        ("LeftUpLeg", "left", "upleg"),
        ("upper_arm.R", "right", "upperarm"),
        ("mixamorig:LeftHandIndex1", "left", "handindex"),
        ("lShldr", "left", "shldr"),
        ("rforearm", "right", "forearm"),
        ("upperarml", "left", "upperarm"),
        ("Bip01 R Thigh", "right", "thigh"),
        ("左ひじ", "left", "ひじ"),
        ("leg", "", "leg"),
        ("CC_Base_L_Calf", "left", "calf"),
    ],
)
def test_names_are_taken_apart(name, side, word):
    read = read_name(name)
    assert (read.side, read.word) == (side, word)
