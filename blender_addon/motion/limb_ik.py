"""Two-bone inverse kinematics: legs and arms, analytic, for whole arrays of frames at once.

May import numpy and its own room only. Shared by foot planting here and by the retarget.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .rotations import Array, quaternion_from_to, quaternion_multiply, quaternion_rotate

_TINY = 1e-9
# how much the bend hint counts against the limb's own bend: only a limb that is straight to within
# about 2 degrees is led by the hint, so the knee never swings to the hint while it is visibly bent
_HINT_WEIGHT = 0.02


@dataclass(frozen=True, slots=True)
class Limb:
    """A posed limb: positions (..., 3) in m of its root (hip), middle (knee) and end (ankle), in one frame."""

    root_m: Array
    middle_m: Array
    end_m: Array


@dataclass(frozen=True, slots=True)
class LimbSolution:
    """A limb led to its target.

    `upper_turn_wxyz`, `lower_turn_wxyz` (..., 4) turn each bone in the frame of the positions:
    `new_world_rotation = turn * old_world_rotation`. `middle_m`, `end_m` (..., 3) are where the joints come to
    lie; `reached` (...) is False where the target is out of reach and the limb only points at it.
    """

    upper_turn_wxyz: Array
    lower_turn_wxyz: Array
    middle_m: Array
    end_m: Array
    reached: NDArray[np.bool_]


def two_bone_ik(
    limb: Limb, target_m: Array, bend_hint: Array | None = None, soft_fraction: float = 0.0
) -> LimbSolution:
    """Bend a limb in its own plane so that its end comes to `target_m` (..., 3), root and bone lengths kept.

    `bend_hint` (..., 3) is the direction in which the middle joint should point where the limb is straight; without
    it a straight limb bends about an arbitrary axis across it. `soft_fraction` is the last part of the limb's length
    over which the end slows down instead of snapping straight (0: the target is met exactly while in reach).
    Closed form (law of cosines), broadcast over the leading dimensions.
    """
    root, middle, end = (np.asarray(point, dtype=np.float64) for point in (limb.root_m, limb.middle_m, limb.end_m))
    upper, lower = middle - root, end - middle
    upper_length, lower_length = _length(upper), _length(lower)
    to_target = np.asarray(target_m, dtype=np.float64) - root
    wanted = _length(to_target)
    distance = _reachable(wanted, upper_length, lower_length, soft_fraction)

    chain = end - root
    swing = quaternion_from_to(_safe_direction(chain, upper), _safe_direction(to_target, chain))
    direction = _safe_direction(to_target, chain)
    bend = _bend_direction(quaternion_rotate(swing, upper), direction, bend_hint)
    cosine = np.clip(
        (upper_length**2 + distance**2 - lower_length**2) / np.maximum(2 * upper_length * distance, _TINY), -1.0, 1.0
    )
    sine = np.sqrt(1.0 - cosine**2)
    new_middle = root + upper_length * (cosine * direction + sine * bend)
    new_end = root + distance * direction
    upper_turn = quaternion_multiply(quaternion_from_to(quaternion_rotate(swing, upper), new_middle - root), swing)
    lower_turn = quaternion_multiply(quaternion_from_to(quaternion_rotate(swing, lower), new_end - new_middle), swing)
    reached = np.abs(wanted - distance)[..., 0] <= 1e-6 * (upper_length + lower_length)[..., 0]
    return LimbSolution(upper_turn, lower_turn, new_middle, new_end, reached)


def _reachable(wanted: Array, upper_length: Array, lower_length: Array, soft_fraction: float) -> Array:
    """The distance that the limb can span: `wanted` limited to what the two bones allow, softly if asked."""
    longest = upper_length + lower_length
    if soft_fraction > 0.0:
        soft = longest * soft_fraction
        start = longest - soft
        eased = start + soft * (1.0 - np.exp(-np.maximum(wanted - start, 0.0) / np.maximum(soft, _TINY)))
        wanted = np.where(wanted > start, eased, wanted)
    return np.asarray(np.clip(wanted, np.abs(upper_length - lower_length) + _TINY, np.maximum(longest, _TINY)))


def _bend_direction(upper: Array, direction: Array, bend_hint: Array | None) -> Array:
    """Unit direction across `direction` in which the middle joint stands out; the hint decides for a straight limb."""
    length = _length(upper)
    across = _reject(upper, direction) / np.maximum(length, _TINY)
    if bend_hint is None:
        axis = np.eye(3)[np.argmin(np.abs(direction), axis=-1)]
        hint = _reject(axis, direction)
        most = _TINY
    else:
        most = _HINT_WEIGHT
        hint = _reject(np.broadcast_to(np.asarray(bend_hint, dtype=np.float64), direction.shape), direction)
    hint = hint / np.maximum(_length(hint), _TINY)
    # fades out as the limb's own bend grows past the hint's weight, so a bent limb keeps its plane exactly
    own = _length(across)
    weight = most * np.clip(1.0 - own / (2.0 * most), 0.0, 1.0)
    bend = _reject(across + weight * hint, direction)
    return np.asarray(bend / np.maximum(_length(bend), _TINY))


def _safe_direction(vector: Array, fallback: Array) -> Array:
    """`vector` scaled to length 1, or `fallback` where `vector` has no length."""
    length = _length(vector)
    other = fallback / np.maximum(_length(fallback), _TINY)
    return np.where(length > _TINY, vector / np.maximum(length, _TINY), other)


def _reject(vector: Array, direction: Array) -> Array:
    return np.asarray(vector - np.sum(vector * direction, axis=-1, keepdims=True) * direction)


def _length(vector: Array) -> Array:
    return np.asarray(np.linalg.norm(vector, axis=-1, keepdims=True))
