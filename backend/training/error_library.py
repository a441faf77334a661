"""Errors that the landmark networks made on renders, donated to simulated people in a similar pose. numpy only.

A fitted formula knows how large errors are; which joints err together, and in which poses a network takes near for far,
is only in its answers. Each error is kept in the upright frame of the person (looked at, torso up), lengths as shares
of the person's size, so that it fits a person of another size, place and roll.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.camera.virtual_camera import (
    look_at_rotation,
    on_image_plane,
    roll_matrix,
    turned_points,
    upright_roll,
)
from backend.embedding.keypoints import HIPS, MAIN, MIRROR, SHOULDERS
from backend.keypoint_layouts import BLAZEPOSE
from backend.training.landmark_noise import LandmarkNoise, NoisyLandmarks, correlated, frame_times
from backend.training.render_landmarks import RenderLandmarks
from backend.types import Array

_NEAREST = 12
_MOST = 24_000
_MOST_COMPARED = 3_000
_ANSWER_FRAMES = 40


@dataclass(frozen=True, slots=True)
class ErrorLibrary:
    """N answers: pose (N, 99) the true landmarks over the person's size; error (N, 33, 2) of the points over the half
    size; visibility (N, 33); depth (N, 33) error of the guess's z over the person's size.
    """

    pose: Array
    error: Array
    visibility: Array
    depth: Array

    def __len__(self) -> int:
        return len(self.pose)

    def rows(self, rows: NDArray[np.intp]) -> ErrorLibrary:
        """Some of the answers."""
        return ErrorLibrary(self.pose[rows], self.error[rows], self.visibility[rows], self.depth[rows])


@dataclass(frozen=True, slots=True)
class _Upright:
    """True landmarks (..., 33, 3) over size in the upright frame, their points (..., 33, 2), half size (...,), size
    (...,) m, and the roll (..., 2, 2) that turns directions of the camera's image upright.
    """

    landmarks: Array
    points: Array
    half: Array
    size_m: Array
    roll: Array


def error_library(seen: RenderLandmarks, most: int = _MOST) -> ErrorLibrary:
    """The errors of the found people, and their mirror images; of at most `most` of them, drawn at random, since each
    simulated window is compared with all.
    """
    found = np.flatnonzero(seen.found)
    if len(found) > most:
        found = np.sort(np.random.default_rng(0).choice(found, most, replace=False))
    seen = seen.rows(found)
    true = _upright(np.asarray(seen.landmarks_m, np.float64))
    look = look_at_rotation(_hips(on_image_plane(np.asarray(seen.landmarks_m, np.float64))))
    points = turned_points(np.asarray(seen.points), look) @ np.swapaxes(true.roll, 1, 2)
    error = (points - true.points) / true.half[:, None, None]
    guess = seen.guess - seen.guess[:, HIPS].mean(axis=1, keepdims=True)
    own = np.sqrt(np.square(guess[:, MAIN, :2]).sum(axis=(1, 2)))
    spread = np.sqrt(np.square(points - _hips(points)[:, None])[:, MAIN].sum(axis=(1, 2)))
    z = 1.25 * guess[..., 2] * (spread / (own * true.half))[:, None]
    depth = z - true.landmarks[..., 2]
    flip2, flip3 = np.array([-1.0, 1.0]), np.array([-1.0, 1.0, 1.0])
    pose = np.concatenate([true.landmarks, true.landmarks[:, MIRROR] * flip3])
    return ErrorLibrary(
        pose.reshape(len(pose), -1).astype(np.float32),
        np.concatenate([error, error[:, MIRROR] * flip2]).astype(np.float32),
        np.concatenate([seen.visibility, seen.visibility[:, MIRROR]]).astype(np.float32),
        np.concatenate([depth, depth[:, MIRROR]]).astype(np.float32),
    )


def bootstrapped_errors(
    library: ErrorLibrary,
    camera_points: Array,
    noise: LandmarkNoise,
    rng: np.random.Generator,
    offsets: Sequence[int] | None = None,
) -> NoisyLandmarks:
    """Landmarks (B, W, 33) as a network would report them for true ones (B, W, 33, 3) m in the camera.

    Answers to poses like the window's are donated and fade into one another: two to the middle pose, or along windows
    of seconds one for each 40 frames; on top comes the formula's jitter. `offsets` (W,) are the window's frames (None:
    frames that follow each other).
    """
    batch, window = camera_points.shape[:2]
    time = frame_times(window, offsets)
    true = _upright(camera_points.reshape(-1, BLAZEPOSE.count, 3).astype(np.float64))
    poses = true.landmarks.reshape(batch, window, -1).astype(np.float32)
    donors, share = _donors(library, poses, time, rng)

    def donated(values: Array) -> Array:
        mixed = np.matmul(share, values[donors].reshape(batch, donors.shape[1], -1))
        return mixed.reshape(batch * window, *values.shape[1:])

    # renders are harder than video: the networks' own 3D is off by 130 mm on them, by 99 mm on a real person
    ease = np.repeat(rng.uniform(noise.donor_least, 1.0, batch), window)
    error = (donated(library.error) * ease[:, None, None]).reshape(batch, window, BLAZEPOSE.count, 2)
    error = error + noise.jitter * correlated(rng, error.shape, noise.correlation, time)
    moved = true.points + error.reshape(-1, BLAZEPOSE.count, 2) * true.half[:, None, None]
    depth = true.landmarks[..., 2] + donated(library.depth) * ease[:, None]
    plane = (moved - _hips(moved)[:, None]) / true.half[:, None, None] * 1.25 * true.size_m[:, None, None]
    guess = np.concatenate([plane, (depth * true.size_m[:, None])[..., None]], axis=-1)
    look = look_at_rotation(_hips(on_image_plane(camera_points.reshape(-1, BLAZEPOSE.count, 3).astype(np.float64))))
    points = turned_points(moved @ true.roll, np.swapaxes(look, 1, 2))
    return NoisyLandmarks(
        points.reshape(batch, window, BLAZEPOSE.count, 2),
        np.clip(donated(library.visibility), 0.0, 1.0).reshape(batch, window, BLAZEPOSE.count),
        guess.reshape(batch, window, BLAZEPOSE.count, 3),
    )


def _upright(landmarks_m: Array) -> _Upright:
    look = look_at_rotation(_hips(on_image_plane(landmarks_m)))
    turned = landmarks_m @ np.swapaxes(look, 1, 2)
    torso = on_image_plane(turned)[:, SHOULDERS].mean(axis=1)
    roll = roll_matrix(upright_roll(torso))
    turned = turned @ np.swapaxes(roll, 1, 2)
    points = on_image_plane(turned)
    relative = turned - turned[:, HIPS].mean(axis=1, keepdims=True)
    size = np.linalg.norm(relative[:, MAIN], axis=-1).max(axis=-1)
    half = 1.25 * np.linalg.norm(points[:, MAIN] - _hips(points)[:, None], axis=-1).max(axis=-1)
    return _Upright(relative / size[:, None, None], points, np.maximum(half, 1e-4), size, roll[:, :2, :2])


def _hips(points: Array) -> Array:
    middle: Array = points[:, HIPS].mean(axis=1)
    return middle


def _nearest(library: ErrorLibrary, pose: Array) -> NDArray[np.intp]:
    """Rows (B, 12) of the library nearest to poses (B, 99)."""
    count = min(_NEAREST, len(library))
    distance = np.square(library.pose).sum(axis=1) - 2 * pose @ library.pose.T
    return np.argpartition(distance, count - 1, axis=1)[:, :count]


def _donors(
    library: ErrorLibrary, poses: Array, time: NDArray[np.intp], rng: np.random.Generator
) -> tuple[NDArray[np.intp], Array]:
    """Rows (B, K) of the library for windows of poses (B, W, 99), and each one's share (B, W, K) in each frame."""
    batch, window = poses.shape[:2]
    if time[-1] < _ANSWER_FRAMES:
        near = _nearest(library, poses[:, window // 2])
        pair = [near[np.arange(batch), rng.integers(0, near.shape[1], batch)] for _ in range(2)]
        fade = _fade(batch, time, rng)
        return np.stack(pair, axis=-1), np.stack([1.0 - fade, fade], axis=-1).astype(np.float32)
    # a part of the library is enough for so many poses, and each batch has another
    some = rng.choice(len(library), min(_MOST_COMPARED, len(library)), replace=False)
    count = int(np.ceil(time[-1] / _ANSWER_FRAMES)) + 2
    place = _ANSWER_FRAMES * (np.arange(count) - rng.random((batch, 1)))
    frames = np.abs(time - place[..., None]).argmin(axis=-1)
    near = some[_nearest(library.rows(some), poses[np.arange(batch)[:, None], frames].reshape(batch * count, -1))]
    donors = near[np.arange(len(near)), rng.integers(0, near.shape[1], len(near))].reshape(batch, count)
    nearness = np.clip(1.0 - np.abs(time[:, None] - place[:, None]) / _ANSWER_FRAMES, 0.0, 1.0)
    return donors, (nearness * nearness * (3.0 - 2.0 * nearness)).astype(np.float32)


def _fade(batch: int, time: NDArray[np.intp], rng: np.random.Generator) -> Array:
    """Shares (B, W) of the second answer: a smooth passage somewhere around the window, long or short."""
    span = float(time[-1] + 1)
    place = rng.uniform(-0.5 * span, 1.5 * span, (batch, 1))
    length = rng.uniform(6.0, 30.0, (batch, 1))
    return 1.0 / (1.0 + np.exp(np.clip(-4.0 * (time - place) / length, -60.0, 60.0)))
