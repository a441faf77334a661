"""What one video says of both hands of a person, frame by frame: fingers, wrists, and how much either is worth. numpy.

May import `backend.camera`, `backend.types`, its own room and `blender_addon.motion`. T frames, both hands, left first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.camera.lens import normalised_points
from backend.hands.crops import MIDDLE_KNUCKLE, WRIST
from backend.hands.follow import HandTrack
from backend.hands.lift import LiftedHands, lift_hands
from backend.hands.model import ANGLES, SEEN_PALM
from backend.hands.timing import between
from backend.networks import Network
from backend.types import Array, Intrinsics, PoseTrack
from blender_addon.motion.body import canonical_body, forward_kinematics
from blender_addon.motion.hands import HAND_SIDES
from blender_addon.motion.rotations import matrix_to_quaternion, quaternion_from_to, quaternion_to_matrix

_WORST_RESIDUAL = 0.14  # palms, root mean square
_WHOLE_PX, _NO_PX = 36.0, 8.0  # palm lengths at which a hand is worth its full trust, and none


@dataclass(frozen=True, slots=True)
class HandEvidence:
    """angles (T, 2, 16) of the hinges in rad and wrist_wxyz (T, 2, 4) in the camera of the body's poses, NaN where
    nothing is known; confidence (T, 2) of the fingers and wrist_confidence (T, 2), 0..1; pixels (T, 2) a palm's length
    in the frame.
    """

    angles: Array
    wrist_wxyz: Array
    confidence: Array
    wrist_confidence: Array
    pixels: Array


def no_hands(frames: int) -> HandEvidence:
    """Evidence of nothing."""
    return HandEvidence(
        np.full((frames, 2, ANGLES), np.nan),
        np.full((frames, 2, 4), np.nan),
        np.zeros((frames, 2)),
        np.zeros((frames, 2)),
        np.full((frames, 2), np.nan),
    )


def seen_hands(
    track: HandTrack, arms: Array, intrinsics: Intrinsics, network: Network, from_body: Array | None = None
) -> HandEvidence:
    """The hands of a track by the lifting network `hand_pose`.

    arms (T, 2, 3): directions from elbow to wrist in this camera, NaN where not known. `from_body` (3, 3) is the
    rotation from the camera of the body's poses to this one; None: they are the same.
    """
    found = no_hands(len(track.presence))
    to_body = np.eye(3) if from_body is None else from_body.T
    for side in (0, 1):
        rows = np.flatnonzero((track.presence[:, side] > 0) & np.isfinite(track.landmarks_px[:, side]).all(axis=(1, 2)))
        if not len(rows):
            continue
        fit, rays = _fitted(track, rows, side, arms, intrinsics, network)
        found.wrist_wxyz[rows, side] = matrix_to_quaternion(to_body @ rays @ fit.turns)
        found.angles[rows, side] = fit.angles
        landmarks = track.landmarks_px[rows, side]
        spread = np.sqrt(((landmarks - landmarks.mean(axis=1, keepdims=True)) ** 2).sum((1, 2)) / landmarks.shape[1])
        palm = np.linalg.norm(landmarks[:, MIDDLE_KNUCKLE] - landmarks[:, WRIST], axis=1) / SEEN_PALM
        found.pixels[rows, side] = np.maximum(palm, 1.2 * spread)
        found.confidence[rows, side] = (
            track.presence[rows, side]
            * np.clip(1.0 - (fit.residual / _WORST_RESIDUAL) ** 2, 0.0, 1.0)
            * np.clip((found.pixels[rows, side] - _NO_PX) / (_WHOLE_PX - _NO_PX), 0.05, 1.0)
        )
        found.wrist_confidence[rows, side] = found.confidence[rows, side]
    return found


def hands_at(track: HandTrack, times_s: Array, at_s: Array) -> HandTrack:
    """The track, whose frames are at `times_s` (N,), at other times (T,): nothing where no frames lie close by."""
    frames = len(at_s)
    landmarks, presence = np.full((frames, *track.landmarks_px.shape[1:]), np.nan), np.zeros((frames, 2))
    for side in (0, 1):
        near = between(times_s, track.presence[:, side] > 0, at_s)
        landmarks[:, side] = near.values(track.landmarks_px[:, side])
        presence[:, side] = near.values(track.presence[:, side], 0.0)
    scale = between(times_s, np.isfinite(track.scale), at_s).values(track.scale)
    return HandTrack(landmarks, presence, scale, track.searches)


def forearms(poses: PoseTrack) -> Array:
    """Directions (T, 2, 3) from elbow to wrist in the camera; NaN where the body is not solved."""
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
