"""Errors bootstrapped from renders fit the person they are applied to and keep what the network really got wrong."""

from __future__ import annotations

import numpy as np
import pytest

from backend.camera.virtual_camera import roll_matrix
from backend.training.error_library import ErrorLibrary, bootstrapped_errors, error_library
from backend.training.landmark_noise import LandmarkNoise
from backend.training.render_landmarks import RenderLandmarks
from blender_addon.motion.body import canonical_body, forward_kinematics, points_m
from blender_addon.motion.rotations import rotvec_to_quaternion

_STILL = LandmarkNoise(jitter=0.0, donor_least=1.0)


def _people(count: int, roll: float = 0.0, distance: float = 4.0) -> np.ndarray:
    """33 landmarks (N, 33, 3) m of people before a camera."""
    body = canonical_body()
    turns = np.random.default_rng(0).normal(0, 0.3, (count, len(body.joint_names), 3))
    positions, rotations = forward_kinematics(body, rotvec_to_quaternion(turns), np.zeros(3))
    facing = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    points = points_m(body, "blazepose33", positions, rotations)
    points = (points - points[:, 23:25].mean(1, keepdims=True)) @ facing.T
    return (points + np.array([0.0, 0.0, distance])) @ roll_matrix(np.array([roll]))[0].T


def _seen(landmarks: np.ndarray, points: np.ndarray, depth_gain: float = 1.0) -> RenderLandmarks:
    count = len(landmarks)
    guess = (landmarks - landmarks[:, 23:25].mean(1, keepdims=True)) * [1, 1, depth_gain]
    zeros = np.zeros((count, 17, 3))
    return RenderLandmarks(
        points, np.full((count, 33), 0.9), guess, np.ones(count, bool), landmarks, zeros,
        np.zeros((count, 24, 4)), np.zeros((count, 3, 3)), np.zeros((count, 24, 3)), np.ones((count, 33), bool),
        np.arange(count),
    )  # fmt: skip


def _project(landmarks: np.ndarray) -> np.ndarray:
    return landmarks[..., :2] / landmarks[..., 2:]


def _library(shift: tuple[float, float], depth_gain: float = 1.0) -> ErrorLibrary:
    landmarks = _people(40)
    points = _project(landmarks)
    points[:, 15] += shift  # the left wrist
    return error_library(_seen(landmarks, points, depth_gain))


def test_without_errors_people_are_seen_where_they_are() -> None:
    people = _people(6, roll=0.4)[:, None].repeat(5, axis=1)
    noisy = bootstrapped_errors(_library((0.0, 0.0)), people, _STILL, np.random.default_rng(0))
    assert np.abs(noisy.points - _project(people)).max() < 0.004  # perspective at the donor's distance
    assert noisy.visibility == pytest.approx(0.9)


def test_an_error_turns_with_the_person_and_grows_with_the_image() -> None:
    library = _library((0.03, 0.0))
    for roll, distance in ((0.0, 4.0), (0.5, 2.0)):
        people = _people(8, roll, distance)[:, None].repeat(3, axis=1)
        noisy = bootstrapped_errors(library, people, _STILL, np.random.default_rng(0))
        error = (noisy.points - _project(people))[:, :, 15]
        upright = error @ roll_matrix(np.array([-roll]))[0, :2, :2].T
        # half of the library is its mirror image, where the error sits on the other wrist
        mine = np.linalg.norm(upright, axis=-1) > 0.01
        assert mine.any()
        assert upright[mine][:, 0].mean() == pytest.approx(0.03 * 4.0 / distance, rel=0.35)
        assert abs(upright[mine][:, 1].mean()) < 0.012 * 4.0 / distance


def test_a_flat_guess_stays_flat() -> None:
    people = _people(10)[:, None].repeat(3, axis=1)
    relative = people - people[:, :, 23:25].mean(2, keepdims=True)
    sure = bootstrapped_errors(_library((0.0, 0.0)), people, _STILL, np.random.default_rng(0)).guess[..., 2]
    flat = bootstrapped_errors(_library((0.0, 0.0), depth_gain=0.4), people, _STILL, np.random.default_rng(0)).guess[
        ..., 2
    ]
    slope = [float((z * relative[..., 2]).sum() / np.square(relative[..., 2]).sum()) for z in (sure, flat)]
    assert slope[0] == pytest.approx(1.0, abs=0.15)
    assert slope[1] < 0.75
