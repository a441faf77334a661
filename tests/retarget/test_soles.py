"""Planted soles lie level and still: on the clip's own body and on rigs of many families and proportions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from blender_addon.motion.body import canonical_body
from blender_addon.motion.clip import MotionClip, read_clip
from blender_addon.motion.contacts import ContactSettings, planted_frames
from blender_addon.motion.planting import Motion, plant_feet
from blender_addon.motion.posing import clip_body, clip_shape, with_motion
from blender_addon.motion.rotations import quaternion_multiply, rotvec_to_quaternion
from blender_addon.motion.smoothing import PRESETS, smooth_clip
from tests.retarget.random_motion import make_clip, still_feet_clip, walk_clip
from tests.retarget.soles import FAMILIES, clip_soles, rig_soles, sole_rigs

SAMPLE = Path(__file__).resolve().parents[2] / "assets" / "sample_clip.npz"
RIGS = sole_rigs()


def rolled(clip: MotionClip, degrees: float, seed: int = 0) -> MotionClip:
    """The clip with feet that roll, pitch and turn by some degrees, as networks see them."""
    rng, body = np.random.default_rng(seed), canonical_body()
    rotations = np.array(clip.rotations_wxyz, dtype=float)
    for side in ("left", "right"):
        phase, rate = rng.uniform(0, 6.28, 3), rng.uniform(0.5, 3.0, 3)
        waves = 0.5 + 0.5 * np.sin(phase + rate * clip.times_s[:, None])
        foot = body.joint_index(f"{side}_ankle")
        turn = rotvec_to_quaternion(np.radians(degrees) * waves * np.array([0.3, 1.0, 0.4]))
        rotations[:, foot] = quaternion_multiply(rotations[:, foot], turn)
    return with_motion(clip, rotations, clip.root_world_m)


CLIPS = {
    "sample": read_clip(SAMPLE),
    "squats": rolled(still_feet_clip(), 28.0),
    "walk": rolled(walk_clip(), 22.0, seed=1),
    "walk at ten frames a second": rolled(walk_clip(fps=10.0), 18.0, seed=2),
}


@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("rig", RIGS)
def test_soles_are_level_and_still_on_every_rig(clip: str, rig: str) -> None:
    soles = rig_soles(CLIPS[clip], *RIGS[rig])
    assert soles.frames > 40
    assert soles.good(), soles


def test_ten_families_are_measured() -> None:
    assert len(FAMILIES) >= 10


def test_the_sample_stands_on_its_own_soles() -> None:
    assert clip_soles(CLIPS["sample"]).good(), clip_soles(CLIPS["sample"])


@pytest.mark.parametrize("clip", ["squats", "walk"])
@pytest.mark.parametrize("foot_scale", [0.8, 1.0, 1.3])
def test_the_clips_own_planting_levels_the_soles(clip: str, foot_scale: float) -> None:
    before = CLIPS[clip]
    scales = before.bone_scales.copy()
    scales[[canonical_body().joint_index(f"{side}_toe") for side in ("left", "right")]] = foot_scale
    before = replace(before, bone_scales=scales)
    planted = planted_frames(before.times_s, before.contacts, ContactSettings())
    motion = Motion(before.times_s, before.rotations_wxyz, before.root_world_m)
    done = plant_feet(clip_body(before), clip_shape(before), motion, planted)
    after = with_motion(before, done.motion.rotations_wxyz, done.motion.root_m, done.held.astype(float))
    assert clip_soles(before).tilt_max_deg > 10.0
    assert clip_soles(after).good(), clip_soles(after)


def test_smoothing_leaves_soles_level() -> None:
    after = smooth_clip(CLIPS["walk"], PRESETS["medium"])
    assert clip_soles(after).good(), clip_soles(after)


def test_a_clip_that_stands_under_the_floor_is_raised_onto_it() -> None:
    clip = still_feet_clip()
    sunk = with_motion(clip, clip.rotations_wxyz, clip.root_world_m - np.array([0.0, 0.0, 1.8]))
    assert rig_soles(sunk, *RIGS["mixamo"]).below_mm <= 2.0


def test_a_stair_is_not_flattened() -> None:
    clip = still_feet_clip()
    up = with_motion(clip, clip.rotations_wxyz, clip.root_world_m + np.array([0.0, 0.0, 0.4]))
    assert rig_soles(up, *RIGS["mixamo"]).below_mm < -350.0


def test_a_foot_that_lies_on_its_side_is_not_laid_flat() -> None:
    clip = still_feet_clip(30)
    rotations = np.array(clip.rotations_wxyz, dtype=float)
    for side in ("left", "right"):
        foot = canonical_body().joint_index(f"{side}_ankle")
        rotations[:, foot] = quaternion_multiply(
            rotations[:, foot], rotvec_to_quaternion(np.broadcast_to([0.0, 1.4, 0.0], (30, 3)))
        )
    lying = make_clip(rotations, clip.root_world_m, np.ones((30, 4)))
    assert rig_soles(lying, *RIGS["mixamo"]).tilt_mean_deg > 60.0
