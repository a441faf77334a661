"""A camera that turns and zooms on one spot is followed frame by frame."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from backend.camera.lens import project_m
from backend.camera.path import CameraPath, corners, follow_camera, seen_still, still_track
from backend.types import Frame, Intrinsics, PersonTrack
from blender_addon.motion.rotations import quaternion_to_matrix, rotvec_to_quaternion

WIDTH, HEIGHT, FOCAL = 640, 480, 554.0
LENS = Intrinsics(np.array([[FOCAL, 0, 320.0], [0, FOCAL, 240.0], [0, 0, 1]]), WIDTH, HEIGHT, "test")
FRAMES = 40


def _scene() -> np.ndarray:
    rng = np.random.default_rng(3)
    small = rng.integers(0, 255, (120, 160, 3), dtype=np.uint8)
    return np.asarray(cv2.GaussianBlur(cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST), (5, 5), 0))


def _turns(rotvecs: np.ndarray) -> np.ndarray:
    return np.asarray(quaternion_to_matrix(rotvec_to_quaternion(rotvecs)))


def _video(rotvecs: np.ndarray, zoom: np.ndarray) -> list[Frame]:
    """What a camera turned by `rotvecs` (T, 3) sees of a scene far away, whose middle fills the first frame."""
    image, wide = _scene(), LENS.matrix @ np.diag([0.7, 0.7, 1.0])
    frames = []
    for index, turn in enumerate(_turns(rotvecs)):
        lens = LENS.matrix @ np.diag([zoom[index], zoom[index], 1.0])
        seen = cv2.warpPerspective(image, lens @ turn.T @ np.linalg.inv(wide), (WIDTH, HEIGHT))
        frames.append(Frame(index, index / 30.0, np.asarray(seen, np.uint8)))
    return frames


def _errors_deg(path: CameraPath, rotvecs: np.ndarray) -> np.ndarray:
    apart = np.swapaxes(path.turns, 1, 2) @ _turns(rotvecs)
    return np.rad2deg(np.arccos(np.clip((np.trace(apart, axis1=1, axis2=2) - 1.0) / 2.0, -1.0, 1.0)))


@pytest.mark.parametrize("kind", ["still", "pan", "shake", "zoom"])
def test_turn_and_zoom_are_found(kind: str) -> None:
    share = np.linspace(0.0, 1.0, FRAMES)
    rotvecs, zoom = np.zeros((FRAMES, 3)), np.ones(FRAMES)
    if kind == "pan":
        rotvecs[:, 1] = np.deg2rad(12.0) * share
    if kind == "shake":
        rotvecs = np.deg2rad(1.5) * np.sin(20.0 * share[:, None] + np.arange(3)) - np.deg2rad(1.5) * np.sin(
            np.arange(3)
        )
    if kind == "zoom":
        zoom = 1.0 + 0.3 * share
    path = follow_camera(_video(rotvecs, zoom), [], LENS)
    # a shake does not begin without a turn: everything is told relative to the first frame
    assert _errors_deg(path, rotvecs).max() < 0.25
    np.testing.assert_allclose(path.zoom, zoom, rtol=0.01)
    assert path.turns_only


def _travelling(far_m: float) -> list[Frame]:
    """What a camera that travels 0.8 m to the right sees of a wall 2 m away, and above it of one `far_m` away."""
    texture, frames = _scene(), []
    for index, step_m in enumerate(np.linspace(0.0, 0.8, FRAMES)):
        halves = []
        for depth_m in (far_m, 2.0):
            move = np.float32([[1.0, 0.0, -FOCAL * step_m / depth_m], [0.0, 1.0, 0.0]])
            halves.append(cv2.warpAffine(texture, move, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT))
        image = np.concatenate([halves[0][: HEIGHT // 2], halves[1][HEIGHT // 2 :]])
        frames.append(Frame(index, index / 30.0, np.asarray(image, np.uint8)))
    return frames


@pytest.mark.parametrize("far_m", [4.0, 8.0])
def test_a_camera_that_travels_is_not_taken_for_one_that_turns(far_m: float) -> None:
    assert not follow_camera(_travelling(far_m), [], LENS).turns_only


def test_points_are_led_back_to_where_a_still_camera_sees_them() -> None:
    rng = np.random.default_rng(5)
    places = np.tile(rng.uniform((-1, -1, 3), (1, 1, 5), (33, 3)), (FRAMES, 1, 1))
    rotvecs, zoom = np.zeros((FRAMES, 3)), np.linspace(1.0, 1.4, FRAMES)
    rotvecs[:, 1] = np.deg2rad(np.linspace(0.0, 20.0, FRAMES))
    turns = _turns(rotvecs)
    seen = np.stack(
        [
            project_m(replace(LENS, matrix=LENS.matrix @ np.diag([gain, gain, 1.0])), points @ turn)
            for points, turn, gain in zip(places, turns, zoom, strict=True)
        ]
    )
    still = seen_still(seen, turns, zoom, LENS)
    np.testing.assert_allclose(still, project_m(LENS, places), atol=1e-6)
    ones = np.ones((FRAMES, 33))
    world = np.tile([0.0, 0.0, 1.0], (FRAMES, 33, 1))
    frames = np.arange(FRAMES)
    track = PersonTrack(0, frames, frames / 30.0, seen, ones, ones, world, ones[:, 0], np.zeros((FRAMES, 4)))
    led = still_track(track, CameraPath(frames, turns, zoom, np.zeros(FRAMES), np.zeros(FRAMES)), LENS)
    np.testing.assert_allclose(led.keypoints_px, still)
    np.testing.assert_allclose(led.world_m[-1, 0], turns[-1] @ [0.0, 0.0, 1.0])


def test_a_scene_without_features_leaves_the_camera_as_it_was() -> None:
    grey = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    path = follow_camera([Frame(index, index / 30.0, grey) for index in range(5)], [], LENS)
    np.testing.assert_array_equal(path.turns, np.tile(np.eye(3), (5, 1, 1)))
    np.testing.assert_array_equal(path.zoom, 1.0)


def test_corners_are_also_looked_for_in_the_lower_half_where_only_weak_ones_are() -> None:
    """The strongest corners are far away; their number stays in bounds, and none are sought where all are there."""
    rng = np.random.default_rng(6)
    noise = cv2.GaussianBlur(rng.normal(0.0, 1.0, (360, 640)).astype(np.float32), (0, 0), 2.0)
    noise[:180] *= 4.0
    grey = np.clip(128.0 + 40.0 * noise / noise.std(), 0, 255).astype(np.uint8)
    plain = cv2.goodFeaturesToTrack(grey, 100, 0.1, 10)
    points = corners(grey, 100, (0.1, 10))
    assert (plain[:, 0, 1] > 180).sum() < 5
    assert (points[:, 1] > 180).sum() >= 20
    assert len(points) <= 140
    apart = np.linalg.norm(points[:, None] - points[None], axis=2) + 1e3 * np.eye(len(points))
    assert apart[points[:, 1] > 190].min() >= 9.0
    assert corners(grey, 0, (0.1, 10)).shape == (0, 2)
