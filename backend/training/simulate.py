"""Simulated landmark sequences: mocap windows on random bodies before random cameras. numpy only, no images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backend.embedding.features import LandmarkWindow, tower_input
from backend.embedding.window_offsets import DENSE_OFFSETS
from backend.training.batch import TrainingBatch
from backend.training.body_shapes import ShapeSpread, body_proportions, random_offsets
from backend.training.cameras import CameraRange, ShotRange, outside_image, random_cameras, random_shots
from backend.training.error_library import ErrorLibrary, bootstrapped_errors
from backend.training.landmark_noise import LandmarkNoise, NoisyLandmarks, noisy_landmarks
from backend.training.motion_truth import MotionTruth, joint_motion
from backend.training.pool import MotionPool, MotionWindows, Variation, draw_windows
from backend.training.postures import PostureShares
from backend.types import Array
from blender_addon.motion.body import CanonicalBody, canonical_body
from blender_addon.motion.rotations import quaternion_to_matrix

_SHORTEST_CLIP, _LONGEST_CLIP = 20.0, 2000.0


@dataclass(frozen=True, slots=True)
class SimulationSettings:
    """Everything that shapes the simulated data, besides the mocap itself. `errors_share` of the windows borrow the
    errors of the networks on renders where there are some, the rest follow the formula of `noise`. `offsets` are the
    frames of a window. `exact_keypoints`: no errors, no 3D guess, and only frames outside the take are absent.
    `shots`: lenses and images decide how near people are and which keypoints are cut off; None: all of a person is in
    the image, at distances of `camera`.
    """

    variation: Variation = Variation()
    camera: CameraRange = CameraRange()
    noise: LandmarkNoise = LandmarkNoise()
    site_spread_m: float = 0.012
    shape: ShapeSpread = ShapeSpread()
    errors: ErrorLibrary | None = None
    errors_share: float = 0.5
    offsets: tuple[int, ...] = DENSE_OFFSETS
    exact_keypoints: bool = False
    shots: ShotRange | None = None


def as_in_video(settings: SimulationSettings) -> SimulationSettings:
    """The same simulation with what videos have and mocap lacks: lenses from 18 to 85 mm, people near and cut off by
    the image, cameras from far below to far above, people who sit, kneel and lie.
    """
    postures = PostureShares(seated=0.12, kneeling=0.05, lying=0.05)
    camera = replace(settings.camera, pitch_spread_deg=22.0, pitch_lowest_deg=-50.0, pitch_highest_deg=80.0)
    variation = replace(settings.variation, postures=postures)
    return replace(settings, variation=variation, camera=camera, shots=ShotRange())


@dataclass(frozen=True, slots=True)
class SimulatedPeople:
    """B windows of W frames of bodies before cameras: positions (B, W, J, 3) m and turns (B, W, J, 3, 3) in a Z-up
    world, their rest offsets (B, J, 3) and sizes (B,) over the canonical body's, camera_from_world rotations (B, 3, 3),
    and the landmarks that a network reports.
    """

    positions: Array
    turns: Array
    offsets: Array
    size: Array
    camera: Array
    noisy: NoisyLandmarks


def simulate_people(windows: MotionWindows, rng: np.random.Generator, settings: SimulationSettings) -> SimulatedPeople:
    """Put motion on random bodies before random cameras, and report its landmarks with errors."""
    count, body = len(windows.rotations_wxyz), canonical_body()
    offsets, size = random_offsets(body, count, settings.shape, rng)
    positions, turns = fast_kinematics(body, windows, offsets)
    sites = _sites(body, positions, turns, offsets, settings.site_spread_m, rng)
    shots = random_shots(count, settings.shots, rng) if settings.shots else None
    camera, center = random_cameras(positions, settings.camera, rng, shots.distance_m if shots else None)
    in_camera = np.einsum("bij,bwkj->bwki", camera, sites - center[:, None, None])
    in_camera[..., 2] = np.maximum(in_camera[..., 2], 0.2)
    points = in_camera[..., :2] / in_camera[..., 2:]
    if settings.exact_keypoints:
        noisy = _exact(points)
    else:
        outside = outside_image(points, shots) if shots else None
        noisy = _errors((points, in_camera), settings, rng, outside)
    return SimulatedPeople(positions, turns, offsets, size, camera, noisy)


def simulate_batch(
    pool: MotionPool, count: int, rng: np.random.Generator, settings: SimulationSettings
) -> TrainingBatch[Array]:
    """Draw `count` training windows."""
    windows = draw_windows(pool, count, rng, settings.variation, settings.offsets)
    people, body = simulate_people(windows, rng, settings), canonical_body()
    camera, middle = people.camera, people.positions.shape[1] // 2
    down = camera @ np.array([0.0, 0.0, -1.0])
    seen = tower_input(_reported(people.noisy, windows, rng, settings))
    to_virtual, turns = seen.virtual_from_camera @ camera, people.turns[:, middle]
    joints = h36m_points(body, people.positions[:, middle], turns, people.offsets)
    joints = (joints - joints[:, :1]) / people.size[:, None, None]
    return TrainingBatch(
        seen.frames,
        seen.context,
        np.einsum("bij,bkj->bki", to_virtual, joints).astype(np.float32),
        np.einsum("bij,bkj->bki", to_virtual, canonical_joints(turns)).astype(np.float32),
        np.einsum("bij,bkjl->bkil", to_virtual, turns).astype(np.float32),
        np.einsum("bij,bj->bi", seen.virtual_from_camera, down).astype(np.float32),
        body_proportions(body, people.offsets).astype(np.float32),
        seen.virtual_from_camera,
        *(_motion(people, to_virtual) if len(settings.offsets) > len(DENSE_OFFSETS) else ()),
    )


def _motion(people: SimulatedPeople, to_virtual: Array) -> MotionTruth:
    """What the joints do in the window, in the virtual camera."""
    joints = _points(
        canonical_body(), "centres17", people.positions, people.turns, people.offsets, 0.0, np.random.default_rng(0)
    )
    joints = np.einsum("bij,bwkj->bwki", to_virtual, joints, optimize=True) / people.size[:, None, None, None]
    return joint_motion(joints.astype(np.float32))


def _reported(
    noisy: NoisyLandmarks, windows: MotionWindows, rng: np.random.Generator, settings: SimulationSettings
) -> LandmarkWindow:
    """The landmarks as a track has them: frames outside the track repeat the nearest one and are marked absent."""
    count, width = noisy.points.shape[:2]
    if settings.exact_keypoints:
        present = windows.inside if windows.inside is not None else np.ones((count, width), bool)
        return LandmarkWindow(noisy.points, noisy.visibility, noisy.guess, present, np.zeros(count, bool))
    if len(settings.offsets) > len(DENSE_OFFSETS):
        present, nearest = _present_of_clips(settings.offsets, count, windows.inside, rng)
    else:
        present, nearest = _present(count, width, rng)
    row = np.arange(count)[:, None]
    return LandmarkWindow(
        noisy.points[row, nearest],
        noisy.visibility[row, nearest],
        noisy.guess[row, nearest],
        present,
        rng.random(count) >= settings.noise.depth_hidden_share,
    )


def _exact(points: Array) -> NoisyLandmarks:
    return NoisyLandmarks(points, np.ones(points.shape[:-1], np.float32), np.zeros((*points.shape[:-1], 3), np.float32))


def _errors(
    seen: tuple[Array, Array],
    settings: SimulationSettings,
    rng: np.random.Generator,
    outside: NDArray[np.bool_] | None,
) -> NoisyLandmarks:
    """Landmarks of points (B, W, 33, 2) and camera points (B, W, 33, 3) m, each window with one kind of error; those
    outside (B, W, 33) the image are lost where errors follow the formula.
    """
    points, camera_points = seen
    offsets = settings.offsets if len(settings.offsets) == points.shape[1] else None
    if settings.errors is None:
        return noisy_landmarks(points, camera_points, settings.noise, rng, outside, offsets)
    donated = round(settings.errors_share * len(points))
    parts = []
    if donated:
        near = camera_points[:donated]
        parts.append(bootstrapped_errors(settings.errors, near, settings.noise, rng, offsets))
    if donated < len(points):
        rest = outside[donated:] if outside is not None else None
        seen = (points[donated:], camera_points[donated:])
        parts.append(noisy_landmarks(*seen, settings.noise, rng, rest, offsets))
    names = NoisyLandmarks.__dataclass_fields__
    return NoisyLandmarks(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def canonical_joints(turns: Array) -> Array:
    """Human3.6M joints (B, 17, 3) m, relative to the pelvis, of the canonical body with rotations (B, J, 3, 3)."""
    body = canonical_body()
    offsets = np.broadcast_to(body.offsets_m.astype(np.float32), (len(turns), *body.offsets_m.shape))
    positions = np.zeros(turns.shape[:-1], np.float32)
    for joint in range(1, len(body.joint_names)):
        parent = int(body.parents[joint])
        positions[:, joint] = positions[:, parent] + turns[:, parent] @ body.offsets_m[joint].astype(np.float32)
    joints = h36m_points(body, positions, turns.astype(np.float32), offsets)
    return joints - joints[:, :1]


def fast_kinematics(body: CanonicalBody, windows: MotionWindows, offsets: Array) -> tuple[Array, Array]:
    """Joint positions (B, W, J, 3) and world rotation matrices (B, W, J, 3, 3), float32, of shaped bodies."""
    local = quaternion_to_matrix(windows.rotations_wxyz.astype(np.float32))
    turns, positions = np.empty_like(local), np.empty(local.shape[:-1], np.float32)
    turns[:, :, 0] = local[:, :, 0]
    positions[:, :, 0] = windows.root_m
    for joint in range(1, len(body.joint_names)):
        parent = int(body.parents[joint])
        np.matmul(turns[:, :, parent], local[:, :, joint], out=turns[:, :, joint])
        moved = np.matmul(turns[:, :, parent], offsets[:, None, joint, :, None])[..., 0]
        positions[:, :, joint] = positions[:, :, parent] + moved
    return positions, turns


def _sites(
    body: CanonicalBody, positions: Array, turns: Array, offsets: Array, spread_m: float, rng: np.random.Generator
) -> Array:
    """The 33 landmarks (B, W, 33, 3), each shifted on its joint: no two detectors mean quite the same point."""
    return _points(body, "blazepose33", positions, turns, offsets, spread_m, rng)


def h36m_points(body: CanonicalBody, positions: Array, turns: Array, offsets: Array) -> Array:
    """Centres (B, 17, 3) of Human3.6M's joints, from positions (B, J, 3), turns (B, J, 3, 3) and offsets (B, J, 3)."""
    return _points(body, "centres17", positions[:, None], turns[:, None], offsets, 0.0, np.random.default_rng(0))[:, 0]


def seen_joints_m(people: SimulatedPeople) -> Array:
    """Human3.6M joints (B, W, 17, 3) m of simulated people, relative to the pelvis, in the camera and on bodies of the
    canonical size: what `solve` answers with.
    """
    body, rng = canonical_body(), np.random.default_rng(0)
    joints = _points(body, "h36m17", people.positions, people.turns, people.offsets, 0.0, rng)
    joints = (joints - joints[:, :, :1]) / people.size[:, None, None, None]
    return np.einsum("bij,bwkj->bwki", people.camera, joints)


def _points(  # noqa: PLR0913, PLR0917  the pose's own parts
    body: CanonicalBody,
    subset: str,
    positions: Array,
    turns: Array,
    offsets: Array,
    spread_m: float,
    rng: np.random.Generator,
) -> Array:
    points = body.points[subset]
    joints, frames = [point.anchor for point in points], [point.frame for point in points]
    rest = np.array([point.offset_m for point in points], np.float32)
    local = np.broadcast_to(rest, (len(positions), len(rest), 3)).copy()
    length = np.linalg.norm(body.offsets_m, axis=-1)[joints]
    local *= (np.linalg.norm(offsets, axis=-1)[:, joints] / np.maximum(length, 1e-6))[..., None]
    local += spread_m * rng.normal(size=local.shape)
    return (
        positions[:, :, joints] + np.matmul(turns[:, :, frames], local[:, None, ..., None].astype(np.float32))[..., 0]
    )


def _present(count: int, window: int, rng: np.random.Generator) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """Windows at a track's ends lack frames on one side: which are there, and the nearest present one of each."""
    middle, reach = window // 2, rng.integers(0, window // 2 + 1, count)
    reach = np.where(rng.random(count) < 0.15, reach, middle)
    before = rng.random(count) < 0.5
    lowest, highest = np.where(before, -reach, -middle), np.where(before, middle, reach)
    frame = np.arange(window) - middle
    nearest = np.clip(frame, lowest[:, None], highest[:, None])
    return nearest == frame, nearest + middle


def _present_of_clips(
    offsets: Sequence[int], count: int, inside: NDArray[np.bool_] | None, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """As `_present` for windows of seconds, of which most clips lack frames: the centre lies anywhere in a clip of 20
    to 2,000 frames, and frames outside the take are absent too.
    """
    time, middle = np.asarray(offsets), len(offsets) // 2
    length = np.exp(rng.uniform(np.log(_SHORTEST_CLIP), np.log(_LONGEST_CLIP), count))
    before = rng.random(count) * length
    present = (time >= -before[:, None]) & (time <= (length - before)[:, None])
    present = present if inside is None else present & inside
    present[:, middle] = True
    first = present.argmax(axis=1)
    last = len(time) - 1 - present[:, ::-1].argmax(axis=1)
    return present, np.clip(np.arange(len(time)), first[:, None], last[:, None])
