"""How several bones share one joint's rotation, without flips. numpy, `motion` and its own room only.

A chain of k trunk or neck bones bends evenly. Upper limbs carry their swing in every bone and their twist growing
towards the end; lower limbs carry the twist of the hand or foot growing towards it. Every share is a continuous
function of the rotation: close to half a turn, where "half of it" jumps, the share fades into the whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..motion.rotations import (
    quaternion_multiply,
    quaternion_to_rotvec,
    rotvec_to_quaternion,
    swing_twist,
)
from ..motion.temporal import smooth_step

Array = NDArray[np.floating]

# shares are exact up to this turn and fade to the whole rotation at half a turn
_FADE_START_RAD = np.radians(130.0)


@dataclass(frozen=True, slots=True)
class LimbTwist:
    """A limb joint's rotation (T, 4) relative to what carries it, and its rest direction (3,) of length 1."""

    carrier_wxyz: Array
    local_wxyz: Array
    axis: Array


def share(local_wxyz: Array, fraction: float) -> Array:
    """That part (T, 4) of a rotation (T, 4): the same axis, `fraction` of the angle while it is below 130 degrees."""
    rotvec = quaternion_to_rotvec(local_wxyz)
    angle = np.linalg.norm(rotvec, axis=-1, keepdims=True)
    return rotvec_to_quaternion(rotvec * _fraction_at(angle, fraction))


def upper_limb_share(limb: LimbTwist, fraction: float) -> Array:
    """The world rotation (T, 4) of a bone of the upper limb: all of the swing, `fraction` of the twist."""
    swing, twist = swing_twist(limb.local_wxyz, limb.axis)
    # towards a half-turn swing the twist loses its meaning; there the bone simply takes the whole rotation
    swing_angle = 2.0 * np.arccos(np.clip(np.abs(swing[..., :1]), 0.0, 1.0))
    signed = np.where(twist[..., :1] < 0, -twist, twist)
    angle = 2.0 * np.arctan2(np.sum(signed[..., 1:] * limb.axis, axis=-1, keepdims=True), signed[..., :1])
    part = _fraction_at(np.abs(angle), fraction)
    part = part + (1.0 - part) * _fade(swing_angle)
    return quaternion_multiply(
        limb.carrier_wxyz, quaternion_multiply(swing, rotvec_to_quaternion(angle * part * limb.axis))
    )


def end_twist(local_wxyz: Array, axis: Array, fraction: float) -> Array:
    """`fraction` of the twist (T, 4) about `axis` (3,) that the end of a lower limb, hand or foot, adds to it."""
    swing, twist = swing_twist(local_wxyz, axis)
    swing_angle = 2.0 * np.arccos(np.clip(np.abs(swing[..., :1]), 0.0, 1.0))
    signed = np.where(twist[..., :1] < 0, -twist, twist)
    angle = 2.0 * np.arctan2(np.sum(signed[..., 1:] * axis, axis=-1, keepdims=True), signed[..., :1])
    # a bone of the forearm may not follow the hand through half a turn: there its share fades to nothing
    fade = (1.0 - _fade(np.abs(angle))) * (1.0 - _fade(swing_angle))
    return rotvec_to_quaternion(angle * fraction * fade * axis)


def _fraction_at(angle: Array, fraction: float) -> Array:
    """The fraction to take at that angle: rises to 1 at half a turn, so that the shared angle stays continuous."""
    return np.asarray(fraction + (1.0 - fraction) * _fade(angle))


def _fade(angle: Array) -> Array:
    """0 up to the start of the fade, 1 from half a turn on."""
    return smooth_step((angle - _FADE_START_RAD) / (np.pi - _FADE_START_RAD))
