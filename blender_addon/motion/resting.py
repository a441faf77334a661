"""A body that rests on more than its feet: seat, back, head, knees, hands and elbows on the floor, none of it below.

May import numpy and its own room only. Works on the canonical body in the world (Z up, floor z = 0), before feet are
planted. A body in the air is not moved.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .body import BodyShape, CanonicalBody
from .body_contacts import CONTACT_PARTS, body_parts
from .contacts import resumed_s
from .limb_ik import Limb, two_bone_ik
from .planting import Motion
from .posing import FOOT_POINTS, PosedBody, find_feet, pose_body
from .rotations import Array, quaternion_conjugate, quaternion_multiply
from .temporal import Gaussian, filter_positions, finite_runs

# the trunk has no joint that could make up for its height
_TRUNK = ("seat", "back", "head")
# contacts further off than this are supports of another height: a chair, a step
_FURTHEST_M = 0.2
_SIGMA_S = 0.1
# a hand this far below the floor is an error of the whole pose, which the arm does not make up for
_DEEPEST_M = 0.5


def rest_body(body: CanonicalBody, shape: BodyShape, motion: Motion, planted: NDArray[np.bool_]) -> Motion:
    """The motion with the parts in contact, `planted` (T, 4 + P), on the floor; frames with NaN stay as they are.

    Columns are `FOOT_POINTS` and `CONTACT_PARTS`. The root moves up and down only, and the arms bring hands to the
    floor, or out of it. Where only feet touch the floor, or the seat is on a chair, the root stays: planting moves it.
    """
    rotations, root = motion.rotations_wxyz.astype(np.float64), motion.root_m.astype(np.float64)
    whole = np.concatenate([rotations.reshape(len(rotations), -1), root], axis=1)
    for run in finite_runs(motion.times_s, whole, resumed_s(motion.times_s)):
        posed = pose_body(body, shape, rotations[run], root[run])
        move = _lift_m(body, posed, motion.times_s[run], planted[run])
        root[run, 2] += move
        moved = PosedBody(posed.positions_m + move[:, None, None] * [0.0, 0.0, 1.0], posed.world_wxyz, shape)
        _lead_arms(body, moved, rotations[run], planted[run], motion.times_s[run])
    return Motion(motion.times_s, rotations, root)


def heights_m(body: CanonicalBody, posed: PosedBody) -> Array:
    """Heights (T, 4 + P) of the lowest surface of foot points and contact parts over z = 0."""
    feet, parts = find_feet(body, posed), body_parts(body, posed)
    return np.concatenate(
        [feet.positions_m[..., 2] - feet.clearance_m, parts.positions_m[..., 2] - parts.radius_m], axis=1
    )


def _lift_m(body: CanonicalBody, posed: PosedBody, times_s: Array, planted: NDArray[np.bool_]) -> Array:
    """How far (T,) the root goes up to put the parts in contact on the floor."""
    height, first = heights_m(body, posed), len(FOOT_POINTS)
    trunk = np.array([first + CONTACT_PARTS.index(name) for name in _TRUNK])
    near = planted & (np.abs(height) < _FURTHEST_M)
    parts = near.copy()
    parts[:, :first] = False
    some = parts.any(axis=1)
    if not some.any():
        return _out_of_floor_m(height[:, trunk], np.zeros(len(times_s)), times_s)
    inside = np.where(near, height, np.nan)
    lift = np.zeros(len(times_s))
    lift[some] = -np.nanmedian(inside[some], axis=1)
    on_trunk = near[:, trunk].any(axis=1)
    lift[on_trunk] = -np.nanmin(inside[on_trunk][:, trunk], axis=1)
    only_feet = near.any(axis=1) & ~some
    known = some | only_feet
    everywhere = np.interp(times_s, times_s[known], lift[known])
    smooth = filter_positions(Gaussian(_SIGMA_S), times_s, everywhere[:, None])[:, 0]
    return _out_of_floor_m(height[:, trunk], smooth, times_s)


def _out_of_floor_m(trunk_m: Array, lift: Array, times_s: Array) -> Array:
    """The lift (T,), more where the trunk's parts (T, 3) would still be below the floor."""
    short = np.maximum(-(trunk_m.min(axis=1) + lift), 0.0)
    if not short.any():
        return lift
    soft = filter_positions(Gaussian(_SIGMA_S), times_s, short[:, None])[:, 0]
    return np.asarray(lift + np.maximum(soft, short))


def _lead_arms(
    body: CanonicalBody, posed: PosedBody, rotations: Array, planted: NDArray[np.bool_], times_s: Array
) -> None:
    """Write, in place, the arm rotations (T, J, 4) that put resting hands on the floor and others above it."""
    height, first = heights_m(body, posed), len(FOOT_POINTS)
    for side in ("left", "right"):
        hand = first + CONTACT_PARTS.index(f"{side}_hand")
        rests = planted[:, hand] & (np.abs(height[:, hand]) < _FURTHEST_M)
        deep = np.clip(-height[:, hand], 0.0, _DEEPEST_M)
        wanted = np.where(rests, -height[:, hand], deep)
        if not wanted.any():
            continue
        smooth = filter_positions(Gaussian(0.5 * _SIGMA_S), times_s, wanted[:, None])[:, 0]
        wanted = np.where(rests, smooth, np.maximum(smooth, deep))
        shoulder, elbow, wrist = (body.joint_index(f"{side}_{name}") for name in ("shoulder", "elbow", "wrist"))
        limb = Limb(posed.positions_m[:, shoulder], posed.positions_m[:, elbow], posed.positions_m[:, wrist])
        led = two_bone_ik(limb, limb.end_m + wanted[:, None] * [0.0, 0.0, 1.0])
        upper = quaternion_multiply(led.upper_turn_wxyz, posed.world_wxyz[:, shoulder])
        lower = quaternion_multiply(led.lower_turn_wxyz, posed.world_wxyz[:, elbow])
        above = posed.world_wxyz[:, int(body.parents[shoulder])]
        rotations[:, shoulder] = quaternion_multiply(quaternion_conjugate(above), upper)
        rotations[:, elbow] = quaternion_multiply(quaternion_conjugate(upper), lower)
        # the hand keeps its direction in the world
        rotations[:, wrist] = quaternion_multiply(quaternion_conjugate(lower), posed.world_wxyz[:, wrist])
