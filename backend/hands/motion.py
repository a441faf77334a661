"""From landmarks of hands to fingers over time, and what a palm tells of wrist and forearm. numpy.

May import `backend.people`, `backend.camera`, `backend.embedding`, `backend.types`, its own room and
`blender_addon.motion`. T frames, both hands, left first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backend.camera.lens import normalised_points
from backend.hands.crops import MIDDLE_KNUCKLE, WRIST
from backend.hands.follow import HandTrack
from backend.hands.lift import LiftedHands, lift_hands
from backend.hands.model import ANGLES, RELAXED, SEEN_PALM, hand_rotations
from backend.hands.over_time import LEAST_CONFIDENCE, SIGMA_S, averaged, fade
from backend.networks import Network
from backend.types import Array, Intrinsics, PoseTrack
from blender_addon.motion.body import canonical_body, forward_kinematics
from blender_addon.motion.gaps import fill_positions, fill_rotations, fillable_gaps
from blender_addon.motion.hands import HAND_SIDES, HandMotion
from blender_addon.motion.rotations import (
    matrix_to_quaternion,
    quaternion_conjugate,
    quaternion_from_to,
    quaternion_mean,
    quaternion_multiply,
    quaternion_slerp,
    quaternion_to_matrix,
    quaternion_to_rotvec,
    swing_twist,
)

_BRIDGE_S = 0.3
_WORST_RESIDUAL = 0.14  # palms, root mean square
_WHOLE_PX, _NO_PX = 36.0, 8.0  # palm lengths at which a hand is worth its full trust, and none
_MOST_BEND_RAD = np.radians(95.0)
_FOREARM_AXIS = np.array([1.0, 0.0, 0.0])


@dataclass(frozen=True, slots=True)
class SolvedHands:
    """Fingers of every frame, and the wrists' evidence: wrist_wxyz (T, 2, 4) in the camera with weight (T, 2) 0..1;
    angles (T, 2, 16) of the hinges; pixels (T, 2) a palm's length in the frame, NaN where a hand was not found.
    """

    hands: HandMotion
    wrist_wxyz: Array
    weight: Array
    angles: Array
    pixels: Array


def solve_hands(
    track: HandTrack,
    times_s: Array,
    cuts_s: tuple[float, ...],
    poses: PoseTrack,
    intrinsics: Intrinsics,
    network: Network,
) -> SolvedHands:
    """Both hands of a person over the T frames of `poses`; `network` is the lifting network `hand_pose`.

    Where a hand is not seen it relaxes; between the two it fades.
    """
    frames = len(times_s)
    angles = np.full((frames, 2, ANGLES), np.nan)
    wrists = np.full((frames, 2, 4), np.nan)
    confidence, pixels = np.zeros((frames, 2)), np.full((frames, 2), np.nan)
    there = np.isfinite(poses.rotations_wxyz).all(axis=(1, 2))
    arms = _forearms(poses)
    shots = np.searchsorted(np.asarray(cuts_s, dtype=np.float64), times_s, side="right")
    for side in (0, 1):
        rows = np.flatnonzero((track.presence[:, side] > 0) & there)
        if not len(rows):
            continue
        fit, rays = _fitted(track, rows, side, arms, intrinsics, network)
        wrists[rows, side] = matrix_to_quaternion(rays @ fit.turns)
        angles[rows, side] = fit.angles
        landmarks = track.landmarks_px[rows, side]
        spread = np.sqrt(((landmarks - landmarks.mean(axis=1, keepdims=True)) ** 2).sum((1, 2)) / landmarks.shape[1])
        palm = np.linalg.norm(landmarks[:, MIDDLE_KNUCKLE] - landmarks[:, WRIST], axis=1) / SEEN_PALM
        pixels[rows, side] = np.maximum(palm, 1.2 * spread)
        confidence[rows, side] = (
            track.presence[rows, side]
            * np.clip(1.0 - (fit.residual / _WORST_RESIDUAL) ** 2, 0.0, 1.0)
            * np.clip((pixels[rows, side] - _NO_PX) / (_WHOLE_PX - _NO_PX), 0.05, 1.0)
        )
        _bridge(times_s, shots, angles[:, side], wrists[:, side], confidence[:, side])
        confidence[:, side] = _steady(times_s, shots, confidence[:, side])
        angles[:, side] = _blurred(times_s, shots, angles[:, side], confidence[:, side])
        wrists[:, side] = _blurred_turns(times_s, shots, wrists[:, side], confidence[:, side])
    weight = np.stack([fade(times_s, shots, confidence[:, side]) for side in (0, 1)], axis=1)
    shown = _held(times_s, shots, angles, weight)
    turns = np.stack([hand_rotations(shown[:, side], side) for side in (0, 1)], axis=1)
    turns = np.where(there[:, None, None, None], turns, np.nan)
    return SolvedHands(
        HandMotion(turns.astype(np.float32), np.where(there[:, None], confidence, 0.0).astype(np.float32)),
        wrists,
        np.where(np.isfinite(wrists).all(axis=-1), weight, 0.0),
        shown,
        pixels,
    )


def with_wrists(poses: PoseTrack, hands: SolvedHands) -> PoseTrack:
    """The poses with wrists as the palms show them: the bend goes to the wrist, the turn about the arm to the forearm.

    Joint positions stay where they are. Where a palm would bend a wrist further than wrists bend, the body's own pose
    stays.
    """
    body = canonical_body()
    _, world = forward_kinematics(body, poses.rotations_wxyz, np.zeros((len(poses.rotations_wxyz), 3)))
    rotations = poses.rotations_wxyz.copy()
    for side, name in enumerate(HAND_SIDES):
        elbow, wrist = body.joint_index(f"{name}_elbow"), body.joint_index(f"{name}_wrist")
        weight = hands.weight[:, side]
        rows = np.flatnonzero((weight > 0) & np.isfinite(rotations[:, elbow]).all(axis=-1))
        wanted = quaternion_multiply(quaternion_conjugate(world[rows, elbow]), hands.wrist_wxyz[rows, side])
        local = quaternion_slerp(rotations[rows, wrist], wanted, weight[rows])
        swing, twist = swing_twist(local, _FOREARM_AXIS)
        possible = np.linalg.norm(quaternion_to_rotvec(swing), axis=-1) < _MOST_BEND_RAD
        swing, twist, rows = swing[possible], twist[possible], rows[possible]
        rotations[rows, elbow] = quaternion_multiply(rotations[rows, elbow], twist)
        rotations[rows, wrist] = quaternion_multiply(quaternion_conjugate(twist), quaternion_multiply(swing, twist))
    return replace(poses, rotations_wxyz=rotations)


def _forearms(poses: PoseTrack) -> Array:
    """Directions (T, 2, 3) from elbow to wrist in the camera."""
    body = canonical_body()
    joints, _ = forward_kinematics(body, poses.rotations_wxyz, np.zeros((len(poses.rotations_wxyz), 3)))
    arms = np.stack(
        [joints[:, body.joint_index(f"{s}_wrist")] - joints[:, body.joint_index(f"{s}_elbow")] for s in HAND_SIDES], 1
    )
    return np.asarray(arms / np.linalg.norm(arms, axis=-1, keepdims=True))


def _fitted(
    track: HandTrack, rows: NDArray[np.intp], side: int, arms: Array, intrinsics: Intrinsics, network: Network
) -> tuple[LiftedHands, Array]:
    """The hands of one side in a camera that faces each of them, and that camera's rotations (N, 3, 3)."""
    points = normalised_points(intrinsics, track.landmarks_px[rows, side]).astype(np.float64)
    middle = np.concatenate([points.mean(axis=1), np.ones((len(rows), 1))], axis=1)
    rays = quaternion_to_matrix(quaternion_from_to(np.broadcast_to([0.0, 0.0, 1.0], middle.shape), middle))
    seen = np.concatenate([points, np.ones((*points.shape[:2], 1))], axis=2) @ rays
    flat = seen[..., :2] / seen[..., 2:]
    forearm = np.einsum("nji,nj->ni", rays, arms[rows, side])
    return lift_hands(flat, forearm, side, network), rays


def _bridge(times_s: Array, shots: NDArray[np.intp], angles: Array, wrists: Array, confidence: Array) -> None:
    """Fill short gaps between found frames of a shot, in place: a hand that is missed for a moment does not relax."""
    missing = confidence < LEAST_CONFIDENCE
    gaps = [gap for gap in fillable_gaps(times_s, missing, _BRIDGE_S) if shots[gap.first - 1] == shots[gap.last + 1]]
    if not gaps:
        return
    filled = np.where(missing[:, None], np.nan, angles)
    angles[:] = np.where(missing[:, None], fill_positions(times_s, np.nan_to_num(filled), gaps), angles)
    turns = np.where(np.isfinite(wrists).all(axis=1, keepdims=True), wrists, [1.0, 0.0, 0.0, 0.0])
    filled_turns = fill_rotations(times_s, turns[:, None], gaps)[:, 0]
    inside = np.zeros(len(times_s), bool)
    for gap in gaps:
        rows = slice(gap.first, gap.last + 1)
        inside[rows] = True
        wrists[rows] = filled_turns[rows]
        confidence[rows] = np.maximum(confidence[rows], 0.8 * min(confidence[gap.first - 1], confidence[gap.last + 1]))
    angles[missing & ~inside] = np.nan


def _steady(times_s: Array, shots: NDArray[np.intp], confidence: Array) -> Array:
    """Confidence without single frames that stand out: never above the mean of the frames around."""
    around = averaged(times_s, shots, confidence[:, None], np.ones(len(times_s)))[:, 0]
    return np.minimum(confidence, 1.2 * around)


def _blurred(times_s: Array, shots: NDArray[np.intp], values: Array, confidence: Array) -> Array:
    """Values (T, A) averaged over neighbouring frames by confidence; NaN where nothing was found."""
    out = np.full_like(values, np.nan)
    known = np.isfinite(values).all(axis=1)
    mean = averaged(times_s, shots, np.nan_to_num(values), np.where(known, confidence + 1e-3, 0.0))
    out[known] = mean[known]
    return out


def _blurred_turns(times_s: Array, shots: NDArray[np.intp], wxyz: Array, confidence: Array) -> Array:
    """Rotations (T, 4) averaged over neighbouring frames by confidence."""
    out = wxyz.copy()
    known = np.isfinite(wxyz).all(axis=1)
    for row in np.flatnonzero(known):
        low, high = np.searchsorted(times_s, [times_s[row] - 3 * SIGMA_S, times_s[row] + 3 * SIGMA_S])
        near = np.arange(low, high)
        near = near[known[near] & (shots[near] == shots[row])]
        weights = np.exp(-0.5 * ((times_s[near] - times_s[row]) / SIGMA_S) ** 2) * (confidence[near] + 1e-3)
        out[row] = quaternion_mean(wxyz[near], weights)
    return out


def _held(times_s: Array, shots: NDArray[np.intp], angles: Array, weight: Array) -> Array:
    """Angles (T, 2, 16) shown: found ones where they are, relaxed ones elsewhere, mixed by weight (T, 2)."""
    known = np.isfinite(angles).all(axis=-1, keepdims=True)
    share = np.where(known[..., 0], weight, 0.0)[..., None]
    return np.asarray(RELAXED + share * (np.where(known, angles, RELAXED) - RELAXED))
