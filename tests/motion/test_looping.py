"""A loop's ends agree in pose and velocity, its feet stand still over the seam, on the clip's body and on rigs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from blender_addon.motion.clip import ClipError, MotionClip, check_clip, read_clip
from blender_addon.motion.cycles import at_scene_frames, unroll
from blender_addon.motion.looping import find_cycle, loop_clip
from blender_addon.motion.posing import pose_clip
from blender_addon.motion.resampling import trim_clip
from blender_addon.motion.rotations import (
    quaternion_between,
    quaternion_multiply,
    quaternion_rotate,
    rotvec_to_quaternion,
)
from blender_addon.retarget.baked_pose import RetargetOptions, Travel
from blender_addon.retarget.solve import retarget
from tests.motion.hand_motions import with_groups
from tests.motion.motions import jittered, make_clip, walking, with_contacts
from tests.retarget.evaluate_rig import evaluate_matrices
from tests.retarget.soles import clip_soles, rig_soles, sole_rigs

SAMPLE = Path(__file__).resolve().parents[2] / "assets" / "sample_clip.npz"
FPS = 24.0


def walk(noise_rad: float = 0.0, bend_rad_s: float = 0.0) -> MotionClip:
    """A walk, straight or in a bend; its joints may tremble."""
    times, rotations, root, planted = walking(5.3)
    angle = np.outer(bend_rad_s * times, [0.0, 0.0, 1.0])
    rotations[:, 0] = quaternion_multiply(rotvec_to_quaternion(angle), rotations[:, 0])
    steps = quaternion_rotate(rotvec_to_quaternion(angle[1:]), np.diff(root, axis=0))
    root = root[0] + np.concatenate([np.zeros((1, 3)), np.cumsum(steps, axis=0)])
    return with_contacts(make_clip(times, jittered(rotations, noise_rad), root), planted)


CLIPS = {
    "walk": walk,
    "trembling walk": lambda: walk(noise_rad=0.02),
    "walk in a bend": lambda: walk(bend_rad_s=0.15),
    "sample": lambda: read_clip(SAMPLE),
}


def found(clip: MotionClip) -> MotionClip:
    cycle = find_cycle(clip)
    return trim_clip(clip, cycle.start_s, cycle.end_s)


def velocity_jumps(positions_m: np.ndarray) -> tuple[float, float]:
    """Change of velocity from frame to frame of points (T, N, 3), in m: the largest at the seam, and elsewhere."""
    steps = np.diff(positions_m, axis=0)
    inside = np.linalg.norm(np.diff(steps, axis=0), axis=-1)
    return float(np.linalg.norm(steps[0] - steps[-1], axis=-1).max()), float(inside.max())


@pytest.mark.parametrize("name", list(CLIPS))
def test_the_ends_of_a_loop_agree_on_the_clips_body(name: str) -> None:
    part = found(CLIPS[name]())
    loop = loop_clip(part)
    travel = (loop.root_world_m[-1] - loop.root_world_m[0]) * [1, 1, 0]
    positions = pose_clip(loop).positions_m
    assert np.abs(positions[-1] - positions[0] - travel).max() < 1e-5
    assert (
        np.degrees(quaternion_between(loop.rotations_wxyz[0], loop.rotations_wxyz[-1])).max() < 0.1
    )  # as fine as 32 bits
    seam, elsewhere = velocity_jumps(pose_clip(at_scene_frames(loop, FPS)).positions_m)
    assert seam < elsewhere
    before, after = clip_soles(part), clip_soles(replace(loop, header=part.header))
    assert after.ankle_mm <= max(before.ankle_mm, 0.1)
    assert after.ball_mm <= max(before.ball_mm, 0.1)
    assert clip_soles(unroll(loop).clip).good()


@pytest.mark.parametrize("family", ["mixamo", "unreal", "unreal chibi legs", "vrm", "rigify_metarig"])
@pytest.mark.parametrize("travel", list(Travel))
def test_the_ends_of_a_loop_agree_on_a_rig(family: str, travel: Travel) -> None:
    rig, skeleton_map = sole_rigs()[family]
    loop = at_scene_frames(loop_clip(found(read_clip(SAMPLE))), FPS)
    pose = retarget(loop, rig, skeleton_map, RetargetOptions(travel=travel))
    assert len(pose.times_s) == len(loop)
    assert pose.report.figures["frames"] == pytest.approx(len(loop), abs=1.0)
    places = [rig.index(bone) for bone in skeleton_map.bones()]
    heads = evaluate_matrices(rig, pose)[:, places, :, :][..., :3, 3]
    moved = heads[-1] - heads[0]
    travelled = moved.mean(axis=0) * [1, 1, 0]
    assert np.abs(moved - travelled).max() < 1e-3
    assert (np.linalg.norm(travelled) < 1e-3) == (travel is Travel.IN_PLACE)
    turned = quaternion_between(pose.rotations_wxyz[:, 0], pose.rotations_wxyz[:, -1])
    assert np.degrees(turned).max() < 0.5
    seam, elsewhere = velocity_jumps(heads)
    assert seam < elsewhere
    assert rig_soles(unroll(loop).clip, rig, skeleton_map, FPS).good()


def test_a_walk_repeats_after_two_steps_however_it_begins() -> None:
    times, rotations, root, planted = walking(4.4)  # a period is 1.1 s
    stand = 30
    rows = np.concatenate([np.zeros(stand, int), np.arange(len(times))])
    clip = with_contacts(make_clip(np.arange(len(rows)) / 30.0, rotations[rows], root[rows]), planted[rows])
    cycle = find_cycle(clip)
    periods = (cycle.end_s - cycle.start_s) / 1.1
    assert periods == pytest.approx(round(periods), abs=0.04)
    assert cycle.start_s >= stand / 30.0 - 0.05
    assert cycle.share < 0.1


def test_a_range_that_fits_badly_is_joined_all_the_same() -> None:
    loop = loop_clip(walk())  # 4.8 steps
    positions = pose_clip(loop).positions_m
    travel = (loop.root_world_m[-1] - loop.root_world_m[0]) * [1, 1, 0]
    assert np.abs(positions[-1] - positions[0] - travel).max() < 1e-5
    seam, elsewhere = velocity_jumps(pose_clip(at_scene_frames(loop, FPS)).positions_m)
    assert seam < elsewhere
    assert clip_soles(unroll(loop).clip).good()


def test_standing_closes_on_its_place() -> None:
    times, rotations, root, planted = walking(2.0)
    still = np.zeros(len(times), int)
    sway = np.outer(np.sin(3.0 * times), [0.02, 0.0, 0.0]) + np.outer(times, [0.01, 0.0, 0.0])
    clip = with_contacts(make_clip(times, rotations[still], root[still] + sway), np.ones_like(planted))
    loop = loop_clip(clip)
    assert np.abs(loop.root_world_m[-1] - loop.root_world_m[0]).max() < 1e-6


def test_frames_of_a_scene_are_a_whole_number_a_cycle() -> None:
    loop = loop_clip(found(read_clip(SAMPLE)))
    for fps in (24.0, 23.976, 30.0, 60.0):
        at = at_scene_frames(loop, fps)
        assert np.diff(at.times_s) == pytest.approx(1.0 / fps)
        positions = pose_clip(at).positions_m
        travel = (at.root_world_m[-1] - at.root_world_m[0]) * [1, 1, 0]
        assert np.abs(positions[-1] - positions[0] - travel).max() < 1e-4
        assert at.times_s[-1] - at.times_s[0] == pytest.approx(loop.times_s[-1] - loop.times_s[0], abs=0.5 / fps)


def test_what_cannot_be_a_loop_is_said() -> None:
    clip = walk()
    with pytest.raises(ClipError, match="frames at least"):
        loop_clip(trim_clip(clip, 0.0, 0.1))
    root = clip.root_world_m.copy()
    root[40] = np.nan
    with pytest.raises(ClipError, match="without the person"):
        loop_clip(replace(clip, root_world_m=root))
    with pytest.raises(ClipError, match="whole"):
        find_cycle(trim_clip(clip, 0.0, 0.3))


def test_fingers_and_face_close_too_and_repeat_with_the_body() -> None:
    loop = loop_clip(with_groups(found(walk())))
    assert loop.hands is not None
    assert loop.face is not None
    assert np.abs(loop.hands.rotations_wxyz[-1] - loop.hands.rotations_wxyz[0]).max() < 1e-5
    assert np.abs(loop.face.weights[-1] - loop.face.weights[0]).max() < 1e-6
    several = unroll(loop)
    check_clip(several.clip)
    assert several.clip.face is not None
    assert np.array_equal(several.clip.face.weights, loop.face.weights[several.rows])
