"""Simulated errors of the landmark network, and their settings file: bias, jitter, lost limbs, swaps. numpy only.

Lengths of 2D errors are shares of the crop's half size; the defaults stand between a fit on renders, which are hard
images (tools/fit_noise.py), and clean video.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.camera.virtual_camera import look_at_rotation
from backend.embedding.keypoints import HIPS, MAIN, MIRROR
from backend.errors import BadInputError
from backend.keypoint_layouts import BLAZEPOSE
from backend.types import Array

_LIMBS = (
    np.array([13, 15, 17, 19, 21]),
    np.array([14, 16, 18, 20, 22]),
    np.array([25, 27, 29, 31]),
    np.array([26, 28, 30, 32]),
)
_END = np.ones(BLAZEPOSE.count)
_END[[15, 16, 17, 18, 19, 20, 21, 22]] = 1.5
_END[[27, 28, 29, 30, 31, 32]] = 1.4
_END[[23, 24]] = 1.2


@dataclass(frozen=True, slots=True)
class LandmarkNoise:
    """How wrong simulated landmarks are: standard deviations, factors and shares."""

    bias: float = 0.016
    """Standard deviation of the error that a window keeps, over the half size."""
    jitter: float = 0.012
    """Standard deviation of the error that changes from frame to frame, over the half size."""
    correlation: float = 0.82
    """Correlation of `jitter` between neighbouring frames."""
    far_limb_factor: float = 2.5
    """How much larger errors of points behind the body grow, at most."""
    lost_share: float = 0.2
    """Share of limbs that are lost behind something for a part of the window."""
    lost_factor: float = 6.0
    """How much larger errors of lost points are."""
    swap_share: float = 0.03
    """Share of windows with left and right legs exchanged in some frames."""
    depth_gain_low: float = 0.55
    """Smallest factor of the guess's depth over the true one."""
    depth_gain_high: float = 1.15
    """Largest factor of the guess's depth over the true one."""
    depth_bias: float = 0.07
    """Standard deviation of the guess's depth error that a window keeps, over the person's size."""
    depth_jitter: float = 0.045
    """Standard deviation of the guess's depth error from frame to frame, over the person's size."""
    depth_hidden_share: float = 0.3
    """Share of windows in which the guess is hidden from the tower."""
    donor_least: float = 0.4
    """Errors that are taken from renders (`error_library`) are scaled by a number between this and 1."""


@dataclass(frozen=True, slots=True)
class NoisyLandmarks:
    """points (B, W, 33, 2) normalised, visibility (B, W, 33), guess (B, W, 33, 3)."""

    points: Array
    visibility: Array
    guess: Array


def noisy_landmarks(
    points: Array,
    camera_points: Array,
    noise: LandmarkNoise,
    rng: np.random.Generator,
    outside: NDArray[np.bool_] | None = None,
    offsets: Sequence[int] | None = None,
) -> NoisyLandmarks:
    """Landmarks as a network would report them, from points (B, W, 33, 2) normalised, camera_points (B, W, 33, 3) m.

    Points `outside` (B, W, 33) the image are lost like those behind something. `offsets` (W,) are the window's frames
    (None: frames that follow each other): errors of frames far apart correlate less, and last as long in time.
    """
    batch, window = points.shape[:2]
    time = frame_times(window, offsets)
    relative = _along_the_ray(points, camera_points)
    half = 1.25 * np.linalg.norm(points[:, :, MAIN] - points[:, :, HIPS].mean(2, keepdims=True), axis=-1).max(-1)
    strength = np.exp(rng.normal(0, 0.45, (batch, 1, 1)))
    doubt, lost = _doubt(relative, noise, rng, time)
    if outside is not None:
        lost |= outside
    spread = strength * _END * np.where(lost, noise.lost_factor, 1.0 + (noise.far_limb_factor - 1.0) * doubt)
    error = noise.bias * rng.normal(size=(batch, 1, BLAZEPOSE.count, 2)) + noise.jitter * correlated(
        rng, (batch, window, BLAZEPOSE.count, 2), noise.correlation, time
    )
    noisy = points + error * (spread * half[..., None])[..., None]
    swap = rng.random(batch) < noise.swap_share
    noisy[swap] = _swapped(noisy[swap], rng, time)
    visibility = _visibility(doubt, lost, rng)
    return NoisyLandmarks(noisy, visibility, _guess((relative, noisy, half), noise, rng, time))


def _along_the_ray(points: Array, camera_points: Array) -> Array:
    """Landmarks (B, W, 33, 3) relative to the mid-hip, in the axes of a camera that looks at it."""
    relative = camera_points - camera_points[:, :, HIPS].mean(axis=2, keepdims=True)
    look = look_at_rotation(points[:, :, HIPS].mean(axis=2).reshape(-1, 2)).astype(np.float32)
    look = look.reshape(*points.shape[:2], 3, 3)
    return np.matmul(relative, np.swapaxes(look, -1, -2))


def frame_times(window: int, offsets: Sequence[int] | None) -> NDArray[np.intp]:
    """Frames (W,) of a window counted from its first; `offsets` None: they follow each other."""
    return np.arange(window) if offsets is None else np.asarray(offsets, np.intp) - offsets[0]


def correlated(
    rng: np.random.Generator, shape: tuple[int, ...], correlation: float, time: NDArray[np.intp] | None = None
) -> Array:
    """Unit-variance noise of `shape`, axis 1 the frames (W,) `time` (None: 0, 1, 2 ...), of which neighbours correlate
    by `correlation` and those n frames apart by its n-th power (AR(1)).
    """
    white = rng.normal(size=shape).astype(np.float32)
    out = np.empty_like(white)
    out[:, 0] = white[:, 0]
    apart = np.ones(shape[1] - 1, np.intp) if time is None else np.diff(time)
    kept = np.power(correlation, apart)
    fresh = np.sqrt(1 - np.square(kept))
    for step in range(1, shape[1]):
        out[:, step] = kept[step - 1] * out[:, step - 1] + fresh[step - 1] * white[:, step]
    return out


def _doubt(
    relative: Array, noise: LandmarkNoise, rng: np.random.Generator, time: NDArray[np.intp]
) -> tuple[Array, NDArray[np.bool_]]:
    """Doubt (B, W, 33) 0..1 for limbs behind the body, and which points are lost behind something."""
    batch, span = len(relative), int(time[-1]) + 1
    doubt = 1.0 / (1.0 + np.exp(-(relative[..., 2] - 0.12) / 0.06)) * rng.random((batch, 1, BLAZEPOSE.count))
    lost = np.zeros(doubt.shape, dtype=bool)
    for limb in _LIMBS:
        start = rng.integers(-span, span, batch)
        length = rng.integers(3, max(4, 2 * span), batch)
        inside = (time >= start[:, None]) & (time < (start + length)[:, None])
        hit = inside & (rng.random(batch) < noise.lost_share)[:, None]
        reach = rng.integers(0, 2, batch)[:, None]  # the whole limb, or from the wrist or ankle on
        for place, point in enumerate(limb):
            lost[:, :, point] |= hit & ((reach == 0) | (place >= 1))
    return doubt, lost


def _visibility(doubt: Array, lost: NDArray[np.bool_], rng: np.random.Generator) -> Array:
    """What the network says of each point (B, W, 33), 0..1: saturated at 1 where it is sure, and on some clips for all;
    constant offsets and jitter differ from window to window, so that no mean level carries meaning.
    """
    batch = len(doubt)
    modest = rng.random((batch, 1, 1)) < 0.3
    ceiling = np.where(modest, rng.uniform(0.8, 1.0, (batch, 1, 1)), 1.0)
    blind = rng.random((batch, 1, 1)) < 0.15  # some clips show full confidence whatever lies behind the body
    drop = doubt * rng.beta(1.5, 1.2, (batch, 1, BLAZEPOSE.count)) * ~blind
    jitter = 0.05 * np.abs(rng.normal(size=doubt.shape)) * np.maximum(rng.uniform(-0.7, 1.0, (batch, 1, 1)), 0.0)
    seen = ceiling - drop - jitter
    return np.clip(np.where(lost, rng.beta(1.5, 4.0, (batch, 1, BLAZEPOSE.count)) + jitter, seen), 0.0, 1.0)


def _swapped(points: Array, rng: np.random.Generator, time: NDArray[np.intp]) -> Array:
    """Left and right legs exchanged for some frames of each window."""
    count, window = points.shape[:2]
    start = time[rng.integers(0, window, count)]
    frames = (time >= start[:, None]) & (time < (start + rng.integers(1, 6, count))[:, None])
    legs = np.arange(BLAZEPOSE.count) >= 25
    return np.where(frames[..., None, None] & legs[None, None, :, None], points[:, :, MIRROR], points)


def _guess(
    seen: tuple[Array, Array, Array], noise: LandmarkNoise, rng: np.random.Generator, time: NDArray[np.intp]
) -> Array:
    """The network's own 3D guess: its x, y follow its 2D points, its z a gain, a bias and drift off the truth.

    `seen`: true landmarks (B, W, 33, 3) m, reported points (B, W, 33, 2) and half sizes (B, W).
    """
    relative, noisy, half = seen
    batch, window = relative.shape[:2]
    size = np.sqrt(np.square(relative[:, :, MAIN]).sum(-1).max(-1))[..., None]
    gain = rng.uniform(noise.depth_gain_low, noise.depth_gain_high, (batch, 1, 1))
    pull = noise.depth_bias * rng.normal(size=(batch, 1, BLAZEPOSE.count)) + noise.depth_jitter * correlated(
        rng, (batch, window, BLAZEPOSE.count), 0.9, time
    )
    lean = rng.normal(0, 0.10, (batch, 1, 1)) * relative[..., 1]
    z = gain * relative[..., 2] + lean + pull * size * _END
    z -= z[:, :, HIPS].mean(-1, keepdims=True)
    plane = (noisy - noisy[:, :, HIPS].mean(2, keepdims=True)) / half[..., None, None] * 1.25 * size[..., None]
    return np.concatenate([plane, z[..., None]], axis=-1)


def write_noise(noise: LandmarkNoise, path: Path) -> None:
    """Write a noise model."""
    path.write_text(json.dumps({"noise": asdict(noise)}, indent=1) + "\n", encoding="utf-8")


def read_noise(path: Path) -> LandmarkNoise:
    """Read a noise model; fields that the file lacks keep their defaults. BadInputError names what is wrong."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))["noise"]
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise BadInputError(
            f"{path} is not a noise model ({fault})", "Write one with: python tools/fit_noise.py --renders FOLDER"
        ) from fault
    known = {field.name for field in fields(LandmarkNoise)}
    wrong = sorted(set(record) - known) if isinstance(record, dict) else [str(record)]
    wrong += sorted(
        name for name in known & set(record) if not isinstance(record[name], int | float) or not _allowed(record[name])
    )
    if wrong:
        remedy = f"Known are {', '.join(sorted(known))}"
        raise BadInputError(f"{path} holds no usable value for {', '.join(wrong)}", remedy)
    return LandmarkNoise(**{name: float(value) for name, value in record.items()})


def _allowed(value: float) -> bool:
    return math.isfinite(value) and value >= 0.0
