"""Hands over time from exact landmarks: angles and wrists come back, gaps are bridged or fade to a relaxed hand."""

from dataclasses import replace

import numpy as np
import pytest

from backend.hands.follow import HandTrack
from backend.hands.model import ANGLES, HIGH, LOW, RELAXED, bends, hand_points, hand_rotations, seen_shape
from backend.hands.motion import SolvedHands, solve_hands, with_wrists
from backend.networks import Network, load_network
from backend.types import Intrinsics, PoseTrack
from blender_addon.motion.body import canonical_body, forward_kinematics
from blender_addon.motion.rotations import quaternion_between, quaternion_to_matrix, rotvec_to_quaternion

FRAMES, FOCAL_PX = 40, 1500.0
CAMERA = Intrinsics(np.array([[FOCAL_PX, 0, 640.0], [0, FOCAL_PX, 360.0], [0, 0, 1.0]]), 1280, 720, "test")
TIMES_S = np.arange(FRAMES) / 30.0


@pytest.fixture(scope="module")
def network() -> Network:
    return load_network("hand_pose")


@pytest.fixture(scope="module")
def truth() -> tuple[PoseTrack, np.ndarray]:
    """Arms that wave slowly before the camera, in OpenCV axes, and fingers that open and close."""
    body = canonical_body()
    rotations = np.zeros((FRAMES, len(body.joint_names), 4))
    rotations[..., 0] = 1.0
    # the body's Z up becomes the camera's -y; it faces the camera
    rotations[:, 0] = rotvec_to_quaternion(np.array([np.pi / 2, 0.0, 0.0]))
    wave = 0.15 * np.sin(3.0 * TIMES_S)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        bend = np.stack([0.3 * wave, -sign * (1.2 + wave), 0 * wave], axis=1)
        rotations[:, body.joint_index(f"{side}_elbow")] = rotvec_to_quaternion(bend)
        tilt = np.stack([0 * wave, sign * (0.3 + wave), 0.2 + wave], axis=1)
        rotations[:, body.joint_index(f"{side}_wrist")] = rotvec_to_quaternion(tilt)
    blank = np.ones(FRAMES)
    poses = PoseTrack(
        rotations, np.tile([0.0, 0.0, 3.0], (FRAMES, 1)), np.zeros((FRAMES, 17, 3)), blank, blank, blank,
        np.array([0.0, 1.0, 0.0]), 1.7, np.ones(len(body.joint_names)),
    )  # fmt: skip
    close = 0.5 + 0.5 * np.sin(2.0 * TIMES_S)[:, None, None]
    shut = np.array([0.0, 1.1, 1.3] * 4 + [0.3, 0.3, 0.4, 0.5])
    angles = np.clip(np.tile(close * shut, (1, 2, 1)), LOW, HIGH)
    return poses, angles


def seen(poses: PoseTrack, angles: np.ndarray, lost: slice | None = None) -> HandTrack:
    """The landmarks that a faultless network sees of these hands; `lost`: frames in which it sees none."""
    body = canonical_body()
    joints, world = forward_kinematics(body, poses.rotations_wxyz, poses.root_camera_m)
    landmarks = np.zeros((FRAMES, 2, 21, 2))
    for side, name in enumerate(("left", "right")):
        wrist = body.joint_index(f"{name}_wrist")
        turns = quaternion_to_matrix(world[:, wrist])
        points = 0.106 * np.einsum("tij,tpj->tpi", turns, hand_points(angles[:, side], seen_shape(), side))
        points = points + joints[:, wrist, None]
        landmarks[:, side] = FOCAL_PX * points[..., :2] / points[..., 2:] + [640.0, 360.0]
    presence = np.ones((FRAMES, 2))
    if lost is not None:
        presence[lost], landmarks[lost] = 0.0, np.nan
    return HandTrack(landmarks, presence, np.full(FRAMES, 500.0))


def solved(track: HandTrack, poses: PoseTrack, network: Network, cuts_s: tuple[float, ...] = ()) -> SolvedHands:
    return solve_hands(track, TIMES_S, cuts_s, poses, CAMERA, network)


def test_angles_and_wrists_come_back(truth: tuple[PoseTrack, np.ndarray], network: Network) -> None:
    poses, angles = truth
    hands = solved(seen(poses, angles), poses, network)
    error = np.degrees(np.abs(bends(hands.angles)[1] - bends(angles)[1]))
    assert np.median(error) < 6.0
    assert np.median(error, axis=(0, 2, 3)).max() < 8.0, "both sides"
    assert (hands.hands.confidence > 0.5).all()
    body = canonical_body()
    hanging = poses.rotations_wxyz.copy()
    for side in ("left", "right"):  # the body's own fit knows nothing of wrists
        hanging[:, body.joint_index(f"{side}_wrist")] = [1.0, 0.0, 0.0, 0.0]
    fixed = with_wrists(replace(poses, rotations_wxyz=hanging), hands)
    joints, world = forward_kinematics(body, fixed.rotations_wxyz, poses.root_camera_m)
    true_joints, true_world = forward_kinematics(body, poses.rotations_wxyz, poses.root_camera_m)
    _, before = forward_kinematics(body, hanging, poses.root_camera_m)
    wrists = [body.joint_index(f"{side}_wrist") for side in ("left", "right")]
    after_deg = np.degrees(quaternion_between(world[:, wrists], true_world[:, wrists]))
    before_deg = np.degrees(quaternion_between(before[:, wrists], true_world[:, wrists]))
    assert np.median(after_deg) < 0.5 * np.median(before_deg)
    np.testing.assert_allclose(joints[:, wrists], true_joints[:, wrists], atol=1e-6)


def test_an_unseen_hand_is_relaxed_and_comes_slowly(truth: tuple[PoseTrack, np.ndarray], network: Network) -> None:
    poses, angles = truth
    hands = solved(seen(poses, angles, slice(0, 25)), poses, network)
    relaxed = np.stack([hand_rotations(RELAXED, side) for side in (0, 1)])
    np.testing.assert_allclose(hands.hands.rotations_wxyz[:25], np.broadcast_to(relaxed, (25, 2, 15, 4)), atol=1e-6)
    assert not hands.hands.confidence[:25].any()
    step = np.degrees(quaternion_between(hands.hands.rotations_wxyz[1:], hands.hands.rotations_wxyz[:-1]))
    assert step.max() < 25.0


def test_a_short_gap_is_bridged_but_not_across_a_cut(truth: tuple[PoseTrack, np.ndarray], network: Network) -> None:
    poses, angles = truth
    track = seen(poses, angles, slice(20, 24))
    whole, gap = solved(seen(poses, angles), poses, network), solved(track, poses, network)
    assert np.degrees(np.abs(gap.angles - whole.angles)).max() < 12.0
    cut = solved(track, poses, network, cuts_s=(float(TIMES_S[22]),))
    np.testing.assert_allclose(cut.angles[21], np.broadcast_to(RELAXED, (2, ANGLES)), atol=1e-9)


def test_frames_without_the_person_hold_nan(truth: tuple[PoseTrack, np.ndarray], network: Network) -> None:
    poses, angles = truth
    rotations = poses.rotations_wxyz.copy()
    rotations[5:9] = np.nan
    hands = solved(seen(poses, angles), replace(poses, rotations_wxyz=rotations), network).hands
    assert np.isnan(hands.rotations_wxyz[5:9]).all()
    assert not hands.confidence[5:9].any()
    assert np.isfinite(hands.rotations_wxyz[9:]).all()


def test_a_small_hand_is_trusted_less(truth: tuple[PoseTrack, np.ndarray], network: Network) -> None:
    poses, angles = truth
    far = replace(poses, root_camera_m=np.tile([0.0, 0.0, 14.0], (FRAMES, 1)))
    near, small = (solved(seen(p, angles), p, network) for p in (poses, far))
    assert small.hands.confidence.mean() < 0.3 * near.hands.confidence.mean()
    assert np.median(small.pixels) < 0.3 * np.median(near.pixels)
