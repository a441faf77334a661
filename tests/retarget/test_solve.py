"""FK(retarget(clip)) points where the clip points, on random rigs, whatever their axes; roots, feet and hands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blender_addon.motion.body import canonical_body, forward_kinematics
from blender_addon.motion.rotations import quaternion_between
from blender_addon.retarget.baked_pose import Placement, RetargetOptions, RootMode, Travel
from blender_addon.retarget.skeleton_map import SkeletonMap
from blender_addon.retarget.solve import retarget
from blender_addon.retarget.source_motion import RetargetError
from tests.retarget.evaluate_rig import evaluate
from tests.retarget.random_motion import (
    LIMBS,
    angle_deg,
    clip_limb_directions,
    limb_directions,
    random_clip,
    still_feet_clip,
    walk_clip,
)
from tests.retarget.random_rigs import RigSpec, random_rig

FREE = RetargetOptions(plant_feet=False)


def rig_directions(rig, skeleton_map, heads):
    return limb_directions(heads, lambda joint: rig.index(skeleton_map.joints[joint][0]))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    drop=st.floats(0.0, 1.4),
    between=st.booleans(),
    root=st.sampled_from(list(RootMode)),
)
def test_limbs_point_where_the_clip_points(seed, drop, between, root):
    clip = random_clip(seed, 24)
    rig, skeleton_map = random_rig(RigSpec(seed, drop, between))
    pose = retarget(clip, rig, skeleton_map, replace(FREE, root=root))
    error = angle_deg(rig_directions(rig, skeleton_map, evaluate(rig, pose)), clip_limb_directions(clip))
    assert error.max() < 1e-3


@given(seed=st.integers(0, 1000))
@settings(max_examples=8, deadline=None)
def test_the_pelvis_travels_by_leg_length(seed):
    clip = random_clip(seed, 20)
    rig, skeleton_map = random_rig(RigSpec(seed, 0.6))
    pose = retarget(clip, rig, skeleton_map, FREE)
    heads = evaluate(rig, pose)
    hips = (heads[:, rig.index("left_hip")] + heads[:, rig.index("right_hip")]) / 2
    scale = pose.report.figures["scale"]
    wanted = (clip.root_world_m - clip.root_world_m[0]) * scale
    np.testing.assert_allclose(hips - hips[0], wanted, atol=1e-6)
    np.testing.assert_allclose(hips[0, 2], clip.root_world_m[0, 2] * scale, atol=1e-6)


@pytest.mark.parametrize("root", list(RootMode))
@pytest.mark.parametrize("travel", list(Travel))
def test_every_root_puts_the_body_in_the_same_pose(root, travel):
    clip = random_clip(3, 30)
    rig, skeleton_map = random_rig(RigSpec(3, 0.7))
    rig, skeleton_map = with_root_bone(rig, skeleton_map)
    plain = evaluate(rig, retarget(clip, rig, skeleton_map, replace(FREE, travel=travel)))
    other = evaluate(rig, retarget(clip, rig, skeleton_map, replace(FREE, root=root, travel=travel)))
    bones = [rig.index(bone) for bone in skeleton_map.bones()]
    np.testing.assert_allclose(other[:, bones], plain[:, bones], atol=1e-6)


def with_root_bone(rig, skeleton_map):
    """The rig with one more bone, of odd axes, that everything hangs from."""
    count = len(rig) + 1
    rest = np.concatenate([np.eye(4)[None], rig.rest_matrices])
    rest[0, :3, :3] = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    parents = np.where(rig.parents < 0, 0, rig.parents + 1)
    grown = replace(
        rig,
        bone_names=("root", *rig.bone_names),
        parents=np.concatenate([[-1], parents]),
        rest_matrices=rest,
        lengths=np.concatenate([[1.0], rig.lengths]),
        rotation_modes=("QUATERNION",) * count,
        inherit_rotation=np.ones(count, bool),
        local_location=np.ones(count, bool),
        basis=np.broadcast_to(np.eye(4), (count, 4, 4)),
        constrained=np.zeros(count, bool),
        deform=np.ones(count, bool),
    )
    return grown, replace(skeleton_map, root_bone="root")


def test_a_root_bone_really_carries_the_travel():
    clip = random_clip(5, 60)
    rig, skeleton_map = with_root_bone(*random_rig(RigSpec(5, 0.7)))
    heads = evaluate(rig, retarget(clip, rig, skeleton_map, replace(FREE, root=RootMode.ROOT_BONE)))
    standing = heads[:, rig.index("root")]
    pelvis = (heads[:, rig.index("left_hip")] + heads[:, rig.index("right_hip")]) / 2
    assert np.ptp(standing[:, :2], axis=0).max() > 0.3
    # the root goes about under the body, always at one height, never turned over
    np.testing.assert_allclose(standing[:, 2], standing[0, 2], atol=1e-6)
    assert np.linalg.norm((pelvis - standing)[:, :2], axis=1).std() < 0.05


def test_in_place_stays_and_still_bobs():
    clip = random_clip(6, 60)
    rig, skeleton_map = random_rig(RigSpec(6, 0.4))
    heads = evaluate(rig, retarget(clip, rig, skeleton_map, replace(FREE, travel=Travel.IN_PLACE)))
    hips = (heads[:, rig.index("left_hip")] + heads[:, rig.index("right_hip")]) / 2
    travelled = np.ptp(clip.root_world_m[:, :2], axis=0).max()
    assert np.ptp(hips[:, :2], axis=0).max() < 0.2 * travelled


def test_placed_at_the_character_it_starts_where_it_stands_and_faces():
    clip = random_clip(7, 10)
    rig, skeleton_map = random_rig(RigSpec(7, 0.4))
    upright = np.eye(4)
    upright[:3, :3] = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]) * 0.02
    upright[:3, 3] = [4.0, -3.0, 0.5]
    rest = rig.rest_matrices.copy()
    rest[:, :3, 3] *= 50.0 / np.ptp(rest[:, 2, 3])
    rig = replace(rig, object_matrix=upright, rest_matrices=rest)
    pose = retarget(clip, rig, skeleton_map, replace(FREE, placement=Placement.CHARACTER))
    heads = evaluate(rig, pose)[0]
    rest_heads = rig.heads() @ upright[:3, :3].T + upright[:3, 3]
    hips, rest_hips = (
        (points[rig.index("left_hip")] + points[rig.index("right_hip")]) / 2 for points in (heads, rest_heads)
    )
    np.testing.assert_allclose(hips[:2], rest_hips[:2], atol=1e-6)
    across = [points[rig.index("left_hip")] - points[rig.index("right_hip")] for points in (heads, rest_heads)]
    level = [row[:2] / np.linalg.norm(row[:2]) for row in across]
    assert level[0] @ level[1] > np.cos(np.radians(25.0))


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 1000), between=st.booleans())
def test_planted_feet_stay_on_the_target(seed, between):
    clip = still_feet_clip()
    rig, skeleton_map = random_rig(RigSpec(seed, 0.8, between))
    rig = standing(rig)
    heads = evaluate(rig, retarget(clip, rig, skeleton_map))
    scale = pose_scale(rig, skeleton_map, clip)
    for joint in ("left_ankle", "right_ankle", "left_toe", "right_toe"):
        moved = np.linalg.norm(np.diff(heads[:, rig.index(joint)], axis=0), axis=1)
        assert moved.max() < 0.002 * max(scale, 1.0), joint


def pose_scale(rig, skeleton_map, clip):
    return retarget(clip, rig, skeleton_map, FREE).report.figures["scale"]


def standing(rig):
    """The rig of about a person's size, upright, on the floor."""
    matrix = np.eye(4)
    matrix[:3, :3] *= 1.7 / np.ptp(rig.heads()[:, 2])
    matrix[2, 3] = -(rig.heads()[:, 2].min() * matrix[0, 0]) + 0.03
    return replace(rig, object_matrix=matrix)


@pytest.mark.parametrize("seed", range(4))
def test_a_walk_plants_each_step(seed):
    clip = walk_clip()
    rig, skeleton_map = random_rig(RigSpec(seed, 0.8))
    rig = standing(rig)
    pose = retarget(clip, rig, skeleton_map)
    heads = evaluate(rig, pose)
    for number, side in enumerate(("left", "right")):
        flat = clip.contacts[:, 2 * number] * clip.contacts[:, 2 * number + 1] > 0
        both = flat[1:] & flat[:-1]
        for joint in ("ankle", "toe"):
            moved = np.linalg.norm(np.diff(heads[:, rig.index(f"{side}_{joint}")], axis=0), axis=1)
            assert moved[both].max() < 0.002
    assert pose.report.figures["planted foot frames out of reach"] == 0


def test_toes_lie_flat_while_the_ball_of_the_foot_stands():
    clip = still_feet_clip(40)
    rotations = clip.rotations_wxyz.copy()
    toe = canonical_body().joint_index("left_toe")
    rotations[:, toe] = [np.cos(0.2), -np.sin(0.2), 0.0, 0.0]  # toes curled up by 23 degrees
    rig, skeleton_map = random_rig(RigSpec(2, 0.8))
    rig = standing(rig)
    flat, curled = (
        evaluate(rig, retarget(replace(clip, rotations_wxyz=rows), rig, skeleton_map))
        for rows in (clip.rotations_wxyz, rotations)
    )
    np.testing.assert_allclose(curled, flat, atol=1e-9)
    kept = retarget(replace(clip, rotations_wxyz=rotations), rig, skeleton_map, FREE)
    planted = retarget(replace(clip, rotations_wxyz=rotations), rig, skeleton_map)
    bone = planted.bone_names.index("left_toe")
    assert np.degrees(quaternion_between(kept.rotations_wxyz[bone], planted.rotations_wxyz[bone])).min() > 15.0


def test_planting_is_what_keeps_the_feet_still():
    """With travel out of step with the legs every foot slides, unless it is planted."""
    clip = walk_clip()
    rig, skeleton_map = random_rig(RigSpec(1, 0.8))
    rig = standing(rig)
    flat = clip.contacts[:, :2].all(axis=1)
    slides = {}
    for plant in (False, True):
        heads = evaluate(rig, retarget(clip, rig, skeleton_map, RetargetOptions(scale=0.85, plant_feet=plant)))
        moved = np.linalg.norm(np.diff(heads[:, rig.index("left_ankle")], axis=0), axis=1)
        slides[plant] = moved[flat[1:] & flat[:-1]].max()
    assert slides[False] > 0.004
    assert slides[True] < 0.002


def test_hands_reach_their_targets():
    clip = random_clip(8, 40)
    rig, skeleton_map = random_rig(RigSpec(8, 0.8))
    rig = standing(rig)
    free = evaluate(rig, retarget(clip, rig, skeleton_map, FREE))
    target = np.full((40, 3), np.nan)
    shoulder = free[:, rig.index("left_shoulder")]
    target[10:30] = shoulder[10:30] + np.array([0.15, -0.25, -0.1])
    options = replace(FREE, hand_targets_m={"left_wrist": target})
    held = evaluate(rig, retarget(clip, rig, skeleton_map, options))
    wrist = rig.index("left_wrist")
    np.testing.assert_allclose(held[10:30, wrist], target[10:30], atol=1e-6)
    np.testing.assert_allclose(held[:3, wrist], free[:3, wrist], atol=1e-6)


def test_no_flips_in_ten_thousand_frames():
    clip = random_clip(11, 10_000, step=0.05)
    rig, skeleton_map = random_rig(RigSpec(11, 0.9, True))
    chains = {**skeleton_map.joints}
    pose = retarget(clip, rig, replace(skeleton_map, joints=chains))
    steps = np.degrees(quaternion_between(pose.rotations_wxyz[:, 1:], pose.rotations_wxyz[:, :-1]))
    source = np.degrees(quaternion_between(clip.rotations_wxyz[1:], clip.rotations_wxyz[:-1]))
    assert steps.max() < 5.0 * source.max() + 2.0
    # the signs are continuous too: interpolating the channels never takes the long way round
    assert (np.sum(pose.rotations_wxyz[:, 1:] * pose.rotations_wxyz[:, :-1], axis=-1) > 0).all()


def test_frames_without_the_person_hold_the_nearest_pose():
    clip = random_clip(12, 30)
    rotations, root = clip.rotations_wxyz.copy(), clip.root_world_m.copy()
    rotations[10:14], root[10:14] = np.nan, np.nan
    rig, skeleton_map = random_rig(RigSpec(12))
    pose = retarget(replace(clip, rotations_wxyz=rotations, root_world_m=root), rig, skeleton_map)
    assert np.isfinite(pose.rotations_wxyz).all()
    assert pose.present.tolist() == [not 10 <= frame < 14 for frame in range(30)]
    np.testing.assert_allclose(pose.rotations_wxyz[:, 11], pose.rotations_wxyz[:, 9], atol=1e-9)


def test_a_clip_without_the_person_is_refused():
    clip = random_clip(0, 4)
    rig, skeleton_map = random_rig(RigSpec(0))
    with pytest.raises(RetargetError, match="no frame with the person"):
        retarget(replace(clip, root_world_m=np.full((4, 3), np.nan)), rig, skeleton_map)


def test_a_map_without_hips_is_refused_by_name():
    rig, skeleton_map = random_rig(RigSpec(0))
    joints = {joint: bones for joint, bones in skeleton_map.joints.items() if joint != "pelvis"}
    with pytest.raises(RetargetError, match="pelvis"):
        retarget(random_clip(0, 4), rig, replace(skeleton_map, joints=joints))


def test_missing_joints_pass_their_rotation_on_and_are_named():
    clip = random_clip(13, 12)
    rig, skeleton_map = random_rig(RigSpec(13))
    drop = {"spine", "left_clavicle", "left_hand", "right_hand"}
    thin = SkeletonMap("t", "t", {joint: bones for joint, bones in skeleton_map.joints.items() if joint not in drop})
    pose = retarget(clip, rig, thin, FREE)
    assert {note.joint for note in pose.report.unmapped} == drop
    assert all(note.reason for note in pose.report.unmapped)
    error = angle_deg(rig_directions(rig, skeleton_map, evaluate(rig, pose)), clip_limb_directions(clip))
    assert error.max() < 1e-3


def test_bones_that_inherit_no_rotation_are_heeded():
    clip = random_clip(14, 12)
    rig, skeleton_map = random_rig(RigSpec(14, 0.5))
    rig = replace(rig, inherit_rotation=np.zeros(len(rig), bool))
    error = angle_deg(
        rig_directions(rig, skeleton_map, evaluate(rig, retarget(clip, rig, skeleton_map, FREE))),
        clip_limb_directions(clip),
    )
    assert error.max() < 1e-3


def test_a_mirrored_object_keeps_directions_and_warns():
    clip = random_clip(15, 12)
    rig, skeleton_map = random_rig(RigSpec(15, 0.5))
    matrix = rig.object_matrix.copy()
    matrix[:3, 0] *= -1.0
    rig = replace(rig, object_matrix=matrix)
    pose = retarget(clip, rig, skeleton_map, FREE)
    assert any("mirrored" in warning for warning in pose.report.warnings)
    assert np.isfinite(evaluate(rig, pose)).all()


def test_an_uneven_scale_is_reported():
    rig, skeleton_map = random_rig(RigSpec(16))
    matrix = rig.object_matrix @ np.diag([1.0, 1.3, 1.0, 1.0])
    pose = retarget(random_clip(16, 4), replace(rig, object_matrix=matrix), skeleton_map)
    assert any("uneven scale" in warning for warning in pose.report.warnings)


def test_constrained_bones_are_reported():
    rig, skeleton_map = random_rig(RigSpec(17))
    constrained = np.zeros(len(rig), bool)
    constrained[rig.index("left_knee")] = True
    pose = retarget(random_clip(17, 4), replace(rig, constrained=constrained), skeleton_map)
    assert any("left_knee" in warning for warning in pose.report.warnings)


def test_the_canonical_body_itself_is_a_fixed_point():
    body = canonical_body()
    rig, skeleton_map = random_rig(RigSpec(18))
    clip = random_clip(18, 10)
    identity = np.zeros_like(clip.rotations_wxyz)
    identity[..., 0] = 1.0
    pose = retarget(replace(clip, rotations_wxyz=identity), rig, skeleton_map, FREE)
    positions, _ = forward_kinematics(body, identity, clip.root_world_m)
    error = angle_deg(
        rig_directions(rig, skeleton_map, evaluate(rig, pose)), limb_directions(positions, body.joint_index)
    )
    assert error.max() < 1e-3
    assert len(LIMBS) == error.shape[1]
