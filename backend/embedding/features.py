"""The image tower's input: a window of landmarks seen by a virtual camera that looks at the person.

The virtual camera stands where the real one stands, looks at the mid-hip of the window's centre frame and is rolled
so that the torso points up; lengths are in units of its half size, 1.25 x the largest distance of a main keypoint
from the mid-hip. Training simulates landmarks and calls the same function, so both sides see the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.camera.virtual_camera import look_at_rotation, roll_matrix, turned_points, upright_roll
from backend.embedding.keypoints import HIPS, MAIN, SHOULDERS
from backend.keypoint_layouts import BLAZEPOSE, HUMAN36M
from backend.types import Array

WINDOW = 27
WINDOW_STEP_S = 1.0 / 30.0
KEYPOINTS = BLAZEPOSE.count
FRAME_FEATURES = KEYPOINTS * 4 + 3
PROPORTIONS = ("torso", "shoulder_width", "hip_width", "thigh", "shin", "upper_arm", "forearm")
"""Limbs whose lengths say how a person is built: log of each over the canonical body's, at equal size."""

CONTEXT_FEATURES = 2
"""Log of the half size, and whether the guess is shown."""

ERROR_UNIT_M = 0.1
"""The image tower gives the log of its joints' errors in this unit."""

POSE_FEATURES = HUMAN36M.count * 4
_CROP_MARGIN = 1.25
_CLIP = 4.0


@dataclass(frozen=True, slots=True)
class LandmarkWindow:
    """B windows of W frames at WINDOW_STEP_S, in normalised image coordinates (K^-1 applied).

    points (B, W, 33, 2); visibility (B, W, 33) 0..1; guess (B, W, 33, 3) the network's own hip-centred 3D guess in
    any unit, its z along the ray to the person (the network sees a crop and cannot know where in the frame it lies);
    present (B, W) False where the frame lies outside the track; use_depth (B,) False hides `guess`.
    """

    points: Array
    visibility: Array
    guess: Array
    present: NDArray[np.bool_]
    use_depth: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class TowerInput:
    """frames (B, W, FRAME_FEATURES) and context (B, CONTEXT_FEATURES) float32 for the image tower;
    virtual_from_camera (B, 3, 3) and half_size (B,), the tangent of the virtual camera's half angle.
    """

    frames: Array
    context: Array
    virtual_from_camera: Array
    half_size: Array


def tower_input(window: LandmarkWindow) -> TowerInput:
    """Landmark windows to the image tower's input. Lengths in the virtual camera's half size."""
    center = window.points.shape[1] // 2
    look = look_at_rotation(window.points[:, center, HIPS].mean(axis=1))
    points = turned_points(window.points, look)
    roll, half_size = _roll_and_size(points[:, center])
    virtual = roll_matrix(roll) @ look
    points = _turn_in_plane(points, roll) / half_size[:, None, None, None]
    hips = points[:, :, HIPS].mean(axis=2)
    relative = np.clip(points - hips[:, :, None], -_CLIP, _CLIP)
    depth = _depth_feature(window, relative) * window.use_depth[:, None, None]
    frames = np.concatenate(
        [
            relative.reshape(*relative.shape[:2], -1),
            window.visibility,
            depth,
            np.clip(hips, -_CLIP, _CLIP),
            window.present[..., None],
        ],
        axis=-1,
    )
    context = np.stack([np.log(half_size) + 1.0, window.use_depth], axis=-1)
    return TowerInput(frames.astype(np.float32), context.astype(np.float32), virtual, half_size)


def _roll_and_size(points: Array) -> tuple[Array, Array]:
    """Roll (B,) rad that turns the torso upright and half size (B,), from the centre frame's points (B, K, 2)."""
    hips = points[:, HIPS].mean(axis=1)
    torso = points[:, SHOULDERS].mean(axis=1) - hips
    reach = np.linalg.norm(points[:, MAIN] - hips[:, None], axis=-1).max(axis=-1)
    return upright_roll(torso), np.maximum(_CROP_MARGIN * reach, 1e-4)


def _turn_in_plane(points: Array, roll: Array) -> Array:
    cosine, sine = np.cos(roll)[:, None, None], np.sin(roll)[:, None, None]
    x, y = points[..., 0], points[..., 1]
    return np.stack([cosine * x - sine * y, sine * x + cosine * y], axis=-1)


def _depth_feature(window: LandmarkWindow, relative: Array) -> Array:
    """The guess's z (B, W, 33) in units of the half size: scaled so that its x, y match the keypoints' spread.

    The crop's roll leaves z as it is, and the turn towards the person is none for a network that sees the crop.
    """
    spread = np.square(relative[:, :, MAIN]).sum(axis=(-1, -2))
    own = np.square(window.guess[:, :, MAIN, :2]).sum(axis=(-1, -2))
    return np.clip(window.guess[..., 2] * np.sqrt(spread / np.maximum(own, 1e-8))[..., None], -_CLIP, _CLIP)


def pose_features(joints_m: Array) -> Array:
    """The pose tower's input (N, POSE_FEATURES) float32 from joints (N, 17, 3) in m relative to the pelvis: the
    coordinates and each joint's squared distance, at unit scale.

    With both, a dot product can hold the squared distance between two poses exactly, so that the hidden layers only
    have to learn what differs from it.
    """
    joints = np.asarray(joints_m, np.float32).reshape(-1, HUMAN36M.count, 3) * np.float32(2.0)
    square = np.square(joints).sum(axis=-1)
    return np.concatenate([joints.reshape(-1, HUMAN36M.count * 3), square], axis=1)
