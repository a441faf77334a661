"""The hand that is fitted: 16 hinge angles over the canonical hand's axes, in the person's proportions. numpy.

Angles (A = 16): for index, middle, ring and little finger spread, knuckle and middle joint; for the thumb flexion and
spread of its root, knuckle and last joint. A finger's last joint bends with its middle joint, as tendons have it.
Units: rad, and lengths in palms (wrist to middle knuckle).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.types import Array
from blender_addon.motion.hands import canonical_hand
from blender_addon.motion.rotations import quaternion_multiply, rotvec_to_quaternion

ANGLES = 16
THUMB_ROOT, THUMB_SPREAD, THUMB_KNUCKLE, THUMB_LAST = 12, 13, 14, 15
LAST_JOINT = 0.7
"""How much of the middle joint's bend the last joint of a finger takes."""

_DEG = np.pi / 180.0
LOW = np.array([-20.0, -17.0, -10.0] * 4 + [-25.0, -15.0, -15.0, -20.0]) * _DEG
HIGH = np.array([20.0, 100.0, 110.0] * 4 + [50.0, 60.0, 65.0, 85.0]) * _DEG
RELAXED = np.array([3.0, 16.0, 28.0, 0.0, 22.0, 32.0, -3.0, 26.0, 34.0, -6.0, 28.0, 34.0, 8.0, 20.0, 12.0, 15.0]) * _DEG
"""A hand at rest: the fingers bend a little, more towards the little finger."""


@dataclass(frozen=True, slots=True)
class HandShape:
    """Where fingers begin, roots (5, 3), lengths (5, 3) of their bones, wrist (3,), in palms of the left hand."""

    roots: Array
    lengths: Array
    wrist: Array


# Where the network sees joints, beside those of the canonical hand, in palms: found on renders of the CC0 body, whose
# knuckles lie far out. The proportions are those of an anatomical hand: 0.81 palms from wrist to knuckles.
_SEEN_WRIST = (0.091, 0.02, -0.038)
_SEEN_ROOTS = (
    (-0.063, -0.032, -0.092),
    (-0.091, 0.03, -0.05),
    (-0.101, 0.0, -0.07),
    (-0.105, -0.01, -0.08),
    (-0.088, -0.03, -0.066),
)
_SEEN_LENGTHS = ((0.05, -0.04, 0.0), (0.09, 0.0, 0.0), (0.08, 0.0, 0.0), (0.07, 0.0, 0.0), (0.06, 0.03, 0.0))
SEEN_PALM = 0.81


def seen_shape() -> HandShape:
    """The canonical hand with its joints where the landmark network sees them."""
    hand = canonical_shape()
    return HandShape(hand.roots + _SEEN_ROOTS, hand.lengths + _SEEN_LENGTHS, np.array(_SEEN_WRIST))


def canonical_shape() -> HandShape:
    """The canonical hand's proportions."""
    hand = canonical_hand(0)
    palm = float(np.linalg.norm(hand.roots_m[2]))
    return HandShape(hand.roots_m / palm, hand.lengths_m / palm, np.zeros(3))


def bends(angles: Array) -> tuple[Array, Array]:
    """Spread (..., 5) and flexion of each joint (..., 5, 3) from angles (..., 16); the thumb first."""
    fingers = angles[..., :12].reshape(*angles.shape[:-1], 4, 3)
    spread = np.concatenate([angles[..., THUMB_SPREAD, None], fingers[..., 0]], axis=-1)
    flexion = np.stack([fingers[..., 1], fingers[..., 2], LAST_JOINT * fingers[..., 2]], axis=-1)
    thumb = angles[..., None, [THUMB_ROOT, THUMB_KNUCKLE, THUMB_LAST]]
    return spread, np.concatenate([thumb, flexion], axis=-2)


def hand_points(angles: Array, shape: HandShape, side: int) -> Array:
    """The 21 landmarks (..., 21, 3) in palms, in the wrist's frame."""
    hand = canonical_hand(side)
    across = np.array([-1.0, 1.0, 1.0]) if side else np.ones(3)
    spread, flexion = bends(angles)
    # all hinges of a finger turn in one plane, so their angles add up
    inward = np.cross(hand.flexion_axes, hand.directions)
    total = np.cumsum(flexion, axis=-1)[..., None]
    flat = np.cos(spread)[..., None] * hand.directions + np.sin(spread)[..., None] * np.cross(
        hand.spread_axes, hand.directions
    )
    bones = np.cos(total) * flat[..., None, :] + np.sin(total) * inward[:, None]
    steps = np.cumsum(bones * shape.lengths[..., None], axis=-2)
    root = np.broadcast_to((shape.roots * across)[..., None, :], (*steps.shape[:-2], 1, 3))
    fingers = np.concatenate([root, root + steps], axis=-2)
    flattened = fingers.reshape(*fingers.shape[:-3], 20, 3)
    wrist = np.broadcast_to(shape.wrist * across, (*flattened.shape[:-2], 1, 3))
    return np.concatenate([wrist, flattened], axis=-2)


def hand_rotations(angles: Array, side: int) -> Array:
    """Local rotations (..., 15, 4) on the canonical hand."""
    hand = canonical_hand(side)
    spread, flexion = bends(angles)
    bent = rotvec_to_quaternion(flexion[..., None] * hand.flexion_axes[:, None])
    aside = rotvec_to_quaternion(spread[..., None] * hand.spread_axes)
    first = quaternion_multiply(aside, bent[..., 0, :])
    turns = np.concatenate([first[..., None, :], bent[..., 1:, :]], axis=-2)
    return turns.reshape(*turns.shape[:-3], 15, 4)
