"""From landmarks of hands to fingers over time, and what a palm tells of wrist and forearm. numpy.

May import `backend.people`, `backend.camera`, `backend.embedding`, `backend.types`, its own room and
`blender_addon.motion`. T frames, both hands, left first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backend.hands.evidence import HandEvidence, forearms, seen_hands
from backend.hands.follow import HandTrack
from backend.hands.model import RELAXED, hand_rotations
from backend.hands.over_time import LEAST_CONFIDENCE, averaged, averaged_turns, fade
from backend.networks import Network
from backend.types import Array, Intrinsics, PoseTrack
from blender_addon.motion.body import canonical_body, forward_kinematics
from blender_addon.motion.gaps import Gap, fill_positions, fill_rotations, fillable_gaps
from blender_addon.motion.hands import HAND_SIDES, HandMotion
from blender_addon.motion.rotations import (
    quaternion_conjugate,
    quaternion_multiply,
    quaternion_slerp,
    quaternion_to_rotvec,
    swing_twist,
)

_BRIDGE_S = 0.3
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
    """Both hands of a person over the T frames of `poses`, seen by one camera; `network` is the lifting network
    `hand_pose`.
    """
    there = np.isfinite(poses.rotations_wxyz).all(axis=(1, 2))
    return hands_over_time(seen_hands(track, forearms(poses), intrinsics, network), times_s, cuts_s, there)


def hands_over_time(
    found: HandEvidence, times_s: Array, cuts_s: tuple[float, ...], there: NDArray[np.bool_]
) -> SolvedHands:
    """Hands of T frames from what was found in each; `there` (T,) says in which of them the person is solved.

    Where a hand is not seen it relaxes; between the two it fades.
    """
    angles = np.where(there[:, None, None], found.angles, np.nan)
    wrists = np.where(there[:, None, None], found.wrist_wxyz, np.nan)
    confidence, turned = (np.where(there[:, None], one, 0.0) for one in (found.confidence, found.wrist_confidence))
    shots = np.searchsorted(np.asarray(cuts_s, dtype=np.float64), times_s, side="right")
    for side in (0, 1):
        if not np.isfinite(angles[:, side]).any():
            continue
        _bridge(times_s, shots, angles[:, side], confidence[:, side])
        _bridge_turns(times_s, shots, wrists[:, side], turned[:, side])
        for sure in (confidence, turned):
            sure[:, side] = _steady(times_s, shots, sure[:, side])
        angles[:, side] = _blurred(times_s, shots, angles[:, side], confidence[:, side])
        wrists[:, side] = averaged_turns(times_s, shots, wrists[:, side], turned[:, side])
    weight, weight_of_turn = (
        np.stack([fade(times_s, shots, sure[:, side]) for side in (0, 1)], axis=1) for sure in (confidence, turned)
    )
    shown = _held(times_s, shots, angles, weight)
    turns = np.stack([hand_rotations(shown[:, side], side) for side in (0, 1)], axis=1)
    turns = np.where(there[:, None, None, None], turns, np.nan)
    return SolvedHands(
        HandMotion(turns.astype(np.float32), np.where(there[:, None], confidence, 0.0).astype(np.float32)),
        wrists,
        np.where(np.isfinite(wrists).all(axis=-1), weight_of_turn, 0.0),
        shown,
        found.pixels,
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


def _bridge(times_s: Array, shots: NDArray[np.intp], angles: Array, confidence: Array) -> None:
    """Fill short gaps between found frames of a shot, in place: a hand that is missed for a moment does not relax."""
    missing = confidence < LEAST_CONFIDENCE
    gaps = _gaps(times_s, shots, missing)
    if gaps:
        filled = np.where(missing[:, None], np.nan, angles)
        angles[:] = np.where(missing[:, None], fill_positions(times_s, np.nan_to_num(filled), gaps), angles)
        angles[missing & ~_raised(confidence, gaps)] = np.nan


def _bridge_turns(times_s: Array, shots: NDArray[np.intp], wrists: Array, confidence: Array) -> None:
    """As `_bridge`, for rotations (T, 4)."""
    gaps = _gaps(times_s, shots, confidence < LEAST_CONFIDENCE)
    turns = np.where(np.isfinite(wrists).all(axis=1, keepdims=True), wrists, [1.0, 0.0, 0.0, 0.0])
    if gaps:
        inside = _raised(confidence, gaps)
        wrists[inside] = fill_rotations(times_s, turns[:, None], gaps)[inside, 0]


def _gaps(times_s: Array, shots: NDArray[np.intp], missing: NDArray[np.bool_]) -> list[Gap]:
    """Gaps that are short enough to be bridged, within a shot."""
    gaps = fillable_gaps(times_s, missing, _BRIDGE_S)
    return [gap for gap in gaps if shots[gap.first - 1] == shots[gap.last + 1]]


def _raised(confidence: Array, gaps: list[Gap]) -> NDArray[np.bool_]:
    """The frames of the gaps (T,), which get a confidence a little below that of their sides, in place."""
    inside = np.zeros(len(confidence), bool)
    for gap in gaps:
        rows = slice(gap.first, gap.last + 1)
        inside[rows] = True
        confidence[rows] = np.maximum(confidence[rows], 0.8 * min(confidence[gap.first - 1], confidence[gap.last + 1]))
    return inside


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


def _held(times_s: Array, shots: NDArray[np.intp], angles: Array, weight: Array) -> Array:
    """Angles (T, 2, 16) shown: found ones where they are, relaxed ones elsewhere, mixed by weight (T, 2)."""
    known = np.isfinite(angles).all(axis=-1, keepdims=True)
    share = np.where(known[..., 0], weight, 0.0)[..., None]
    return np.asarray(RELAXED + share * (np.where(known, angles, RELAXED) - RELAXED))
