"""From 21 points of an image to the pose of a hand: what the small lifting network takes and gives. numpy.

The network (`hand_pose`, trained by `tools.train_hand_pose` on projections of the canonical hand) knows left hands;
right ones go in as their mirror images. Points are turned so that the middle knuckle stands above the wrist.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.hands.model import ANGLES, HIGH, LOW, hand_points, seen_shape
from backend.networks import Network
from backend.types import Array

INPUT_POINTS = 23
"""21 landmarks, the forearm's direction across the image, and its depth beside 1 where it is known."""
OUTPUTS = 6 + ANGLES
_ACROSS = np.array([-1.0, 1.0, 1.0])


@dataclass(frozen=True, slots=True)
class LiftedHands:
    """turns (N, 3, 3) from the wrist's frame to the camera's axes, angles (N, 16) in rad, residual (N,) the root mean
    square distance between the landmarks and those of the pose, in palms.
    """

    turns: Array
    angles: Array
    residual: Array


def normalised_input(landmarks: Array, forearm: Array, side: int) -> tuple[Array, Array]:
    """The network's input (N, 23, 2) of landmarks (N, 21, 2) and forearm directions (N, 3), elbow to wrist in the
    camera (NaN where not known), and the turns (N, 2, 2) that were taken out.
    """
    flip = _ACROSS if side else np.ones(3)
    points, arm = landmarks * flip[:2], np.nan_to_num(forearm * flip)
    along = (points[:, 5] + points[:, 13]) / 4.0 + points[:, 9] / 2.0 - points[:, 0]
    up = along / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    # rows: the new x and y axes; y goes down, so the knuckles lie at negative y
    turn = np.stack([np.stack([-up[:, 1], up[:, 0]], axis=1), -up], axis=1)
    centred = points - points.mean(axis=1, keepdims=True)
    scale = np.sqrt((centred**2).sum((1, 2)) / points.shape[1])
    placed = np.einsum("nij,npj->npi", turn, centred) / np.maximum(scale, 1e-9)[:, None, None]
    across = np.einsum("nij,nj->ni", turn, arm[:, :2])
    known = np.isfinite(forearm).all(axis=1).astype(np.float64)
    extra = np.stack([across, np.stack([arm[:, 2], known], axis=1)], axis=1)
    return np.concatenate([placed, extra], axis=1).astype(np.float32), turn


def lift_hands(landmarks: Array, forearm: Array, side: int, network: Network) -> LiftedHands:
    """Poses of N hands of one side, see `normalised_input`."""
    given, turn = normalised_input(landmarks, forearm, side)
    values = network.run(given)["pose"].astype(np.float64)
    turns = rotation_from_six(values[:, :6])
    back = np.tile(np.eye(3), (len(turn), 1, 1))
    back[:, :2, :2] = np.swapaxes(turn, 1, 2)
    turns = back @ turns
    if side:
        # the mirror image of the left hand's rotation
        turns = turns * _ACROSS[:, None] * _ACROSS
    angles = np.clip(values[:, 6:], LOW, HIGH)
    return LiftedHands(turns, angles, _residual(landmarks, turns, angles, side))


def _residual(landmarks: Array, turns: Array, angles: Array, side: int) -> Array:
    """The pose laid over the landmarks in the best size and place."""
    model = np.einsum("nij,npj->npi", turns, hand_points(angles, seen_shape(), side))[..., :2]
    model = model - model.mean(axis=1, keepdims=True)
    seen = landmarks - landmarks.mean(axis=1, keepdims=True)
    scale = (model * seen).sum((1, 2)) / np.maximum((model**2).sum((1, 2)), 1e-12)
    miss = seen / np.maximum(scale, 1e-9)[:, None, None] - model
    return np.asarray(np.sqrt((miss**2).sum(axis=-1).mean(axis=1)))


def rotation_from_six(values: Array) -> Array:
    """Rotation matrices (..., 3, 3) whose first two columns lie nearest to six numbers (..., 6)."""
    a, b = values[..., :3], values[..., 3:]
    x = a / np.maximum(np.linalg.norm(a, axis=-1, keepdims=True), 1e-9)
    b = b - (b * x).sum(-1, keepdims=True) * x
    y = b / np.maximum(np.linalg.norm(b, axis=-1, keepdims=True), 1e-9)
    return np.stack([x, y, np.cross(x, y)], axis=-1)
