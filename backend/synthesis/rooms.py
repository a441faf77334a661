"""Surroundings with a known vertical: rooms with straight edges, and lawns without any.

May import numpy and its own room. They test how well the direction of gravity is found from a video.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.synthesis.panoramas import HEIGHT, WIDTH, Panorama, lit_panorama
from backend.synthesis.scene import Backdrop, Camera, Color, box_mesh, sample_backdrop, surface_color
from backend.synthesis.wardrobe import Material, Part
from blender_addon.motion.rotations import quaternion_to_matrix, rotvec_to_quaternion

Array = NDArray[np.floating]

# wall furniture stands out from its wall by this much
_DEPTH_M = 0.08


class Surroundings(Enum):
    """What is around the person."""

    ROOM = "room"
    LAWN = "lawn"


@dataclass(frozen=True, slots=True)
class Place:
    """A backdrop and the things that stand in it, which ride on bone 0 of an actor with identity matrices."""

    backdrop: Backdrop
    things: tuple[Part, ...]


def sample_place(rng: np.random.Generator, kind: Surroundings, camera: Camera, hips_m: Array) -> Place:
    """A place round `camera` and a person at `hips_m` (3,)."""
    plain = sample_backdrop(rng, (), camera, hips_m)
    if kind is Surroundings.LAWN:
        lawn = replace(
            plain, panorama=_hedge(rng), floor_kind=5, floor_colors=(_green(rng), _green(rng)), room_walls_m=None
        )
        return Place(replace(lawn, gain=1.0), ())
    eye = camera.world_from_camera[:3, 3]
    low = np.minimum(eye[:2], hips_m[:2]) - rng.uniform(1.0, 3.0, 2)
    high = np.maximum(eye[:2], hips_m[:2]) + rng.uniform(1.0, 3.0, 2)
    walls = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
    room = replace(
        plain,
        floor_kind=int(rng.choice([1, 2, 3, 5])),
        floor_angle_rad=float(rng.choice([0.0, np.pi / 2, rng.uniform(0.0, np.pi)], p=[0.45, 0.45, 0.1])),
        room_walls_m=walls,
        room_height_m=max(float(rng.uniform(2.4, 3.5)), float(eye[2]) + 0.3),
        wall_per_m=float(rng.uniform(0.4, 1.2)),
    )
    return Place(room, (*_wall_things(rng, low, high), *_furniture(rng, low, high, eye, hips_m)))


def _wall_things(rng: np.random.Generator, low: Array, high: Array) -> list[Part]:
    """Doors and shelves along the walls."""
    things = []
    for _ in range(int(rng.integers(2, 7))):
        axis, side = int(rng.integers(2)), int(rng.integers(2))
        center, half = np.zeros(3), np.zeros(3)
        half[axis], half[1 - axis], half[2] = _DEPTH_M, rng.uniform(0.3, 0.6), rng.uniform(0.5, 1.05)
        center[axis] = (low, high)[side][axis]
        center[1 - axis] = rng.uniform(low[1 - axis] + 0.5, high[1 - axis] - 0.5)
        center[2] = half[2] if rng.random() < 0.6 else rng.uniform(1.0, 1.6)
        things.append(Part(box_mesh(center, half, np.eye(3)), _paint(rng)))
    return things


def _furniture(rng: np.random.Generator, low: Array, high: Array, eye: Array, hips_m: Array) -> list[Part]:
    """Boxes on the floor, most of them along the walls, away from the line of sight."""
    things = []
    sight = hips_m[:2] - eye[:2]
    for _ in range(int(rng.integers(0, 5))):
        half = np.array([rng.uniform(0.2, 0.6), rng.uniform(0.2, 0.6), rng.uniform(0.2, 0.9)])
        center = np.array([*rng.uniform(low + 0.3, high - 0.3), half[2]])
        along = float(np.clip((center[:2] - eye[:2]) @ sight / (sight @ sight), 0.0, 1.2))
        if np.linalg.norm(center[:2] - eye[:2] - along * sight) < 1.4:
            continue
        yaw = 0.0 if rng.random() < 0.75 else rng.uniform(0.0, np.pi)
        turn = quaternion_to_matrix(rotvec_to_quaternion(np.array([0.0, 0.0, yaw])))
        things.append(Part(box_mesh(center, half, turn), _paint(rng)))
    return things


def _paint(rng: np.random.Generator) -> Material:
    color = surface_color(rng)
    return Material(None, color, color, -9.0, 0.0, 0, surface_color(rng), 1.0, 0.1)


def _green(rng: np.random.Generator) -> Color:
    return float(rng.uniform(0.03, 0.15)), float(rng.uniform(0.15, 0.4)), float(rng.uniform(0.02, 0.1))


def _hedge(rng: np.random.Generator) -> Panorama:
    """A sky over bushes: patches of leaves without a straight edge."""
    leaves = np.zeros((HEIGHT, WIDTH), np.float32)
    for cells in (16, 64, 256):
        noise = rng.normal(0.0, 1.0, (cells // 2, cells)).astype(np.float32)
        leaves += cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) / np.sqrt(cells / 16)
    latitude = np.linspace(90.0, -90.0, HEIGHT, dtype=np.float32)[:, None]
    top = cv2.resize(rng.uniform(2.0, 30.0, (1, 24)).astype(np.float32), (WIDTH, 1), interpolation=cv2.INTER_CUBIC)
    ragged = np.clip((top + 4.0 * leaves - latitude) / 6.0, 0.0, 1.0)[:, :, None]
    bush = np.array(_green(rng), np.float32) * np.exp(0.5 * leaves)[:, :, None]
    sky = rng.uniform(0.5, 1.0) * np.array([0.8, 0.9, 1.0], np.float32) * np.exp(0.1 * leaves)[:, :, None]
    image = ragged * bush + (1.0 - ragged) * sky
    return lit_panorama(f"hedge-{rng.integers(2**31)}", np.clip(image, 0.005, None).astype(np.float32))
