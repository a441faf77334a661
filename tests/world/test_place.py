"""Placing poses in the world, against known motions in front of known cameras."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backend.world import WorldOptions, WorldTrack, place_in_world
from backend.world.steps import seated
from blender_addon.motion.body import BodyShape, canonical_body
from blender_addon.motion.body_contacts import CONTACT_PARTS, body_parts
from blender_addon.motion.clip_warning import WarningCode
from blender_addon.motion.contacts import ContactSettings, planted_frames, point_speed_m_s
from blender_addon.motion.posing import find_feet, pose_body
from blender_addon.motion.quality import foot_skate_m_s
from blender_addon.motion.resting import heights_m
from blender_addon.motion.rotations import rotvec_to_quaternion
from tests.motion.motions import person_shape, read_daz_bvh, walking
from tests.world.scenes import Camera, Noise, Scene, make_scene

QUIET = Noise(keypoint_px=0.0, pose_white_deg=0.0, pose_slow_deg=0.0, pitch_deg=0.0)


def _walk(camera: Camera, noise: Noise, heading_rad: float = 0.0) -> tuple[np.ndarray, Scene]:
    times, rotations, root, _ = walking(5.0, heading_rad=heading_rad)
    root = root.copy()
    root[:, :2] -= root[:, :2].mean(axis=0)
    return times, make_scene(times, rotations, root, camera, noise)


def _place(scene: Scene, options: WorldOptions | None = None) -> WorldTrack:
    return place_in_world(scene.poses, scene.track, scene.intrinsics, options)


def _path_error(world: WorldTrack, scene: Scene) -> float:
    """Mean distance from the true root, in parts of the path's length."""
    path = np.linalg.norm(np.diff(scene.root_camera_m, axis=0), axis=-1).sum()
    return float(np.linalg.norm(world.root_camera_m - scene.root_camera_m, axis=-1).mean() / path)


def _gravity_error_deg(world: WorldTrack, scene: Scene) -> float:
    down = -scene.world_from_camera[2, :3]
    return float(np.rad2deg(np.arccos(np.clip(down @ world.gravity_camera, -1.0, 1.0))))


def _feet(world: WorldTrack, scene: Scene) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Foot points in the world, their clearance, and which of them stand."""
    body = canonical_body()
    feet = find_feet(body, pose_body(body, person_shape(), world.rotations_wxyz, world.root_world_m))
    planted = planted_frames(scene.track.times_s, world.contacts, ContactSettings())
    return feet.positions_m, feet.clearance_m, planted


def test_perfect_input_gives_the_true_path_gravity_and_feet() -> None:
    _, scene = _walk(Camera((0.0, -7.0, 1.5)), QUIET)
    world = _place(scene)
    assert _path_error(world, scene) < 0.01
    assert _gravity_error_deg(world, scene) < 0.5
    positions, clearance, planted = _feet(world, scene)
    assert planted.mean() > 0.5
    np.testing.assert_allclose((positions[..., 2] - clearance)[planted], 0.0, atol=0.01)


@pytest.mark.parametrize("heading_deg", [0.0, 45.0, 90.0])
@pytest.mark.parametrize("roll_deg", [0.0, 20.0])
def test_root_error_is_at_most_5_percent_of_the_path_and_feet_do_not_skate(heading_deg: float, roll_deg: float) -> None:
    times, scene = _walk(Camera((0.0, -7.5, 1.6), roll_deg=roll_deg), Noise(), np.deg2rad(heading_deg))
    world = _place(scene)
    assert _path_error(world, scene) <= 0.05
    positions, _, planted = _feet(world, scene)
    assert planted.mean() > 0.35
    assert foot_skate_m_s(times, positions, planted) <= 0.01


@pytest.mark.shared
@pytest.mark.parametrize("name", ["salsa_01", "salsa_10", "martial_03", "martial_08", "indian_04"])
def test_the_same_holds_for_mocap(shared: Path, name: str) -> None:
    times, rotations, root = read_daz_bvh(shared / "mocap" / "cmu_bvh_daz" / f"train_data_bvh_{name}.bvh")
    times, rotations, root = times[:300], rotations[:300], root[:300].copy()
    root[:, :2] -= root[:, :2].mean(axis=0)
    scene = make_scene(times, rotations, root, Camera(), Noise())
    world = _place(scene)
    assert _path_error(world, scene) <= 0.05
    positions, _, planted = _feet(world, scene)
    assert planted.any()
    assert foot_skate_m_s(times, positions, planted) <= 0.01


def test_depth_jitter_is_gone() -> None:
    _, scene = _walk(Camera((0.0, -7.0, 1.5)), Noise())
    world = _place(scene)
    guess = np.abs(np.diff(scene.poses.root_camera_m[:, 2], 2)).mean()
    truth = np.abs(np.diff(scene.root_camera_m[:, 2], 2)).mean()
    assert np.abs(np.diff(world.root_camera_m[:, 2], 2)).mean() < 0.02 * guess + truth


def test_a_quick_lunge_in_depth_is_followed() -> None:
    times, rotations, root, _ = walking(4.0)
    lunge = root.copy()
    lunge[:, :2] = 0.0
    lunge[:, 1] = -1.2 / (1.0 + np.exp(-(times - 2.0) / 0.08))
    standing = np.repeat(rotations[20:21], len(times), axis=0)
    scene = make_scene(times, standing, lunge, Camera((0.0, -5.0, 1.4)), Noise(pose_slow_deg=1.0, pitch_deg=0.0))
    world = _place(scene)
    moved = world.root_camera_m[:, 2] - world.root_camera_m[:30, 2].mean()
    assert -1.35 < moved[-30:].mean() < -1.05


def test_gravity_improves_on_a_wrong_hint_where_the_feet_tell() -> None:
    _, scene = _walk(Camera((0.0, -7.0, 1.6)), Noise(pitch_deg=8.0, pose_slow_deg=1.0))
    world = _place(scene)
    before = np.rad2deg(np.arccos(-scene.world_from_camera[2, :3] @ scene.poses.gravity_camera))
    assert before > 8.0
    assert _gravity_error_deg(world, scene) < 0.5 * before


def test_a_rolled_camera_is_believed() -> None:
    _, scene = _walk(Camera((0.0, -7.0, 1.5), roll_deg=25.0), Noise(pitch_deg=2.0))
    assert _gravity_error_deg(_place(scene), scene) < 4.0


def test_without_a_pose_hint_the_camera_counts_as_level() -> None:
    _, scene = _walk(Camera((0.0, -7.0, 1.2)), QUIET)
    poses = replace(scene.poses, gravity_camera=np.full(3, np.nan))
    world = place_in_world(poses, scene.track, scene.intrinsics)
    assert _gravity_error_deg(world, scene) < 2.0


def test_the_world_is_upright_with_the_floor_at_zero_and_x_to_the_right() -> None:
    _, scene = _walk(Camera((0.0, -7.0, 2.0)), QUIET)
    world = _place(scene)
    pose = world.world_from_camera[0]
    np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-9)
    assert np.linalg.det(pose[:3, :3]) == pytest.approx(1.0)
    assert pose[:3, 0] @ [1.0, 0.0, 0.0] > 0.99
    assert pose[2, 3] == pytest.approx(2.0, abs=0.1)
    np.testing.assert_allclose(world.root_world_m[0, :2], 0.0, atol=0.05)
    back = world.root_camera_m @ pose[:3, :3].T + pose[:3, 3]
    np.testing.assert_allclose(back, world.root_world_m, atol=1e-9)


def test_a_given_camera_is_kept_so_that_people_share_a_world() -> None:
    camera = Camera((0.5, -6.0, 1.7), roll_deg=5.0)
    _, scene = _walk(camera, QUIET, 0.7)
    world = _place(scene, WorldOptions(world_from_camera=scene.world_from_camera))
    np.testing.assert_array_equal(world.world_from_camera[7], scene.world_from_camera)
    true_root = scene.root_camera_m @ scene.world_from_camera[:3, :3].T + scene.world_from_camera[:3, 3]
    assert np.linalg.norm(world.root_world_m - true_root, axis=-1).max() < 0.08


def test_given_gravity_is_used_as_it_is() -> None:
    _, scene = _walk(Camera((0.0, -7.0, 1.5), roll_deg=10.0), Noise())
    down = -scene.world_from_camera[2, :3]
    world = _place(scene, WorldOptions(gravity_camera=3.0 * down))
    np.testing.assert_allclose(world.gravity_camera, down, atol=1e-12)


def test_missing_frames_stay_missing_and_outliers_do_no_harm() -> None:
    _, scene = _walk(Camera((0.0, -7.0, 1.5)), Noise(pose_slow_deg=2.0))
    clean = _path_error(_place(scene), scene)
    random = np.random.default_rng(0)
    keypoints = scene.track.keypoints_px.copy()
    bad = random.random(keypoints.shape[:2]) < 0.08
    keypoints[bad] += random.normal(size=(int(bad.sum()), 2)) * 150.0
    rotations = scene.poses.rotations_wxyz.copy()
    rotations[40:55] = np.nan
    keypoints[40:55] = np.nan
    poses = replace(scene.poses, rotations_wxyz=rotations)
    world = place_in_world(poses, replace(scene.track, keypoints_px=keypoints), scene.intrinsics)
    assert np.isnan(world.root_world_m[40:55]).all()
    assert (world.contacts[40:55] == 0.0).all()
    present = np.isfinite(world.root_camera_m).all(axis=1)
    assert present.sum() == len(present) - 15
    path = np.linalg.norm(np.diff(scene.root_camera_m, axis=0), axis=-1).sum()
    error = np.linalg.norm((world.root_camera_m - scene.root_camera_m)[present], axis=-1).mean() / path
    assert error < clean + 0.02


def test_joints_in_the_camera_go_with_the_root_and_keep_the_pose_solvers_detail() -> None:
    _, scene = _walk(Camera((0.0, -7.0, 1.5)), Noise())
    world = _place(scene, WorldOptions(plant_feet=False))
    ours = world.joints_camera_m - world.root_camera_m[:, None]
    theirs = scene.poses.joints_camera_m - scene.poses.root_camera_m[:, None]
    np.testing.assert_allclose(ours, theirs, atol=1e-9)


def test_planting_does_not_worsen_the_pose() -> None:
    _, scene = _walk(Camera((0.0, -7.0, 1.5)), Noise())

    def mpjpe_m(joints: np.ndarray) -> float:
        ours, truth = joints - joints[:, :1], scene.joints_camera_m - scene.joints_camera_m[:, :1]
        return float(np.linalg.norm(ours - truth, axis=-1).mean())

    assert mpjpe_m(_place(scene).joints_camera_m) <= 1.01 * mpjpe_m(scene.poses.joints_camera_m)


def test_lens_distortion_is_undone() -> None:
    import cv2

    _, scene = _walk(Camera((0.0, -5.0, 1.5)), QUIET)
    coefficients = (-0.25, 0.08, 0.0, 0.0, 0.0)
    inverse = np.linalg.inv(scene.intrinsics.matrix)
    homogeneous = np.concatenate([scene.track.keypoints_px, np.ones((*scene.track.keypoints_px.shape[:2], 1))], -1)
    rays = (homogeneous @ inverse.T).reshape(-1, 3)
    bent = cv2.projectPoints(rays, np.zeros(3), np.zeros(3), scene.intrinsics.matrix, np.array(coefficients))[0]
    track = replace(scene.track, keypoints_px=bent.reshape(scene.track.keypoints_px.shape))
    ignored = place_in_world(scene.poses, track, scene.intrinsics)
    undone = place_in_world(scene.poses, track, replace(scene.intrinsics, distortion=coefficients))
    assert _path_error(undone, scene) < 0.01
    assert _path_error(undone, scene) < 0.5 * _path_error(ignored, scene)


def test_a_moving_camera_and_an_empty_track_are_said() -> None:
    _, scene = _walk(Camera((0.0, -7.0, 1.5)), QUIET)
    travels = _place(scene, WorldOptions(camera_moves=True)).warnings[0]
    turns = _place(scene, WorldOptions(camera_moves=True, camera_turns=True)).warnings[0]
    assert {travels.code, turns.code} == {WarningCode.CAMERA_MOVES}
    assert "takes it as still" in travels.text
    assert "only its turns and zoom" in turns.text
    poses = replace(scene.poses, rotations_wxyz=np.full_like(scene.poses.rotations_wxyz, np.nan))
    empty = place_in_world(poses, scene.track, scene.intrinsics)
    assert np.isnan(empty.root_world_m).all()
    assert empty.warnings[0].code is WarningCode.TOO_FEW_FRAMES


@pytest.mark.parametrize("fps", [24.0, 60.0])
def test_the_frame_rate_does_not_change_the_path(fps: float) -> None:
    times, rotations, root, _ = walking(4.0, fps)
    root = root.copy()
    root[:, :2] -= root[:, :2].mean(axis=0)
    scene = make_scene(times, rotations, root, Camera((0.0, -7.0, 1.5)), Noise())
    assert _path_error(_place(scene), scene) <= 0.05


def test_ten_thousand_frames_take_seconds() -> None:
    times, rotations, root, _ = walking(8.0)
    repeats = 42
    long = np.arange(len(times) * repeats) / 30.0
    root = np.tile(root - root.mean(axis=0) * [1, 1, 0], (repeats, 1))
    scene = make_scene(long, np.tile(rotations, (repeats, 1, 1)), root, Camera((0.0, -9.0, 1.5)), Noise())
    start = time.process_time()
    _place(scene)
    assert time.process_time() - start < 15.0


def _posed(pose: dict[str, tuple[float, float, float]], root_z_m: float) -> Scene:
    """Somebody in one pose who moves a little, on the floor, seen by a level camera."""
    body, times_s = canonical_body(), np.arange(60) / 30.0
    turns = np.zeros((60, len(body.joint_names), 3))
    for name, turn in pose.items():
        turns[:, body.joint_index(name)] = turn
    turns[:, body.joint_index("head")] += 10.0 * np.sin(3.0 * times_s)[:, None] * [1.0, 0.0, 0.0]
    noise = Noise(keypoint_px=2.0, pose_white_deg=1.0, pose_slow_deg=2.0, pitch_deg=0.0, depth_m=0.2)
    root = np.tile([0.0, 0.0, root_z_m], (60, 1))
    return make_scene(times_s, rotvec_to_quaternion(np.deg2rad(turns)), root, Camera((3.0, -2.0, 1.4)), noise, 1.70)


def test_hands_and_knees_are_contacts_and_come_to_the_floor() -> None:
    sides = {"left": 1.0, "right": -1.0}
    pose: dict[str, tuple[float, float, float]] = {"pelvis": (78, 0, 0)}
    for name, side in sides.items():
        pose |= {f"{name}_hip": (-78, 0, 0), f"{name}_knee": (90, 0, 0), f"{name}_ankle": (80, 0, 0)}
        pose |= {f"{name}_shoulder": (0, 0, -78 * side), f"{name}_wrist": (0, -70 * side, 0)}
    scene = _posed(pose, 0.475)
    world = _place(scene, WorldOptions(gravity_camera=-scene.world_from_camera[2, :3]))
    assert world.body_contacts is not None
    told = dict(zip(CONTACT_PARTS, (world.body_contacts > 0.5).mean(axis=0), strict=True))
    assert all(told[f"{side}_{part}"] > 0.5 for side in sides for part in ("knee", "hand")), told
    assert max(told["head"], told["back"], told["seat"]) == 0.0
    shape = BodyShape(1.70, scene.poses.bone_scales)
    height = heights_m(canonical_body(), pose_body(canonical_body(), shape, world.rotations_wxyz, world.root_world_m))
    hands = [4 + CONTACT_PARTS.index(f"{side}_hand") for side in sides]
    assert np.abs(height[:, hands]).mean() < 0.03
    assert height.min() > -0.06


def test_a_seat_beside_the_feet_rests_on_a_chair_and_a_standing_person_on_none() -> None:
    sitting = {
        f"{side}_{joint}": (turn, 0, 0) for side in ("left", "right") for joint, turn in (("hip", -88), ("knee", 88))
    }
    scene = _posed(sitting, 0.50)
    world = _place(scene, WorldOptions(gravity_camera=-scene.world_from_camera[2, :3]))
    assert world.body_contacts is not None
    assert (world.body_contacts[:, CONTACT_PARTS.index("seat")] > 0.5).mean() > 0.8
    _, walk = _walk(Camera((0.0, -7.0, 1.5)), Noise())
    assert not (_place(walk).body_contacts > 0.5).any()


def _seat_told(bend_deg: np.ndarray, times_s: np.ndarray | None = None) -> np.ndarray:
    """Where `seated` tells a seat for somebody whose weight is over their feet; bend of the knees, 30 times a
    second or at `times_s`.

    Feet stay on the floor; thighs and trunk lean so that the body does not fall.
    """
    body, frames = canonical_body(), len(bend_deg)
    turns = np.zeros((frames, len(body.joint_names), 3))
    for side in ("left", "right"):
        turns[:, body.joint_index(f"{side}_knee"), 0] = bend_deg
        turns[:, body.joint_index(f"{side}_hip"), 0] = -0.95 * bend_deg
        turns[:, body.joint_index(f"{side}_ankle"), 0] = -0.45 * bend_deg
    turns[:, 0, 0] = 0.4 * bend_deg
    shape = BodyShape(body.height_m, np.ones(len(body.joint_names)))
    posed = pose_body(body, shape, rotvec_to_quaternion(np.deg2rad(turns)), np.zeros((frames, 3)))
    positions = np.concatenate([find_feet(body, posed).positions_m, body_parts(body, posed).positions_m], axis=1)
    positions = positions - positions[:, :4].mean(axis=1, keepdims=True)
    stands = np.zeros(positions.shape[:2])
    stands[:, :4] = 1.0
    return seated(np.arange(frames) / 30.0 if times_s is None else times_s, positions, stands) > 0.5


def test_a_half_squat_that_is_held_for_a_second_is_a_seat_and_one_that_is_not_is_none() -> None:
    assert _seat_told(np.full(60, 68.0)).all()
    assert not _seat_told(np.full(60, 68.0)[:20]).any()  # too short to be known
    assert not _seat_told(np.full(60, 30.0)).any()  # stands, knees a little bent
    assert not _seat_told(45.0 - 45.0 * np.cos(np.arange(90) / 30.0 * np.pi)).any()  # squats, one in two seconds
    told = _seat_told(np.concatenate([np.linspace(0.0, 68.0, 30), np.full(60, 68.0)]))  # sits down
    assert not told[:20].any()
    assert told[55:].all()


def test_a_half_squat_beside_a_pause_is_no_seat_unless_it_is_seen_for_a_second() -> None:
    times_s = np.arange(20) / 30.0
    shots = np.concatenate([times_s, 5.0 + times_s, [9.0], 12.0 + times_s])  # after cuts, or while somebody is hidden
    assert not _seat_told(np.full(61, 68.0), shots).any()
    whole = np.arange(45) / 30.0
    assert _seat_told(np.full(90, 68.0), np.concatenate([whole, 5.0 + whole])).all()


@pytest.mark.parametrize("camera", [Camera((0.0, -7.0, 1.5)), Camera((-6.0, -3.0, 1.4))])
def test_steps_towards_and_past_the_camera_are_not_swallowed_and_do_not_float(camera: Camera) -> None:
    """A walk along -Y: towards the first camera, past the second."""
    times, rotations, root, _ = walking(4.0)
    ahead = root[-1, :2] - root[0, :2]
    turn = -np.pi / 2 - np.arctan2(ahead[1], ahead[0])
    _, scene = _walk(camera, Noise(pitch_deg=1.0), turn)
    world = _place(scene)
    body = canonical_body()
    ankles = [body.joint_index(f"{side}_ankle") for side in ("left", "right")]
    times, rotations, root, _ = walking(5.0, heading_rad=turn)
    truth = pose_body(body, person_shape(), rotations, root).positions_m[:, ankles]
    own = pose_body(body, person_shape(), world.rotations_wxyz, world.root_world_m).positions_m[:, ankles]
    speed, told = (point_speed_m_s(times, points) for points in (truth, own))
    fast = speed > 1.0
    assert fast.mean() > 0.2
    stands = np.stack([(world.contacts[:, side : side + 2] > 0.5).any(axis=1) for side in (0, 2)], axis=1)
    assert (fast & stands).sum() < 0.15 * fast.sum()
    assert 0.9 < np.median(told[fast] / speed[fast]) < 1.1
    lift = own[..., 2].min(axis=1) - truth[..., 2].min(axis=1)
    assert np.std(lift) < 0.03
