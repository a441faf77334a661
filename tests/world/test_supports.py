"""Bodies that rest on something besides their feet: people on chairs, from the front too, and people who kneel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.world import WorldOptions, WorldTrack, place_in_world
from backend.world.scene import make_scene as world_scene
from backend.world.steps import body_contacts
from backend.world.unseen import settle_unseen
from blender_addon.motion.body import BodyShape, canonical_body, forward_kinematics
from blender_addon.motion.body_contacts import CONTACT_PARTS
from blender_addon.motion.posing import pose_body
from blender_addon.motion.resting import heights_m
from blender_addon.motion.rotations import quaternion_multiply, rotvec_to_quaternion
from blender_addon.motion.temporal import smooth_step
from tests.motion.motions import walking
from tests.world.scenes import Camera, Noise, Scene, make_scene

BODY = canonical_body()
NAMES = BODY.subsets["blazepose33"]
SHAPE = BodyShape(1.75, np.ones(len(BODY.joint_names)))
QUIET = Noise(keypoint_px=1.0, pose_white_deg=0.5, pose_slow_deg=1.0, pitch_deg=1.0, depth_m=0.05)
FRONT, SIDE = Camera((0.0, -4.0, 1.1)), Camera((4.0, 0.0, 1.1))
LEGS = [NAMES.index(f"{side}_{name}") for side in ("left", "right") for name in ("knee", "ankle", "heel", "foot_index")]
FRAMES = 45


def _scene(pose: dict[str, tuple[float, float, float]], camera: Camera, noise: Noise = QUIET) -> Scene:
    """A body that stays in a pose, with its lowest part on the floor: turns of joints of both sides, degrees."""
    turns = np.zeros((FRAMES, len(BODY.joint_names), 3))
    for name, turn in pose.items():
        for joint in (name,) if name in BODY.joint_names else (f"left_{name}", f"right_{name}"):
            turns[:, BODY.joint_index(joint)] = turn
    rotations, root = rotvec_to_quaternion(np.deg2rad(turns)), np.zeros((FRAMES, 3))
    root[:, 2] = -heights_m(BODY, pose_body(BODY, SHAPE, rotations, root)).min()
    return make_scene(np.arange(FRAMES) / 15.0, rotations, root, camera, noise)


def _turned(scene: Scene, turns_deg: dict[str, float]) -> Scene:
    """The same image with other poses: joints of both sides are turned by so much more about the body's left."""
    rotations = scene.poses.rotations_wxyz.copy()
    for name, degrees in turns_deg.items():
        for joint in (BODY.joint_index(f"{side}_{name}") for side in ("left", "right")):
            turn = rotvec_to_quaternion(np.deg2rad([degrees, 0.0, 0.0]))
            rotations[:, joint] = quaternion_multiply(rotations[:, joint], turn)
    return replace(scene, poses=replace(scene.poses, rotations_wxyz=rotations))


def _place(scene: Scene) -> WorldTrack:
    return place_in_world(scene.poses, scene.track, scene.intrinsics)


def _thighs_deg(world: WorldTrack) -> np.ndarray:
    """How far (T, 2) the thighs are below the horizontal, degrees."""
    joints = forward_kinematics(BODY, world.rotations_wxyz, world.root_world_m, SHAPE)[0]
    found = []
    for side in ("left", "right"):
        thigh = joints[:, BODY.joint_index(f"{side}_knee")] - joints[:, BODY.joint_index(f"{side}_hip")]
        found.append(np.rad2deg(np.arcsin(-thigh[:, 2] / np.linalg.norm(thigh, axis=1))))
    return np.stack(found, axis=1)


def _part(world: WorldTrack, name: str) -> np.ndarray:
    assert world.body_contacts is not None
    return np.asarray(world.body_contacts[:, CONTACT_PARTS.index(name)])


SITS = {"hip": (-65.0, 0.0, 0.0), "knee": (75.0, 0.0, 0.0)}


def test_thighs_that_point_at_the_camera_are_as_short_as_the_image_shows_them() -> None:
    """From the front, legs turned back by 35 degrees: a person who seems to crouch with their feet behind them."""
    sits = _scene(SITS, FRONT)
    truth = _thighs_deg(_place(sits)).mean()
    crouches = _turned(sits, {"hip": 35.0})
    assert truth < 35.0
    assert abs(_thighs_deg(_place(crouches)).mean() - truth) < 12.0


@pytest.mark.parametrize(("pose", "camera", "more"), [(SITS, SIDE, {"hip": 20.0}), ({}, FRONT, {})])
def test_legs_seen_from_the_side_and_straight_ones_are_not_turned(
    pose: dict[str, tuple[float, float, float]], camera: Camera, more: dict[str, float]
) -> None:
    scene = _turned(_scene(pose, camera, replace(QUIET, keypoint_px=4.0)), more)
    world = place_in_world(scene.poses, scene.track, scene.intrinsics)
    joints = [BODY.joint_index(name) for name in ("spine", "left_shoulder", "neck")]
    own = forward_kinematics(BODY, scene.poses.rotations_wxyz, np.zeros((FRAMES, 3)), SHAPE)[0]
    own = own @ world.world_from_camera[0, :3, :3].T
    thigh = own[:, BODY.joint_index("left_knee")] - own[:, BODY.joint_index("left_hip")]
    before = np.rad2deg(np.arcsin(-thigh[:, 2] / np.linalg.norm(thigh, axis=1)))
    assert np.abs(_thighs_deg(world)[:, 0] - before).mean() < 6.0
    np.testing.assert_allclose(
        np.abs((world.rotations_wxyz[:, joints] * scene.poses.rotations_wxyz[:, joints]).sum(-1)), 1.0, atol=1e-6
    )


@pytest.mark.parametrize(("raised", "sits"), [(50.0, True), (12.0, False)])
def test_legs_behind_a_table_sit_where_the_pose_raises_both_thighs(raised: float, sits: bool) -> None:
    scene = _scene({"hip": (-raised, 0.0, 0.0), "knee": (0.5 * raised, 0.0, 0.0)}, FRONT)
    visibility = scene.track.visibility.copy()
    visibility[:, LEGS] = 0.03
    world = _place(replace(scene, track=replace(scene.track, visibility=visibility)))
    thighs, seat = _thighs_deg(world)[10:-10], _part(world, "seat")
    assert (thighs.max() < 20.0) if sits else (thighs.min() > 75.0)
    assert (seat > 0.5).mean() == pytest.approx(1.0 if sits else 0.0, abs=0.2)


KNEELS = {"knee": (90.0, 0.0, 0.0), "ankle": (75.0, 0.0, 0.0)}


def test_somebody_who_kneels_is_on_their_knees_whichever_way_the_poses_say_is_down() -> None:
    """The towers' direction down is half way between thighs and shins, and their knees are too straight."""
    scene = _turned(_scene(KNEELS, SIDE), {"knee": -22.0})
    true_down = -scene.world_from_camera[2, :3]
    along = scene.world_from_camera[:3, :3].T @ np.array([0.0, np.sin(np.deg2rad(42.0)), -np.cos(np.deg2rad(42.0))])
    world = _place(replace(scene, poses=replace(scene.poses, gravity_camera=along)))
    assert np.rad2deg(np.arccos(np.clip(world.gravity.down @ true_down, -1.0, 1.0))) < 8.0
    assert min((_part(world, f"{side}_knee") > 0.5).mean() for side in ("left", "right")) > 0.9
    assert (world.contacts > 0.5).mean() < 0.1
    height = heights_m(BODY, pose_body(BODY, SHAPE, world.rotations_wxyz, world.root_world_m))
    knees = [4 + CONTACT_PARTS.index(f"{side}_knee") for side in ("left", "right")]
    assert np.abs(height[:, knees]).mean() < 0.03
    assert height.min() > -0.02
    assert height[:, :4].max() < 0.12


def test_standing_people_do_not_kneel_and_raised_heels_do_not_either() -> None:
    for pose in ({}, {"knee": (40.0, 0.0, 0.0), "hip": (-40.0, 0.0, 0.0)}):
        world = _place(_scene(pose, SIDE))
        assert _part(world, "left_knee").max() < 0.3
        assert (world.contacts > 0.5).any(axis=1).mean() > 0.9


@pytest.mark.parametrize(("hip", "knee"), [(-22.0, 50.0), (-30.0, 60.0), (-40.0, 80.0), (-15.0, 60.0)])
@pytest.mark.parametrize("camera", [SIDE, FRONT])
def test_somebody_who_stands_with_bent_knees_and_an_upright_trunk_does_not_kneel(
    hip: float, knee: float, camera: Camera
) -> None:
    pose = {"hip": (hip, 0.0, 0.0), "knee": (knee, 0.0, 0.0), "ankle": (-(knee + hip), 0.0, 0.0)}
    world = _place(_scene(pose, camera))
    assert max(_part(world, f"{side}_knee").max() for side in ("left", "right")) < 0.3
    assert (world.contacts > 0.5).any(axis=1).mean() > 0.9
    assert world.root_world_m[:, 2].min() > 0.65


def test_keypoints_seen_in_single_frames_make_no_foot_stand() -> None:
    times, rotations, root, _ = walking(2.0)
    scene = make_scene(times, rotations, root, Camera((0.0, -4.0, 2.0)), QUIET)
    feet = [NAMES.index(f"{side}_{name}") for side in ("left", "right") for name in ("heel", "foot_index")]
    down, told = -scene.world_from_camera[2, :3], []
    for seen in (slice(0), slice(0, None, 3)):
        visibility = scene.track.visibility.copy()
        visibility[:, feet] = 0.05
        visibility[seen, feet] = 0.95
        track, solved = replace(scene.track, visibility=visibility), np.arange(len(times))
        unseen = settle_unseen(scene.poses, track, scene.intrinsics, down, solved)[1]
        own = world_scene(scene.poses, track, scene.intrinsics, solved, unseen)
        told.append(body_contacts(own, scene.root_camera_m, down, WorldOptions())[:, :4])
    np.testing.assert_allclose(told[1], told[0], atol=0.02)


def _kneels_down_and_stands_up() -> Scene:
    turns = np.zeros((150, len(BODY.joint_names), 3))
    share = smooth_step(np.minimum(np.arange(150) - 30, 120 - np.arange(150)) / 20.0)
    for name, turn in KNEELS.items():
        for joint in (f"left_{name}", f"right_{name}"):
            turns[:, BODY.joint_index(joint)] = share[:, None] * turn
    rotations, root = rotvec_to_quaternion(np.deg2rad(turns)), np.zeros((150, 3))
    root[:, 2] = -heights_m(BODY, pose_body(BODY, SHAPE, rotations, root)).min(axis=1)
    return make_scene(np.arange(150) / 30.0, rotations, root, SIDE, QUIET)


def test_somebody_who_kneels_does_so_until_the_knees_leave_the_floor() -> None:
    """Feet that lie on the floor do not stand while the trunk begins to rise."""
    world = _place(_kneels_down_and_stands_up())
    knees = np.minimum(_part(world, "left_knee"), _part(world, "right_knee"))
    assert (knees[52:98] > 0.5).mean() > 0.9
    assert (world.contacts[60:95] > 0.5).any(axis=1).mean() < 0.1
    assert (world.contacts[[*range(25), *range(125, 150)]] > 0.5).any(axis=1).mean() > 0.9
