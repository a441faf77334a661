"""From raw weights of a face to an animator's: calibrated to the person, over time, at rest where nothing is seen.

May import numpy, `backend.camera`, `over_time` and `timing` of `backend.hands`, `backend.types`, its own room and
`blender_addon.motion`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.camera.lens import normalised_points
from backend.face.follow import FaceTrack
from backend.hands.over_time import averaged, averaged_turns, fade
from backend.hands.timing import between
from backend.types import Array, Intrinsics
from blender_addon.motion.face import FACE_WEIGHT_NAMES, FaceMotion
from blender_addon.motion.rotations import (
    matrix_to_quaternion,
    quaternion_from_to,
    quaternion_mean,
    quaternion_multiply,
)

_REST_PERCENTILE = 30.0
_MOST_REST = 0.7
_LEAST_CALIBRATION_S = 1.0
_WHOLE_PX, _NO_PX = 60.0, 16.0  # between the outer corners of the eyes: full trust, and none
_MOST_YAW = 0.75
_WHOLE_TURN_PX, _NO_TURN_PX = 30.0, 10.0  # the same, for the head's direction
_NARROWED = 0.7  # of the eyes' distance that is lost to the sight from the side
_ENOUGH_PX = 120.0  # eyes further apart than this show nothing more
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
class FaceEvidence:
    """What one video says of a face over T frames: calibrated weights (T, 52), NaN where none was found; confidence
    (T,) 0..1; pixels (T,) between the eyes; rest (52,) what was taken off each raw weight; turn_wxyz (T, 4) the head in
    the camera of the body's poses, NaN where it is not known, with its own turn_confidence (T,): a face that is turned
    aside tells its direction well, and its expression badly.
    """

    weights: Array
    confidence: Array
    pixels: Array
    rest: Array
    turn_wxyz: Array
    turn_confidence: Array


@dataclass(frozen=True, slots=True)
class SolvedFace:
    """The face of every frame, and rest (52,) what was taken off each raw weight; pixels (T,) between the eyes."""

    face: FaceMotion
    rest: Array
    pixels: Array


def solve_face(track: FaceTrack, times_s: Array, cuts_s: tuple[float, ...], there: NDArray[np.bool_]) -> SolvedFace:
    """Weights over the T frames of one video; `there` (T,) says in which of them the person was solved."""
    found = seen_face(track, times_s, there)
    return SolvedFace(face_over_time(found, times_s, cuts_s, there), found.rest, track.eyes_px)


def seen_face(
    track: FaceTrack,
    times_s: Array,
    there: NDArray[np.bool_],
    intrinsics: Intrinsics | None = None,
    from_body: Array | None = None,
) -> FaceEvidence:
    """The face of a track, calibrated to the person as this video shows the person.

    Without `intrinsics` the head's direction is not known. `from_body` (3, 3) is the rotation from the camera of the
    body's poses to this one; None: they are the same.
    """
    found = np.isfinite(track.weights).all(axis=1) & there
    size = np.clip((np.nan_to_num(track.eyes_px) - _NO_PX) / (_WHOLE_PX - _NO_PX), 0.05, 1.0)
    aside = np.clip((1.0 - np.abs(track.yaw)) / (1.0 - _MOST_YAW), 0.0, 1.0)
    confidence = np.where(found, track.presence * size * aside, 0.0)
    rest = resting_weights(track.weights, confidence, times_s)
    weights = calibrated(np.where(found[:, None], track.weights, 0.0), rest)
    turns = np.full((len(found), 4), np.nan)
    if intrinsics is not None:
        turns[found] = _turns(track, found, intrinsics, from_body)
    width = np.nan_to_num(track.eyes_px) / (1.0 - _NARROWED * np.abs(track.yaw))
    sure = track.presence * np.clip((width - _NO_TURN_PX) / (_WHOLE_TURN_PX - _NO_TURN_PX), 0.0, 1.0)
    sure = np.where(np.isfinite(turns).all(axis=1), sure, 0.0)
    return FaceEvidence(np.where(found[:, None], weights, np.nan), confidence, track.eyes_px, rest, turns, sure)


def _turns(track: FaceTrack, found: NDArray[np.bool_], intrinsics: Intrinsics, from_body: Array | None) -> Array:
    """The head's rotations (N, 4) in the body's camera."""
    middle = normalised_points(intrinsics, track.middle_px[found][:, None])[:, 0].astype(np.float64)
    ray = np.concatenate([middle, np.ones((len(middle), 1))], axis=1)
    facing = quaternion_from_to(np.broadcast_to([0.0, 0.0, 1.0], ray.shape), ray)
    turn = quaternion_multiply(facing, track.turn_wxyz[found])
    return turn if from_body is None else quaternion_multiply(matrix_to_quaternion(from_body.T), turn)


def face_at(found: FaceEvidence, times_s: Array, at_s: Array) -> FaceEvidence:
    """The evidence, whose frames are at `times_s` (N,), at other times (T,)."""
    near = between(times_s, np.isfinite(found.weights).all(axis=1), at_s)
    return FaceEvidence(
        near.values(found.weights),
        near.values(found.confidence, 0.0),
        near.values(found.pixels),
        found.rest,
        near.turns(found.turn_wxyz),
        near.values(found.turn_confidence, 0.0),
    )


def faces_together(views: Sequence[FaceEvidence], times_s: Array, shots: NDArray[np.intp]) -> FaceEvidence:
    """One face of what several videos show at the same T moments, most from the one that shows it best.

    A view counts by its confidence and the face's size; weights change smoothly over time.
    """
    if len(views) == 1:
        return views[0]
    known = np.stack([np.isfinite(view.weights).all(axis=1) for view in views])
    size = np.stack([np.clip(np.nan_to_num(view.pixels), 1.0, _ENOUGH_PX) / _ENOUGH_PX for view in views])
    raw = np.square(np.stack([view.confidence for view in views])) * size
    smooth = averaged(times_s, shots, raw.T, np.ones(len(times_s))).T
    share = np.where(known, smooth + 1e-9, 0.0)
    total = np.maximum(share.sum(axis=0), 1e-12)
    weights = np.einsum("vt,vtw->tw", share, np.stack([np.nan_to_num(view.weights) for view in views]))
    confidence = (share * np.stack([view.confidence for view in views])).sum(axis=0) / total
    best = share.argmax(axis=0)
    pixels = np.stack([view.pixels for view in views])[best, np.arange(len(times_s))]
    return FaceEvidence(
        np.where(known.any(axis=0)[:, None], weights / total[:, None], np.nan),
        confidence,
        pixels,
        views[0].rest,
        *_turns_together(views),
    )


def _turns_together(views: Sequence[FaceEvidence]) -> tuple[Array, Array]:
    """The head's mean rotation (T, 4) of the views that know it, and how sure it is (T,)."""
    turns, sure = np.stack([view.turn_wxyz for view in views]), np.stack([view.turn_confidence for view in views])
    placed = np.where(np.isfinite(turns).all(axis=-1), np.square(sure), 0.0)
    mean = quaternion_mean(np.where(placed[..., None] > 0, turns, [1.0, 0.0, 0.0, 0.0]).swapaxes(0, 1), placed.T)
    total = placed.sum(axis=0)
    return np.where(total[:, None] > 0, mean, np.nan), (placed * sure).sum(axis=0) / np.maximum(total, 1e-12)


def head_over_time(
    found: FaceEvidence, times_s: Array, cuts_s: tuple[float, ...], there: NDArray[np.bool_]
) -> tuple[Array, Array]:
    """The head's rotations (T, 4), averaged over neighbouring frames, and how much each is worth (T,), 0 to 1."""
    shots = np.searchsorted(np.asarray(cuts_s, dtype=np.float64), times_s, side="right")
    known = np.isfinite(found.turn_wxyz).all(axis=1) & there
    confidence = np.where(known, found.turn_confidence, 0.0)
    turns = averaged_turns(times_s, shots, np.where(known[:, None], found.turn_wxyz, np.nan), confidence)
    return turns, fade(times_s, shots, confidence) * np.clip(2.0 * confidence, 0.0, 1.0)


def face_over_time(
    found: FaceEvidence, times_s: Array, cuts_s: tuple[float, ...], there: NDArray[np.bool_]
) -> FaceMotion:
    """The face of T frames: averaged over neighbouring frames, at rest where nothing is seen, faded between the two."""
    shots = np.searchsorted(np.asarray(cuts_s, dtype=np.float64), times_s, side="right")
    known = np.isfinite(found.weights).all(axis=1) & there
    confidence = np.where(known, found.confidence, 0.0)
    weights = averaged(times_s, shots, np.where(known[:, None], found.weights, 0.0), confidence + 1e-6 * known)
    shown = fade(times_s, shots, confidence)[:, None] * weights
    return FaceMotion(
        np.where(there[:, None], np.clip(shown, 0.0, 1.0), np.nan).astype(np.float32), confidence.astype(np.float32)
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
