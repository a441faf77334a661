"""Feet planted again on the target's own proportions, and hands led to props. numpy, `motion` and its own room only.

The source's feet stand, but legs of other lengths carry them elsewhere. During each step (a run of frames in which
heel or ball stands) heel and ball get one place each on the target; the sole lies level along them while both stand,
the ankle follows whichever point stands, and the legs reach it by two-bone IK. Corrections come and go smoothly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..motion.contacts import true_runs
from ..motion.flat_soles import (
    SUNK_M,
    about_up,
    heading_turn_rad,
    keep_above,
    level_roll,
    level_turn,
    release_tilted,
    standing_height_m,
)
from ..motion.rotations import (
    quaternion_multiply,
    quaternion_rotate,
    quaternion_to_rotvec,
    rotvec_to_quaternion,
)
from ..motion.temporal import Gaussian, fade_out, filter_positions, median_interval_s
from .body_in_world import BodyInWorld
from .rest_alignment import SIDES
from .source_motion import SourceMotion

Array = NDArray[np.floating]

# a foot that stands within this share of the leg's length above the floor is laid on the floor (a stair is higher)
_SNAP_OF_LEG = 0.12
_LARGEST_TURN_RAD = np.radians(35.0)
_LARGEST_TOE_TURN_RAD = np.radians(60.0)
# planted legs are not stretched beyond this part of their length; the pelvis comes down instead
_REACH = 0.998
# half the width of a sole at the ball, in lengths from heel to ball
_HALF_WIDTH_OF_FOOT = 0.32
_PELVIS_SIGMA_S = 0.12
# toes below a ball that is higher than this over the floor are not looked at
_TOES_NEAR_M = 0.5


@dataclass(frozen=True, slots=True)
class PlantOptions:
    """`blend_s` over which corrections come and go, `floor_m` the world height of the floor."""

    blend_s: float
    floor_m: float


@dataclass(frozen=True, slots=True)
class _Step:
    """One foot over time: sole turn (T, 3) as rotation vectors, ankle shift (T, 3) in m, and when it stands (T,)."""

    side: str
    turn_rotvec: Array
    shift_m: Array
    stands: NDArray[np.bool_]


def replant_feet(body: BodyInWorld, source: SourceMotion, options: PlantOptions) -> dict[str, float]:
    """Hold planted feet still, in place; returns figures: frames planted and frames out of the leg's reach."""
    sides = [s for s in SIDES if s in body.target.feet and body.limb(f"{s}_hip", f"{s}_knee", f"{s}_ankle")]
    sunk = _sunk_m(source, options.floor_m)
    source = source.moved(np.array([1.0, 0.0, 0.0, 0.0]), np.zeros(3), 1.0, np.array([0.0, 0.0, sunk]))
    body.shift_m = body.shift_m + np.array([0.0, 0.0, sunk])
    steps = [_hold_foot(body, source, side, options) for side in sides]
    lift = _slow_lift(source.times_s, steps)
    body.shift_m = body.shift_m + lift[:, None] * np.array([0.0, 0.0, 1.0])
    targets = [_ankle_target(body, source, step, lift, options) for step in steps]
    body.shift_m = body.shift_m - _pelvis_drop(body, source, steps, targets)[:, None] * np.array([0.0, 0.0, 1.0])
    missed = 0
    for step, target in zip(steps, targets, strict=True):
        missed += _lead_leg(body, step, target)
        _lay_toes(body, source, step, options)
    planted = sum(int(step.stands.sum()) for step in steps)
    figures = {"planted foot frames": float(planted), "planted foot frames out of reach": float(missed)}
    return figures | ({"raised onto the floor by m": sunk} if sunk else {})


def _sunk_m(source: SourceMotion, floor_m: float) -> float:
    """How far below the floor a clip stands as a whole; 0 where any step reaches the floor."""
    if not source.planted.any():
        return 0.0
    height = (source.feet_m[..., 2] - source.clearance_m - floor_m)[source.planted]
    return float(-np.median(height)) if height.max() < -SUNK_M else 0.0


def lead_hands(body: BodyInWorld, source: SourceMotion, targets_m: dict[str, Array], blend_s: float) -> list[str]:
    """Lead hands, in place, to world positions (T, 3) by joint name; NaN frames are free. Returns warnings."""
    warnings = []
    for joint, target in targets_m.items():
        side = joint.removesuffix("_wrist")
        limb = body.limb(f"{side}_shoulder", f"{side}_elbow", joint) if side in SIDES else None
        if limb is None or np.shape(target) != (source.frames, 3):
            warnings.append(f"the hand target {joint!r} was not used: it needs a mapped arm and one position a frame")
            continue
        held = np.isfinite(target).all(axis=1)
        wrist = body.joint_m(joint)
        pull = hold_and_fade(source.times_s, np.where(held[:, None], target - wrist, 0.0), held, blend_s)
        backward = quaternion_rotate(body.posed().delta(body.bones(f"{side}_shoulder")[0]), body.target.frame[:, 1])
        body.lead_limb(limb, wrist + pull, backward)
    return warnings


def hold_and_fade(times_s: Array, values: Array, mask: NDArray[np.bool_], blend_s: float) -> Array:
    """Values (T, C) inside `mask`; outside, the nearest ones on either side, fading to zero within `blend_s`."""
    if not mask.any():
        return np.zeros_like(values)
    frames = np.arange(len(mask))
    known = np.flatnonzero(mask)
    place = np.searchsorted(known, frames, side="right")
    before, after = known[np.maximum(place - 1, 0)], known[np.minimum(place, len(known) - 1)]
    has_before, has_after = place > 0, place < len(known)
    gap = np.where(has_before & has_after, times_s[after] - times_s[before], np.inf)
    length = np.maximum(np.minimum(blend_s, gap), 1e-9)
    from_before = np.where(has_before, fade_out(np.abs(times_s - times_s[before]) / length), 0.0)
    from_after = np.where(has_after, fade_out(np.abs(times_s[after] - times_s) / length), 0.0)
    faded = from_before[:, None] * values[before] + from_after[:, None] * values[after]
    return np.where(mask[:, None], values, faded)


def _foot_points(body: BodyInWorld, side: str) -> tuple[Array, Array]:
    """Ankle (T, 3) and heel and ball (T, 2, 3) of a posed foot, in the world."""
    foot = body.target.feet[side]
    bone = body.bones(f"{side}_ankle")[0]
    posed = body.posed()
    ankle = posed.head(bone) + body.shift_m
    offsets = np.stack([foot.heel_m - foot.ankle_m, foot.ball_m - foot.ankle_m])
    return ankle, ankle[:, None] + quaternion_rotate(posed.delta(bone)[:, None], offsets)


def _hold_foot(body: BodyInWorld, source: SourceMotion, side: str, options: PlantOptions) -> _Step:
    """Turn and shift that bring a foot to rest: the rest pose's own sole level while heel and ball both stand."""
    places = slice(2 * SIDES.index(side), 2 * SIDES.index(side) + 2)
    on, stands = source.planted[:, places].copy(), source.planted[:, places].any(axis=1)
    ankle, points = _foot_points(body, side)
    normal = quaternion_rotate(body.posed().delta(body.bones(f"{side}_ankle")[0]), body.target.up)
    release_tilted(points, on, normal)
    level = level_turn(normal)
    along = quaternion_rotate(level, points[:, 1] - points[:, 0])
    height = source.feet_m[:, places, 2] - source.clearance_m[places] - options.floor_m
    pins, turn, both = np.full_like(points, np.nan), np.zeros((source.frames, 3)), on.all(axis=1)
    for first, last in true_runs(stands):
        step = slice(first, last + 1)
        pins[step] = _pins(points[step], on[step], height[step], options.floor_m, _SNAP_OF_LEG * source.leg_length_m)
        heading = heading_turn_rad(along[step], pins[first, 1] - pins[first, 0])
        # a foot that pivots keeps turning, with the sole level
        held = np.abs(heading[both[step]]).max(initial=0.0) < _LARGEST_TURN_RAD
        heading = about_up(heading if held else np.zeros_like(heading))
        turn[step] = quaternion_to_rotvec(quaternion_multiply(heading, level[step]))
    turn_wxyz = rotvec_to_quaternion(hold_and_fade(source.times_s, turn, both, options.blend_s))
    lead = np.where(on[:, 0], 0, 1)
    arm: Array = (points[:, 1] - points[:, 0]) * (1.0 - 2.0 * lead[:, None])
    turn_wxyz = keep_above(turn_wxyz, arm, np.zeros(source.frames), stands & ~both)
    turn_wxyz = level_roll(turn_wxyz, points[:, 1] - points[:, 0], normal, stands & ~both)
    rotvec = hold_and_fade(source.times_s, quaternion_to_rotvec(turn_wxyz), stands, options.blend_s)
    turn_wxyz = rotvec_to_quaternion(rotvec)
    turned = ankle[:, None] + quaternion_rotate(turn_wxyz[:, None], points - ankle[:, None])
    shift = np.take_along_axis(np.where(stands[:, None, None], pins - turned, 0.0), lead[:, None, None], axis=1)[:, 0]
    return _Step(side, rotvec, shift, stands)


def _pins(points: Array, on: NDArray[np.bool_], height: Array, floor_m: float, snap_m: float) -> Array:
    """Where heel and ball (2, 3) rest during one step, level: medians of their contacts, at the foot's own length."""
    raised = standing_height_m(height[on], snap_m)
    places = []
    for point in (0, 1):
        frames = on[:, point] if on[:, point].any() else on.any(axis=1)
        place = np.median(points[frames, point], axis=0)
        place[2] = floor_m + raised
        places.append(place)
    heel, ball = places
    if on.any(axis=0).all():
        length = float(np.linalg.norm(points[0, 1] - points[0, 0]))
        along = (ball - heel)[:2]
        along = along * length / max(float(np.linalg.norm(along)), 1e-9)
        middle = (heel[:2] + ball[:2]) / 2
        heel[:2], ball[:2] = middle - along / 2, middle + along / 2
    return np.stack([heel, ball])


def _slow_lift(times_s: Array, steps: list[_Step]) -> Array:
    """How far (T,) the whole body rises with the slow part of what its standing feet need."""
    if not steps:
        return np.zeros(len(times_s))
    stands = np.stack([step.stands for step in steps], axis=1)
    wanted = np.stack([step.shift_m[:, 2] for step in steps], axis=1)
    count = stands.sum(axis=1)
    frames = np.flatnonzero(count > 0)
    if not len(frames):
        return np.zeros(len(times_s))
    mean = (wanted * stands).sum(axis=1)[frames] / count[frames]
    everywhere = np.interp(times_s, times_s[frames], mean)
    return filter_positions(Gaussian(_PELVIS_SIGMA_S), times_s, everywhere[:, None])[:, 0]


def _ankle_target(body: BodyInWorld, source: SourceMotion, step: _Step, lift: Array, options: PlantOptions) -> Array:
    """Where the ankle goes (T, 3): exact while the foot stands, its own way between steps, never through the floor."""
    ankle, points = _foot_points(body, step.side)
    shift = step.shift_m - lift[:, None] * np.array([0.0, 0.0, 1.0])
    target = ankle + hold_and_fade(source.times_s, shift, step.stands, options.blend_s)
    points = np.concatenate([points, _sole_edges(body, step.side, points)], axis=1)
    turned = quaternion_rotate(rotvec_to_quaternion(step.turn_rotvec)[:, None], points - ankle[:, None])
    depth = options.floor_m - (target[:, None] + turned)[..., 2].min(axis=1)
    target[:, 2] += np.where(step.stands, 0.0, np.clip(depth, 0.0, SUNK_M))
    return np.asarray(target)


def _sole_edges(body: BodyInWorld, side: str, points: Array) -> Array:
    """The sole's left and right edges at ball and heel (T, 4, 3), before the foot's turn."""
    normal = quaternion_rotate(body.posed().delta(body.bones(f"{side}_ankle")[0]), body.target.up)
    across = _HALF_WIDTH_OF_FOOT * np.cross(normal, points[:, 1] - points[:, 0])
    rows = (points[:, 1] + across, points[:, 1] - across, points[:, 0] + 0.6 * across, points[:, 0] - 0.6 * across)
    return np.stack(rows, axis=1)


def _pelvis_drop(body: BodyInWorld, source: SourceMotion, steps: list[_Step], targets: list[Array]) -> Array:
    """How far (T,) the pelvis comes down so that every standing foot is in reach of its leg."""
    drop = np.zeros(source.frames)
    for step, target in zip(steps, targets, strict=True):
        hip, knee, ankle = (body.joint_m(f"{step.side}_{name}") for name in ("hip", "knee", "ankle"))
        longest = np.linalg.norm(knee - hip, axis=-1) + np.linalg.norm(ankle - knee, axis=-1)
        away = hip - target
        flat = np.linalg.norm(away[:, :2], axis=-1)
        needed = away[:, 2] - np.sqrt(np.maximum((_REACH * longest) ** 2 - flat**2, 0.0))
        drop = np.maximum(drop, np.where(step.stands, needed, 0.0))
    if not drop.any():
        return drop
    half = min(int(np.ceil(1.5 * _PELVIS_SIGMA_S / median_interval_s(source.times_s))), len(drop) - 1)
    envelope = np.lib.stride_tricks.sliding_window_view(np.pad(drop, half, mode="edge"), 2 * half + 1).max(axis=-1)
    smooth = filter_positions(Gaussian(0.5 * _PELVIS_SIGMA_S), source.times_s, envelope[:, None])[:, 0]
    return np.maximum(smooth, 0.0)


def _lead_leg(body: BodyInWorld, step: _Step, target_m: Array) -> int:
    """Lead a leg to its ankle target and turn its foot; returns how many standing frames were out of reach."""
    side = step.side
    limb = body.limb(f"{side}_hip", f"{side}_knee", f"{side}_ankle")
    assert limb is not None  # replant_feet asked for it
    forward = quaternion_rotate(body.posed().delta(body.bones("pelvis")[0]), -body.target.frame[:, 1])
    solution = body.lead_limb(limb, target_m, forward)
    turn = rotvec_to_quaternion(step.turn_rotvec)
    body.turn_joint(f"{side}_ankle", turn)
    body.turn_joint(f"{side}_toe", turn)
    return int((step.stands & ~solution.reached).sum())


def _lay_toes(body: BodyInWorld, source: SourceMotion, step: _Step, options: PlantOptions) -> None:
    """Lay the toes flat, in place, while the ball of the foot stands: heels rise, toes stay on the ground.

    At other times the toes bend as far as their tip needs to stay above the floor.
    """
    toes, foot = body.bones(f"{step.side}_toe"), body.target.feet[step.side]
    stands = source.planted[:, 2 * SIDES.index(step.side) + 1]
    if not toes:
        return
    rotvec = quaternion_to_rotvec(level_turn(quaternion_rotate(body.deltas[toes[-1]], body.target.up)))
    trusted = stands & (np.linalg.norm(rotvec, axis=-1) < _LARGEST_TOE_TURN_RAD)
    turn = rotvec_to_quaternion(hold_and_fade(source.times_s, rotvec, trusted, options.blend_s))
    if foot.tip_m is not None:
        _, points = _foot_points(body, step.side)
        above = points[:, 1, 2] - options.floor_m
        ahead = foot.tip_m - foot.ball_m
        across = _HALF_WIDTH_OF_FOOT * np.cross(body.target.up, foot.ball_m - foot.heel_m)
        for part in (ahead, ahead + across, ahead - across):
            arm = quaternion_rotate(body.deltas[toes[-1]], part)
            turn = keep_above(turn, arm, -np.maximum(above, 0.0), ~stands & (above < _TOES_NEAR_M))
    body.turn_joint(f"{step.side}_toe", turn)
