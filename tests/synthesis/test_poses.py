from __future__ import annotations

import numpy as np
import pytest

from backend.errors import BadInputError
from backend.synthesis.poses import (
    PoseCollection,
    collect_poses,
    draw_pose,
    empty_collection,
    kinds_of_pose,
    random_pose,
    read_collection,
    write_collection,
)
from blender_addon.motion.body import canonical_body, forward_kinematics
from blender_addon.motion.rotations import quaternion_multiply, quaternion_to_rotvec, rotvec_to_quaternion


def test_random_poses_are_unit_rotations_within_limits():
    body = canonical_body()
    rng = np.random.default_rng(0)
    for _ in range(200):
        pose = random_pose(rng)
        np.testing.assert_allclose(np.linalg.norm(pose.rotations_wxyz, axis=1), 1.0, atol=1e-9)
        turns = np.degrees(quaternion_to_rotvec(pose.rotations_wxyz))
        for side in ("left", "right"):
            knee = turns[body.joint_index(f"{side}_knee")]
            assert -0.1 <= knee[0] <= 145.1
            assert abs(knee[1:]).max() < 1e-6
        assert pose.source == -1


def test_random_poses_differ_in_height_and_heading():
    rng = np.random.default_rng(1)
    heads = []
    for _ in range(100):
        joints, _ = forward_kinematics(canonical_body(), random_pose(rng).rotations_wxyz, np.zeros(3))
        heads.append(joints[canonical_body().joint_index("head")])
    spread = np.ptp(np.array(heads), axis=0)
    assert (spread > 0.8).all()


def test_kinds_do_not_depend_on_heading():
    rng = np.random.default_rng(2)
    poses = np.stack([random_pose(rng).rotations_wxyz for _ in range(40)])
    turned = poses.copy()
    turned[:, 0] = quaternion_multiply(rotvec_to_quaternion(np.array([0, 0, 1.3])), poses[:, 0])
    both = kinds_of_pose(np.concatenate([poses, turned]))
    assert (both[:40] == both[40:]).all()
    assert len(np.unique(both)) > 10


def test_a_collection_survives_its_file(tmp_path):
    rng = np.random.default_rng(3)
    poses = np.stack([random_pose(rng).rotations_wxyz for _ in range(5)])
    collection = PoseCollection(poses, np.arange(5.0), np.arange(5), np.zeros(5, np.intp), ("cmu_01/walk",))
    write_collection(collection, tmp_path / "poses.npz")
    again = read_collection(tmp_path / "poses.npz")
    np.testing.assert_array_equal(again.rotations_wxyz, poses)
    assert again.takes == ("cmu_01/walk",)
    drawn = [draw_pose(np.random.default_rng(seed), again, 0.0) for seed in range(30)]
    assert {pose.source for pose in drawn} == set(range(5))
    (tmp_path / "poses.npz").write_bytes(b"nothing")
    with pytest.raises(BadInputError, match="pose collection"):
        read_collection(tmp_path / "poses.npz")


def test_without_mocap_every_pose_is_random():
    assert draw_pose(np.random.default_rng(0), empty_collection(), 0.0).source == -1


@pytest.mark.shared
def test_mocap_collection_leaves_held_out_subjects_alone(shared):
    training = collect_poses(shared / "mocap" / "snu_bvh")
    assert len(training) > 50
    assert (training.clearance_m >= 0).all()
    with pytest.raises(BadInputError, match="held-out"):
        collect_poses(shared / "mocap" / "snu_bvh", held_out=True)
