"""The canonical body: what its file promises, and forward kinematics against plain matrices."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from blender_addon.motion.body import (
    SKELETON_MAPS_DIR,
    BodyShape,
    canonical_body,
    forward_kinematics,
    points_m,
    read_body,
    seen_points_m,
)
from blender_addon.motion.rotations import quaternion_rotate, quaternion_to_matrix, rotvec_to_quaternion


@pytest.fixture
def pose() -> tuple[np.ndarray, np.ndarray]:
    """Twenty random poses: rotations (20, J, 4) and roots (20, 3)."""
    rng = np.random.default_rng(3)
    body = canonical_body()
    count = 20 * len(body.joint_names)
    turns = np.roll(Rotation.from_rotvec(rng.normal(0, 0.5, (count, 3))).as_quat(), 1, axis=-1)
    return turns.reshape(20, -1, 4), rng.normal(0, 1, (20, 3))


def test_the_rest_pose_is_what_the_conventions_say() -> None:
    body = canonical_body()
    rest = dict(zip(body.joint_names, body.rest_positions_m(), strict=True))
    assert body.parents[0] == -1
    assert (body.parents[1:] < np.arange(1, len(body.parents))).all()
    assert rest["left_shoulder"][0] > 0 > rest["right_shoulder"][0], "its left is +X"
    assert rest["left_toe"][1] < rest["left_ankle"][1], "it faces -Y"
    assert rest["head"][2] > rest["pelvis"][2] > rest["left_knee"][2] > rest["left_ankle"][2] > 0, "Z is up"
    assert abs(rest["left_wrist"][2] - rest["left_shoulder"][2]) < 0.01, "T-pose"
    assert 1.4 < rest["head"][2] < body.height_m == pytest.approx(1.70)


def test_left_mirrors_right() -> None:
    body = canonical_body()
    rest = body.rest_positions_m()
    assert (body.mirror[body.mirror] == np.arange(len(body.joint_names))).all()
    assert np.abs(rest[body.mirror] * [-1, 1, 1] - rest).max() < 1e-6


def test_the_human36m_subset_has_its_seventeen_joints() -> None:
    body = canonical_body()
    sizes = {name: len(points) for name, points in body.subsets.items()}
    assert 17 in sizes.values()
    assert all(len(body.subset_points[name]) == size for name, size in sizes.items())


def test_forward_kinematics_equals_products_of_matrices(pose: tuple[np.ndarray, np.ndarray]) -> None:
    rotations, root = pose
    body = canonical_body()
    positions, world = forward_kinematics(body, rotations, root)
    for frame in range(len(root)):
        matrices: list[np.ndarray] = []
        for joint, parent in enumerate(body.parents):
            local = np.eye(4)
            local[:3, :3] = Rotation.from_quat(np.roll(rotations[frame, joint], -1)).as_matrix()
            local[:3, 3] = root[frame] if parent < 0 else body.offsets_m[joint]
            matrices.append(local if parent < 0 else matrices[parent] @ local)
        stacked = np.stack(matrices)
        assert np.abs(stacked[:, :3, 3] - positions[frame]).max() < 1e-9
        turned = Rotation.from_quat(np.roll(world[frame], -1, axis=-1)).as_matrix()
        assert np.abs(stacked[:, :3, :3] - turned).max() < 1e-9


def test_a_persons_height_and_bones_scale_the_offsets(pose: tuple[np.ndarray, np.ndarray]) -> None:
    rotations, root = pose
    body = canonical_body()
    scales = np.ones(len(body.joint_names))
    knee = body.joint_index("left_knee")
    scales[knee] = 1.1
    tall = BodyShape(height_m=2 * body.height_m, bone_scales=scales)
    positions, _ = forward_kinematics(body, rotations, root, tall)
    lengths = np.linalg.norm(positions[:, 1:] - positions[:, body.parents[1:]], axis=-1)
    plain = np.linalg.norm(body.offsets_m[1:], axis=-1)
    assert np.allclose(lengths, 2 * plain * scales[1:])


def test_points_ride_on_their_joints(pose: tuple[np.ndarray, np.ndarray]) -> None:
    """Turning the whole body turns every named point with it."""
    rotations, root = pose
    body = canonical_body()
    turn = Rotation.from_rotvec([0.3, -0.2, 0.9])
    turned = rotations.copy()
    turned[:, 0] = np.roll((turn * Rotation.from_quat(np.roll(rotations[:, 0], -1, axis=-1))).as_quat(), 1, axis=-1)
    for subset in body.subsets:
        before = points_m(body, subset, *forward_kinematics(body, rotations, root))
        after = points_m(body, subset, *forward_kinematics(body, turned, root))
        expected = turn.apply((before - root[:, None]).reshape(-1, 3)).reshape(before.shape) + root[:, None]
        assert np.abs(after - expected).max() < 1e-9, subset


def test_an_unknown_joint_is_named() -> None:
    with pytest.raises(KeyError, match="left_tail"):
        canonical_body().joint_index("left_tail")


def test_a_child_before_its_parent_is_refused(tmp_path: Path) -> None:
    record = json.loads((SKELETON_MAPS_DIR / "canonical_body.json").read_text(encoding="utf-8"))
    record["joints"][1], record["joints"][2] = record["joints"][2], record["joints"][1]
    path = tmp_path / "body.json"
    path.write_text(json.dumps(record))
    with pytest.raises(ValueError, match="after its parent"):
        read_body(path)


def _random_pose(count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(8)
    body = canonical_body()
    local = rotvec_to_quaternion(rng.normal(0, 0.5, (count, len(body.joint_names), 3)))
    return forward_kinematics(body, local, rng.normal(0, 1, (count, 3)))


def test_the_shoulder_as_it_is_seen_stays_where_it_is_however_the_arm_is_turned() -> None:
    body = canonical_body()
    shoulder = body.subsets["h36m17"].index("lshoulder")
    still = np.tile([1.0, 0.0, 0.0, 0.0], (2, len(body.joint_names), 1))
    still[1, body.joint_index("left_shoulder")] = rotvec_to_quaternion(np.array([0.0, 1.3, 0.0]))
    level, hanging = points_m(body, "h36m17", *forward_kinematics(body, still, np.zeros((2, 3))))
    assert np.allclose(level[shoulder], hanging[shoulder])
    assert not np.allclose(level[shoulder + 1], hanging[shoulder + 1])


def test_shoulders_are_as_far_apart_as_in_human36m() -> None:
    """Its skeleton has 151 mm from the neck's base to each shoulder; the centres of the humeral heads are farther."""
    body = canonical_body()
    rest = np.tile([1.0, 0.0, 0.0, 0.0], (len(body.joint_names), 1))
    joints = points_m(body, "h36m17", *forward_kinematics(body, rest, np.zeros(3)))
    assert abs(np.linalg.norm(joints[11] - joints[14]) - 0.302) < 0.015


@pytest.mark.parametrize("subset", ["h36m17", "centres17", "blazepose33"])
def test_seen_points_follow_from_anatomical_ones(subset: str) -> None:
    body = canonical_body()
    positions, turns = _random_pose(5)
    sites = {site.name: site for site in body.sites}
    bare = []
    for name in body.subset_points[subset]:
        joint = sites[name].joint if name in sites else body.joint_index(name)
        offset = np.array(sites[name].rest_offset_m) if name in sites else np.zeros(3)
        bare.append(positions[:, joint] + quaternion_rotate(turns[:, joint], offset))
    seen = seen_points_m(subset, np.stack(bare, axis=1), quaternion_to_matrix(turns))
    assert np.allclose(seen, points_m(body, subset, positions, turns), atol=1e-9)
    assert np.allclose(seen, np.stack(bare, axis=1)) == (subset != "h36m17")
