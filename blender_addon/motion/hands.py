"""The canonical hand and the motion of fingers: joints, rest pose, hinges, kinematics.

May import numpy and its own room only. The numbers live in `skeleton_maps/canonical_hand.json`.

A hand is 15 joints (`HAND_JOINTS`): thumb, index, middle, ring, little, each with proximal, intermediate and distal.
The thumb's three are those at its root (carpometacarpal), its knuckle and its last joint; the others' are the knuckle
and the two joints behind it. Side 0 is the left hand, side 1 the right one.

The proximal joints turn in the frame of the canonical body's `left_wrist` or `right_wrist`, each other joint in that
of the joint before it, and every rest rotation is the identity, as on the body: in the T-pose the left fingers point
along +X with the palm down (-Z) and the thumb forward (-Y); the right hand is the mirror image across X. The rest pose
is a flat hand: four straight, parallel fingers, and the thumb straight beside them, at 45 degrees in the palm's plane.
A positive turn about a finger's `flexion_axis` bends it into the palm, on either hand; about its `spread_axis` it goes
towards the thumb's side, and the thumb itself out of the palm's plane, away from the palm.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from .body import SKELETON_MAPS_DIR
from .rotations import quaternion_multiply, quaternion_rotate, rotvec_to_quaternion

Array = NDArray[np.floating]

HAND_SIDES = ("left", "right")
FINGERS = ("thumb", "index", "middle", "ring", "little")
PHALANGES = ("proximal", "intermediate", "distal")
HAND_JOINTS = tuple(f"{finger}_{phalanx}" for finger in FINGERS for phalanx in PHALANGES)
"""Names of the joints of one hand, in the order of `HandMotion.rotations_wxyz`."""


@dataclass(frozen=True, slots=True)
class HandMotion:
    """Both hands over time.

    `rotations_wxyz` (T, 2, 15, 4): local unit quaternions, left hand first, joints as in `HAND_JOINTS`; NaN in frames
    without the person, a relaxed hand where only the hand is not seen. `confidence` (T, 2): 0..1, 0 where not seen.
    """

    rotations_wxyz: Array
    confidence: Array


@dataclass(frozen=True, slots=True)
class CanonicalHand:
    """The left or right hand at the canonical body's height, in its wrist's frame (m).

    `roots_m` (5, 3) is where each finger's first joint is; `lengths_m` (5, 3) from each joint to the next, the last to
    the tip; `directions`, `flexion_axes` and `spread_axes` (5, 3) are unit vectors in the rest pose.
    """

    roots_m: Array
    lengths_m: Array
    directions: Array
    flexion_axes: Array
    spread_axes: Array


@cache
def canonical_hand(side: int) -> CanonicalHand:
    """The hand of `skeleton_maps/canonical_hand.json`; `side` 0 left, 1 right."""
    record = json.loads((SKELETON_MAPS_DIR / "canonical_hand.json").read_text(encoding="utf-8"))
    fingers = record["fingers"]
    if [finger["name"] for finger in fingers] != list(FINGERS):
        raise ValueError(f"canonical_hand.json must hold the fingers {', '.join(FINGERS)} in this order")
    across = np.array([-1.0, 1.0, 1.0]) if side else np.ones(3)
    turning = np.array([1.0, -1.0, -1.0]) if side else np.ones(3)
    return CanonicalHand(
        roots_m=np.array([finger["root_m"] for finger in fingers]) * across,
        lengths_m=np.array([finger["lengths_m"] for finger in fingers]),
        directions=_units([finger["rest_direction"] for finger in fingers]) * across,
        flexion_axes=_units([finger["flexion_axis"] for finger in fingers]) * turning,
        spread_axes=_units([finger["spread_axis"] for finger in fingers]) * turning,
    )


def hand_points_m(rotations_wxyz: Array, side: int) -> Array:
    """The three joints and the tip of each finger (..., 5, 4, 3) in m, in the wrist's frame at the canonical height.

    `rotations_wxyz` (..., 15, 4) are one hand's local rotations.
    """
    hand = canonical_hand(side)
    turns = hand_world_rotations(rotations_wxyz)
    bones = hand.directions[:, None] * hand.lengths_m[..., None]
    moved = quaternion_rotate(turns, bones)
    root = np.broadcast_to(hand.roots_m[:, None], (*moved.shape[:-2], 1, 3))
    return np.asarray(np.concatenate([root, root + np.cumsum(moved, axis=-2)], axis=-2))


def hand_world_rotations(rotations_wxyz: Array) -> Array:
    """Rotations (..., 5, 3, 4) of one hand's joints in the wrist's frame, from local ones (..., 15, 4)."""
    local = np.reshape(rotations_wxyz, (*np.shape(rotations_wxyz)[:-2], len(FINGERS), len(PHALANGES), 4))
    turns = [local[..., 0, :]]
    for joint in range(1, len(PHALANGES)):
        turns.append(quaternion_multiply(turns[-1], local[..., joint, :]))
    return np.stack(turns, axis=-2)


def mirror_rotations(rotations_wxyz: Array) -> Array:
    """Rotations (..., 4) of the mirror image across the body's middle plane."""
    return np.asarray(rotations_wxyz * np.array([1.0, 1.0, -1.0, -1.0]))


def mirror_hands(hands: HandMotion) -> HandMotion:
    """The hands of the mirror image: what the left one did the right one does."""
    return replace(
        hands,
        rotations_wxyz=mirror_rotations(hands.rotations_wxyz[:, ::-1]).astype(hands.rotations_wxyz.dtype),
        confidence=hands.confidence[:, ::-1],
    )


def _units(vectors: list[list[float]]) -> Array:
    values = np.array(vectors, dtype=np.float64)
    return np.asarray(values / np.linalg.norm(values, axis=-1, keepdims=True))


# A hand at rest: every finger bends more than the one before it, the knuckles less than the middle joints.
# Degrees, to the nearest five: about the flexion axis of proximal, intermediate and distal joint, and of the proximal
# about the spread axis
_FLEXION_DEG = {
    "thumb": (10.0, 15.0, 15.0),
    "index": (20.0, 30.0, 15.0),
    "middle": (25.0, 35.0, 20.0),
    "ring": (30.0, 40.0, 20.0),
    "little": (35.0, 40.0, 25.0),
}
_SPREAD_DEG = {"thumb": -10.0, "index": 3.0, "middle": 0.0, "ring": -2.0, "little": -5.0}


def relaxed_hand(side: int) -> Array:
    """Local rotations (15, 4) of a relaxed hand, joints as in `HAND_JOINTS`; `side` 0 left, 1 right."""
    hand = canonical_hand(side)
    turns = []
    for row, finger in enumerate(FINGERS):
        for joint in range(len(PHALANGES)):
            bend = rotvec_to_quaternion(np.radians(_FLEXION_DEG[finger][joint]) * hand.flexion_axes[row])
            if joint == 0:
                spread = rotvec_to_quaternion(np.radians(_SPREAD_DEG[finger]) * hand.spread_axes[row])
                bend = quaternion_multiply(spread, bend)
            turns.append(bend)
    return np.array(turns)


def relaxed_hands(frames: int) -> Array:
    """Local rotations (T, 2, 15, 4) of two relaxed hands that do not move."""
    return np.broadcast_to(np.stack([relaxed_hand(0), relaxed_hand(1)]), (frames, 2, 15, 4))
