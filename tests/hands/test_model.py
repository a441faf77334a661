"""The hinged hand: its points and its rotations are the same pose, on both sides."""

import numpy as np
import pytest

from backend.hands.lift import normalised_input, rotation_from_six
from backend.hands.model import ANGLES, HIGH, LOW, canonical_shape, hand_points, hand_rotations
from blender_addon.motion.hands import canonical_hand, hand_points_m


@pytest.mark.parametrize("side", [0, 1])
def test_points_are_those_of_the_canonical_hand_in_the_same_pose(side: int) -> None:
    angles = np.random.default_rng(side).uniform(LOW, HIGH, (50, ANGLES))
    palm_m = float(np.linalg.norm(canonical_hand(side).roots_m[2]))
    points = hand_points(angles, canonical_shape(), side)
    truth = hand_points_m(hand_rotations(angles, side), side).reshape(50, 20, 3) / palm_m
    np.testing.assert_allclose(points[:, 1:], truth, atol=1e-4)
    np.testing.assert_allclose(points[:, 0], 0.0, atol=1e-12)


def test_the_right_hand_is_the_mirror_image() -> None:
    angles = np.random.default_rng(5).uniform(LOW, HIGH, (20, ANGLES))
    left, right = (hand_points(angles, canonical_shape(), side) for side in (0, 1))
    np.testing.assert_allclose(right, left * [-1.0, 1.0, 1.0], atol=1e-12)


def test_the_networks_input_does_not_know_size_place_turn_and_side() -> None:
    random = np.random.default_rng(1)
    points, arm = random.normal(size=(3, 21, 2)), random.normal(size=(3, 3))
    given, _ = normalised_input(points, arm, 0)
    cosine, sine = np.cos(0.8), np.sin(0.8)
    turn = np.array([[cosine, -sine], [sine, cosine]])
    turned_arm = np.concatenate([arm[:, :2] @ turn.T, arm[:, 2:]], axis=1)
    moved, _ = normalised_input(7.0 * points @ turn.T + 300.0, turned_arm, 0)
    np.testing.assert_allclose(moved, given, atol=1e-4)
    mirrored, _ = normalised_input(points * [-1.0, 1.0], arm * [-1.0, 1.0, 1.0], 1)
    np.testing.assert_allclose(mirrored, given, atol=1e-5)
    unknown, _ = normalised_input(points, np.full((3, 3), np.nan), 0)
    assert not unknown[:, 21:].any()


def test_six_numbers_give_a_rotation() -> None:
    turns = rotation_from_six(np.random.default_rng(2).normal(size=(40, 6)))
    np.testing.assert_allclose(turns @ np.swapaxes(turns, 1, 2), np.broadcast_to(np.eye(3), turns.shape), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(turns), 1.0, atol=1e-9)
