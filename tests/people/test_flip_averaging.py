"""Seeing every other frame in a mirror: regions, landmarks, and evening out what the mirror changes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from backend.people import PeopleNetworks, Roi, landmarks_on_crops
from backend.people.flip_averaging import average_flips, is_mirrored
from backend.people.left_right import MIRRORED
from backend.people.region import cut
from backend.types import PersonTrack
from tests.people.stage import VEST, Actor, draw


def _track(curve: np.ndarray) -> PersonTrack:
    frames = len(curve)
    points = np.repeat(curve[:, None, None], 33, axis=1).repeat(2, axis=2)
    return PersonTrack(
        track_id=0,
        frame_index=np.arange(frames),
        times_s=np.arange(frames) / 30,
        keypoints_px=points,
        keypoint_depth=points[..., 0].copy(),
        visibility=np.full((frames, 33), 0.9),
        world_m=np.repeat(points[..., :1], 3, axis=2),
        presence=np.ones(frames),
        box_px=np.zeros((frames, 4)),
    )


@pytest.mark.parametrize("angle", [0.0, 0.4])
def test_a_mirrored_region_is_the_plain_one_flipped(angle):
    chance = np.random.default_rng(0)
    image = cv2.GaussianBlur(chance.integers(0, 255, (90, 120, 3), dtype=np.uint8), (0, 0), 2.0)
    plain = Roi(60.0, 45.0, 50.0, angle)
    seen = cut(image, plain.in_mirror(True), 64)
    np.testing.assert_allclose(seen.astype(int), cut(image, plain, 64)[:, ::-1].astype(int), atol=2)


@pytest.mark.parametrize("angle", [0.0, 0.3])
def test_a_mirrored_look_at_a_flipped_image_is_the_plain_look_mirrored(networks: PeopleNetworks, angle: float) -> None:
    image = draw([Actor(VEST, {0: (300.0, 220.0)})], 0)
    width = image.shape[1]
    plain = landmarks_on_crops([image], [Roi(300, 225, 300, angle)], networks.landmarks)
    flipped = np.ascontiguousarray(image[:, ::-1])
    other_way = Roi(width - 300, 225, 300, -angle, mirrored=True)
    seen = landmarks_on_crops([flipped], [other_way], networks.landmarks)
    back = seen.keypoints_px[0, :33][MIRRORED] * [-1, 1] + [width, 0]
    assert np.abs(back - plain.keypoints_px[0, :33]).max() < 1.0
    world = seen.world_m[0, :33][MIRRORED] * [-1, 1, 1]
    assert np.abs(world - plain.world_m[0, :33]).max() < 0.01
    assert np.abs(seen.visibility[0, :33][MIRRORED] - plain.visibility[0, :33]).max() < 0.02


def test_both_looks_at_a_person_agree_on_the_sides(networks: PeopleNetworks) -> None:
    image, roi = draw([Actor(VEST, {0: (300.0, 220.0)})], 0), Roi(300, 225, 300)
    plain = landmarks_on_crops([image], [roi], networks.landmarks)
    seen = landmarks_on_crops([image], [roi.in_mirror(True)], networks.landmarks)
    assert np.linalg.norm(plain.keypoints_px - seen.keypoints_px, axis=-1)[0, 11:33].max() < 15
    assert seen.keypoints_px[0, 11, 0] > seen.keypoints_px[0, 12, 0]
    assert np.linalg.norm(plain.world_m - seen.world_m, axis=-1)[0, 11:33].mean() < 0.1


def test_what_the_mirror_changes_is_taken_out():
    frames = np.arange(80)
    motion = 40 * np.sin(frames / 9)
    mirrored = (frames % 2).astype(float)
    bias = 3.0 + frames / 80
    seen = motion + np.where(mirrored > 0, -bias / 2, bias / 2)
    track = average_flips(_track(seen), mirrored)
    inner = slice(4, -4)
    assert np.abs(track.keypoints_px[inner, 5, 0] - motion[inner]).max() < 0.1
    assert np.abs(track.world_m[inner, 5, 2] - motion[inner]).max() < 0.1


def test_a_fast_hit_keeps_its_height():
    motion = np.zeros(60)
    motion[28:33] = [30, 80, 100, 80, 30]
    track = average_flips(_track(motion), (np.arange(60) % 2).astype(float))
    assert np.abs(track.keypoints_px[:, 0, 0] - motion).max() < 6.0


@pytest.mark.parametrize("frames", [1, 2, 3, 7])
def test_short_tracks_and_gaps_are_left_whole(frames):
    curve = np.arange(frames, dtype=float)
    track = _track(curve)
    same = average_flips(track, np.full(frames, np.nan))
    assert same is track
    mirrored = (np.arange(frames) % 2).astype(float)
    np.testing.assert_allclose(average_flips(track, mirrored).keypoints_px, track.keypoints_px, atol=1e-9)


def test_no_leak_across_frames_out_of_sight():
    curve = np.concatenate([np.zeros(10), np.full(5, np.nan), np.full(10, 50.0)])
    mirrored = np.where(np.isnan(curve), np.nan, np.arange(25) % 2)
    track = average_flips(_track(curve), mirrored)
    np.testing.assert_allclose(track.keypoints_px[:10, 0, 0], 0.0, atol=1e-9)
    np.testing.assert_allclose(track.keypoints_px[15:, 0, 0], 50.0, atol=1e-9)
    assert np.isnan(track.keypoints_px[10:15]).all()


def test_frames_take_turns():
    assert [is_mirrored(position) for position in range(4)] == [False, True, False, True]
