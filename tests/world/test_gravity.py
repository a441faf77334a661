"""Which way is down, from edges, poses, level cameras and feet: none of them wins alone when it is wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.types import SceneEdges
from backend.world.bent_body import down_if_bent
from backend.world.gravity import Footing, estimate_gravity, gravity_hints
from backend.world.gravity_doubt import doubted
from backend.world.unseen import Unseen
from backend.world.vanishing import vote
from backend.world.world_track import Gravity, GravitySettings
from backend.world.world_warnings import gravity_warning
from blender_addon.motion.body import canonical_body
from blender_addon.motion.rotations import rotvec_to_quaternion
from tests.world.scenes import Noise, make_scene

SETTINGS = GravitySettings()
RIGHT_OF_THE_BODY = np.array([-1.0, 0.0, 0.0])
NOTHING = np.full(3, np.nan)


def camera(roll_deg: float, pitch_deg: float, yaw_deg: float = 25.0) -> np.ndarray:
    """Axes of a room (rows: along, across, down) in the camera, which looks down by `pitch_deg`."""
    roll, pitch, yaw = np.deg2rad([roll_deg, pitch_deg, yaw_deg])
    down = np.array([np.sin(roll) * np.cos(pitch), np.cos(roll) * np.cos(pitch), np.sin(pitch)])
    side = np.cross(down, [0.0, 0.0, 1.0])
    side /= np.linalg.norm(side)
    ahead = np.cross(side, down)
    return np.stack([np.cos(yaw) * side + np.sin(yaw) * ahead, np.cos(yaw) * ahead - np.sin(yaw) * side, down])


def edges(axes: np.ndarray, counts: tuple[int, int, int], clutter: int, seed: int = 0) -> SceneEdges:
    """Segments along the axes, in a view of 60 by 45 degrees, each off by half a pixel of 960; and others anyhow."""
    rng = np.random.default_rng(seed)
    rays = []
    for axis, count in (*zip(axes, counts, strict=True), (None, clutter)):
        for _ in range(count):
            start = np.array([rng.uniform(-0.55, 0.55), rng.uniform(-0.4, 0.4), 1.0]) * rng.uniform(2.0, 8.0)
            way = rng.normal(size=3) if axis is None else axis
            pair = np.stack([start, start + way / np.linalg.norm(way) * rng.uniform(0.3, 0.8)])
            pair = pair / np.maximum(pair[:, 2:], 0.3)
            pair[:, :2] += rng.normal(0.0, 0.5 / 960, (2, 2))
            rays.append(pair / np.linalg.norm(pair, axis=1, keepdims=True))
    ends = np.array(rays)
    flat = ends[..., :2] / ends[..., 2:]
    return SceneEdges(ends, np.linalg.norm(flat[:, 0] - flat[:, 1], axis=1) / 1.15, 1)


def off_deg(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.rad2deg(np.arccos(np.clip(first @ second / np.linalg.norm(first), -1.0, 1.0))))


@pytest.mark.parametrize(("roll_deg", "pitch_deg"), [(0, 0), (-13, 22), (26, 22), (3, -10), (0, 45)])
def test_edges_mend_a_pose_hint_that_is_twelve_degrees_off(roll_deg: float, pitch_deg: float) -> None:
    axes = camera(roll_deg, pitch_deg)
    hint = axes[2] + np.tan(np.deg2rad(12.0)) * (axes[0] + axes[1]) / np.sqrt(2.0)
    found = estimate_gravity(gravity_hints(hint, 3.0, edges(axes, (15, 15, 20), 40)), SETTINGS)
    assert off_deg(found.down, axes[2]) < 1.5
    assert found.uncertainty_deg < 10.0


def test_boards_of_a_floor_do_not_outvote_the_pillar() -> None:
    axes = camera(0.0, 35.0, yaw_deg=2.0)
    seen = edges(axes, (10, 120, 6), 30)
    found = estimate_gravity(gravity_hints(camera(2.0, 28.0)[2], 2.0, seen), SETTINGS)
    assert off_deg(found.down, axes[2]) < 2.0


@pytest.mark.parametrize("seed", range(4))
def test_the_edges_do_not_say_which_of_their_axes_is_down(seed: int) -> None:
    axes = camera(5.0 * seed, 8.0 * seed, yaw_deg=20.0 + 11.0 * seed)
    found = vote(edges(axes, (60, 60, 40), 40, seed))
    gains = [found.gain[np.abs(found.axes @ axis) > np.cos(np.deg2rad(2.0))].max() for axis in axes]
    assert np.ptp(gains) < 0.01 * max(gains)
    assert min(gains) == pytest.approx(found.gain.max(), rel=0.01)


def test_a_person_who_lies_in_a_room_does_not_turn_the_world() -> None:
    axes = camera(1.0, 8.0, yaw_deg=30.0)
    found = estimate_gravity(gravity_hints(axes[0], 4.0, edges(axes, (15, 15, 15), 30)), SETTINGS)
    assert off_deg(found.down, axes[2]) < 2.0
    assert found.uncertainty_deg > 12.0, "it has to be told"


def test_segments_without_order_leave_the_answer_to_the_others() -> None:
    axes = camera(0.0, 12.0)
    plain = estimate_gravity(gravity_hints(axes[2], 2.0), SETTINGS)
    lawn = estimate_gravity(gravity_hints(axes[2], 2.0, edges(axes, (0, 0, 0), 150)), SETTINGS)
    assert off_deg(lawn.down, plain.down) < 5.0
    assert lawn.uncertainty_deg > 5.0


def test_nothing_known_is_a_level_camera_that_is_not_sure() -> None:
    found = estimate_gravity(gravity_hints(NOTHING), SETTINGS)
    assert off_deg(found.down, np.array([0.0, 1.0, 0.0])) < 3.0
    assert found.uncertainty_deg > 12.0


def test_feet_on_a_wide_floor_decide_between_a_level_and_a_rolled_camera() -> None:
    axes = camera(25.0, 8.0)
    rng = np.random.default_rng(0)
    places = rng.uniform(-2.0, 2.0, (30, 2)) @ axes[:2] + 1.5 * axes[2] + np.array([0.0, 0.0, 5.0])
    places -= np.outer((places @ axes[2]) - 1.5, axes[2])
    footing = Footing(places, np.zeros(30), np.ones(30))
    found = estimate_gravity(gravity_hints(NOTHING), SETTINGS, footing)
    assert off_deg(found.down, axes[2]) < 3.0


@pytest.mark.parametrize(
    ("bent_deg", "counts", "legs_hidden", "least_deg"),
    [(90.0, (0, 0, 0), 0.0, 13.0), (10.0, (0, 0, 0), 0.0, 4.0), (90.0, (15, 15, 20), 0.0, 4.0),
     (90.0, (0, 0, 0), 1.0, 4.0)],
)  # fmt: skip
def test_a_person_who_does_not_stand_is_doubted_where_there_are_no_edges(
    bent_deg: float, counts: tuple[int, int, int], legs_hidden: float, least_deg: float
) -> None:
    body, times_s = canonical_body(), np.arange(10) / 10.0
    rotations = np.tile([1.0, 0.0, 0.0, 0.0], (10, len(body.joint_names), 1))
    knees = [body.joint_index(f"{side}_knee") for side in ("left", "right")]
    rotations[:, knees] = rotvec_to_quaternion(np.deg2rad(bent_deg) * RIGHT_OF_THE_BODY)
    poses = make_scene(times_s, rotations, np.tile([0.0, 0.0, 1.0], (10, 1)), noise=Noise()).poses
    hints = gravity_hints(poses.gravity_camera, 3.0, edges(camera(0.0, 10.0), counts, 4))
    limbs = np.tile([legs_hidden, legs_hidden, 0.0, 0.0], (10, 1))
    unseen = Unseen(limbs, np.ones((10, len(body.joint_names))), np.zeros(10))
    found = doubted(Gravity(np.array([0.0, 1.0, 0.0]), 4.0), hints, poses, unseen)
    assert found.uncertainty_deg == least_deg
    assert gravity_warning(found) is not None or least_deg < 13.0


@pytest.mark.parametrize(("hip_deg", "knee_deg"), [(0.0, 90.0), (-85.0, 85.0)])
def test_a_body_that_kneels_or_sits_says_which_way_is_down_if_its_legs_are_seen(
    hip_deg: float, knee_deg: float
) -> None:
    body = canonical_body()
    rotations = np.tile([1.0, 0.0, 0.0, 0.0], (20, len(body.joint_names), 1))
    for name, bend_deg in (("hip", hip_deg), ("knee", knee_deg)):
        joints = [body.joint_index(f"{side}_{name}") for side in ("left", "right")]
        rotations[:, joints] = rotvec_to_quaternion(np.deg2rad([bend_deg, 0.0, 0.0]))
    scene = make_scene(np.arange(20) / 10.0, rotations, np.tile([0.0, 0.0, 1.0], (20, 1)), noise=Noise())
    frames, all_seen = np.arange(20), np.ones(20, bool)
    found = down_if_bent(scene.poses, frames, all_seen)
    assert found is not None
    assert off_deg(found / np.linalg.norm(found), -scene.world_from_camera[2, :3]) < 10.0
    assert down_if_bent(scene.poses, frames, frames < 8) is None
    assert down_if_bent(scene.poses, frames, ~all_seen) is None
    straight = rotations.copy()
    straight[:, :, 0], straight[:, :, 1:] = 1.0, 0.0
    assert down_if_bent(replace(scene.poses, rotations_wxyz=straight), frames, all_seen) is None
