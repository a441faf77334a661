"""People whose legs are not in the image, or hidden: an upright trunk, legs at rest, no invented motion."""

from dataclasses import replace

import numpy as np
import pytest

from backend.world import WorldTrack, place_in_world, seen_joints
from blender_addon.motion.body import BodyShape, canonical_body, forward_kinematics
from blender_addon.motion.contacts import point_speed_m_s
from blender_addon.motion.rotations import quaternion_multiply, quaternion_rotate, rotvec_to_quaternion
from tests.motion.motions import walking
from tests.world.scenes import Camera, Noise, Scene, make_scene

BODY = canonical_body()
NAMES = BODY.subsets["blazepose33"]
QUIET = Noise(keypoint_px=0.0, pose_white_deg=0.0, pose_slow_deg=0.0, pitch_deg=0.0)
LEGS = [place for place, name in enumerate(NAMES) if name.split("_")[-1] in ("knee", "ankle", "heel", "index")]
LEGS = [place for place in LEGS if NAMES[place].split("_", 1)[1] not in ("index",)]
HIPS = [NAMES.index("left_hip"), NAMES.index("right_hip")]
# a camera before the person that sees them down to the waist
CAMERA = Camera((0.0, -4.0, 1.4))


def _walk_on_the_spot(seconds: float = 3.0) -> Scene:
    times, rotations, root, _ = walking(seconds)
    root = root.copy()
    root[:, :2] = 0.0
    return make_scene(times, rotations, root, CAMERA, QUIET)


def _hidden(scene: Scene, points: list[int], frames: slice, below: bool) -> Scene:
    """The landmarks below the image, or behind something, in some frames."""
    pixels, visibility = scene.track.keypoints_px.copy(), scene.track.visibility.copy()
    if below:
        pixels[frames, points, 1] = scene.intrinsics.height + 150.0
    visibility[frames, points] = 0.05
    return replace(scene, track=replace(scene.track, keypoints_px=pixels, visibility=visibility))


def _leaning(scene: Scene, degrees: float) -> Scene:
    """The same with poses that tip towards the camera, as the towers' do without legs."""
    rotations = scene.poses.rotations_wxyz.copy()
    rotations[:, 0] = quaternion_multiply(rotvec_to_quaternion(np.deg2rad([degrees, 0.0, 0.0])), rotations[:, 0])
    return replace(scene, poses=replace(scene.poses, rotations_wxyz=rotations))


def _joints(world: WorldTrack) -> np.ndarray:
    shape = BodyShape(1.75, np.ones(len(BODY.joint_names)))
    return forward_kinematics(BODY, world.rotations_wxyz, world.root_world_m, shape)[0]


def _lean_deg(world: WorldTrack) -> float:
    joints = _joints(world)
    trunk = joints[:, BODY.joint_index("neck")] - joints[:, 0]
    return float(np.rad2deg(np.arccos(trunk[:, 2] / np.linalg.norm(trunk, axis=1))).mean())


def _place(scene: Scene) -> WorldTrack:
    return place_in_world(scene.poses, scene.track, scene.intrinsics)


@pytest.mark.parametrize("below", [True, False])
def test_legs_that_are_never_seen_hang_still_and_stand_nowhere(below: bool) -> None:
    world = _place(_hidden(_walk_on_the_spot(), LEGS, slice(None), below))
    joints = _joints(world)
    for side in ("left", "right"):
        hip, knee, ankle = (joints[:, BODY.joint_index(f"{side}_{name}")] for name in ("hip", "knee", "ankle"))
        straight = np.linalg.norm(ankle - hip, axis=1) / (
            np.linalg.norm(knee - hip, axis=1) + np.linalg.norm(ankle - knee, axis=1)
        )
        assert straight.min() > 0.999
        assert ((hip - ankle)[:, 2] > 0.99 * np.linalg.norm(hip - ankle, axis=1)).all()
        moves = np.linalg.norm(np.diff(ankle - joints[:, 0], axis=0), axis=1) * 30.0
        assert moves.mean() < 0.1
    assert not (world.contacts > 0.5).any()
    seen = world.joint_confidence
    assert seen is not None
    assert not seen[:, [BODY.joint_index("left_knee"), BODY.joint_index("right_toe")]].any()
    assert seen[:, [BODY.joint_index("left_wrist"), BODY.joint_index("head")]].min() > 0.9


def test_a_trunk_without_legs_does_not_tip_towards_the_camera() -> None:
    plain = _walk_on_the_spot()
    whole = _lean_deg(_place(plain))
    tipped = _leaning(plain, 24.0)
    legless = _place(_hidden(tipped, LEGS, slice(None), True))
    hipless = _place(_hidden(tipped, LEGS + HIPS, slice(None), True))
    assert _lean_deg(_place(tipped)) > whole + 14.0
    assert _lean_deg(legless) < whole + 11.0
    assert _lean_deg(hipless) < whole + 8.0
    # head and arms keep their directions in the camera
    arms = [BODY.joint_index(name) for name in ("left_elbow", "left_wrist")]
    found = [_joints(world)[:, arms] @ world.world_from_camera[0, :3, :3] for world in (_place(tipped), hipless)]
    along = [
        (points[:, 1] - points[:, 0]) / np.linalg.norm(points[:, 1] - points[:, 0], axis=1)[:, None] for points in found
    ]
    assert np.rad2deg(np.arccos(np.clip((along[0] * along[1]).sum(axis=1), -1, 1))).mean() < 3.0


def test_somebody_who_lies_is_not_set_upright() -> None:
    scene = _leaning(_walk_on_the_spot(), 80.0)
    poses = replace(scene.poses, gravity_camera=-scene.world_from_camera[2, :3])
    scene = replace(scene, poses=poses)
    assert _lean_deg(_place(_hidden(scene, LEGS + HIPS, slice(None), True))) > 60.0


def test_legs_that_were_seen_seated_stay_seated() -> None:
    scene = _walk_on_the_spot()
    rotations = scene.poses.rotations_wxyz.copy()
    for side in ("left", "right"):
        for joint, degrees in (("hip", -85.0), ("knee", 85.0)):
            turn = rotvec_to_quaternion(np.deg2rad([degrees, 0.0, 0.0]))
            rotations[:, BODY.joint_index(f"{side}_{joint}")] = turn
    seated = replace(scene, poses=replace(scene.poses, rotations_wxyz=rotations))
    world = _place(_hidden(seated, LEGS, slice(30, None), True))
    joints = _joints(world)
    thigh = joints[:, BODY.joint_index("left_knee")] - joints[:, BODY.joint_index("left_hip")]
    raised = np.rad2deg(np.arccos(-thigh[:, 2] / np.linalg.norm(thigh, axis=1)))
    assert raised[-20:].min() > 60.0
    standing = _joints(_place(_hidden(scene, LEGS, slice(30, None), True)))
    thigh = standing[:, BODY.joint_index("left_knee")] - standing[:, BODY.joint_index("left_hip")]
    assert np.rad2deg(np.arccos(-thigh[-10:, 2] / np.linalg.norm(thigh[-10:], axis=1))).max() < 10.0


def test_a_short_absence_of_the_legs_changes_nothing() -> None:
    scene = _walk_on_the_spot()
    short = _place(_hidden(scene, LEGS, slice(40, 46), True))
    assert np.allclose(quaternion_rotate(short.rotations_wxyz[43], np.array([0.0, 0.0, 1.0])).shape, (24, 3))
    turned = np.abs((short.rotations_wxyz * _place(scene).rotations_wxyz).sum(axis=-1))
    assert np.rad2deg(2 * np.arccos(np.clip(turned[43, :3], 0, 1))).max() < 3.0


def test_a_head_from_behind_is_seen_and_a_hand_beyond_the_edge_is_not() -> None:
    times = np.arange(10) / 30.0
    points, visibility = np.full((10, 33, 2), 200.0), np.full((10, 33), 0.9)
    visibility[:, :11] = 0.0
    points[:, [NAMES.index(f"left_{name}") for name in ("wrist", "index", "pinky", "thumb")], 0] = -40.0
    seen = seen_joints(times, points, visibility, (640, 480))
    assert seen[:, BODY.joint_index("head")].min() > 0.8
    assert not seen[:, [BODY.joint_index("left_wrist"), BODY.joint_index("left_hand")]].any()
    assert seen[:, BODY.joint_index("right_hand")].min() > 0.8
    points[:, :11, 1] = -30.0
    assert not seen_joints(times, points, visibility, (640, 480))[:, BODY.joint_index("head")].any()


def test_ten_minutes_away_blur_nothing_of_what_is_seen_before() -> None:
    rng, frames = np.random.default_rng(0), 60
    times = np.arange(frames) / 30.0
    both = np.concatenate([times, times + 600.0])
    points, visibility = np.full((2 * frames, 33, 2), 100.0), rng.uniform(size=(2 * frames, 33))
    alone = seen_joints(times, points[:frames], visibility[:frames], (640, 480))
    seen = seen_joints(both, points, visibility, (640, 480))
    np.testing.assert_allclose(seen[:frames], alone, atol=1e-6)
    way = np.cumsum(rng.normal(0, 0.02, (2 * frames, 1, 3)), axis=0)
    np.testing.assert_allclose(point_speed_m_s(both, way)[:frames], point_speed_m_s(times, way[:frames]), atol=1e-6)
