"""Random cameras before people, and the edges of their images: lenses, distances, people cut off. numpy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.embedding.keypoints import HIPS, SHOULDERS
from backend.types import Array

_SENSOR_MM = 36.0
_PERSON_M = 1.7
_ASPECTS = np.array([16 / 9, 4 / 3, 1.0, 3 / 4, 9 / 16])


@dataclass(frozen=True, slots=True)
class CameraRange:
    """Cameras that are drawn: distance in m, pitch (positive looks down) and roll in degrees."""

    nearest_m: float = 1.7
    farthest_m: float = 9.0
    pitch_mean_deg: float = 9.0
    pitch_spread_deg: float = 15.0
    pitch_lowest_deg: float = -30.0
    pitch_highest_deg: float = 70.0
    roll_spread_deg: float = 9.0


@dataclass(frozen=True, slots=True)
class ShotRange:
    """Images that are drawn: focal length in mm on a sensor 36 mm long, and how much of the image's height a standing
    person would fill (beyond 1 the image cuts off head, legs or both). The lens and the share decide the distance,
    which stays within `nearest_m` and `farthest_m`.
    """

    shortest_mm: float = 18.0
    longest_mm: float = 85.0
    least_share: float = 0.3
    most_share: float = 1.7
    nearest_m: float = 0.9
    farthest_m: float = 18.0


@dataclass(frozen=True, slots=True)
class Shots:
    """B images: half_size (B, 2), tangents of half the angles of view across and down; distance_m (B,) of the person;
    shift (B, 2), where the image's centre would like to lie, from -1 to 1.
    """

    half_size: Array
    distance_m: Array
    shift: Array


def random_shots(count: int, ranges: ShotRange, rng: np.random.Generator) -> Shots:
    """Lenses, formats and distances of `count` images."""
    focal_mm = np.exp(rng.uniform(np.log(ranges.shortest_mm), np.log(ranges.longest_mm), count))
    aspect = rng.choice(_ASPECTS, count)
    longer = _SENSOR_MM / 2 / focal_mm
    across, down = longer * np.minimum(1.0, aspect), longer * np.minimum(1.0, 1.0 / aspect)
    share = np.exp(rng.uniform(np.log(ranges.least_share), np.log(ranges.most_share), count))
    distance = np.clip(_PERSON_M / (2 * down * share), ranges.nearest_m, ranges.farthest_m)
    return Shots(np.stack([across, down], axis=-1), distance, rng.uniform(-1.0, 1.0, (count, 2)))


def outside_image(points: Array, shots: Shots) -> NDArray[np.bool_]:
    """Which points (B, W, K, 2), normalised, of cameras that look at the mid-hip, lie outside the image: (B, W, K).

    The image keeps the shoulders or the hips of the centre frame inside; where it lies beyond that is the shot's shift.
    """
    middle = points[:, points.shape[1] // 2]
    upper = shots.shift[:, 1] < 0  # images of the upper body lie higher: y points down
    kept = np.where(upper[:, None], middle[:, SHOULDERS].mean(axis=1), middle[:, HIPS].mean(axis=1))
    center = kept + 0.8 * shots.shift * shots.half_size
    away = np.abs(points - center[:, None, None]) / shots.half_size[:, None, None]
    return np.asarray(away.max(axis=-1) > 1.0)


def random_cameras(
    positions: Array, ranges: CameraRange, rng: np.random.Generator, distance_m: Array | None = None
) -> tuple[Array, Array]:
    """camera_from_world rotations (B, 3, 3) and centres (B, 3): random yaw, pitch, distance, roll, near the hip.

    distance_m (B,) are distances that something else decides, such as a lens.
    """
    count = len(positions)
    yaw = rng.uniform(0, 2 * np.pi, count)
    pitch = rng.normal(ranges.pitch_mean_deg, ranges.pitch_spread_deg, count)
    pitch = np.radians(np.clip(pitch, ranges.pitch_lowest_deg, ranges.pitch_highest_deg))
    if distance_m is None:
        distance_m = np.exp(rng.uniform(np.log(ranges.nearest_m), np.log(ranges.farthest_m), count))
    toward = np.stack([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), -np.sin(pitch)], axis=-1)
    target = positions[:, positions.shape[1] // 2, 0]
    center = target - toward * distance_m[:, None]
    right = np.cross(toward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right, axis=-1, keepdims=True)
    rotation = np.stack([right, np.cross(toward, right), toward], axis=1)
    roll = np.radians(rng.normal(0, ranges.roll_spread_deg, count))
    cosine, sine, zero, one = np.cos(roll), np.sin(roll), np.zeros(count), np.ones(count)
    turn = np.stack([cosine, -sine, zero, sine, cosine, zero, zero, zero, one], axis=-1).reshape(-1, 3, 3)
    return (turn @ rotation).astype(np.float32), center.astype(np.float32)
