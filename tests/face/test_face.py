"""Faces: the mixer's order and input, calibration to the person, fading, and whose face it is."""

from dataclasses import replace

import numpy as np
import pytest

from backend.face.expression import calibrated, region_settings, resting_weights, seen_face, solve_face
from backend.face.follow import (
    MIXER_LANDMARKS,
    MIXER_ORDER,
    FaceFollower,
    FaceTrack,
    load_face_networks,
    mixer_points,
    no_faces,
    roi_from_body,
    roi_from_landmarks,
)
from backend.face.head import HEAD_POINTS, RIGID, head_turn, with_head
from backend.networks import load_network
from backend.types import Intrinsics, PoseTrack
from blender_addon.motion.body import canonical_body
from blender_addon.motion.face import FACE_WEIGHT_NAMES
from blender_addon.motion.rotations import quaternion_between, quaternion_rotate, rotvec_to_quaternion

BLINK, JAW, TONGUE = (FACE_WEIGHT_NAMES.index(name) for name in ("eyeBlinkLeft", "jawOpen", "tongueOut"))
TIMES_S = np.arange(120) / 30.0


def track_of(weights: np.ndarray, eyes_px: float = 80.0) -> FaceTrack:
    frames = len(weights)
    blank = no_faces(frames)
    return replace(blank, weights=weights, presence=np.ones(frames), eyes_px=np.full(frames, eyes_px))


def test_every_weight_of_arkit_but_the_tongue_has_a_place_in_the_mixer() -> None:
    assert len(set(MIXER_LANDMARKS)) == 146
    assert len(set(MIXER_ORDER.tolist())) == 52
    assert [FACE_WEIGHT_NAMES[i] for i in np.flatnonzero(MIXER_ORDER < 0)] == ["tongueOut"]


def test_the_mixer_does_not_see_size_and_place() -> None:
    points = np.random.default_rng(0).normal(size=(2, 478, 2))
    given, moved = mixer_points(points), mixer_points(90.0 * points + 400.0)
    np.testing.assert_allclose(moved, given, atol=1e-4)
    network = load_network("face_blendshapes")
    weights = network.run(given)["weights"]
    assert weights.shape == (2, 52)
    assert ((weights >= 0) & (weights <= 1)).all()


def test_a_resting_bias_is_taken_off_and_the_range_stays() -> None:
    weights = np.full((120, 52), 0.02)
    weights[:, BLINK] = 0.49
    weights[50:54, BLINK] = 0.95
    face = solve_face(track_of(weights), TIMES_S, (), np.ones(120, bool)).face
    assert np.abs(face.weights[10:40, BLINK]).max() < 0.02
    assert face.weights[50:54, BLINK].max() > 0.6
    assert not face.weights[:, TONGUE].any()


def test_few_frames_are_not_taken_for_the_resting_face() -> None:
    weights = np.full((10, 52), 0.4)
    assert not resting_weights(weights, np.ones(10), TIMES_S[:10]).any()


def test_small_weights_stay_dead_and_large_ones_reach_one() -> None:
    gain, dead = region_settings()
    assert (gain >= 1.0).all()
    rest = np.zeros(52)
    assert not calibrated(dead[None] * 0.99, rest).any()
    np.testing.assert_allclose(calibrated(np.ones((1, 52)), rest), 1.0)


def test_an_unseen_face_rests_and_a_missing_person_is_nan() -> None:
    weights = np.full((120, 52), 0.02)
    weights[:, JAW] = np.where(np.arange(120) % 40 < 20, 0.02, 0.8)
    weights[60:100] = np.nan
    there = np.ones(120, bool)
    there[110:] = False
    face = solve_face(track_of(weights), TIMES_S, (), there).face
    np.testing.assert_array_equal(face.weights[60:100], 0.0)
    assert not face.confidence[60:100].any()
    assert np.isnan(face.weights[110:]).all()
    assert not face.confidence[110:].any()
    assert np.abs(np.diff(face.weights[:105, JAW])).max() < 0.5, "it fades"


def test_a_small_face_is_trusted_less() -> None:
    weights = np.full((120, 52), 0.1)
    near, far = (solve_face(track_of(weights, eyes), TIMES_S, (), np.ones(120, bool)).face for eyes in (80.0, 20.0))
    assert far.confidence.mean() < 0.2 * near.confidence.mean()


@pytest.mark.parametrize("turn", [0.0, 0.7, -2.0])
def test_regions_follow_the_heads_roll(turn: float) -> None:
    cosine, sine = np.cos(turn), np.sin(turn)
    matrix = np.array([[cosine, -sine], [sine, cosine]])
    body = np.zeros((33, 2))
    body[[2, 5]], body[[9, 10]] = [[30, -40], [-30, -40]], [[20, 30], [-20, 30]]
    roi = roi_from_body(body @ matrix.T + 300.0, 500.0)
    assert abs(np.angle(np.exp(1j * (roi.rotation_rad - turn)))) < 1e-6
    face = np.random.default_rng(1).uniform(-60, 60, (478, 2))
    face[263], face[33] = [40, -10], [-40, -10]
    assert abs(np.angle(np.exp(1j * (roi_from_landmarks(face @ matrix.T).rotation_rad - turn)))) < 1e-6


def test_an_image_of_nobody_has_no_face_and_the_detector_runs_seldom() -> None:
    follower = FaceFollower(load_face_networks(threads=1), 20)
    body = np.full((33, 2), 200.0) + np.random.default_rng(2).normal(0, 30, (33, 2))
    image = np.full((400, 400, 3), 120, np.uint8)
    for row in range(20):
        follower.update(row, image, row / 30.0, body, np.ones(33), np.zeros((0, 2)))
    track = follower.track()
    assert not track.presence.any()
    assert np.isnan(track.weights).all()
    assert track.searches == 2  # at most every half second


def rigid_face(turn_wxyz: np.ndarray) -> np.ndarray:
    """Landmarks (478, 3) of a head in that direction; all but those that follow the skull are anywhere."""
    points = np.random.default_rng(4).uniform(-80, 80, (478, 3))
    points[list(RIGID)] = quaternion_rotate(turn_wxyz, 60.0 * HEAD_POINTS) + np.array([300.0, 200.0, 0.0])
    return points


@pytest.mark.parametrize("turn", [[0.0, 0.0, 0.0], [0.3, -0.4, 0.2], [-1.2, 0.5, 1.0]])
def test_the_heads_direction_comes_back(turn: list[float]) -> None:
    wxyz = rotvec_to_quaternion(np.array(turn))
    assert np.degrees(quaternion_between(head_turn(rigid_face(wxyz)), wxyz)) < 0.1


def test_a_face_at_the_edge_of_the_image_turns_no_further_than_it_looks() -> None:
    wxyz = rotvec_to_quaternion(np.array([0.0, 0.5, 0.0]))
    camera = Intrinsics(np.array([[800.0, 0, 640.0], [0, 800.0, 360.0], [0, 0, 1.0]]), 1280, 720, "test")
    track = replace(track_of(np.full((120, 52), 0.1)), turn_wxyz=np.tile(wxyz, (120, 1)))
    track.middle_px[:] = [640.0 + 800.0 * np.tan(0.4), 360.0]
    found = seen_face(track, TIMES_S, np.ones(120, bool), camera)
    wanted = rotvec_to_quaternion(np.array([0.0, 0.9, 0.0]))
    assert np.degrees(quaternion_between(found.turn_wxyz[0], wanted)) < 0.1
    assert (found.turn_confidence == 1.0).all()
    assert np.isnan(seen_face(track, TIMES_S, np.ones(120, bool)).turn_wxyz).all(), "without a camera it is not known"


def test_only_the_head_turns_and_only_where_necks_allow_it() -> None:
    body, frames = canonical_body(), 3
    rotations = np.tile([1.0, 0.0, 0.0, 0.0], (frames, len(body.joint_names), 1))
    poses = PoseTrack(
        rotations, np.tile([0.0, 0.0, 3.0], (frames, 1)), np.zeros((frames, 17, 3)), np.ones(frames), np.ones(frames),
        np.ones(frames), np.array([0.0, 0.0, -1.0]), 1.7, np.ones(len(body.joint_names)),
    )  # fmt: skip
    turns = rotvec_to_quaternion(np.array([[0.0, 0.0, 0.6], [0.0, 0.0, 2.5], [0.0, 0.0, 0.6]]))
    turned = with_head(poses, turns, np.array([1.0, 1.0, 0.0]))
    head = body.joint_index("head")
    assert np.degrees(quaternion_between(turned.rotations_wxyz[0, head], turns[0])) < 0.1
    np.testing.assert_array_equal(turned.rotations_wxyz[1:], rotations[1:])
    others = [joint for joint in range(len(body.joint_names)) if joint != head]
    np.testing.assert_array_equal(turned.rotations_wxyz[:, others], rotations[:, others])
    moved = np.linalg.norm(turned.joints_camera_m[0], axis=1) > 1e-6
    assert set(np.array(body.subsets["h36m17"])[moved]) <= {"nose", "headtop"}
