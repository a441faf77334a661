"""Smoothing a whole clip: off is exact, medium removes jitter without harm, light keeps a punch."""

import time
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blender_addon.motion.body import canonical_body
from blender_addon.motion.clip import MotionClip
from blender_addon.motion.contacts import ContactSettings
from blender_addon.motion.rotations import quaternion_between, quaternion_multiply, rotvec_to_quaternion
from blender_addon.motion.smoothing import (
    HEAVY,
    LIGHT,
    MEDIUM,
    OFF,
    PRESETS,
    FastMoveSettings,
    PartFilters,
    SmoothSettings,
    fast_move_weights,
    part_joints,
    same_filter,
    smooth_clip,
)
from blender_addon.motion.temporal import Gaussian
from tests.motion.motions import identity_rotations, jittered, joints_world, make_clip, read_daz_bvh, walking


def _noisy(times: np.ndarray, rotations: np.ndarray, root: np.ndarray, seed: int = 0) -> MotionClip:
    """A clip with white and slow jitter, about as a solved video has it (30 mm second difference a frame)."""
    random = np.random.default_rng(seed)
    shaky = root + random.normal(size=root.shape) * [0.004, 0.010, 0.004]
    return make_clip(times, jittered(rotations, 0.02, seed), shaky)


def _acceleration_error(clip: MotionClip, truth: MotionClip) -> float:
    difference = clip.joints_camera_m - truth.joints_camera_m
    return float(np.linalg.norm(np.diff(difference, 2, axis=0), axis=-1).mean())


def _pa_mpjpe_m(clip: MotionClip, truth: MotionClip) -> float:
    a = clip.joints_camera_m - clip.joints_camera_m.mean(axis=1, keepdims=True)
    b = truth.joints_camera_m - truth.joints_camera_m.mean(axis=1, keepdims=True)
    u, s, vt = np.linalg.svd(np.swapaxes(a, -1, -2) @ b)
    sign = np.ones_like(s)
    sign[..., -1] = np.sign(np.linalg.det(u @ vt))
    scale = (s * sign).sum(-1) / (a**2).sum((-1, -2))
    aligned = scale[:, None, None] * (a @ ((u * sign[..., None, :]) @ vt))
    return float(np.linalg.norm(aligned - b, axis=-1).mean())


def _punch(fps: float, hold: int, sigma_rad: float = 0.0) -> MotionClip:
    """Two frames out, `hold` frames there, two frames back, with shoulder and elbow together."""
    body, frames = canonical_body(), round(4 * fps)
    rotations = identity_rotations(frames)
    bent = np.ones(frames)
    middle = frames // 2
    profile = [0.5, 0.0, *[0.0] * hold, 0.5]
    bent[middle : middle + len(profile)] = profile
    zero = np.zeros(frames)
    rotations[:, body.joint_index("right_elbow")] = rotvec_to_quaternion(np.stack([zero, zero, 2.0 * bent], -1))
    hanging = rotvec_to_quaternion(np.array([0.0, 1.2, 0.0]))
    reach = rotvec_to_quaternion(np.stack([zero, zero, 1.4 * (1.0 - bent)], -1))
    rotations[:, body.joint_index("right_shoulder")] = quaternion_multiply(hanging, reach)
    root = np.tile([0.0, 0.0, 0.9], (frames, 1))
    return make_clip(np.arange(frames) / fps, jittered(rotations, sigma_rad) if sigma_rad else rotations, root)


def _peak_hand_speed(clip: MotionClip) -> float:
    hand = joints_world(clip)[:, canonical_body().joint_index("right_wrist")]
    return float((np.linalg.norm(np.diff(hand, axis=0), axis=-1) / np.diff(clip.times_s)).max())


def test_off_gives_the_raw_result_bit_for_bit() -> None:
    times, rotations, root, _ = walking(2.0)
    clip = _noisy(times, rotations, root)
    assert smooth_clip(clip, OFF) is clip
    assert smooth_clip(clip, replace(OFF, contacts=ContactSettings(enter=0.9))) is clip
    assert PRESETS["off"] is OFF


@pytest.mark.parametrize("name", ["light", "medium", "heavy"])
def test_presets_lower_the_acceleration_error_of_walking(name: str) -> None:
    times, rotations, root, _ = walking(5.0)
    truth, clip = make_clip(times, rotations, root), _noisy(times, rotations, root)
    smooth = smooth_clip(clip, PRESETS[name])
    assert _acceleration_error(smooth, truth) < 0.4 * _acceleration_error(clip, truth)
    np.testing.assert_allclose(np.linalg.norm(smooth.rotations_wxyz, axis=-1), 1.0, atol=1e-6)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["indian_15", "martial_08", "salsa_04", "salsa_11", "salsa_30"])
def test_medium_lowers_acceleration_error_by_60_percent_and_pa_mpjpe_does_not_rise(shared: Path, name: str) -> None:
    times, rotations, root = read_daz_bvh(shared / "mocap" / "cmu_bvh_daz" / f"train_data_bvh_{name}.bvh")
    times, rotations, root = times[:350], rotations[:350], root[:350]
    truth, clip = make_clip(times, rotations, root), _noisy(times, rotations, root)
    smooth = smooth_clip(clip, MEDIUM)
    assert _acceleration_error(smooth, truth) <= 0.4 * _acceleration_error(clip, truth)
    assert _pa_mpjpe_m(smooth, truth) <= _pa_mpjpe_m(clip, truth)


@pytest.mark.parametrize("fps", [24.0, 30.0, 60.0])
@pytest.mark.parametrize("hold", [0, 1, 5])
@pytest.mark.parametrize("preset", [LIGHT, MEDIUM])
def test_a_two_frame_punch_keeps_its_peak_speed(fps: float, hold: int, preset: SmoothSettings) -> None:
    clip = _punch(fps, hold)
    assert _peak_hand_speed(smooth_clip(clip, preset)) >= 0.9 * _peak_hand_speed(clip)


def test_without_the_fast_move_rule_the_punch_would_be_lost() -> None:
    clip = _punch(60.0, 0)
    assert _peak_hand_speed(smooth_clip(clip, replace(LIGHT, fast=None))) < 0.75 * _peak_hand_speed(clip)
    assert _peak_hand_speed(smooth_clip(clip, replace(MEDIUM, fast=None))) < 0.6 * _peak_hand_speed(clip)


def test_a_punch_in_a_jittery_clip_keeps_its_peak_speed_under_light() -> None:
    truth = _peak_hand_speed(_punch(30.0, 2))
    assert _peak_hand_speed(smooth_clip(_punch(30.0, 2, 0.02), LIGHT)) >= 0.9 * truth


def test_jitter_alone_is_no_fast_move() -> None:
    rotations = jittered(identity_rotations(300), 0.08)
    weights = fast_move_weights(np.arange(300) / 30.0, rotations, FastMoveSettings(speed_deg_s=100.0))
    assert (weights > 0).mean() < 0.01


def test_heavy_smooths_more_than_medium_than_light() -> None:
    times, _, root, _ = walking(4.0)
    still = make_clip(times, jittered(identity_rotations(len(times)), 0.03), root)
    rest = make_clip(times, identity_rotations(len(times)), root)
    errors = [_acceleration_error(smooth_clip(still, preset), rest) for preset in (LIGHT, MEDIUM, HEAVY)]
    assert errors[0] > errors[1] > errors[2]


def test_every_joint_and_every_field_has_a_part() -> None:
    parts = part_joints(canonical_body().joint_names)
    covered = np.sort(np.concatenate(list(parts.values())))
    np.testing.assert_array_equal(covered, np.arange(len(canonical_body().joint_names)))
    assert set(parts) | {"root_horizontal", "root_height", "fingers", "face"} == {
        field.name for field in fields(PartFilters)
    }


def test_a_part_can_be_smoothed_by_itself() -> None:
    times, rotations, root, _ = walking(3.0)
    clip = _noisy(times, rotations, root)
    smooth = smooth_clip(clip, SmoothSettings(filters=PartFilters(arms=Gaussian(0.1))))
    arms = part_joints(clip.body_joint_names)["arms"]
    others = np.setdiff1d(np.arange(len(clip.body_joint_names)), arms)
    np.testing.assert_array_equal(smooth.rotations_wxyz[:, others], clip.rotations_wxyz[:, others])
    np.testing.assert_array_equal(smooth.root_world_m, clip.root_world_m)
    assert quaternion_between(smooth.rotations_wxyz[:, arms], clip.rotations_wxyz[:, arms]).max() > 0.01


@given(seed=st.integers(0, 500), holes=st.lists(st.integers(0, 59), max_size=20), preset=st.sampled_from(list(PRESETS)))
@settings(max_examples=15, deadline=None)
def test_any_pattern_of_missing_frames_is_survived(seed: int, holes: list[int], preset: str) -> None:
    times, rotations, root, planted = walking(2.0)
    clip = _noisy(times, rotations, root, seed)
    rotations, root = clip.rotations_wxyz.copy(), clip.root_world_m.copy()
    rotations[holes], root[holes] = np.nan, np.nan
    clip = replace(make_clip(times, rotations, root), contacts=planted.astype(float))
    smooth = smooth_clip(clip, PRESETS[preset])
    present = np.isfinite(smooth.root_world_m).all(axis=1)
    kept = np.setdiff1d(np.arange(len(times)), holes)
    assert present[kept].all()
    assert np.isfinite(smooth.rotations_wxyz[present]).all()
    assert np.isnan(smooth.rotations_wxyz[~present]).all()
    np.testing.assert_array_equal(smooth.confidence, clip.confidence)


def test_a_long_gap_stays_open_and_a_short_one_is_filled() -> None:
    times, rotations, root, _ = walking(6.0)
    rotations[30:36], root[30:36] = np.nan, np.nan
    rotations[90:150], root[90:150] = np.nan, np.nan
    smooth = smooth_clip(make_clip(times, rotations, root), MEDIUM)
    assert np.isfinite(smooth.root_world_m[30:36]).all()
    assert np.isnan(smooth.root_world_m[90:150]).all()
    assert (smooth.confidence[30:36] == 0.0).all()


def test_nothing_is_smoothed_across_a_cut() -> None:
    times, rotations, root, _ = walking(4.0)
    root = root.copy()
    root[60:, 0] += 3.0
    clip = make_clip(times, rotations, root)
    clip = replace(clip, header=replace(clip.header, cuts_s=(float(times[60]),)))
    smooth = smooth_clip(clip, SmoothSettings(filters=same_filter(Gaussian(0.2))))
    np.testing.assert_allclose(smooth.root_world_m[[59, 60], 0], root[[59, 60], 0], atol=0.02)


def test_camera_joints_follow_the_smoothed_motion() -> None:
    times, rotations, root, _ = walking(3.0)
    smooth = smooth_clip(_noisy(times, rotations, root), MEDIUM)
    again = make_clip(times, smooth.rotations_wxyz, smooth.root_world_m)
    np.testing.assert_allclose(smooth.joints_camera_m, again.joints_camera_m, atol=1e-9)
    np.testing.assert_allclose(smooth.root_camera_m, again.root_camera_m, atol=1e-9)


def test_ten_thousand_frames_take_seconds() -> None:
    times, rotations, root, planted = walking(334.0)
    clip = replace(_noisy(times, rotations, root), contacts=planted.astype(float))
    assert len(clip) >= 10_000
    start = time.process_time()
    smooth_clip(clip, MEDIUM)
    assert time.process_time() - start < 10.0
