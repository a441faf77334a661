"""Simulated takes: mocap on random bodies before several cameras, as each video's landmark network would report it.

Landmarks have simulated errors (`backend.training.landmark_noise`), independent in each view; clocks, lenses and places
of the cameras are known, so that every part of a solve of several videos can be measured. numpy only, no images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.datasets.motion import Motion
from backend.keypoint_layouts import BLAZEPOSE, HUMAN36M
from backend.training.body_shapes import ShapeSpread, random_offsets
from backend.training.landmark_noise import LandmarkNoise, noisy_landmarks
from backend.training.pool import MotionWindows
from backend.training.simulate import fast_kinematics
from backend.types import Array, Intrinsics, PersonTrack, VideoInfo
from blender_addon.motion.body import canonical_body
from blender_addon.motion.rotations import quaternion_slerp

_SENSOR_MM = 36.0


@dataclass(frozen=True, slots=True)
class SimulatedCamera:
    """One camera and its clock: `yaw_deg` about the people, `pitch_deg` down, `roll_deg`; the lens in mm of a sensor 36
    mm long; the clock starts at `start_s` of the take and runs at `rate`; frames a second and frames.
    """

    yaw_deg: float
    pitch_deg: float = 8.0
    roll_deg: float = 0.0
    lens_mm: float = 30.0
    share: float = 0.6
    start_s: float = 0.0
    rate: float = 1.0
    fps: float = 30.0
    seconds: float = 6.0
    size_px: tuple[int, int] = (1920, 1080)


@dataclass(frozen=True, slots=True)
class SimulatedView:
    """What one camera saw: tracks of the people and the truth about it. `joints_m` (P, T, 17, 3) in the camera."""

    info: VideoInfo
    assumed: Intrinsics
    true: Intrinsics
    camera_from_world: Array
    tracks: tuple[PersonTrack, ...]
    joints_m: Array


@dataclass(frozen=True, slots=True)
class TakeSettings:
    """Errors of the landmarks and of the bodies; the focal length that is assumed, over the longer side in degrees."""

    noise: LandmarkNoise = field(default_factory=LandmarkNoise)
    shape: ShapeSpread = field(default_factory=ShapeSpread)
    site_spread_m: float = 0.012
    assumed_fov_deg: float = 60.0
    apart_m: float = 1.2


def simulate_take(
    motions: Sequence[Motion], cameras: Sequence[SimulatedCamera], seed: int, settings: TakeSettings | None = None
) -> tuple[SimulatedView, ...]:
    """The views of people who move as `motions` do, side by side, each on a random body."""
    settings, rng = settings or TakeSettings(), np.random.default_rng(seed)
    count = len(motions)
    offsets, _ = random_offsets(canonical_body(), count, settings.shape, rng)
    places = np.stack([settings.apart_m * (np.arange(count) - (count - 1) / 2), np.zeros(count)], axis=-1)
    people = _People(tuple(motions), offsets, places, settings, rng.normal(size=(count, 50, 3)))
    return tuple(_view(people, camera, rng) for camera in cameras)


@dataclass(frozen=True, slots=True)
class _People:
    """Everybody of a take, with the shift of each landmark on its joint that all cameras share."""

    motions: tuple[Motion, ...]
    offsets: Array
    places: Array
    settings: TakeSettings
    sites: Array

    def points(self, person: int, take_s: Array) -> tuple[Array, Array]:
        """Landmarks (T, 33, 3) and Human3.6M joints (T, 17, 3) in the world at times of the take."""
        body = canonical_body()
        windows = _resampled(self.motions[person], take_s)
        positions, turns = fast_kinematics(body, windows, self.offsets[person : person + 1])
        length = np.linalg.norm(body.offsets_m, axis=-1)
        own = np.linalg.norm(self.offsets[person], axis=-1) / np.maximum(length, 1e-6)
        found = []
        for subset, shifts in (
            ("blazepose33", self.sites[person, : BLAZEPOSE.count]),
            ("h36m17", np.zeros((HUMAN36M.count, 3))),
        ):
            points = body.points[subset]
            joints, frames = [point.anchor for point in points], [point.frame for point in points]
            rest = np.array([point.offset_m for point in points]) * own[joints, None]
            rest = rest + self.settings.site_spread_m * shifts
            found.append(positions[0][:, joints] + np.matmul(turns[0][:, frames], rest[..., None])[..., 0])
        place = np.array([*self.places[person], 0.0])
        return found[0] + place, found[1] + place


def _resampled(motion: Motion, take_s: Array) -> MotionWindows:
    """The motion at times of the take, one window; beyond its ends it goes to and fro."""
    last = len(motion) - 1
    place = np.asarray(take_s) * motion.fps
    place = np.abs((place + last) % (2 * last) - last) if last else np.zeros_like(place)
    before = np.clip(np.floor(place).astype(int), 0, max(0, last - 1))
    share = (place - before)[:, None]
    after = np.minimum(before + 1, last)
    turns = quaternion_slerp(motion.rotations_wxyz[before], motion.rotations_wxyz[after], share)
    root = (1 - share) * motion.root_m[before] + share * motion.root_m[after]
    root = root - np.array([*motion.root_m[:, :2].mean(axis=0), 0.0])
    return MotionWindows(turns[None].astype(np.float32), root[None].astype(np.float32))


def _view(people: _People, camera: SimulatedCamera, rng: np.random.Generator) -> SimulatedView:
    width, height = camera.size_px
    true_px = max(width, height) * camera.lens_mm / _SENSOR_MM
    assumed_px = max(width, height) / 2 / np.tan(np.radians(people.settings.assumed_fov_deg) / 2)
    times_s = np.arange(round(camera.seconds * camera.fps)) / camera.fps
    seen = [people.points(person, camera.start_s + camera.rate * times_s) for person in range(len(people.motions))]
    distance = true_px * 1.7 / (camera.share * height)
    rotation, center = _pose(camera, np.mean([joints for _, joints in seen], axis=(0, 1, 2)), distance)
    tracks, truth = [], []
    for person, (landmarks, joints) in enumerate(seen):
        in_camera = (landmarks - center) @ rotation.T
        in_camera[..., 2] = np.maximum(in_camera[..., 2], 0.2)
        half = np.array([width, height]) / 2 / true_px
        points = in_camera[..., :2] / in_camera[..., 2:]
        outside = (np.abs(points) > half).any(axis=-1)
        noise = _at_rate(people.settings.noise, camera.fps)
        noisy = noisy_landmarks(points[None], in_camera[None], noise, rng, outside[None])
        pixels = noisy.points[0] * true_px + np.array([width, height]) / 2
        tracks.append(_track(person, times_s, pixels, noisy.visibility[0], noisy.guess[0]))
        truth.append((joints - center) @ rotation.T)
    info = VideoInfo(
        Path(f"yaw{camera.yaw_deg:g}.mp4"), width, height, camera.fps, camera.seconds, len(times_s), "none", 0, False
    )
    return SimulatedView(
        info,
        _intrinsics(assumed_px, width, height, "assumed", is_assumed=True),
        _intrinsics(true_px, width, height, "true"),
        np.block([[rotation, (-rotation @ center)[:, None]], [np.zeros((1, 3)), np.ones((1, 1))]]),
        tuple(tracks),
        np.stack(truth),
    )


def _at_rate(noise: LandmarkNoise, fps: float) -> LandmarkNoise:
    """The noise is quoted for 30 frames a second."""
    from dataclasses import replace

    return replace(noise, correlation=float(noise.correlation ** (30.0 / fps)))


def _pose(camera: SimulatedCamera, target: Array, distance_m: float) -> tuple[Array, Array]:
    yaw, pitch, roll = np.radians([camera.yaw_deg, camera.pitch_deg, camera.roll_deg])
    toward = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), -np.sin(pitch)])
    right = np.cross(toward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    level = np.stack([right, np.cross(toward, right), toward])
    turn = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1.0]])
    return turn @ level, target - toward * distance_m


def _intrinsics(focal_px: float, width: int, height: int, source: str, *, is_assumed: bool = False) -> Intrinsics:
    matrix = np.array([[focal_px, 0.0, width / 2], [0.0, focal_px, height / 2], [0.0, 0.0, 1.0]])
    return Intrinsics(matrix, width, height, source, is_assumed=is_assumed)


def _track(person: int, times_s: Array, pixels: Array, visibility: Array, guess: Array) -> PersonTrack:
    frames: NDArray[np.intp] = np.arange(len(times_s))
    box = np.concatenate([pixels.min(axis=1), pixels.max(axis=1)], axis=-1)
    return PersonTrack(
        person,
        frames,
        times_s,
        pixels.astype(np.float64),
        np.zeros(pixels.shape[:2]),
        visibility.astype(np.float64),
        guess.astype(np.float64),
        np.ones(len(times_s)),
        box,
    )
