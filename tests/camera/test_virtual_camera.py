"""The virtual camera: it centres the person, stands upright, and does not see the real camera's roll."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from backend.camera.virtual_camera import look_at_rotation, roll_matrix, turned_points, upright_roll

POINTS = arrays(np.float64, (3, 2), elements=st.floats(-0.9, 0.9))
OFFSETS = arrays(np.float64, (3, 2), elements=st.floats(0.02, 0.3))
POSE = arrays(np.float64, (17, 3), elements=st.floats(-1.0, 1.0))


def virtual_from_camera(hips: np.ndarray, shoulders: np.ndarray) -> np.ndarray:
    """As the image tower's input does it: look at the hips, then turn the torso upright."""
    look = look_at_rotation(hips)
    seen = turned_points(np.stack([hips, shoulders], axis=1), look)
    return roll_matrix(upright_roll(seen[:, 1] - seen[:, 0])) @ look


@given(points=POINTS)
@settings(max_examples=80, deadline=None)
def test_look_at_is_a_rotation_onto_the_axis_without_roll(points):
    rays = np.concatenate([points, np.ones((3, 1))], axis=-1)
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    turn = look_at_rotation(points)
    np.testing.assert_allclose(turn @ np.swapaxes(turn, -1, -2), np.broadcast_to(np.eye(3), turn.shape), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(turn), 1.0, atol=1e-12)
    np.testing.assert_allclose(np.einsum("nij,nj->ni", turn, rays), np.tile([0.0, 0.0, 1.0], (3, 1)), atol=1e-12)
    # the smallest such rotation: its angle is the angle between the ray and the axis
    angle = np.arccos(np.clip((np.trace(turn, axis1=-2, axis2=-1) - 1) / 2, -1, 1))
    np.testing.assert_allclose(angle, np.arccos(np.clip(rays[:, 2], -1, 1)), atol=1e-6)


@given(hips=POINTS, offset=OFFSETS, sign=st.sampled_from([-1, 1]))
@settings(max_examples=80, deadline=None)
def test_virtual_camera_centres_and_stands_upright(hips, offset, sign):
    shoulders = hips + sign * offset
    virtual = virtual_from_camera(hips, shoulders)
    np.testing.assert_allclose(np.linalg.det(virtual), 1.0, atol=1e-9)
    seen = turned_points(np.stack([hips, shoulders], axis=1), virtual)
    np.testing.assert_allclose(seen[:, 0], 0.0, atol=1e-9)
    np.testing.assert_allclose(seen[:, 1, 0], 0.0, atol=1e-9)
    assert (seen[:, 1, 1] < 0).all()


@given(points=POINTS, roll=st.floats(-3.0, 3.0))
@settings(max_examples=60, deadline=None)
def test_what_the_virtual_camera_sees_does_not_depend_on_camera_roll(points, roll):
    points = points[:, None] + np.array([[0.0, 0.0], [0.03, -0.12], [-0.04, 0.06]])
    rolled = points @ roll_matrix(np.array([roll]))[0, :2, :2].T
    seen = [turned_points(p, virtual_from_camera(p[:, 0], p[:, 1])) for p in (points, rolled)]
    np.testing.assert_allclose(seen[0], seen[1], atol=1e-8)


@given(points=POINTS, pose=POSE)
@settings(max_examples=40, deadline=None)
def test_undoing_the_virtual_camera_restores_the_pose(points, pose):
    virtual = virtual_from_camera(points[:1], points[:1] + np.array([[0.05, -0.2]]))[0]
    np.testing.assert_allclose((pose @ virtual.T) @ virtual, pose, atol=1e-12)


def test_windows_and_single_points_turn_alike():
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (4, 27, 33, 2))
    rotation = look_at_rotation(points[:, 13, 0])
    whole = turned_points(points, rotation)
    assert whole.shape == points.shape
    np.testing.assert_allclose(whole[:, 5], turned_points(points[:, 5], rotation), atol=1e-12)
