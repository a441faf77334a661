"""Light Gaussian smoothing of 3D evidence over true frame times, before the fit to the keypoints. numpy only."""

from __future__ import annotations

import numpy as np

from backend.types import Array


def smoothed(values: Array, times_s: Array, deviation_s: float) -> Array:
    """Gaussian-weighted local mean of values (T, ...) over times (T,); beyond three deviations none counts."""
    if deviation_s <= 0 or len(values) < 3:
        return values
    flat = values.reshape(len(values), -1)
    total, weight = np.zeros_like(flat), np.zeros(len(flat))
    reach = int(np.ceil(3 * deviation_s / max(1e-6, float(np.median(np.diff(times_s))))))
    reach = min(reach, len(flat) - 1)
    for shift in range(-reach, reach + 1):
        a = slice(max(0, -shift), len(flat) - max(0, shift))
        b = slice(max(0, shift), len(flat) + min(0, shift))
        share = np.exp(-0.5 * np.square((times_s[b] - times_s[a]) / deviation_s))
        total[a] += share[:, None] * flat[b]
        weight[a] += share
    return (total / weight[:, None]).reshape(values.shape)


def smoothed_paths(values: Array, times_s: Array, deviation_s: float) -> Array:
    """Local parabolas, Gaussian-weighted, through values (T, ...) over times (T,), at each of the times.

    A mean cuts off the tips of a motion; a parabola follows them, and takes the same jitter away.
    """
    if deviation_s <= 0 or len(values) < 5:
        return values
    flat = np.asarray(values, np.float64).reshape(len(values), -1)
    frames = len(flat)
    moments, right = np.zeros((frames, 5)), np.zeros((frames, 3, flat.shape[1]))
    reach = int(np.ceil(3 * deviation_s / max(1e-6, float(np.median(np.diff(times_s))))))
    reach = min(reach, frames - 1)
    for shift in range(-reach, reach + 1):
        a = slice(max(0, -shift), frames - max(0, shift))
        b = slice(max(0, shift), frames + min(0, shift))
        away = (times_s[b] - times_s[a]) / deviation_s
        share = np.exp(-0.5 * np.square(away))
        for power in range(5):
            moments[a, power] += share * away**power
        for power in range(3):
            right[a, power] += (share * away**power)[:, None] * flat[b]
    system = moments[:, np.add.outer(np.arange(3), np.arange(3))] + 1e-6 * np.eye(3)
    return np.linalg.solve(system, right)[:, 0].reshape(values.shape)
