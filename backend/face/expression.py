"""From raw weights of a face to an animator's: calibrated to the person, over time, at rest where nothing is seen.

May import numpy, `backend.hands.over_time`, `backend.types`, its own room and `blender_addon.motion`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.face.follow import FaceTrack
from backend.hands.over_time import averaged, fade
from backend.types import Array
from blender_addon.motion.face import FACE_WEIGHT_NAMES, FaceMotion

_REST_PERCENTILE = 30.0
_MOST_REST = 0.7
_LEAST_CALIBRATION_S = 1.0
_WHOLE_PX, _NO_PX = 60.0, 16.0  # between the outer corners of the eyes: full trust, and none
_MOST_YAW = 0.75
# gain and dead zone by region, by the beginning of the weight's name
_REGIONS: tuple[tuple[str, float, float], ...] = (
    ("eyeBlink", 1.4, 0.06),
    ("eyeLook", 1.1, 0.03),
    ("eye", 1.2, 0.05),
    ("brow", 1.3, 0.05),
    ("jaw", 1.2, 0.03),
    ("mouth", 1.2, 0.04),
    ("cheek", 1.0, 0.05),
    ("nose", 1.0, 0.05),
    ("tongue", 1.0, 0.05),
)


@dataclass(frozen=True, slots=True)
class SolvedFace:
    """The face of every frame, and rest (52,) what was taken off each raw weight; pixels (T,) between the eyes."""

    face: FaceMotion
    rest: Array
    pixels: Array


def solve_face(track: FaceTrack, times_s: Array, cuts_s: tuple[float, ...], there: Array) -> SolvedFace:
    """Weights over the T frames; `there` (T,) says in which of them the person was solved."""
    shots = np.searchsorted(np.asarray(cuts_s, dtype=np.float64), times_s, side="right")
    found = np.isfinite(track.weights).all(axis=1) & there
    size = np.clip((np.nan_to_num(track.eyes_px) - _NO_PX) / (_WHOLE_PX - _NO_PX), 0.05, 1.0)
    aside = np.clip((1.0 - np.abs(track.yaw)) / (1.0 - _MOST_YAW), 0.0, 1.0)
    confidence = np.where(found, track.presence * size * aside, 0.0)
    rest = resting_weights(track.weights, confidence, times_s)
    weights = calibrated(np.where(found[:, None], track.weights, 0.0), rest)
    weights = averaged(times_s, shots, weights, confidence + 1e-6 * found)
    shown = fade(times_s, shots, confidence)[:, None] * weights
    return SolvedFace(
        FaceMotion(
            np.where(there[:, None], np.clip(shown, 0.0, 1.0), np.nan).astype(np.float32), confidence.astype(np.float32)
        ),
        rest,
        track.eyes_px,
    )


def resting_weights(weights: Array, confidence: Array, times_s: Array) -> Array:
    """What each raw weight (52,) is at rest: a low percentile of the frames that are trusted, 0 where these are few."""
    good = confidence > 0.5 * float(confidence.max(initial=0.0))
    good &= confidence > 0
    if not good.any() or float(np.ptp(times_s[good])) < _LEAST_CALIBRATION_S:
        return np.zeros(weights.shape[1])
    return np.asarray(np.minimum(np.percentile(weights[good], _REST_PERCENTILE, axis=0), _MOST_REST))


def calibrated(weights: Array, rest: Array) -> Array:
    """Weights (T, 52) less what they are at rest, with the region's dead zone and gain, 0 to 1."""
    gain, dead = region_settings()
    beyond = (weights - rest) / (1.0 - rest)
    return np.asarray(np.clip(gain * np.maximum(beyond - dead, 0.0) / (1.0 - dead), 0.0, 1.0))


def region_settings() -> tuple[Array, Array]:
    """Gain and dead zone (52,) of every weight."""
    rows = [next(region for region in _REGIONS if name.startswith(region[0])) for name in FACE_WEIGHT_NAMES]
    return np.array([row[1] for row in rows]), np.array([row[2] for row in rows])
