"""Resampling by timestamps, trimming."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blender_addon.motion.clip import ClipError, MotionClip, check_clip, read_clip, write_clip
from blender_addon.motion.resampling import (
    resample_clip,
    sample_clip,
    trim_clip,
)
from blender_addon.motion.rotations import quaternion_between
from tests.motion.motions import joints_world, make_clip, walking


def _clip(fps: float = 30.0, seconds: float = 3.0) -> MotionClip:
    times, rotations, root, planted = walking(seconds, fps)
    return replace(make_clip(times, rotations, root), contacts=planted.astype(float))


def test_the_source_rate_gives_the_source_back() -> None:
    clip = _clip()
    again = resample_clip(clip, 30.0)
    np.testing.assert_allclose(again.times_s, clip.times_s, atol=1e-9)
    assert quaternion_between(again.rotations_wxyz, clip.rotations_wxyz).max() < 1e-6
    np.testing.assert_allclose(again.root_world_m, clip.root_world_m, atol=1e-9)
    np.testing.assert_array_equal(again.contacts, clip.contacts)


@given(st.sampled_from([12.0, 23.976, 24.0, 25.0, 29.97, 50.0, 59.94, 120.0]))
@settings(deadline=None, max_examples=8)
def test_any_rate_follows_the_true_motion_in_time(fps: float) -> None:
    fine = _clip(240.0)
    clip = resample_clip(_clip(60.0), fps)
    check_clip(clip)
    np.testing.assert_allclose(np.diff(clip.times_s), 1.0 / fps, atol=1e-9)
    truth = sample_clip(fine, clip.times_s[clip.times_s <= fine.times_s[-1]])
    error = np.linalg.norm(joints_world(truth) - joints_world(clip)[: len(truth)], axis=-1)
    assert error.max() < 0.012


@pytest.mark.parametrize(
    ("source_fps", "fps", "frames"),
    [
        (24000 / 1001, 24000 / 1001, 96),
        (24000 / 1001, 24 / float(np.float32(1.001)), 96),  # as Blender's scene has it
        (24000 / 1001, 23.976, 96),
        (24000 / 1001, 23.976, 9000),
        (30000 / 1001, 30 / float(np.float32(1.001)), 9000),
        (24.0, 24.0, 48),
        (23.976, 24000 / 1001, 96),
    ],
)
def test_no_frame_is_lost_to_a_rounded_rate(source_fps: float, fps: float, frames: int) -> None:
    times, rotations, root, _ = walking(frames / source_fps, source_fps)
    clip = make_clip(times, rotations, root)
    assert len(clip) == frames
    again = resample_clip(clip, fps)
    assert len(again) == frames
    assert np.isfinite(again.root_world_m).all()
    assert np.isfinite(again.rotations_wxyz).all()
    np.testing.assert_allclose(np.diff(again.times_s), 1.0 / fps, atol=1e-9)
    np.testing.assert_allclose(again.root_world_m[-1], clip.root_world_m[-1], atol=1e-3)


def test_a_rounded_rate_loses_no_frame_before_a_gap() -> None:
    clip = _clip(24000 / 1001, 40.0)
    rotations, root = clip.rotations_wxyz.copy(), clip.root_world_m.copy()
    rotations[601:610], root[601:610] = np.nan, np.nan
    again = resample_clip(make_clip(clip.times_s, rotations, root), 24 / float(np.float32(1.001)))
    np.testing.assert_array_equal(np.isnan(again.root_world_m).any(axis=1), np.isnan(root).any(axis=1))


def test_irregular_timestamps_keep_their_timing() -> None:
    truth = _clip(240.0)
    random = np.random.default_rng(0)
    frames = np.unique(np.concatenate([[0], np.cumsum(random.integers(2, 12, 90))]))
    irregular = sample_clip(truth, truth.times_s[frames[frames < len(truth)]])
    even = resample_clip(irregular, 30.0)
    expected = sample_clip(truth, even.times_s)
    error = np.linalg.norm(even.root_world_m - expected.root_world_m, axis=-1)
    assert error.max() < 0.005


def test_nothing_is_made_up_in_gaps_or_across_cuts() -> None:
    clip = _clip()
    rotations, root = clip.rotations_wxyz.copy(), clip.root_world_m.copy()
    rotations[30:40], root[30:40] = np.nan, np.nan
    holed = make_clip(clip.times_s, rotations, root)
    holed = replace(holed, header=replace(holed.header, cuts_s=(float(clip.times_s[60]),)))
    fine = resample_clip(holed, 120.0)
    absent = np.isnan(fine.root_world_m).any(axis=1)
    in_gap = (fine.times_s > clip.times_s[29] + 1e-6) & (fine.times_s < clip.times_s[40] - 1e-6)
    over_cut = (fine.times_s > clip.times_s[59] + 1e-6) & (fine.times_s < clip.times_s[60] - 1e-6)
    np.testing.assert_array_equal(absent, in_gap | over_cut)
    assert (fine.confidence[absent] == 0).all()
    assert np.isnan(fine.rotations_wxyz[absent]).all()
    check_clip(fine)


def test_frames_outside_the_clip_are_absent() -> None:
    clip = _clip()
    wide = sample_clip(clip, np.array([-1.0, 0.5, 99.0]))
    assert np.isnan(wide.root_world_m[[0, 2]]).all()
    assert np.isfinite(wide.root_world_m[1]).all()


@pytest.mark.parametrize("fps", [0.0, -5.0, float("nan"), float("inf")])
def test_a_senseless_rate_is_refused(fps: float) -> None:
    with pytest.raises(ClipError, match="frames a second"):
        resample_clip(_clip(), fps)


def test_a_range_outside_the_clip_is_refused() -> None:
    with pytest.raises(ClipError, match="outside the clip"):
        resample_clip(_clip(), 30.0, 10.0, 12.0)
    with pytest.raises(ClipError, match="no frame"):
        trim_clip(_clip(), 10.0, 12.0)
    with pytest.raises(ClipError, match="increase"):
        sample_clip(_clip(), np.array([1.0, 0.5]))


def test_trim_keeps_frames_untouched() -> None:
    clip = _clip()
    part = trim_clip(clip, 1.0, 2.0)
    assert len(part) == 31
    np.testing.assert_array_equal(part.rotations_wxyz, clip.rotations_wxyz[30:61])
    check_clip(part)


def test_contacts_of_the_body_are_kept_resampled_and_trimmed_and_may_be_missing(tmp_path: Path) -> None:
    times, rotations, root, _ = walking(2.0)
    plain = make_clip(times, rotations, root)
    contacts = np.tile(np.linspace(0.0, 1.0, len(plain))[:, None], (1, 9))
    clip = replace(plain, body_contacts=contacts)
    for made in (plain, clip):
        write_clip(made, tmp_path / "a.npz")
        back = read_clip(tmp_path / "a.npz")
        assert (back.body_contacts is None) == (made.body_contacts is None)
    np.testing.assert_allclose(back.body_contacts, contacts)
    half = resample_clip(clip, 0.5 / float(np.median(np.diff(times))))
    np.testing.assert_allclose(half.body_contacts, contacts[::2], atol=1e-6)
    assert len(trim_clip(clip, 0.5, 1.0).body_contacts) == len(trim_clip(clip, 0.5, 1.0))
    with pytest.raises(ClipError, match="body_contacts"):
        check_clip(replace(clip, body_contacts=contacts[:, :5]))


def test_the_last_frame_before_the_person_leaves_keeps_its_pose() -> None:
    """Sampled exactly there, the absent frame after it has no say."""
    clip = _clip(10.0)
    gone = np.arange(len(clip)) >= 20
    rotations = np.where(gone[:, None, None], np.nan, clip.rotations_wxyz)
    clip = replace(clip, rotations_wxyz=rotations, root_world_m=np.where(gone[:, None], np.nan, clip.root_world_m))
    fine = resample_clip(clip, 30.0)
    last = int(np.flatnonzero(np.isfinite(fine.root_world_m).all(axis=1))[-1])
    assert fine.times_s[last] == pytest.approx(clip.times_s[19])
    np.testing.assert_allclose(fine.rotations_wxyz[last], clip.rotations_wxyz[19], atol=1e-6)


def test_a_foot_stands_no_earlier_than_its_first_frame_that_stands() -> None:
    clip = _clip(10.0)
    fine = resample_clip(clip, 60.0)
    for point in range(4):
        stands = np.interp(fine.times_s, clip.times_s, clip.contacts[:, point] > 0.5) == 1.0
        assert not (fine.contacts[~stands, point] > 0.5).any()
        np.testing.assert_array_equal(fine.contacts[::6, point], clip.contacts[: len(fine.contacts[::6]), point])
