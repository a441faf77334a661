"""A camera that travels: its way is sized by the feet that stand, and people walk in a world that stands still."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.camera.lens import pixel_rays, project_m
from backend.camera.path import CameraPath
from backend.solving.clip_assembly import assemble_clip
from backend.solving.video_pass import TrackedVideo
from backend.types import CameraTravel
from backend.world import WorldOptions, place_in_world, scale_travel
from blender_addon.motion.body import canonical_body
from blender_addon.motion.camera_travel import without_travel
from blender_addon.motion.clip import ClipHeader
from blender_addon.motion.contacts import ContactSettings, planted_frames
from blender_addon.motion.foot_evidence import seen_speed_m_s
from blender_addon.motion.posing import find_feet, pose_body
from blender_addon.motion.quality import foot_skate_m_s
from blender_addon.motion.rotations import quaternion_to_matrix, rotvec_to_quaternion
from tests.motion.motions import person_shape, walking
from tests.world.scenes import Camera, Noise, Scene, make_scene

CAMERA = Camera((0.0, -5.0, 1.5))
# metres to a unit of the way as the background tells it
SCALE_M = 2.5


def _walk(kind: str, seed: int = 0, height_m: float = 1.75) -> tuple[Scene, CameraTravel]:
    """Somebody who walks, seen by a camera that travels without turning, and where it is, m, in its own axes."""
    times, rotations, root, _ = walking(4.0, heading_rad=np.deg2rad(60.0))
    root = root * height_m / 1.75
    root[:, :2] -= root[0, :2]
    way = np.zeros_like(root)
    if kind == "along":  # goes along with them, and a little up and down
        way[:, :2] = root[:, :2]
        way[:, 2] = 0.05 * np.sin(6.0 * times)
    if kind == "sideways":
        way[:, 0] = np.linspace(-0.6, 0.6, len(times))
    if kind == "forwards":
        way[:, 1] = np.linspace(0.0, 1.2, len(times))
    # a camera that moves one way sees what a still one sees of a person moved the other way
    scene = make_scene(times, rotations, root - way, CAMERA, Noise(seed=seed), height_m)
    pose = CAMERA.world_from_camera()
    travel = way @ pose[:3, :3]
    return scene, CameraTravel(
        scene.track.frame_index, travel - travel[0], (_background() - pose[:3, 3] - way[0]) @ pose[:3, :3]
    )


def _scale(scene: Scene, way: CameraTravel) -> float | None:
    """Metres to a unit of the way, as it is found; None where it is not."""
    options = scale_travel([(scene.poses, scene.track)], scene.intrinsics, WorldOptions(), way)
    if options.travel is None:
        return None
    return float(
        np.linalg.norm(np.ptp(options.travel.position_m, axis=0)) / np.linalg.norm(np.ptp(way.position_m, axis=0))
    )


def _background() -> np.ndarray:
    """Features (P, 3) in the world: of the floor, of a wall, and of a table."""
    rng = np.random.default_rng(8)
    floor = rng.uniform((-4.0, -3.0, -0.01), (4.0, 4.0, 0.01), (60, 3))
    wall = rng.uniform((-4.0, 4.0, 0.0), (4.0, 4.1, 3.0), (80, 3))
    table = rng.uniform((1.0, 1.0, 0.69), (2.0, 2.0, 0.71), (30, 3))
    return np.concatenate([floor, wall, table])


@pytest.mark.parametrize("kind", ["along", "sideways", "forwards"])
def test_the_floor_tells_how_large_the_way_is(kind: str) -> None:
    scene, travel = _walk(kind)
    assert _scale(scene, travel.scaled(1.0 / SCALE_M)) == pytest.approx(SCALE_M, rel=0.08)


@pytest.mark.parametrize("first", [0, 1])
def test_a_child_beside_an_adult_takes_the_height_of_the_first(first: int) -> None:
    """Both are taken for 1.75 m; the first of them says how large the way is."""
    (adult, travel), (child, _) = _walk("sideways"), _walk("sideways", 1, 1.2)
    size = 1.75 / 1.2
    taller = replace(child.poses, height_m=1.75, root_camera_m=size * child.poses.root_camera_m)
    taller = replace(taller, joints_camera_m=size * child.poses.joints_camera_m)
    people = [(adult.poses, adult.track), (taller, child.track)]
    way = travel.scaled(1.0 / SCALE_M)
    sized = scale_travel(people[:: -1 if first else 1], adult.intrinsics, WorldOptions(), way).travel
    assert sized is not None
    reach = np.linalg.norm(np.ptp(sized.position_m, axis=0)) / np.linalg.norm(np.ptp(way.position_m, axis=0))
    assert reach == pytest.approx(SCALE_M * (size if first else 1.0), rel=0.1)


def test_standing_feet_tell_it_without_a_floor() -> None:
    scene, travel = _walk("along")
    alone = replace(travel.scaled(1.0 / SCALE_M), features_m=travel.features_m[60:140])
    assert _scale(scene, alone) == pytest.approx(SCALE_M, rel=0.1)


def test_somebody_who_is_seldom_seen_takes_nothing_from_what_another_tells() -> None:
    """Frames too far apart say nothing of motion."""
    scene, travel = _walk("along")
    alone = replace(travel.scaled(1.0 / SCALE_M), features_m=travel.features_m[60:140])
    seldom = replace(scene.poses, confidence=np.where(np.arange(len(scene.poses.confidence)) % 8, 0.0, 1.0))
    slow = replace(scene.track, times_s=3.0 * scene.track.times_s)
    people = [(seldom, slow), (scene.poses, scene.track)]
    sized = scale_travel(people, scene.intrinsics, WorldOptions(), alone).travel
    assert sized is not None
    reach = np.linalg.norm(np.ptp(sized.position_m, axis=0)) / np.linalg.norm(np.ptp(alone.position_m, axis=0))
    assert reach == pytest.approx(SCALE_M, rel=0.1)


def test_somebody_who_rides_with_the_camera_does_not_tell_how_large_its_way_is() -> None:
    """Somebody on a cart with the camera: their feet never stand in the world."""
    times, rotations, root, _ = walking(4.0)
    rotations, root = np.tile(rotations[:1], (len(times), 1, 1)), np.tile(root[:1], (len(times), 1))
    scene = make_scene(times, rotations, root, CAMERA, Noise())
    way = np.stack([np.linspace(0.0, 1.0, len(times)), np.zeros(len(times)), np.zeros(len(times))], axis=1)
    travel = CameraTravel(scene.track.frame_index, way)
    assert _scale(scene, travel) is None
    still = CameraTravel(scene.track.frame_index, 0.0 * way)
    assert _scale(scene, still) is None


@pytest.mark.parametrize("kind", ["along", "sideways", "forwards"])
def test_the_root_walks_in_a_world_that_stands_still(kind: str) -> None:
    scene, travel = _walk(kind, seed=1)
    world = place_in_world(scene.poses, scene.track, scene.intrinsics, WorldOptions(travel=travel))
    true = scene.root_camera_m + travel.position_m + (CAMERA.world_from_camera()[:3, :3].T @ np.zeros(3))
    length = np.linalg.norm(np.diff(true, axis=0), axis=1).sum()
    offset = world.root_camera_m - true
    assert np.linalg.norm(offset - offset.mean(axis=0), axis=1).max() < 0.07 * length
    feet = find_feet(
        canonical_body(), pose_body(canonical_body(), person_shape(), world.rotations_wxyz, world.root_world_m)
    )
    planted = planted_frames(scene.track.times_s, world.contacts, ContactSettings())
    assert planted.mean() > 0.3
    assert foot_skate_m_s(scene.track.times_s, feet.positions_m, planted) <= 0.02
    assert any("travels" in warning.text for warning in world.warnings)


def test_without_travel_leaves_what_stands_in_place() -> None:
    travel = _walk("forwards")[1]
    points = np.array([[[0.3, 1.2, 4.0], [-0.5, 0.2, 6.0]]]) - travel.position_m[:, None]
    rays = points[..., :2] / points[..., 2:]
    assert np.ptp(rays, axis=0).max() > 0.02
    led = without_travel(rays, travel.position_m, points)
    np.testing.assert_allclose(led, np.tile(rays[:1], (len(led), 1, 1)), atol=1e-4)
    still = replace(travel, position_m=0.0 * travel.position_m)
    np.testing.assert_array_equal(without_travel(rays, still.position_m, points), rays)


def test_the_clip_holds_the_camera_of_each_frame() -> None:
    scene, travel = _walk("along")
    world = place_in_world(scene.poses, scene.track, scene.intrinsics, WorldOptions(travel=travel))
    frames = len(scene.track.frame_index)
    swing = np.outer(np.sin(np.arange(frames) / 9.0), [0.02, 0.2, 0.01])
    turns = np.asarray(quaternion_to_matrix(rotvec_to_quaternion(swing)))
    path = CameraPath(scene.track.frame_index, turns, np.ones(frames), np.zeros(frames), np.zeros(frames), travel)
    rays = pixel_rays(scene.intrinsics, scene.track.keypoints_px)
    track = replace(scene.track, keypoints_px=project_m(scene.intrinsics, rays @ turns))
    tracked = TrackedVideo(track.frame_index, track.times_s, (track,), (), True, False, 0.0, (), path)
    clip = assemble_clip(tracked, track, scene.poses, world, scene.intrinsics, ClipHeader())
    led = np.einsum("tij,tj->ti", clip.world_from_camera[:, :3, :3], clip.root_camera_m)
    np.testing.assert_allclose(led + clip.world_from_camera[:, :3, 3], clip.root_world_m, atol=1e-4)
    # the camera goes as far as it did, and its body stays as far from it as it was seen
    moved = np.linalg.norm(clip.world_from_camera[:, :3, 3] - clip.world_from_camera[0, :3, 3], axis=1)
    np.testing.assert_allclose(moved, np.linalg.norm(travel.position_m, axis=1), atol=1e-6)
    away = np.linalg.norm(clip.root_camera_m, axis=1) - np.linalg.norm(scene.root_camera_m, axis=1)
    assert np.abs(away).max() < 0.4
    assert np.nanpercentile(seen_speed_m_s(clip), 25.0) < 0.4
