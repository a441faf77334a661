"""Motion from elsewhere as clips: the same limbs, floor and contacts as the motion has, whatever the rest pose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from blender_addon.motion.body import canonical_body
from blender_addon.motion.clip import MotionClip, check_clip, read_clip, write_clip
from blender_addon.motion.clip_warning import WarningCode
from blender_addon.motion.joint_states import MHR_JOINTS, joint_state_motion
from blender_addon.motion.motion_file_error import MotionFileError
from blender_addon.motion.posing import pose_clip
from blender_addon.motion.read_motion_file import read_motion_file
from blender_addon.motion.rotations import (
    matrix_to_quaternion,
    quaternion_conjugate,
    quaternion_multiply,
    quaternion_to_matrix,
)
from blender_addon.retarget.baked_pose import Placement, RetargetOptions
from blender_addon.retarget.clip_from_source import ARMATURE, SourceOptions, clip_of_skeleton, clip_of_source
from blender_addon.retarget.map_files import rig_families
from blender_addon.retarget.posed_source import PosedSource
from blender_addon.retarget.skeleton_map import SkeletonMap
from blender_addon.retarget.solve import retarget
from blender_addon.retarget.target_rig import TargetRig
from tests.motion.foreign_motion import Y_UP, bvh_text, smpl_rotations
from tests.retarget.evaluate_rig import evaluate_matrices
from tests.retarget.named_rigs import RigBuilder, family_rig
from tests.retarget.random_motion import LIMBS, make_clip, random_clip, walk_clip
from tests.retarget.test_auto_map import HIND, animal

SAMPLE = read_clip(Path(__file__).resolve().parents[2] / "assets" / "sample_clip.npz")
WALK = walk_clip()
PAIRS = [
    ("mixamo", "unreal"),
    ("unreal", "rigify_metarig"),
    ("rigify_metarig", "smplx"),
    ("smplx", "vrm"),
    ("vrm", "daz_genesis8"),
    ("daz_genesis8", "character_creator"),
    ("character_creator", "second_life"),
    ("second_life", "lafan"),
    ("lafan", "soma"),
    ("soma", "mixamo"),
]


def directions(clip: MotionClip) -> np.ndarray:
    """Unit vectors (T, 8, 3) of the limb segments in the world."""
    positions = pose_clip(clip).positions_m
    index = canonical_body().joint_index
    spans = np.stack([positions[:, index(lower)] - positions[:, index(upper)] for upper, lower in LIMBS], axis=1)
    return spans / np.linalg.norm(spans, axis=-1, keepdims=True)


def angles_deg(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.degrees(np.arccos(np.clip(np.sum(a * b, axis=-1), -1.0, 1.0)))


def heading_free(clip: MotionClip) -> np.ndarray:
    """Limb directions as the body sees them that faces away at the first frame."""
    turn = np.arctan2(*_left(clip)[:2][::-1])
    c, s = np.cos(-turn), np.sin(-turn)
    return directions(clip) @ np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]).T


def _left(clip: MotionClip) -> np.ndarray:
    positions, index = pose_clip(clip).positions_m, canonical_body().joint_index
    return np.asarray(positions[0, index("left_hip")] - positions[0, index("right_hip")])


def trunk_deg(a: MotionClip, b: MotionClip) -> float:
    """How differently the chest, the neck and the head are turned, in degrees, seen from the hips: the worst."""
    body, worst = canonical_body(), 0.0
    for joint in ("upper_chest", "neck", "head"):
        turns = []
        for clip in (a, b):
            world = pose_clip(clip).world_wxyz
            row = world[:, body.joint_index(joint)]
            turns.append(quaternion_multiply(quaternion_conjugate(world[:, 0]), row))
        between = quaternion_multiply(quaternion_conjugate(turns[0]), turns[1])
        worst = max(worst, float(np.degrees(2 * np.arccos(np.clip(np.abs(between[:, 0]), 0, 1))).max()))
    return worst


def contact_share(a: MotionClip, b: MotionClip) -> float:
    """In what part of all foot points and frames two clips agree on who stands."""
    return float(((a.contacts > 0.5) == (b.contacts > 0.5)).mean())


@pytest.mark.parametrize("clip", [WALK, SAMPLE], ids=["walk", "sample"])
@pytest.mark.parametrize("up", ["z", "y"])
def test_smpl_motion_moves_as_the_clip_it_was_written_from(tmp_path: Path, clip: MotionClip, up: str) -> None:
    pose, path = smpl_rotations(clip, up)
    keys = ("root_orient", "pose_body", "trans") if up == "z" else ("global_orient", "body_pose", "transl")
    parts = (pose[:, 0], pose[:, 1:].reshape(len(pose), -1), path)
    np.savez(tmp_path / "take.npz", **dict(zip(keys, parts, strict=True)), fps=1.0 / np.diff(clip.times_s).mean())
    (skeleton,) = read_motion_file(tmp_path / "take.npz")
    found = clip_of_skeleton(skeleton, SourceOptions("take.npz"))
    write_clip(found, tmp_path / "clip.npz")
    assert angles_deg(directions(found), directions(clip)).max() < 1.0
    assert trunk_deg(found, clip) < 0.1
    assert found.header.body_height_m == pytest.approx(1.7, abs=0.15)
    feet = pose_clip(found).positions_m[:, [canonical_body().joint_index(f"{s}_toe") for s in ("left", "right")], 2]
    assert -0.01 < np.percentile(feet, 5) < 0.05
    assert not found.header.warnings


@pytest.mark.parametrize("style", ["mixamo", "soma", "lafan"])
def test_bvh_moves_as_the_clip_it_was_written_from(tmp_path: Path, style: str) -> None:
    (tmp_path / "take.bvh").write_text(bvh_text(WALK, style))
    (skeleton,) = read_motion_file(tmp_path / "take.bvh")
    found = clip_of_skeleton(skeleton, SourceOptions("take.bvh"))
    check_clip(found)
    assert angles_deg(directions(found), directions(WALK)).max() < 0.05
    told = [warning.text for warning in found.header.warnings]
    if style == "lafan":  # its zero pose is folded: a frame of the walk is the rest pose, with the turn it has there
        assert len(told) == 1
        assert "nobody could stand in its rest pose" in told[0]
        assert found.header.warnings[0].code is WarningCode.SOURCE
    else:
        assert not told
        assert trunk_deg(found, WALK) < 0.05
    assert contact_share(found, WALK) > 0.8


def test_mhr_joint_states_move_as_the_clip(tmp_path: Path) -> None:
    pose, turns = pose_clip(WALK), {}
    names = WALK.body_joint_names
    own = {"root": "pelvis", "c_spine0": "spine", "c_spine1": "chest", "c_spine2": "chest", "c_spine3": "upper_chest"}
    own |= {"c_neck": "neck", "c_head": "head", "body_world": "pelvis"}
    kinds = {"clavicle": "clavicle", "uparm": "shoulder", "lowarm": "elbow", "wrist": "wrist", "upleg": "hip"}
    kinds |= {"lowleg": "knee", "foot": "ankle", "ball": "toe"}
    own |= {f"{s[0]}_{word}": f"{s}_{joint}" for s in ("left", "right") for word, joint in kinds.items()}
    rng = np.random.default_rng(4)
    places = np.zeros((len(WALK), 127, 3))
    rotations = np.zeros((len(WALK), 127, 3, 3))
    for row, name in enumerate(MHR_JOINTS):
        joint = names.index(own.get(name, "head" if name.startswith("c_") else "pelvis"))
        axes = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        axes *= np.sign(np.linalg.det(axes))
        turns[name] = Y_UP @ quaternion_to_matrix(pose.world_wxyz[:, joint]) @ Y_UP.T @ axes
        places[:, row] = pose.positions_m[:, joint] @ Y_UP.T
        rotations[:, row] = turns[name]
    camera = np.diag([1.0, -1.0, -1.0])  # as SAM 3D Body gives them: places flipped to the camera, rotations not
    record = {"pred_joint_coords": 100.0 * places @ camera, "pred_global_rots": rotations, "fps": np.array(30.0)}
    found = clip_of_skeleton(joint_state_motion(record, "take.npz"), SourceOptions("take.npz"))
    check_clip(found)
    difference = angles_deg(heading_free(found), heading_free(WALK))
    assert difference.max() < 0.1
    assert found.header.body_height_m == pytest.approx(1.7, abs=0.01)
    assert found.header.body_height_source == "assumed"  # centimetres or metres: nobody says


def as_source(rig: TargetRig, clip: MotionClip, options: RetargetOptions, skeleton_map: SkeletonMap) -> PosedSource:
    """A rig that was animated with a clip, sampled as Blender's matrices would be."""
    pose = retarget(clip, rig, skeleton_map, options)
    matrices = evaluate_matrices(rig, pose)
    rest = rig.object_matrix @ rig.rest_matrices
    turn = [
        matrix_to_quaternion(m[..., :3, :3] / np.cbrt(np.linalg.det(m[..., :3, :3]))[..., None, None])
        for m in (matrices, rest)
    ]
    deltas = quaternion_multiply(turn[0], quaternion_conjugate(turn[1]))
    return PosedSource(rig, pose.times_s, deltas, matrices[..., :3, 3])


@pytest.mark.parametrize("plant", [False, True], ids=["as it is", "feet planted"])
@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_by_way_of_another_rig_it_is_the_same_motion(first: str, second: str, plant: bool) -> None:
    families = {family.family: family for family in rig_families()}
    (rig_a, map_a), (rig_b, map_b) = family_rig(families[first]), family_rig(families[second])
    options = RetargetOptions(plant_feet=plant, placement=Placement.CHARACTER)
    for clip in (SAMPLE, WALK):
        direct = evaluate_matrices(rig_b, retarget(clip, rig_b, map_b, options))
        source = as_source(rig_a, clip, options, map_a)
        found = clip_of_source(source, SourceOptions(first, ARMATURE))
        by_way = evaluate_matrices(rig_b, retarget(found, rig_b, map_b, options))
        for upper, lower in LIMBS:
            spans = [
                m[:, rig_b.index(map_b.joints[lower][0]), :3, 3] - m[:, rig_b.index(map_b.joints[upper][0]), :3, 3]
                for m in (direct, by_way)
            ]
            spans = [span / np.linalg.norm(span, axis=-1, keepdims=True) for span in spans]
            assert angles_deg(*spans).max() < (0.5 if plant else 0.05), (upper, first, second)


def test_the_size_of_the_source_does_not_matter() -> None:
    families = {family.family: family for family in rig_families()}
    rig, skeleton_map = family_rig(families["mixamo"])
    source = as_source(rig, WALK, RetargetOptions(), skeleton_map)
    found = []
    for size in (1.0, 100.0, 0.01):
        grown = replace(rig, object_matrix=np.diag([size, size, size, 1.0]) @ rig.object_matrix)
        scaled = replace(source, rig=grown, heads_m=source.heads_m * size)
        found.append(clip_of_source(scaled, SourceOptions("walk", ARMATURE)))
    for other in found[1:]:
        np.testing.assert_allclose(other.root_world_m, found[0].root_world_m, atol=1e-3)
        np.testing.assert_array_equal(other.contacts, found[0].contacts)


def test_a_walk_in_place_is_not_glued_to_the_floor() -> None:
    families = {family.family: family for family in rig_families()}
    rig, skeleton_map = family_rig(families["mixamo"])
    source = as_source(rig, WALK, RetargetOptions(plant_feet=False), skeleton_map)
    hips = source.heads_m[:, rig.index("Hips")]
    still = replace(source, heads_m=source.heads_m - (hips - hips[0])[:, None] * np.array([1.0, 1.0, 0.0]))
    found = clip_of_source(still, SourceOptions("walk", ARMATURE))
    assert (found.contacts > 0.5).mean() < 0.5 * (WALK.contacts > 0.5).mean()


def moving(rig: TargetRig) -> PosedSource:
    frames = 12
    heads = np.broadcast_to(rig.heads(), (frames, len(rig), 3)).copy()
    deltas = np.zeros((frames, len(rig), 4))
    deltas[..., 0] = 1.0
    return PosedSource(rig, np.arange(frames) / 24.0, deltas, heads)


@pytest.mark.parametrize("neck_up", [0.0, 0.6])
@pytest.mark.parametrize("front", ["FrontLeg{}", "Front_{}", "bone{}"])
def test_animals_are_refused_in_words(front: str, neck_up: float) -> None:
    rig = animal(HIND, front, neck_up).build("Fox")
    with pytest.raises(MotionFileError) as told:
        clip_of_source(moving(rig), SourceOptions("Fox", ARMATURE))
    assert "Fox does not move like a person" in told.value.message
    assert told.value.remedy


def test_props_are_refused_in_words() -> None:
    door = RigBuilder()
    door.add("Frame", None, [0, 0, 0])
    door.add("Hinge", "Frame", [0.4, 0, 0])
    door.add("Handle", "Hinge", [0.8, 0, 1.0])
    with pytest.raises(MotionFileError, match="does not move like a person"):
        clip_of_source(moving(door.build("Door")), SourceOptions("Door", ARMATURE))


@pytest.mark.parametrize("family", ["mixamo", "kaykit"])
def test_exchanged_sides_are_warned_of(family: str) -> None:
    families = {one.family: one for one in rig_families()}
    rig, skeleton_map = family_rig(families[family])
    source = as_source(rig, WALK, RetargetOptions(), skeleton_map)

    def other(name: str) -> str:
        for a, b in (("Left", "Right"), (".l", ".r"), ("_l", "_r")):
            if a in name or b in name:
                return name.replace(a, "\0").replace(b, a).replace("\0", b)
        return name

    exchanged = replace(source, rig=replace(rig, bone_names=tuple(map(other, rig.bone_names))))
    found = clip_of_source(exchanged, SourceOptions("Swapped", ARMATURE))
    told = " ".join(warning.text for warning in found.header.warnings)
    assert "left and right look" in told


def test_nan_and_empty_sources_are_refused() -> None:
    families = {family.family: family for family in rig_families()}
    rig, skeleton_map = family_rig(families["mixamo"])
    source = as_source(rig, random_clip(0, 5), RetargetOptions(), skeleton_map)
    broken = source.heads_m.copy()
    broken[2, 3] = np.nan
    with pytest.raises(MotionFileError, match="NaN"):
        clip_of_source(replace(source, heads_m=broken), SourceOptions("x", ARMATURE))
    empty = replace(source, heads_m=source.heads_m[:0], deltas_wxyz=source.deltas_wxyz[:0], times_s=source.times_s[:0])
    with pytest.raises(MotionFileError, match="0 frames"):
        clip_of_source(empty, SourceOptions("x", ARMATURE))


def test_a_single_pose_is_a_clip() -> None:
    families = {family.family: family for family in rig_families()}
    rig, skeleton_map = family_rig(families["mixamo"])
    source = as_source(rig, walk_clip(), RetargetOptions(), skeleton_map)
    one = replace(source, heads_m=source.heads_m[:1], deltas_wxyz=source.deltas_wxyz[:1], times_s=source.times_s[:1])
    found = clip_of_source(one, SourceOptions("x", ARMATURE))
    check_clip(found)
    assert len(found) == 1


@pytest.mark.shared
@pytest.mark.parametrize(
    "take",
    [
        "animated_drawings_bvh/examples_bvh_fair1_dab.bvh",
        "animated_drawings_bvh/examples_bvh_rokoko_jesse_dance.bvh",
        "animated_drawings_bvh/examples_bvh_cmu1_jumping_jacks.bvh",
        "snu_bvh/data_motion_walk.bvh",
        "cmu_bvh_cc/All_BVH_subjects_002_002_04.bvh",
        "cmu_bvh_3dsmax/resources_131_01.bvh",
    ],
)
def test_limbs_of_real_takes_point_where_the_file_says(shared: Path, take: str) -> None:
    (skeleton,) = read_motion_file(shared / "mocap" / take)
    found = clip_of_skeleton(skeleton, SourceOptions(Path(take).name))
    check_clip(found)
    words = {"left_knee": ("LeftLeg", "L_Calf", "LeftKnee"), "left_ankle": ("LeftFoot", "L_Foot", "LeftAnkle")}
    at = {
        joint: next(k for k, name in enumerate(skeleton.names) if name.endswith(ends)) for joint, ends in words.items()
    }
    shin = skeleton.positions[:, at["left_ankle"]] - skeleton.positions[:, at["left_knee"]]
    up = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]) if "fair1" not in take else np.eye(3)
    shin = (shin / np.linalg.norm(shin, axis=1, keepdims=True)) @ up.T
    own = directions(found)[:, [pair[0] for pair in LIMBS].index("left_knee")]
    assert angles_deg(shin, own).max() < 0.05
    head = pose_clip(found).positions_m[:, canonical_body().joint_index("head"), 2]
    assert 1.2 < np.median(head) < 1.8


def test_a_source_that_stands_still_says_so() -> None:
    families = {family.family: family for family in rig_families()}
    rig, _ = family_rig(families["mixamo"])
    found = clip_of_source(moving(rig), SourceOptions("x", ARMATURE))
    assert any("nothing moves" in warning.text for warning in found.header.warnings)


def test_a_handstand_has_its_floor_below_the_hands() -> None:
    families = {family.family: family for family in rig_families()}
    rig, skeleton_map = family_rig(families["mixamo"])
    source = as_source(rig, WALK, RetargetOptions(plant_feet=False), skeleton_map)
    over = np.array([0.0, 1.0, 0.0, 0.0])  # half a turn about X
    heads = source.heads_m * np.array([1.0, -1.0, -1.0])
    turned = replace(source, heads_m=heads, deltas_wxyz=quaternion_multiply(over, source.deltas_wxyz))
    found = clip_of_source(turned, SourceOptions("x", ARMATURE))
    lowest = pose_clip(found).positions_m[..., 2].min(axis=1)
    assert -0.05 < np.percentile(lowest, 5) < 0.05
    assert not (found.contacts > 0.5).any()


def test_a_single_bent_pose_keeps_the_axes_of_its_rest_pose(tmp_path: Path) -> None:
    body = canonical_body()
    rotations = np.zeros((1, len(body.joint_names), 4))
    rotations[..., 0] = 1.0
    rotations[0, 0] = [np.sqrt(0.5), -np.sqrt(0.5), 0.0, 0.0]  # lying
    lying = make_clip(rotations, np.array([[0.0, 0.0, 0.15]]))
    twice = replace(
        make_clip(np.repeat(rotations, 2, 0), np.repeat(lying.root_world_m, 2, 0)), bone_scales=lying.bone_scales
    )
    (tmp_path / "lying.bvh").write_text(bvh_text(twice, "mixamo"))
    (skeleton,) = read_motion_file(tmp_path / "lying.bvh")
    found = clip_of_skeleton(skeleton, SourceOptions("lying.bvh"))
    assert angles_deg(directions(found), directions(twice)).max() < 0.05
    assert np.ptp(pose_clip(found).positions_m[0, :, 2]) < 0.6
