"""A body that rests on more than its feet: seat, back, head, knees, hands and elbows on the floor, none of it below.

May import numpy and its own room only. Works on the canonical body in the world (Z up, floor z = 0): `rest_body` before
feet are planted, `lift_feet` after that. A body in the air is not moved.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .body import BodyShape, CanonicalBody
from .body_contacts import CONTACT_PARTS, body_parts
from .contacts import resumed_s
from .limb_ik import Limb, LimbSolution, two_bone_ik
from .planting import Motion
from .posing import FOOT_POINTS, PosedBody, find_feet, pose_body
from .rotations import (
    Array,
    quaternion_conjugate,
    quaternion_from_to,
    quaternion_multiply,
    quaternion_rotate,
    quaternion_slerp,
)
from .temporal import Gaussian, fade_out, filter_positions, finite_runs

# the trunk has no joint that could make up for its height; where it does not rest, knees hold the body
_TRUNK, _KNEES = ("seat", "back", "head"), ("left_knee", "right_knee")
# contacts further off than this are supports of another height: a chair, a step
_FURTHEST_M = 0.2
_SIGMA_S = 0.1
# a hand this far below the floor is an error of the whole pose, which the arm does not make up for
_DEEPEST_M = 0.5
_SHALLOW_M = 0.01
# how long a limb takes from its own pose to the one beside the floor, and back
_BLEND_S = 0.15
# legs that are not seen hang below a trunk whose direction is this far upright, unless the pelvis is this low, for the
# canonical height
_UPRIGHT, _LOW_M = 0.6, 0.45
# how high an ankle is over the floor on which the shin lies, and how steeply a shin is raised that does not lie
_ANKLE_M, _RAISED_SHIN = 0.075, 0.35


def rest_body(body: CanonicalBody, shape: BodyShape, motion: Motion, planted: NDArray[np.bool_]) -> Motion:
    """The motion with the parts in contact, `planted` (T, 4 + P), on the floor; frames with NaN stay as they are.

    Columns are `FOOT_POINTS` and `CONTACT_PARTS`. The root moves up and down only, and the arms bring hands to the
    floor, or out of it. Shins lie behind knees that rest, where the feet do not stand. Where only feet touch the floor,
    or the seat is on a chair, the root stays: planting moves it.
    """
    rotations, root = motion.rotations_wxyz.astype(np.float64), motion.root_m.astype(np.float64)
    for run in _runs(motion):
        posed = pose_body(body, shape, rotations[run], root[run])
        move = _lift_m(body, posed, motion.times_s[run], planted[run])
        root[run, 2] += move
        moved = PosedBody(posed.positions_m + move[:, None, None] * [0.0, 0.0, 1.0], posed.world_wxyz, shape)
        _lead_arms(body, moved, rotations[run], planted[run], motion.times_s[run])
        _lay_shins(body, moved, rotations[run], planted[run], motion.times_s[run])
    return Motion(motion.times_s, rotations, root)


def lift_feet(
    body: CanonicalBody,
    shape: BodyShape,
    motion: Motion,
    planted: NDArray[np.bool_],
    hidden: NDArray[np.bool_] | None = None,
) -> Motion:
    """The motion with feet and knees out of the floor while no foot alone stands; frames with NaN stay as they are.

    Call it after the feet are planted, which moves the whole body: legs do not make up for that. Columns of `planted`
    (T, 4 + P) are those of `rest_body`. Feet that are `hidden` (T, 4) stay where they are put, unless the trunk lies.
    """
    rotations = motion.rotations_wxyz.astype(np.float64)
    for run in _runs(motion):
        posed = pose_body(body, shape, rotations[run], motion.root_m[run])
        known = bool(planted[run, len(FOOT_POINTS) :].any())
        unseen = None if hidden is None else hidden[run] & _may_hang(body, posed, known)[:, None]
        led = planted[run] if unseen is None else _with_feet(planted[run], unseen)
        _lift_feet(body, posed, rotations[run], led, motion.times_s[run])
    return Motion(motion.times_s, rotations, motion.root_m)


def _runs(motion: Motion) -> list[slice]:
    """Runs of frames that follow each other and are all known."""
    whole = np.concatenate([motion.rotations_wxyz.reshape(len(motion.times_s), -1), motion.root_m], axis=1)
    return finite_runs(motion.times_s, whole, resumed_s(motion.times_s))


def heights_m(body: CanonicalBody, posed: PosedBody) -> Array:
    """Heights (T, 4 + P) of the lowest surface of foot points and contact parts over z = 0."""
    feet, parts = find_feet(body, posed), body_parts(body, posed)
    return np.concatenate(
        [feet.positions_m[..., 2] - feet.clearance_m, parts.positions_m[..., 2] - parts.radius_m], axis=1
    )


def _lift_m(body: CanonicalBody, posed: PosedBody, times_s: Array, planted: NDArray[np.bool_]) -> Array:
    """How far (T,) the root goes up to put the parts in contact on the floor."""
    height, first = heights_m(body, posed), len(FOOT_POINTS)
    trunk, knees = ([first + CONTACT_PARTS.index(name) for name in names] for names in (_TRUNK, _KNEES))
    near = planted & (height < _FURTHEST_M) & (height > -_DEEPEST_M)
    parts = near.copy()
    parts[:, :first] = False
    some = parts.any(axis=1)
    if not some.any():
        return _out_of_floor_m(height[:, trunk], np.zeros(len(times_s)), times_s)
    inside = np.where(near, height, np.nan)
    lift = np.zeros(len(times_s))
    lift[some] = -np.nanmedian(inside[some], axis=1)
    # arms make up for the height of their hands: the legs say how high a body on its hands is, if they are as low
    legs_m = height[:, [*range(first), *knees]].min(axis=1)
    low = some & (np.abs(legs_m + lift) < _FURTHEST_M)
    lift[low] = -legs_m[low]
    for holds in (knees, trunk):
        held = near[:, holds].any(axis=1)
        lift[held] = -np.nanmin(inside[held][:, holds], axis=1)
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
    """Write, in place, arm rotations (T, J, 4) that put resting hands on the floor, and hands and elbows above it."""
    height, first = heights_m(body, posed), len(FOOT_POINTS)
    for side in ("left", "right"):
        hand, joint = (first + CONTACT_PARTS.index(f"{side}_{name}") for name in ("hand", "elbow"))
        rests = planted[:, hand] & (np.abs(height[:, hand]) < _FURTHEST_M)
        deep = np.clip(-height[:, hand], 0.0, _DEEPEST_M)
        wanted = np.where(rests, -height[:, hand], deep)
        if not wanted.any() and height[:, joint].min() >= 0.0:
            continue
        smooth = filter_positions(Gaussian(0.5 * _SIGMA_S), times_s, wanted[:, None])[:, 0]
        wanted = np.where(rests, smooth, np.maximum(smooth, deep))
        shoulder, elbow, wrist = (body.joint_index(f"{side}_{name}") for name in ("shoulder", "elbow", "wrist"))
        limb = Limb(posed.positions_m[:, shoulder], posed.positions_m[:, elbow], posed.positions_m[:, wrist])
        led = two_bone_ik(limb, limb.end_m + wanted[:, None] * [0.0, 0.0, 1.0])
        radius_m = posed.positions_m[:, elbow, 2] - height[:, joint]
        raised, lowered = _out_of_floor_turns(limb.root_m, led, radius_m, np.ones(len(times_s)))
        upper = quaternion_multiply(quaternion_multiply(raised, led.upper_turn_wxyz), posed.world_wxyz[:, shoulder])
        lower = quaternion_multiply(quaternion_multiply(lowered, led.lower_turn_wxyz), posed.world_wxyz[:, elbow])
        above = posed.world_wxyz[:, int(body.parents[shoulder])]
        rotations[:, shoulder] = quaternion_multiply(quaternion_conjugate(above), upper)
        rotations[:, elbow] = quaternion_multiply(quaternion_conjugate(upper), lower)
        # the hand keeps its direction in the world
        rotations[:, wrist] = quaternion_multiply(quaternion_conjugate(lower), posed.world_wxyz[:, wrist])


def _may_hang(body: CanonicalBody, posed: PosedBody, known: bool) -> NDArray[np.bool_]:
    """In which frames (T,) legs may hang straight down; `known`: whether the floor is, by what rests on it."""
    trunk = posed.positions_m[:, body.joint_index("neck")] - posed.positions_m[:, 0]
    upright = trunk[:, 2] > _UPRIGHT * np.linalg.norm(trunk, axis=1)
    low_m = _LOW_M * posed.shape.height_m / body.height_m
    return np.asarray(upright & ((posed.positions_m[:, 0, 2] > low_m) | (not known)))


def _with_feet(planted: NDArray[np.bool_], feet: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """`planted` (T, 4 + P) with more foot points (T, 4) that nothing leads here."""
    return np.concatenate([planted[:, : feet.shape[1]] | feet, planted[:, feet.shape[1] :]], axis=1)


def _out_of_floor_turns(root_m: Array, led: LimbSolution, least_m: Array, share: Array) -> tuple[Array, Array]:
    """How both bones (T, 4) of a led limb turn on, so that its middle joint is at least `least_m` (T,) high, as far as
    `share` (T,) says, and its end stays where it is as far as the bone's length allows.
    """
    upper, lower = led.middle_m - root_m, led.end_m - led.middle_m
    short_m = share * np.maximum(least_m - led.middle_m[:, 2], 0.0)
    raised = _at_height(upper, led.middle_m[:, 2] + short_m - root_m[:, 2], upper)
    return quaternion_from_to(upper, raised), quaternion_from_to(lower, led.end_m - (root_m + raised))


def _lift_feet(
    body: CanonicalBody, posed: PosedBody, rotations: Array, planted: NDArray[np.bool_], times_s: Array
) -> None:
    """Write, in place, leg rotations (T, J, 4) that bring feet and knees out of the floor while no foot alone stands.

    Planting leads feet that stand, and the others of a body that stands on nothing but feet.
    """
    height, first = heights_m(body, posed), len(FOOT_POINTS)
    free = planted[:, first:].any(axis=1) | ~planted[:, :first].any(axis=1)
    for place, side in enumerate(("left", "right")):
        points = slice(2 * place, 2 * place + 2)
        led_here = free & ~planted[:, points].any(axis=1)
        share = _eased(times_s, led_here)
        deep = np.clip(-height[:, points].min(axis=1), 0.0, _DEEPEST_M) * share
        knee_m = height[:, first + CONTACT_PARTS.index(f"{side}_knee")]
        if max((deep * led_here).max(), -(knee_m * led_here).min()) < _SHALLOW_M:
            continue
        wanted = np.maximum(deep, filter_positions(Gaussian(0.5 * _SIGMA_S), times_s, deep[:, None])[:, 0])
        leg = [body.joint_index(f"{side}_{name}") for name in ("hip", "knee", "ankle")]
        limb = Limb(*(posed.positions_m[:, joint] for joint in leg))
        led = two_bone_ik(limb, limb.end_m + wanted[:, None] * [0.0, 0.0, 1.0])
        world = posed.world_wxyz
        raised, lowered = _out_of_floor_turns(limb.root_m, led, limb.middle_m[:, 2] - knee_m, share)
        upper = quaternion_multiply(quaternion_multiply(raised, led.upper_turn_wxyz), world[:, leg[0]])
        lower = quaternion_multiply(quaternion_multiply(lowered, led.lower_turn_wxyz), world[:, leg[1]])
        rotations[:, leg[0]] = quaternion_multiply(quaternion_conjugate(world[:, int(body.parents[leg[0]])]), upper)
        rotations[:, leg[1]] = quaternion_multiply(quaternion_conjugate(upper), lower)
        rotations[:, leg[2]] = quaternion_multiply(quaternion_conjugate(lower), world[:, leg[2]])


def _eased(times_s: Array, where: NDArray[np.bool_]) -> Array:
    """1 in the frames (T,) of `where`, falling smoothly to 0 before and after them."""
    frames = np.flatnonzero(where)
    if not len(frames):
        return np.zeros(len(times_s))
    place = np.searchsorted(times_s[frames], times_s)
    before, after = frames[np.maximum(place - 1, 0)], frames[np.minimum(place, len(frames) - 1)]
    away_s = np.minimum(np.abs(times_s - times_s[before]), np.abs(times_s[after] - times_s))
    return fade_out(away_s / _BLEND_S)


def _lay_shins(
    body: CanonicalBody, posed: PosedBody, rotations: Array, planted: NDArray[np.bool_], times_s: Array
) -> None:
    """Write, in place, knee and ankle rotations (T, J, 4) with which shins lie on the floor behind resting knees."""
    feet, size = find_feet(body, posed), posed.shape.height_m / body.height_m
    for place, side in enumerate(("left", "right")):
        points = slice(2 * place, 2 * place + 2)
        rests = planted[:, len(FOOT_POINTS) + CONTACT_PARTS.index(f"{side}_knee")] & ~planted[:, points].any(axis=1)
        hip, knee, ankle = (body.joint_index(f"{side}_{name}") for name in ("hip", "knee", "ankle"))
        shin = posed.positions_m[:, ankle] - posed.positions_m[:, knee]
        # a shin that stands up behind the knee belongs to somebody who lies or crawls
        rests &= shin[:, 2] < _RAISED_SHIN * np.linalg.norm(shin, axis=1)
        if not rests.any():
            continue
        share = _eased(times_s, rests)
        laid = _at_height(shin, _ANKLE_M * size - posed.positions_m[:, knee, 2], shin)
        still = np.tile([1.0, 0.0, 0.0, 0.0], (len(shin), 1))
        turn = quaternion_slerp(still, quaternion_from_to(shin, laid), share)
        sole = quaternion_rotate(turn, feet.positions_m[:, 2 * place + 1] - posed.positions_m[:, ankle])
        flat = _at_height(sole, np.full(len(sole), feet.clearance_m[2 * place + 1] - _ANKLE_M * size), laid)
        point = quaternion_slerp(still, quaternion_from_to(sole, flat), share)
        lower = quaternion_multiply(turn, posed.world_wxyz[:, knee])
        foot = quaternion_multiply(quaternion_multiply(point, turn), posed.world_wxyz[:, ankle])
        rotations[:, knee] = quaternion_multiply(quaternion_conjugate(posed.world_wxyz[:, hip]), lower)
        rotations[:, ankle] = quaternion_multiply(quaternion_conjugate(lower), foot)


def _at_height(bone: Array, height_m: Array, heading: Array) -> Array:
    """The bone (T, 3) at its length, with its end `height_m` (T,) above its start.

    Its horizontal direction is that of `heading` (T, 3).
    """
    length = np.linalg.norm(bone, axis=1)
    up = np.clip(height_m, -length, length)
    flat = heading[:, :2] / np.maximum(np.linalg.norm(heading[:, :2], axis=1, keepdims=True), 1e-9)
    along = np.sqrt(np.maximum(length**2 - up**2, 0.0))
    return np.concatenate([flat * along[:, None], up[:, None]], axis=1)
