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
