"""Quality figures measure what they say; ground snap sets clips on the floor."""

from dataclasses import replace

import numpy as np
import pytest

from blender_addon.motion.clip import ClipError
from blender_addon.motion.ground import GroundSettings, snap_to_ground
from blender_addon.motion.quality import derivative_magnitude, measure_clip
from tests.motion.motions import foot_points, jittered, make_clip, walking, with_contacts


def test_clean_walking_measures_clean() -> None:
    times, rotations, root, planted = walking(4.0)
    quality = measure_clip(with_contacts(make_clip(times, rotations, root), planted))
    assert quality.solved_share == 1.0
    assert quality.mean_confidence == pytest.approx(0.9)
    assert quality.foot_skate_m_s < 1e-9
    assert quality.below_floor_m < 0.002
    assert quality.contact_share == 1.0
    shaky = make_clip(times, jittered(rotations, 0.03), root)
    assert measure_clip(shaky).jerk_m_s3 > 5.0 * quality.jerk_m_s3
    assert measure_clip(shaky).acceleration_m_s2 > 2.0 * quality.acceleration_m_s2


def test_skate_and_depth_are_in_metres_and_seconds() -> None:
    times, rotations, root, _ = walking(2.0)
    still = np.repeat(rotations[:1], len(times), axis=0)
    slide = np.repeat(root[:1], len(times), axis=0) + np.stack([0.2 * times, 0 * times, 0 * times - 0.03], -1)
    clip = with_contacts(make_clip(times, still, slide), np.ones((len(times), 4), dtype=bool))
    quality = measure_clip(clip)
    assert quality.foot_skate_m_s == pytest.approx(0.2)
    assert quality.below_floor_m == pytest.approx(0.03, abs=0.003)
    assert quality.below_floor_share == 1.0
    assert quality.acceleration_m_s2 == pytest.approx(0.0, abs=1e-6)
    assert quality.as_figures()["foot_skate_m_s"] == pytest.approx(0.2)


def test_derivatives_hold_at_any_frame_rate_and_on_irregular_times() -> None:
    times = np.sort(np.random.default_rng(0).uniform(0, 2, 200))
    positions = np.stack([0.5 * 3.0 * times**2, 0 * times, 0 * times], -1)
    assert derivative_magnitude(times, positions, 2) == pytest.approx(3.0, rel=1e-6)
    assert derivative_magnitude(times[:2], positions[:2], 2) == 0.0


def test_a_clip_without_the_person_measures_zero() -> None:
    times, rotations, root, _ = walking(1.0)
    clip = make_clip(times, np.full_like(rotations, np.nan), np.full_like(root, np.nan))
    quality = measure_clip(clip)
    assert quality.solved_share == 0.0
    assert quality.mean_confidence == 0.0
    assert np.isfinite(list(quality.as_figures().values())).all()
    assert snap_to_ground(clip) is clip


@pytest.mark.parametrize("with_known_contacts", [True, False])
def test_a_floating_clip_is_set_on_the_floor(with_known_contacts: bool) -> None:
    times, rotations, root, planted = walking(3.0)
    clip = make_clip(times, rotations, root + np.array([0.0, 0.0, 0.4]))
    if with_known_contacts:
        clip = with_contacts(clip, planted)
    snapped = snap_to_ground(clip)
    np.testing.assert_allclose(snapped.root_world_m, root, atol=0.01)
    on_a_box = snap_to_ground(clip, GroundSettings(height_m=0.5))
    np.testing.assert_allclose(on_a_box.root_world_m[:, 2], root[:, 2] + 0.5, atol=0.01)


def test_a_slow_drift_is_followed_and_no_foot_stays_below() -> None:
    times, rotations, root, planted = walking(5.0)
    drift = np.stack([0 * times, 0 * times, 0.1 * np.sin(times)], -1)
    clip = with_contacts(make_clip(times, rotations, root + drift), planted)
    snapped = snap_to_ground(clip, GroundSettings(follow=True))
    np.testing.assert_allclose(snapped.root_world_m[:, 2], root[:, 2], atol=0.03)
    assert measure_clip(snapped).below_floor_m < 1e-6
    assert foot_points(snapped)[..., 2].min() > 0.0


def test_a_clip_for_another_body_is_refused() -> None:
    times, rotations, root, _ = walking(1.0)
    clip = make_clip(times, rotations, root)
    with pytest.raises(ClipError, match="another body"):
        measure_clip(replace(clip, body_joint_names=("hips", *clip.body_joint_names[1:])))
