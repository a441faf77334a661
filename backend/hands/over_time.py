"""What was found now and then, over time: averages by confidence, and fading in and out. numpy.

May import `backend.types` and `blender_addon.motion`. Nothing reaches across a cut.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.types import Array
from blender_addon.motion.rotations import quaternion_mean
from blender_addon.motion.temporal import smooth_step

SIGMA_S = 0.045  # of the average over time: less than an animator sees, more than the networks' jitter
LEAST_CONFIDENCE = 0.2
_FADE_S = 0.25


def averaged(times_s: Array, shots: NDArray[np.intp], values: Array, weights: Array) -> Array:
    """Averages (T, A) under a Gaussian over time, within a shot."""
    out = np.zeros_like(values)
    for row in range(len(times_s)):
        low, high = np.searchsorted(times_s, [times_s[row] - 3 * SIGMA_S, times_s[row] + 3 * SIGMA_S])
        near = np.arange(low, high)
        near = near[shots[near] == shots[row]]
        share = np.exp(-0.5 * ((times_s[near] - times_s[row]) / SIGMA_S) ** 2) * weights[near]
        out[row] = share @ values[near] / max(float(share.sum()), 1e-12)
    return out


def averaged_turns(times_s: Array, shots: NDArray[np.intp], wxyz: Array, confidence: Array) -> Array:
    """Rotations (T, 4) averaged over neighbouring frames of a shot by confidence (T,); NaN stays."""
    out = wxyz.copy()
    known = np.isfinite(wxyz).all(axis=1)
    for row in np.flatnonzero(known):
        low, high = np.searchsorted(times_s, [times_s[row] - 3 * SIGMA_S, times_s[row] + 3 * SIGMA_S])
        near = np.arange(low, high)
        near = near[known[near] & (shots[near] == shots[row])]
        weights = np.exp(-0.5 * ((times_s[near] - times_s[row]) / SIGMA_S) ** 2) * (confidence[near] + 1e-3)
        out[row] = quaternion_mean(wxyz[near], weights)
    return out


def fade(times_s: Array, shots: NDArray[np.intp], confidence: Array) -> Array:
    """How much of what was found is shown (T,): it comes and goes over a quarter of a second, within found frames."""
    seen = confidence >= LEAST_CONFIDENCE
    since = np.where(seen, np.inf, 0.0)
    for order in (range(len(seen)), range(len(seen) - 1, -1, -1)):
        last = -1
        for row in order:
            if not seen[row]:
                last = row
            elif last >= 0 and shots[last] == shots[row]:
                since[row] = min(since[row], abs(times_s[row] - times_s[last]))
    return np.asarray(smooth_step(np.minimum(since / _FADE_S, 1.0)))
