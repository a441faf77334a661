"""Contacts are found, planted feet stay, legs do not pop, nothing else moves."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from blender_addon.motion.body import canonical_body
from blender_addon.motion.contacts import (
    ContactSettings,
    contact_probability,
    planted_frames,
    point_speed_m_s,
    true_runs,
)
from blender_addon.motion.planting import Motion, PlantSettings, plant_feet
from blender_addon.motion.posing import Feet, find_feet, pose_body
from blender_addon.motion.rotations import quaternion_multiply, quaternion_to_rotvec, rotvec_to_quaternion
from tests.motion.motions import person_shape, walking

BODY, SHAPE = canonical_body(), person_shape()


def _feet(motion: Motion) -> Feet:
    return find_feet(BODY, pose_body(BODY, SHAPE, motion.rotations_wxyz, motion.root_m))


def _speed(times: np.ndarray, points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(np.diff(points, axis=0), axis=-1) / np.diff(times)[:, None]


def _shaky_walk(seed: int, fps: float = 30.0) -> tuple[Motion, np.ndarray]:
    """Walking as a solver gives it: legs off by some degrees, the root by centimetres, both slowly."""
    times, rotations, root, planted = walking(4.0, fps)
    random = np.random.default_rng(seed)
    margin = round(fps / 2)
    white = random.normal(size=(len(times) + 2 * margin, rotations.shape[1] + 1, 3))
    slow = gaussian_filter1d(white, 0.05 * fps, axis=0)[margin:-margin]
    slow /= slow.std()
    rotations = quaternion_multiply(rotations, rotvec_to_quaternion(0.03 * slow[:, 1:]))
    shaky = root + slow[:, 0] * [0.01, 0.03, 0.01]
    return Motion(times, rotations, shaky), planted


@pytest.mark.parametrize(("seed", "fps"), [(0, 24.0), (1, 30.0), (2, 60.0), (3, 30.0)])
def test_planted_points_do_not_move(seed: int, fps: float) -> None:
    motion, planted = _shaky_walk(seed, fps)
    done = plant_feet(BODY, SHAPE, motion, planted)
    feet = _feet(done.motion)
    both = done.held[1:] & done.held[:-1]
    assert both.mean() > 0.4
    assert _speed(motion.times_s, _feet(motion).positions_m)[both].mean() > 0.1, "there was skating to remove"
    assert _speed(motion.times_s, feet.positions_m)[both].max() < 0.01
    height = feet.positions_m[..., 2] - feet.clearance_m
    np.testing.assert_allclose(height[done.held], 0.0, atol=1e-3)


def test_exact_walking_stays_as_it_is() -> None:
    times, rotations, root, planted = walking(4.0)
    done = plant_feet(BODY, SHAPE, Motion(times, rotations, root), planted)
    np.testing.assert_allclose(done.motion.root_m, root, atol=1e-6)
    np.testing.assert_allclose(np.abs((done.motion.rotations_wxyz * rotations).sum(-1)), 1.0, atol=1e-6)


def test_only_legs_and_root_change() -> None:
    motion, planted = _shaky_walk(3)
    done = plant_feet(BODY, SHAPE, motion, planted).motion
    legs = [BODY.joint_index(f"{side}_{name}") for side in ("left", "right") for name in ("hip", "knee", "ankle")]
    others = np.setdiff1d(np.arange(len(BODY.joint_names)), legs)
    np.testing.assert_array_equal(done.rotations_wxyz[:, others], motion.rotations_wxyz[:, others])


@pytest.mark.parametrize("seed", [0, 1, 2, 53])
def test_knees_do_not_pop(seed: int) -> None:
    """A knee that snaps straight changes its speed by 40 degrees and more from frame to frame; walking by 11."""
    motion, planted = _shaky_walk(seed)
    done = plant_feet(BODY, SHAPE, motion, planted).motion

    def jolt(rotations: np.ndarray) -> float:
        knees = [BODY.joint_index(f"{side}_knee") for side in ("left", "right")]
        angle = np.linalg.norm(quaternion_to_rotvec(rotations[:, knees]), axis=-1)
        return float(np.rad2deg(np.abs(np.diff(angle, 2, axis=0)).max()))

    _, truth, _, _ = walking(4.0)
    assert jolt(done.rotations_wxyz) < 2.5 * jolt(truth)


def test_a_straight_leg_out_of_reach_brings_the_pelvis_down_softly() -> None:
    times, rotations, root, planted = walking(3.0)
    high = root + np.array([0.0, 0.0, 0.06])
    done = plant_feet(BODY, SHAPE, Motion(times, rotations, high), planted).motion
    assert (done.root_m[:, 2] < high[:, 2] - 0.02).all()
    assert np.abs(np.diff(done.root_m[:, 2], 2)).max() < 0.01
    feet = _feet(done)
    both = planted[1:] & planted[:-1]
    assert _speed(times, feet.positions_m)[both].max() < 0.01


def test_a_pivoting_foot_is_held_at_one_point_only() -> None:
    times, rotations, root, _ = walking(3.0)
    rotations, root = np.repeat(rotations[5:6], 90, axis=0), np.repeat(root[5:6], 90, axis=0)
    spin = rotvec_to_quaternion(np.array([0.0, 0.0, 1.0]) * np.linspace(0.0, 1.5, 90)[:, None])
    ankle = BODY.joint_index("left_ankle")
    rotations[:, ankle] = quaternion_multiply(rotations[:, ankle], spin)
    planted = np.zeros((90, 4), dtype=bool)
    planted[:, :2] = True
    done = plant_feet(BODY, SHAPE, Motion(times, rotations, root), planted)
    assert done.held[:, :2].any(axis=1).all()
    assert not done.held[:, :2].all(axis=1).any()
    held = np.flatnonzero(done.held[0])[0]
    assert _speed(times, _feet(done.motion).positions_m)[:, held].max() < 0.01


def test_a_stair_keeps_its_height() -> None:
    times, rotations, root, planted = walking(3.0)
    raised = root + np.array([0.0, 0.0, 0.30])
    done = plant_feet(BODY, SHAPE, Motion(times, rotations, raised), planted)
    feet = _feet(done.motion)
    np.testing.assert_allclose((feet.positions_m[..., 2] - feet.clearance_m)[done.held], 0.30, atol=0.01)


def test_missing_frames_stay_missing() -> None:
    motion, planted = _shaky_walk(1)
    rotations, root = motion.rotations_wxyz.copy(), motion.root_m.copy()
    rotations[40:50], root[40:50] = np.nan, np.nan
    done = plant_feet(BODY, SHAPE, Motion(motion.times_s, rotations, root), planted, PlantSettings())
    assert np.isnan(done.motion.rotations_wxyz[40:50]).all()
    assert not done.held[40:50].any()
    assert np.isfinite(done.motion.root_m[50:]).all()


def test_contacts_of_clean_walking_are_found() -> None:
    times, rotations, root, planted = walking(5.0)
    feet = _feet(Motion(times, rotations, root))
    probability = contact_probability(times, feet, ContactSettings())
    assert ((probability >= 0.0) & (probability <= 1.0)).all()
    found = planted_frames(times, probability, ContactSettings())
    # the swing's slow first and last frames may count either way
    assert (found == planted).mean() > 0.85
    assert found[planted].mean() > 0.97


def test_the_image_tells_swinging_from_standing_where_depth_is_blind() -> None:
    times, rotations, root, planted = walking(5.0)
    feet = _feet(Motion(times, rotations, root))
    still = replace(feet, positions_m=np.where([True, False, True], feet.positions_m[:1], feet.positions_m))
    seen = np.where(planted, 0.05, 2.0)
    probability = contact_probability(times, still, ContactSettings(), seen)
    assert probability[planted].mean() > 0.8
    assert probability[~planted].max() < 0.05
    unseen = contact_probability(times, still, ContactSettings(), np.full(seen.shape, np.nan))
    np.testing.assert_array_equal(unseen, contact_probability(times, still, ContactSettings()))


def test_a_point_has_its_speed_whatever_other_points_are_seen() -> None:
    times = np.arange(30) / 30.0
    points = np.stack([times, 2.0 * times], axis=1)[..., None] * [1.0, 0.0, 0.0]
    points[5:25, 1] = np.nan
    speed = point_speed_m_s(times, points)
    np.testing.assert_allclose(speed[:, 0], 1.0, atol=0.05)
    assert np.isnan(speed[5:25, 1]).all()
    np.testing.assert_allclose(speed[[0, 1, 28, 29], 1], 2.0, atol=0.1)


def test_a_foot_whose_keypoint_stays_on_the_floor_stands_though_its_depth_wanders() -> None:
    times, rotations, root, _ = walking(2.0)
    standing = _feet(Motion(times, np.repeat(rotations[:1], len(times), 0), np.repeat(root[:1], len(times), 0)))
    away = 0.15 * np.sin(2.0 * np.pi * 1.5 * times)[:, None, None] * np.array([0.0, 1.0, 0.0])
    wanders = replace(standing, positions_m=standing.positions_m + away)
    low = (standing.positions_m[..., 2] - standing.clearance_m)[0] < 0.03
    blind = contact_probability(times, wanders, ContactSettings())[:, low]
    told = contact_probability(times, wanders, ContactSettings(), None, np.full((len(times), 4), 0.1))[:, low]
    assert blind.min() < 0.3
    assert told.min() > 0.8
    moves = contact_probability(times, wanders, ContactSettings(), None, np.full((len(times), 4), 1.5))
    np.testing.assert_array_equal(moves, contact_probability(times, wanders, ContactSettings()))


def test_a_raised_still_foot_does_not_stand() -> None:
    times, rotations, root, _ = walking(2.0)
    feet = _feet(Motion(times, np.repeat(rotations[:1], len(times), 0), np.repeat(root[:1], len(times), 0)))
    raised = replace(feet, positions_m=feet.positions_m + np.array([0.0, 0.0, 0.4]))
    assert contact_probability(times, raised, ContactSettings()).max() < 0.01


def test_hysteresis_ignores_flicker() -> None:
    times = np.arange(60) / 30.0
    probability = np.zeros((60, 1))
    probability[10:40] = 0.9
    probability[20:22] = 0.1  # a short break is closed
    probability[25:30] = 0.45  # between leave and enter the state stays
    probability[50] = 0.9  # a single frame is no contact
    planted = planted_frames(times, probability, ContactSettings())
    assert true_runs(planted[:, 0]) == [(10, 39)]


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_constant_contacts(value: float) -> None:
    times = np.arange(30) / 30.0
    planted = planted_frames(times, np.full((30, 4), value), ContactSettings())
    assert planted.all() == bool(value)
    assert planted.any() == bool(value)
