"""Edges of a scene: found, kept over a whole video, not taken from people or from the frame's own border."""

from __future__ import annotations

import cv2
import numpy as np

from backend.camera.edges import EdgeMeter, find_segments, scene_edges
from backend.types import Frame, Intrinsics, PersonTrack

CAMERA = Intrinsics(np.array([[600.0, 0, 320], [0, 600.0, 240], [0, 0, 1]]), 640, 480, "test")


def doors(dark_bars: bool = False) -> np.ndarray:
    image = np.full((480, 640, 3), 200, np.uint8)
    noise = np.random.default_rng(0).integers(-6, 7, image.shape)
    for x in (100, 300, 500):
        cv2.rectangle(image, (x, 120), (x + 60, 360), (90, 90, 90), -1)
    image = np.clip(image.astype(int) + noise, 0, 255).astype(np.uint8)
    if dark_bars:
        image[:60] = image[-60:] = 0
    return image


def person_at(x_px: float, frames: int) -> PersonTrack:
    """Somebody upright whose trunk covers a door."""
    shape = np.zeros((33, 2))
    shape[[11, 13, 15]], shape[[12, 14, 16]] = (-30.0, 160.0), (30.0, 160.0)
    shape[[23, 25, 27, 29, 31]], shape[[24, 26, 28, 30, 32]] = (-25.0, 260.0), (25.0, 260.0)
    shape[[25, 26], 1], shape[[27, 28, 29, 30, 31, 32], 1] = 310.0, 360.0
    shape[:11] = 0.0, 130.0
    keypoints = np.tile(shape + np.array([x_px, 0.0]), (frames, 1, 1))
    box = np.concatenate([keypoints.min(axis=1), keypoints.max(axis=1)], axis=-1)
    ones = np.ones((frames, 33))
    times = np.arange(frames) / 25
    return PersonTrack(
        0, np.arange(frames), times, keypoints, ones, ones, np.zeros((frames, 33, 3)), np.ones(frames), box
    )


def test_upright_edges_are_found_and_the_border_of_black_bars_is_not() -> None:
    grey = cv2.cvtColor(doors(), cv2.COLOR_RGB2GRAY)
    along = np.abs(np.diff(find_segments(grey).reshape(-1, 2, 2), axis=1)[:, 0])
    assert (along[:, 0] < 3).sum() >= 6
    barred = find_segments(cv2.cvtColor(doors(dark_bars=True), cv2.COLOR_RGB2GRAY))
    level = barred[np.abs(barred[:, 1] - barred[:, 3]) < 3]
    assert not (np.abs(level[:, 1] - 60) < 4).any()
    assert not (np.abs(level[:, 1] - 420) < 4).any()


def test_edges_on_people_do_not_count() -> None:
    meter = EdgeMeter()
    for index in range(10):
        meter.update(Frame(index, index / 25, doors()))
    every = scene_edges(meter.segments(), (), CAMERA)
    free = scene_edges(meter.segments(), (person_at(330.0, 10),), CAMERA)
    x_px = 320 + 600 * every.rays[..., 0] / every.rays[..., 2]
    hidden = (np.abs(x_px.mean(axis=1) - 330) < 40).sum()
    assert hidden > 0
    assert len(free.length) <= len(every.length) - hidden // 2
    np.testing.assert_allclose(np.linalg.norm(free.rays, axis=-1), 1.0)


def test_a_long_video_keeps_a_few_frames_of_all_of_it_and_goes_on_from_its_state() -> None:
    whole, first, second = EdgeMeter(), EdgeMeter(), EdgeMeter()
    frames = [Frame(index, index / 25, doors()[::4, ::4]) for index in range(900)]
    for frame in frames:
        whole.update(frame)
    for frame in frames[:400]:
        first.update(frame)
    second.restore(first.state())
    for frame in frames[400:]:
        second.update(frame)
    kept = [part.index for part in whole.segments()]
    assert 3 <= len(kept) <= 6
    assert kept[-1] > 600
    assert [part.index for part in second.segments()] == kept
