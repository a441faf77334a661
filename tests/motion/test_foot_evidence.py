"""Figures of the feet are measured against the keypoints, which planting does not change."""

from dataclasses import replace

import numpy as np
import pytest

from blender_addon.motion.clip import MotionClip
from blender_addon.motion.posing import clip_body, find_feet, pose_clip, world_to_camera
from blender_addon.motion.quality import clip_figures, measure_clip
from blender_addon.motion.quality_words import BOUNDS, Grade, grade, quality_lines
from tests.motion.motions import make_clip, walking, with_contacts


def seen_by_its_camera(clip: MotionClip, of: MotionClip) -> MotionClip:
    """`clip` with the foot keypoints that the feet of `of` leave in the image."""
    feet = find_feet(clip_body(of), pose_clip(of))
    points = world_to_camera(of.world_from_camera, feet.positions_m) @ of.intrinsics.T
    rows = [
        clip.keypoint_names.index(f"{side}_{part}") for side in ("left", "right") for part in ("heel", "foot_index")
    ]
    keypoints, confidence = clip.keypoints_px.copy(), clip.keypoint_confidence.copy()
    keypoints[:, rows], confidence[:, rows] = points[..., :2] / points[..., 2:], 1.0
    return replace(clip, keypoints_px=keypoints, keypoint_confidence=confidence)


def walk() -> MotionClip:
    times, rotations, root, planted = walking(3.0)
    return with_contacts(make_clip(times, rotations, root), planted)


def test_a_clip_that_agrees_with_its_keypoints_is_good() -> None:
    clip = walk()
    quality = measure_clip(seen_by_its_camera(clip, clip))
    assert quality.foot_skate_m_s < 0.05
    assert quality.floating_m < 0.01
    assert quality.step_motion_kept == pytest.approx(1.0, abs=0.05)


def test_feet_that_slide_are_found_though_the_clip_calls_no_contact() -> None:
    times, rotations, root, _ = walking(2.0)
    still = make_clip(times, np.repeat(rotations[:1], len(times), axis=0), np.repeat(root[:1], len(times), axis=0))
    slide = still.root_world_m + np.stack([0.3 * times, 0 * times, 0.04 + 0 * times], axis=-1)
    clip = make_clip(times, still.rotations_wxyz, slide)
    quality = measure_clip(seen_by_its_camera(clip, still))
    assert quality.foot_skate_m_s == pytest.approx(0.3, abs=0.01)
    assert quality.floating_m == pytest.approx(0.04, abs=0.015)
    assert quality.contact_share == 0.0


def test_steps_that_planting_swallowed_are_found() -> None:
    clip = walk()
    frozen = make_clip(clip.times_s, np.repeat(clip.rotations_wxyz[:1], len(clip), axis=0), clip.root_world_m * 0.0)
    frozen = replace(frozen, root_world_m=np.repeat(clip.root_world_m[:1], len(clip), axis=0))
    assert measure_clip(seen_by_its_camera(frozen, clip)).step_motion_kept < 0.1


def test_what_was_measured_before_planting_stays_with_the_clip() -> None:
    clip = walk()
    clip = replace(clip, header=replace(clip.header, figures={"foot_skate_before_m_s": 0.4, "old": 1.0}))
    figures = clip_figures(clip)
    assert figures["foot_skate_before_m_s"] == 0.4
    assert "old" not in figures


def test_grades_follow_their_bounds_and_are_said_in_words() -> None:
    assert grade("foot_skate_m_s", 0.01) is Grade.GOOD
    assert grade("foot_skate_m_s", 0.05) is Grade.FAIR
    assert grade("foot_skate_m_s", 0.5) is Grade.POOR
    assert grade("solved_share", 1.0) is Grade.GOOD
    assert grade("solved_share", 0.5) is Grade.POOR
    assert grade("foot_skate_before_m_s", 0.05) is Grade.GOOD
    assert grade("of a future version", 3.0) is None
    lines = quality_lines({"foot_skate_m_s": 0.005, "foot_skate_before_m_s": 0.4, "of a future version": 1.0})
    assert lines == [("Standing feet slide 0.5 cm/s: good (40.0 before planting: poor)", Grade.GOOD)]
    assert set(measure_clip(walk()).as_figures()) >= set(BOUNDS)
