"""Rotations against scipy's and against the axioms of a group."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from blender_addon.motion.rotations import (
    matrix_to_quaternion,
    quaternion_between,
    quaternion_conjugate,
    quaternion_continuous,
    quaternion_from_to,
    quaternion_mean,
    quaternion_multiply,
    quaternion_normalize,
    quaternion_rotate,
    quaternion_slerp,
    quaternion_to_matrix,
    quaternion_to_rotvec,
    rotvec_to_quaternion,
    swing_twist,
)

number = st.floats(-1, 1, allow_subnormal=False, width=32).map(float)
vectors = arrays(np.float64, (3,), elements=number)
quaternions = (
    arrays(np.float64, (4,), elements=number).filter(lambda q: np.linalg.norm(q) > 0.1).map(quaternion_normalize)
)
directions = vectors.filter(lambda v: np.linalg.norm(v) > 0.1).map(lambda v: v / np.linalg.norm(v))


def scipy_from(wxyz: np.ndarray) -> Rotation:
    return Rotation.from_quat(np.roll(wxyz, -1, axis=-1))


def random_rotations(count: int) -> np.ndarray:
    return np.roll(Rotation.random(count, random_state=np.random.default_rng(7)).as_quat(), 1, axis=-1)


def same(a: np.ndarray, b: np.ndarray, tolerance: float = 1e-9) -> bool:
    """A quaternion and its negative are the same rotation."""
    return bool(min(np.abs(a - b).max(), np.abs(a + b).max()) < tolerance)


@given(quaternions, quaternions, quaternions)
def test_group_axioms(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> None:
    assert np.allclose(
        quaternion_multiply(quaternion_multiply(a, b), c), quaternion_multiply(a, quaternion_multiply(b, c))
    )
    assert np.allclose(quaternion_multiply(a, quaternion_conjugate(a)), [1, 0, 0, 0])
    assert np.isclose(np.linalg.norm(quaternion_multiply(a, b)), 1)


@given(quaternions, quaternions, vectors)
def test_products_read_right_to_left(a: np.ndarray, b: np.ndarray, v: np.ndarray) -> None:
    assert np.allclose(quaternion_rotate(quaternion_multiply(a, b), v), quaternion_rotate(a, quaternion_rotate(b, v)))
    assert np.allclose(quaternion_to_matrix(a) @ v, quaternion_rotate(a, v))


def test_equal_to_scipy_on_ten_thousand_rotations() -> None:
    a, b = random_rotations(10_000), random_rotations(10_000)[::-1]
    theirs, other = scipy_from(a), scipy_from(b)
    assert np.abs(quaternion_to_matrix(a) - theirs.as_matrix()).max() < 1e-12
    assert np.abs(quaternion_to_matrix(quaternion_multiply(a, b)) - (theirs * other).as_matrix()).max() < 1e-12
    assert np.abs(quaternion_to_rotvec(a) - theirs.as_rotvec()).max() < 1e-9
    assert np.abs(quaternion_between(a, b) - (theirs.inv() * other).magnitude()).max() < 1e-6


def test_matrices_come_back_as_the_same_rotation_with_positive_w() -> None:
    a = random_rotations(10_000)
    back = matrix_to_quaternion(quaternion_to_matrix(a))
    assert (back[:, 0] >= 0).all()
    assert np.abs(np.abs(np.sum(a * back, axis=-1)) - 1).max() < 1e-12


@pytest.mark.parametrize("axis", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0)])
def test_half_turns_survive_the_matrix(axis: tuple[float, float, float]) -> None:
    unit = np.array(axis) / np.linalg.norm(axis)
    half = np.concatenate([[0.0], unit])
    assert same(matrix_to_quaternion(quaternion_to_matrix(half)), half)


@given(vectors.map(lambda v: v * 3.1 / np.sqrt(3)))
def test_rotation_vectors_round_trip_within_a_half_turn(rotvec: np.ndarray) -> None:
    assert np.allclose(quaternion_to_rotvec(rotvec_to_quaternion(rotvec)), rotvec, atol=1e-7)


def test_a_zero_quaternion_becomes_the_identity() -> None:
    assert quaternion_normalize(np.zeros(4)).tolist() == [1, 0, 0, 0]


@given(quaternions, quaternions, st.floats(0, 1))
def test_slerp_goes_the_short_way_at_an_even_pace(a: np.ndarray, b: np.ndarray, weight: float) -> None:
    whole = float(quaternion_between(a, b))
    middle = quaternion_slerp(a, b, weight)
    assert np.isclose(float(quaternion_between(a, middle)), weight * whole, atol=1e-5)
    assert np.isclose(float(quaternion_between(middle, b)), (1 - weight) * whole, atol=1e-5)


@given(directions, directions)
def test_from_to_turns_one_direction_onto_the_other_by_the_smallest_angle(a: np.ndarray, b: np.ndarray) -> None:
    turn = quaternion_from_to(a, b)
    assert np.allclose(quaternion_rotate(turn, a), b, atol=1e-6)
    assert np.linalg.norm(quaternion_to_rotvec(turn)) <= np.arccos(np.clip(a @ b, -1, 1)) + 1e-5


def test_from_to_of_opposite_directions_is_a_half_turn() -> None:
    for axis in np.eye(3):
        assert np.allclose(quaternion_rotate(quaternion_from_to(axis, -axis), axis), -axis)


@given(quaternions, directions)
@settings(max_examples=200)
def test_swing_and_twist_make_up_the_rotation(q: np.ndarray, axis: np.ndarray) -> None:
    swing, twist = swing_twist(q, axis)
    assert same(quaternion_multiply(swing, twist), q)
    assert np.allclose(np.cross(twist[1:], axis), 0, atol=1e-9)
    if abs(q[0]) + np.linalg.norm(q[1:] @ axis) > 1e-3:
        assert abs(swing[1:] @ axis) < 1e-6


def test_signs_are_made_continuous_over_time_and_gaps_stay() -> None:
    smooth = rotvec_to_quaternion(np.linspace(0, 2 * np.pi, 60)[:, None] * np.array([0, 0.6, 0.8]))
    flipped = smooth * np.where(np.arange(60) % 3 == 0, -1.0, 1.0)[:, None]
    flipped[20:23] = np.nan
    made = quaternion_continuous(flipped)
    steps = np.sum(made[1:] * made[:-1], axis=-1)
    assert (steps[np.isfinite(steps)] > 0).all()
    assert np.isnan(made[20:23]).all()


def test_the_mean_is_the_middle_and_does_not_mind_signs() -> None:
    centre = random_rotations(1)[0]
    spread = rotvec_to_quaternion(np.concatenate([np.eye(3), -np.eye(3)]) * 0.3)
    around = quaternion_multiply(centre, spread)
    around[::2] *= -1
    assert same(quaternion_mean(around), centre, 1e-7)
    assert same(quaternion_mean(around, np.array([1.0, 0, 0, 0, 0, 0])), around[0], 1e-7)
