"""Spikes are removed, moves are not; gaps are filled up to a limit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blender_addon.motion.gaps import fill_positions, fill_rotations, fillable_gaps, find_gaps
from blender_addon.motion.outliers import (
    SpikeSettings,
    find_position_spikes,
    find_rotation_spikes,
    remove_position_spikes,
    remove_rotation_spikes,
)
from blender_addon.motion.rotations import quaternion_between, quaternion_multiply, rotvec_to_quaternion

TIMES = np.arange(120) / 30.0


def _swing(sigma_rad: float = 0.01) -> np.ndarray:
    angle = 0.6 * np.sin(2 * np.pi * 0.8 * TIMES)[:, None, None] * np.array([0.3, 1.0, -0.5])
    noise = np.random.default_rng(0).normal(size=(120, 2, 3)) * sigma_rad
    return quaternion_multiply(rotvec_to_quaternion(np.repeat(angle, 2, axis=1)), rotvec_to_quaternion(noise))


@given(st.integers(5, 112), st.integers(1, 2), st.floats(0.8, 3.0))
@settings(max_examples=40, deadline=None)
def test_a_spike_of_one_or_two_frames_is_found_and_bridged(at: int, length: int, size_rad: float) -> None:
    truth = _swing()
    broken = truth.copy()
    broken[at : at + length, 1] = quaternion_multiply(
        broken[at : at + length, 1], rotvec_to_quaternion(np.array([size_rad, 0.0, 0.0]))
    )
    found = find_rotation_spikes(TIMES, broken, SpikeSettings())
    expected = np.zeros((120, 2), dtype=bool)
    expected[at : at + length, 1] = True
    np.testing.assert_array_equal(found, expected)
    repaired = remove_rotation_spikes(TIMES, broken, SpikeSettings())
    assert quaternion_between(repaired, truth).max() < 0.12
    np.testing.assert_array_equal(repaired[~expected], broken[~expected])


def test_clean_motion_has_no_spikes() -> None:
    assert not find_rotation_spikes(TIMES, _swing(), SpikeSettings()).any()
    assert remove_rotation_spikes(TIMES, _swing(), SpikeSettings()).tobytes() == _swing().tobytes()


@pytest.mark.parametrize("profile", [[0.5, 1.0, 0.5], [0.5, 1.0, 1.0, 0.5], [1.0, 1.0, 1.0, 1.0], [0.4, 1.0, 0.6, 0.2]])
def test_a_fast_hit_is_no_spike(profile: list[float]) -> None:
    angle = np.zeros((120, 1, 3))
    angle[60 : 60 + len(profile), 0, 0] = 1.8 * np.array(profile)
    assert not find_rotation_spikes(TIMES, rotvec_to_quaternion(angle), SpikeSettings()).any()


def test_a_step_to_another_place_is_no_spike() -> None:
    angle = np.zeros((120, 1, 3))
    angle[60:, 0, 0] = 1.5
    assert not find_rotation_spikes(TIMES, rotvec_to_quaternion(angle), SpikeSettings()).any()


def test_a_depth_spike_of_the_root_is_bridged() -> None:
    root = np.stack([np.sin(TIMES), TIMES, 0.9 + 0 * TIMES], -1)
    broken = root.copy()
    broken[40] += [0.0, 0.7, 0.0]
    assert find_position_spikes(TIMES, broken, SpikeSettings()).nonzero()[0].tolist() == [40]
    np.testing.assert_allclose(remove_position_spikes(TIMES, broken, SpikeSettings()), root, atol=2e-3)


def test_missing_frames_beside_a_spike_do_not_fail() -> None:
    broken = _swing()
    broken[50:55] = np.nan
    broken[56, 0] = rotvec_to_quaternion(np.array([2.0, 0.0, 0.0]))
    repaired = remove_rotation_spikes(TIMES, broken, SpikeSettings())
    assert np.isnan(repaired[50:55]).all()
    assert np.isfinite(repaired[55:]).all()


def test_gaps_are_those_with_motion_on_both_sides() -> None:
    missing = np.array([1, 0, 1, 1, 0, 0, 1, 0, 1, 1], dtype=bool)
    assert [(gap.first, gap.last) for gap in find_gaps(missing)] == [(2, 3), (6, 6)]
    assert find_gaps(np.ones(4, dtype=bool)) == []
    assert find_gaps(np.zeros(4, dtype=bool)) == []
    assert [(gap.first, gap.last) for gap in fillable_gaps(np.arange(10) * 0.1, missing, 0.05)] == [(6, 6)]


def test_a_filled_gap_follows_the_curve() -> None:
    angle = 0.8 * np.sin(2 * np.pi * 0.5 * TIMES)
    wxyz = rotvec_to_quaternion(angle[:, None, None] * np.array([0.0, 0.6, 0.8]))
    place = np.stack([np.sin(TIMES), np.cos(TIMES), TIMES], -1)
    missing = np.zeros(120, dtype=bool)
    missing[50:60] = True
    gaps = fillable_gaps(TIMES, missing, 0.5)
    holed = wxyz.copy()
    holed[missing] = np.nan
    assert quaternion_between(fill_rotations(TIMES, holed, gaps), wxyz).max() < np.deg2rad(3.0)
    holed_place = place.copy()
    holed_place[missing] = np.nan
    np.testing.assert_allclose(fill_positions(TIMES, holed_place, gaps), place, atol=0.01)


@given(st.integers(0, 10_000))
@settings(deadline=None)
def test_filling_never_overshoots_far(seed: int) -> None:
    random = np.random.default_rng(seed)
    place = np.cumsum(random.normal(size=(120, 3)), axis=0)
    holed = place.copy()
    holed[40:60] = np.nan
    gaps = find_gaps(np.isnan(holed[:, 0]))
    filled = fill_positions(TIMES, holed, gaps)
    across = np.linalg.norm(place[60] - place[39])
    along = np.linalg.norm(filled[40:60] - place[39], axis=-1)
    assert along.max() <= 1.9 * across + 1e-9


def test_a_gap_beside_a_lone_frame_is_filled() -> None:
    wxyz = _swing()
    wxyz[10:20] = np.nan
    wxyz[21:30] = np.nan
    gaps = find_gaps(np.isnan(wxyz[:, 0, 0]))
    filled = fill_rotations(TIMES, wxyz, gaps)
    assert np.isfinite(filled).all()
    np.testing.assert_allclose(np.linalg.norm(filled, axis=-1), 1.0, atol=1e-9)
