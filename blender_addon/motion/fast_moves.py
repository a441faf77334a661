"""Fast moves: where a limb really moves fast, so that smoothing may let go of it.

May import numpy and its own room only.

A low-pass filter rounds a two-frame punch off. Jitter is fast too, but it turns back from frame to frame; a hit
keeps its direction, or stays where it went, and is much faster than the channel's usual jitter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .rotations import Array
from .temporal import angular_velocity_rad_s, median_interval_s

# a neighbouring step goes on with, or takes back, at least this part of a step's speed to count
_LEAST_SUPPORT = 0.3


@dataclass(frozen=True, slots=True)
class FastMoveSettings:
    """When a joint counts as moving fast.

    From `speed_deg_s` on the raw motion comes back, wholly at twice that speed. A speed must also be `sigmas` times
    the channel's own jitter. `release_s` is how long before and after the fast frames the raw motion is let in.
    """

    speed_deg_s: float = 400.0
    sigmas: float = 3.0
    release_s: float = 0.05


def fast_move_weights(times_s: Array, wxyz: Array, settings: FastMoveSettings) -> Array:
    """How much of the raw motion to keep (T, J), 0..1, from rotations (T, J, 4) of one run without NaN."""
    weights = np.zeros(wxyz.shape[:-1])
    if len(wxyz) < 4:
        return weights
    velocity = angular_velocity_rad_s(times_s, wxyz)
    speed = np.linalg.norm(velocity, axis=-1)
    threshold = np.maximum(np.deg2rad(settings.speed_deg_s), settings.sigmas * _jitter_speed(velocity))
    excess = np.clip(speed / threshold - 1.0, 0.0, 1.0)
    eased = excess * excess * (3.0 - 2.0 * excess)
    step = np.where(_supported(velocity, speed), eased, 0.0)
    # a frame belongs to the fast move when either of its steps does
    weights[:-1] = step
    weights[1:] = np.maximum(weights[1:], step)
    return _released(weights, settings.release_s / median_interval_s(times_s))


def _jitter_speed(velocity: Array) -> Array:
    """The usual speed (J,) that comes from jitter alone: from the change of velocity, which real motion has little of.

    For independent noise a step varies by sqrt(2) sigma and the difference of two steps by sqrt(6) sigma.
    """
    change = np.linalg.norm(np.diff(velocity, axis=0), axis=-1)
    return np.asarray(np.median(change, axis=0) / np.sqrt(3.0))


def _supported(velocity: Array, speed: Array) -> Array:
    """Whether each step (T - 1, J) is a move: a neighbour goes on in its direction, or neither takes it back."""
    along = np.sum(velocity[1:] * velocity[:-1], axis=-1)
    after, before = np.zeros_like(speed), np.zeros_like(speed)
    after[:-1], before[1:] = along, along
    least = _LEAST_SUPPORT * speed**2
    goes_on = (after > least) | (before > least)
    taken_back = (after < -least) | (before < -least)
    return np.asarray(goes_on | ~taken_back)


def _released(weights: Array, frames: float) -> Array:
    """Weights that rise before and fall after each fast frame, linearly over `frames`."""
    out = weights.copy()
    for offset in range(1, int(np.ceil(frames)) + 1):
        tail = max(0.0, 1.0 - (offset - 1) / max(frames, 1.0))
        out[offset:] = np.maximum(out[offset:], tail * weights[:-offset])
        out[:-offset] = np.maximum(out[:-offset], tail * weights[offset:])
    return out
