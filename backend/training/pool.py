"""All training takes in one array, from which windows of motion are drawn, mirrored, mixed and varied. numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.datasets.motion import Motion
from backend.embedding.window_offsets import DENSE_OFFSETS
from backend.training.postures import PostureShares, with_postures
from backend.types import Array
from blender_addon.motion.body import bare_name, canonical_body
from blender_addon.motion.mirroring import mirror_pose
from blender_addon.motion.rotations import quaternion_multiply, quaternion_normalize, rotvec_to_quaternion

_UPPER = ("spine", "chest", "upper_chest", "neck", "head", "clavicle", "shoulder", "elbow", "wrist", "hand")
_VARIATION_DEG = {
    "pelvis": 0.0,
    "spine": 5.0,
    "chest": 5.0,
    "upper_chest": 5.0,
    "neck": 6.0,
    "head": 8.0,
    "clavicle": 4.0,
    "shoulder": 16.0,
    "elbow": 11.0,
    "wrist": 12.0,
    "hand": 12.0,
    "hip": 10.0,
    "knee": 8.0,
    "ankle": 8.0,
    "toe": 6.0,
}


@dataclass(frozen=True, slots=True)
class Variation:
    """How windows differ from the mocap: shares of windows (0..1) that are mixed, varied, tilted; speed range;
    shares of people who sit, kneel or lie.
    """

    mixed: float = 0.35
    varied: float = 0.75
    tilted: float = 0.08
    slowest: float = 0.6
    fastest: float = 1.6
    postures: PostureShares = PostureShares()


@dataclass(frozen=True, slots=True)
class MotionPool:
    """rotations_wxyz (N, J, 4) and root_m (N, 3) of all takes; first and last frame (N,) of each frame's take;
    weight (N,) of drawing a frame, and its frame rate (N,).
    """

    rotations_wxyz: Array
    root_m: Array
    first: NDArray[np.intp]
    last: NDArray[np.intp]
    weight: Array
    fps: Array


@dataclass(frozen=True, slots=True)
class MotionWindows:
    """B windows of W frames: rotations_wxyz (B, W, J, 4) local, root_m (B, W, 3) in a Z-up world; inside (B, W) False
    where a frame lies outside its take and repeats the take's end (None: all inside).
    """

    rotations_wxyz: Array
    root_m: Array
    inside: NDArray[np.bool_] | None = None


def motion_pool(takes: Sequence[Motion]) -> MotionPool:
    """Gather takes; rare poses weigh more (inverse square root of how many frames share a coarse pose cell)."""
    rotations = np.concatenate([take.rotations_wxyz for take in takes]).astype(np.float32)
    first, last, fps, start = [], [], [], 0
    for take in takes:
        first.append(np.full(len(take), start))
        last.append(np.full(len(take), start + len(take) - 1))
        fps.append(np.full(len(take), take.fps))
        start += len(take)
    return MotionPool(
        rotations,
        np.concatenate([take.root_m for take in takes]).astype(np.float32),
        np.concatenate(first),
        np.concatenate(last),
        _rarity(rotations),
        np.concatenate(fps).astype(np.float32),
    )


def _rarity(rotations: Array) -> Array:
    body = canonical_body()
    limbs = [
        body.joint_index(f"{side}_{part}")
        for side in ("left", "right")
        for part in ("shoulder", "elbow", "hip", "knee")
    ]
    coarse = np.round(rotations[:, limbs].reshape(len(rotations), -1) * 2.5).astype(np.int8)
    _, cell, count = np.unique(coarse, axis=0, return_inverse=True, return_counts=True)
    weight = 1.0 / np.sqrt(count[cell.ravel()])
    return weight / weight.sum()


def draw_windows(
    pool: MotionPool,
    count: int,
    rng: np.random.Generator,
    variation: Variation,
    offsets: Sequence[int] = DENSE_OFFSETS,
) -> MotionWindows:
    """Draw `count` windows around random frames: random speed, mirrored half the time, mixed, varied and tilted.

    `offsets` (W,) are the frames of a window relative to its centre, at WINDOW_STEP_S; the middle one is 0.
    """
    center = rng.choice(len(pool.weight), size=count, p=pool.weight)
    speed = np.exp(rng.uniform(np.log(variation.slowest), np.log(variation.fastest), count)) * pool.fps[center] / 30.0
    wanted = center[:, None] + np.asarray(offsets) * speed[:, None]
    place = np.clip(wanted, pool.first[center][:, None], pool.last[center][:, None])
    low = np.floor(place).astype(np.intp)
    high = np.minimum(low + 1, pool.last[center][:, None])
    share = (place - low).astype(np.float32)
    rotations = _blend(pool.rotations_wxyz[low], pool.rotations_wxyz[high], share[..., None, None])
    root = pool.root_m[low] * (1 - share[..., None]) + pool.root_m[high] * share[..., None]
    middle = len(offsets) // 2
    root = root - root[:, middle : middle + 1] * np.array([1, 1, 0], np.float32)
    rotations, root = _mirror_half(rotations, root, rng)
    rotations = _mix(rotations, rng, variation.mixed)
    rotations = _vary(rotations, rng, variation.varied)
    if variation.postures.any:
        rotations, root = with_postures(rotations, root, variation.postures, rng)
    return MotionWindows(*_tilt(rotations, root, rng, variation.tilted), np.abs(wanted - place) < 0.5)


def _blend(a: Array, b: Array, share: Array) -> Array:
    """Normalised linear blend: neighbouring frames are close, so it equals slerp to 1e-3 rad."""
    near = np.where((a * b).sum(-1, keepdims=True) < 0, -b, b)
    return quaternion_normalize(np.asarray(a * (1 - share) + near * share))


def _mirror_half(rotations: Array, root: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    flip = rng.random(len(rotations)) < 0.5
    rotations[flip] = mirror_pose(rotations[flip])
    root[flip] *= np.array([-1, 1, 1], np.float32)
    return rotations, root


def _mix(rotations: Array, rng: np.random.Generator, share: float) -> Array:
    """Put another window's upper body on the legs of a share of the windows."""
    names = canonical_body().joint_names
    upper = [i for i, name in enumerate(names) if bare_name(name) in _UPPER]
    chosen = np.flatnonzero(rng.random(len(rotations)) < share)
    frames, joints = np.arange(rotations.shape[1]), np.array(upper)
    rotations[np.ix_(chosen, frames, joints)] = rotations[np.ix_(rng.permutation(chosen), frames, joints)]
    return rotations


def _vary(rotations: Array, rng: np.random.Generator, share: float) -> Array:
    """Turn every joint of a share of the windows by a random constant rotation."""
    names = [bare_name(name) for name in canonical_body().joint_names]
    spread = np.radians([_VARIATION_DEG[name] for name in names])
    turn = rng.normal(size=(len(rotations), len(names), 3)) * spread[:, None]
    turn *= (rng.random(len(rotations)) < share)[:, None, None]
    delta = rotvec_to_quaternion(turn).astype(np.float32)
    return quaternion_multiply(rotations, delta[:, None])


def _tilt(rotations: Array, root: Array, rng: np.random.Generator, share: float) -> tuple[Array, Array]:
    """Tip a share of the windows over about a horizontal axis: lying, falling, hanging poses are rare in mocap."""
    heading = rng.uniform(0, 2 * np.pi, len(rotations))
    angle = np.radians(rng.uniform(20, 110, len(rotations))) * (rng.random(len(rotations)) < share)
    turn = np.stack([np.cos(heading) * angle, np.sin(heading) * angle, np.zeros_like(angle)], axis=-1)
    delta = rotvec_to_quaternion(turn).astype(np.float32)
    rotations[:, :, 0] = quaternion_multiply(
        np.broadcast_to(delta[:, None], rotations[:, :, 0].shape), rotations[:, :, 0]
    )
    return rotations, root
