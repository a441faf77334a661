"""The landmark error model fitted to renders: what the shipped networks get wrong where the truth is known. numpy only.

Each number of `LandmarkNoise` is read off in the units in which `noisy_landmarks` draws it: lengths as shares of the
crop's half size, errors divided by the factor that the model gives a hand or a foot. Medians, not means, so that a
hundred lost people do not decide what a good crop's error is. Videos (rows of one person in time) tell what stays
through a window, bias, from what changes in it, jitter; single images give their sum only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backend.camera.virtual_camera import look_at_rotation
from backend.embedding.keypoints import HIPS, MAIN, MIRROR
from backend.errors import BadInputError
from backend.keypoint_layouts import BLAZEPOSE
from backend.training.landmark_noise import _END, _LIMBS, LandmarkNoise, noisy_landmarks
from backend.training.render_landmarks import RenderLandmarks
from backend.types import Array

_RAYLEIGH_MEDIAN = 1.1774
_NEAR_M, _FAR_M = 0.02, 0.25  # nearer to the camera than the mid-hip; behind the body, where the model doubts
_GROSS = 0.2
_LAGS = 9
_FEWEST = 50


@dataclass(frozen=True, slots=True)
class Measured:
    """Errors of N frames: error (N, 33, 2) of points and depth (N, 33) of the guess, both in the model's units; gain
    and lean (N,) of the guess's depth; near, far, hidden (N, 33) kinds of landmark; visibility (N, 33); video (N,).
    """

    error: Array
    depth: Array
    gain: Array
    lean: Array
    near: NDArray[np.bool_]
    far: NDArray[np.bool_]
    hidden: NDArray[np.bool_]
    swapped: NDArray[np.bool_]
    visibility: Array
    video: NDArray[np.intp]


def measured_errors(seen: RenderLandmarks) -> Measured:
    """Errors of a network on renders, of the rows in which it found the person. BadInputError for fewer than 50."""
    if seen.found.sum() < _FEWEST:
        raise BadInputError(f"the network found {seen.found.sum()} people in the renders", f"At least {_FEWEST} needed")
    seen = seen.rows(seen.found)
    truth = np.asarray(seen.landmarks_m, np.float64)
    points = truth[..., :2] / truth[..., 2:]
    middle = points[:, HIPS].mean(axis=1, keepdims=True)
    half = 1.25 * np.linalg.norm(points[:, MAIN] - middle, axis=-1).max(axis=-1)
    error = (seen.points - points) / (half[:, None] * _END)[..., None]
    other = (seen.points[:, MIRROR] - points) / (half[:, None] * _END)[..., None]
    look = look_at_rotation(middle[:, 0])
    relative = (truth - truth[:, HIPS].mean(axis=1, keepdims=True)) @ np.swapaxes(look, 1, 2)
    legs = [25, 26, 27, 28]
    apart, crossed = (np.linalg.norm(e[:, legs], axis=-1).mean(axis=1) for e in (error, other))
    depth, gain, lean = _depth_errors(seen.guess.astype(np.float64), relative)
    return Measured(
        error,
        depth,
        gain,
        lean,
        (relative[..., 2] < _NEAR_M) & seen.visible,
        (relative[..., 2] > _FAR_M) & (seen.visible | _limbs()),
        (relative[..., 2] < _NEAR_M) & ~seen.visible & _limbs(),
        (crossed < 0.5 * apart) & (apart > 0.05),
        seen.visibility,
        seen.video,
    )


def fitted_noise(seen: RenderLandmarks, start: LandmarkNoise | None = None, rounds: int = 6) -> LandmarkNoise:
    """The error model under which simulated landmarks have the statistics of the seen ones.

    From `start`, each number is moved by the ratio of its statistic, a few times over; what renders cannot tell keeps
    its value. BadInputError for fewer than 50 people.
    """
    target, wanted = measured_errors(seen), statistics(measured_errors(seen))
    noise = start or LandmarkNoise()
    noise = replace(noise, correlation=_jitter(target, noise)[1], lost_share=max(noise.lost_share, 0.01))
    for turn in range(rounds):
        made = statistics(measured_errors(simulated_seen(seen, noise, np.random.default_rng(turn))))
        noise = _moved(noise, wanted, made)
    return replace(noise, swap_share=wanted.swapped)


def _moved(noise: LandmarkNoise, wanted: Statistics, made: Statistics) -> LandmarkNoise:
    """One step of the fit: every number times how much its statistic is too small."""

    def ratio(name: str) -> float:
        value = getattr(wanted, name) / max(getattr(made, name), 1e-9)
        return float(np.clip(value, 0.5, 2.0)) if np.isfinite(value) else 1.0

    far = (wanted.error_far / wanted.error_near - 1.0) / max(made.error_far / made.error_near - 1.0, 0.05)
    middle = (noise.depth_gain_low + noise.depth_gain_high) / 2 * ratio("gain")
    reach = (noise.depth_gain_high - noise.depth_gain_low) / 2 * ratio("gain_spread")
    return replace(
        noise,
        bias=noise.bias * ratio("error_near"),
        jitter=noise.jitter * ratio("step"),
        far_limb_factor=1.0 + (noise.far_limb_factor - 1.0) * float(np.clip(far, 0.5, 2.0)) if far > 0 else 1.0,
        lost_share=min(noise.lost_share * ratio("gross"), 1.0),
        depth_gain_low=max(middle - reach, 0.0),
        depth_gain_high=middle + reach,
        depth_bias=noise.depth_bias * ratio("depth"),
        depth_jitter=noise.depth_jitter * ratio("depth_step"),
    )


def _limbs() -> NDArray[np.bool_]:
    limbs = np.zeros(BLAZEPOSE.count, dtype=bool)
    limbs[np.concatenate(_LIMBS)] = True
    return limbs


def _depth_errors(guess: Array, relative: Array) -> tuple[Array, Array, Array]:
    """What is left (N, 33) of the guess's depth after the best gain and lean (N,) on the true one, in body sizes."""
    size = np.linalg.norm(relative[:, MAIN], axis=-1).max(axis=-1)
    guess = guess - guess[:, HIPS].mean(axis=1, keepdims=True)
    spread = np.square(relative[:, MAIN, :2]).sum(axis=(1, 2)) / np.square(guess[:, MAIN, :2]).sum(axis=(1, 2))
    z = guess[..., 2] * np.sqrt(spread)[:, None]
    design = np.stack([relative[..., 2], relative[..., 1]], axis=-1)[:, MAIN] / size[:, None, None]
    normal = np.swapaxes(design, 1, 2) @ design + 1e-4 * np.eye(2)
    answer = np.linalg.solve(normal, np.swapaxes(design, 1, 2) @ (z[:, MAIN] / size[:, None])[..., None])[..., 0]
    rest = z / size[:, None] - answer[:, :1] * relative[..., 2] / size[:, None]
    rest -= answer[:, 1:] * relative[..., 1] / size[:, None]
    return rest / _END, answer[:, 0], answer[:, 1]


def _jitter(measured: Measured, start: LandmarkNoise) -> tuple[float, float]:
    """Standard deviation of what changes within a video and its correlation from frame to frame."""
    lags, spread = [], []
    for lag in range(1, _LAGS + 1):
        pair = measured.video[lag:] == measured.video[:-lag]
        calm = measured.near[lag:] & measured.near[:-lag] & pair[:, None]
        if calm.sum() < _FEWEST:
            break
        step = np.linalg.norm(measured.error[lag:] - measured.error[:-lag], axis=-1)[calm]
        lags.append(lag)
        spread.append(np.median(step) / _RAYLEIGH_MEDIAN / np.sqrt(2))
    if len(lags) < 3:
        return start.jitter, start.correlation
    steps, seen = np.array(lags), np.array(spread)
    best = (np.inf, start.jitter, start.correlation)
    for correlation in np.linspace(0.3, 0.98, 69):
        shape = np.sqrt(1 - correlation**steps)
        jitter = float(shape @ seen / (shape @ shape))
        best = min(best, (float(np.square(jitter * shape - seen).sum()), jitter, float(correlation)))
    return best[1], best[2]


@dataclass(frozen=True, slots=True)
class Statistics:
    """What renders and simulation are compared by, NaN where there are no videos.

    error_*: share of the crop's half size, of landmarks near the camera (median, 90th percentile), far ones, hidden
    limbs; gross: share of limb landmarks off by more than 0.2; step, depth_step: change over one and four frames of a
    video; depth: what is left of the guess's depth, in body sizes; gain, lean: median and spread over frames;
    visibility: mean of near, far and hidden landmarks, share of near ones above 0.99; swapped: videos (not single
    images) with legs exchanged in some frames, swapped_whole: in all.
    """

    error_near: float
    error_near_90: float
    error_far: float
    error_hidden: float
    gross: float
    step: float
    depth: float
    depth_step: float
    gain: float
    gain_spread: float
    lean: float
    lean_spread: float
    visibility_near: float
    visibility_far: float
    visibility_hidden: float
    saturated_near: float
    swapped: float
    swapped_whole: float


def statistics(measured: Measured) -> Statistics:
    """Statistics of measured errors; NaN for a kind of landmark that does not occur."""
    size = np.linalg.norm(measured.error, axis=-1)
    near, far, hidden = size[measured.near], size[measured.far], size[measured.hidden]
    limbs = size[~measured.swapped][:, _limbs()]
    seen = measured.visibility
    some, whole = _swapped_videos(measured.swapped, measured.video)
    return Statistics(
        _at(near, 50),
        _at(near, 90),
        _at(far, 50),
        _at(hidden, 50),
        float((limbs > _GROSS).mean()),
        _step(measured, measured.error, 1),
        _at(np.abs(measured.depth).ravel(), 50),
        _step(measured, measured.depth[..., None], 4),
        _at(measured.gain, 50),
        _at(measured.gain, 85) - _at(measured.gain, 15),
        _at(measured.lean, 50),
        _at(measured.lean, 85) - _at(measured.lean, 15),
        float(seen[measured.near].mean()),
        float(seen[measured.far].mean()) if measured.far.any() else np.nan,
        float(seen[measured.hidden].mean()) if measured.hidden.any() else np.nan,
        float((seen[measured.near] > 0.99).mean()),
        some,
        whole,
    )


def _step(measured: Measured, values: Array, lag: int) -> float:
    """Median change (N, 33, D) of near landmarks over `lag` frames of a video."""
    pair = measured.video[lag:] == measured.video[:-lag]
    both = measured.near[lag:] & measured.near[:-lag] & pair[:, None]
    return _at(np.linalg.norm(values[lag:] - values[:-lag], axis=-1)[both], 50)


def _swapped_videos(swapped: NDArray[np.bool_], video: NDArray[np.intp]) -> tuple[float, float]:
    """Share of videos with legs exchanged in some frames but not all, and in all."""
    _, place, count = np.unique(video, return_inverse=True, return_counts=True)
    exchanged = np.bincount(place, swapped)
    some = (exchanged > 0) & (exchanged < count)
    return float(some[count > 1].mean()) if (count > 1).any() else 0.0, float((exchanged == count).mean())


def _at(values: Array, percent: float) -> float:
    return float(np.percentile(values, percent)) if values.size else float("nan")


def simulated_seen(seen: RenderLandmarks, noise: LandmarkNoise, rng: np.random.Generator) -> RenderLandmarks:
    """What the model would report on the same truth: videos as windows, single images as windows of one frame."""
    points = np.empty_like(seen.points)
    visibility, guess = np.empty_like(seen.visibility), np.empty_like(seen.guess)
    _, first, count = np.unique(seen.video, return_index=True, return_counts=True)
    truth = np.asarray(seen.landmarks_m, np.float64)
    look = look_at_rotation((truth[..., :2] / truth[..., 2:])[:, HIPS].mean(axis=1))
    truth = truth @ np.swapaxes(look, 1, 2)  # the model, like training, sees people straight ahead
    for length in np.unique(count):
        reach = max(int(length), 3)  # the model wants a window: a single image stands still in its own
        rows = first[count == length][:, None] + np.minimum(np.arange(reach), length - 1)
        noisy = noisy_landmarks(truth[rows][..., :2] / truth[rows][..., 2:], truth[rows], noise, rng)
        rays = np.concatenate([noisy.points, np.ones_like(noisy.points[..., :1])], axis=-1) @ look[rows]
        points[rows] = rays[..., :2] / rays[..., 2:]
        visibility[rows], guess[rows] = noisy.visibility, noisy.guess
    return replace(seen, points=points, visibility=visibility, guess=guess)


def joined(parts: list[RenderLandmarks]) -> RenderLandmarks:
    """Several folders or networks as one, videos kept apart."""
    shifts = np.cumsum([0, *(int(part.video.max()) + 1 for part in parts[:-1])])
    parts = [replace(part, video=part.video + shift) for part, shift in zip(parts, shifts, strict=True)]
    names = RenderLandmarks.__dataclass_fields__
    return RenderLandmarks(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
