"""Rotations in every rotation mode that Blender has: the same rotation by Blender's own reading, without flips."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mathutils import Euler, Quaternion

from blender_addon.motion.rotations import quaternion_between, rotvec_to_quaternion
from blender_addon.rig.rotation_modes import EULER_ORDERS, quaternion_to_euler, rotation_values


def _walk(count: int, step_rad: float, seed: int) -> np.ndarray:
    """A random walk over all rotations: steps of at most `step_rad`."""
    from blender_addon.motion.rotations import quaternion_multiply

    rng = np.random.default_rng(seed)
    turns = rotvec_to_quaternion(rng.uniform(-1, 1, (count, 3)) * step_rad / np.sqrt(3))
    walk = [turns[0]]
    for turn in turns[1:]:
        walk.append(quaternion_multiply(walk[-1], turn))
    return np.array(walk)


def _blender_reads(mode: str, values: np.ndarray) -> np.ndarray:
    if mode == "QUATERNION":
        return np.array([Quaternion(row) for row in values])
    if mode == "AXIS_ANGLE":
        return np.array([Quaternion(row[1:], row[0]) for row in values])
    return np.array([Euler(row, mode).to_quaternion() for row in values])


@pytest.mark.parametrize("mode", ["QUATERNION", "AXIS_ANGLE", *EULER_ORDERS])
def test_blender_reads_the_same_rotation(mode: str) -> None:
    walk = _walk(3000, 0.3, 5)
    _, values = rotation_values(walk, mode)
    # Blender's maths is single precision: 0.06 degrees at angles of several turns
    assert np.degrees(quaternion_between(walk, _blender_reads(mode, values))).max() < 0.1


@pytest.mark.parametrize("mode", ["QUATERNION", "AXIS_ANGLE", *EULER_ORDERS])
def test_no_flips_in_ten_thousand_frames(mode: str) -> None:
    walk = _walk(10_000, 0.05, 7)
    _, values = rotation_values(walk, mode)
    # what a viewer sees between two keys: interpolate the values and compare with the shortest way
    halfway = _blender_reads(mode, (values[1:] + values[:-1]) / 2)
    if mode == "QUATERNION":
        halfway /= np.linalg.norm(halfway, axis=1, keepdims=True)
    off = np.degrees(quaternion_between(walk[1:], halfway))
    # near gimbal lock Euler angles swing fast however they are chosen; a flip would be 90 degrees and more for all
    assert np.percentile(off, 99) < 3.0
    if mode in ("QUATERNION", "AXIS_ANGLE"):
        assert off.max() < 3.0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-3.1, 3.1), min_size=3, max_size=3), st.sampled_from(EULER_ORDERS))
def test_a_single_euler_pose_comes_back(angles: list[float], order: str) -> None:
    wxyz = np.array([Euler(angles, order).to_quaternion()])
    again = np.array([Euler(quaternion_to_euler(wxyz, order)[0], order).to_quaternion()])
    assert np.degrees(quaternion_between(wxyz, again)).max() < 0.1


@pytest.mark.parametrize("order", EULER_ORDERS)
def test_gimbal_lock_is_the_same_rotation(order: str) -> None:
    angles = [np.pi / 2 if axis == order[1] else 0.3 for axis in "XYZ"]
    wxyz = np.array([Euler(angles, order).to_quaternion()])
    again = np.array([Euler(quaternion_to_euler(wxyz, order)[0], order).to_quaternion()])
    assert np.degrees(quaternion_between(wxyz, again)).max() < 0.1


def test_rest_has_an_axis_and_unknown_modes_are_refused() -> None:
    rest = np.tile([1.0, 0.0, 0.0, 0.0], (4, 1))
    prop, values = rotation_values(rest, "AXIS_ANGLE")
    assert prop == "rotation_axis_angle"
    np.testing.assert_allclose(values, np.tile([0.0, 0.0, 1.0, 0.0], (4, 1)))
    with pytest.raises(ValueError, match="unknown rotation mode"):
        rotation_values(rest, "ZZZ")
