"""Planted feet: while a foot stands, its contact points stay where they are, and the legs follow by IK.

While heel and ball both stand the sole is level and does not turn.

May import numpy and its own room only. Works on the canonical body in the world (Z up, floor z = 0); the retarget
does the same again on the target's proportions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .body import BodyShape, CanonicalBody
from .contacts import resumed_s, true_runs
from .flat_soles import (
    SUNK_M,
    about_up,
    heading_turn_rad,
    keep_above,
    level_roll,
    level_turn,
    release_tilted,
    standing_height_m,
)
from .limb_ik import Limb, two_bone_ik
from .posing import Feet, PosedBody, find_feet, pose_body
from .rotations import (
    Array,
    quaternion_conjugate,
    quaternion_multiply,
    quaternion_rotate,
    quaternion_to_rotvec,
    rotvec_to_quaternion,
)
from .temporal import Gaussian, fade_out, filter_positions, finite_runs, median_interval_s

_SIDES = ("left", "right")
# the pelvis faces -Y in the rest pose; knees bend that way
_FORWARD = np.array([0.0, -1.0, 0.0])
_UP = np.array([0.0, 0.0, 1.0])
# the pelvis of a body that lies, sits on the floor or is on its hands is lower than this, for the canonical height
_LYING_M = 0.45


@dataclass(frozen=True, slots=True)
class PlantSettings:
    """How feet are held.

    `blend_s`: how long a correction takes to come and go before and after a contact. `floor_snap_m`: a foot that
    stands within this of the floor is laid on the floor, one higher up (a stair) keeps its own height.
    `largest_turn_deg`: a foot that turns further during a contact pivots; only the calmer of its points is held.
    `root_sigma_s`: the body follows the slow part of the correction, over this time; the legs do the rest.
    `reach`: planted legs are never stretched beyond this part of their length; the pelvis comes down instead.
    """

    blend_s: float = 0.15
    floor_snap_m: float = 0.10
    largest_turn_deg: float = 35.0
    root_sigma_s: float = 0.12
    reach: float = 0.997


@dataclass(frozen=True, slots=True)
class Motion:
    """Rotations (T, J, 4) and root (T, 3) in m over times (T,) in s: what planting takes and gives."""

    times_s: Array
    rotations_wxyz: Array
    root_m: Array


@dataclass(frozen=True, slots=True)
class PlantedMotion:
    """The motion with planted feet, and which foot points (T, 4) are really held (a pivoting foot lets one go)."""

    motion: Motion
    held: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Scene:
    """One run of frames as it came in: the posed body and its feet."""

    body: CanonicalBody
    posed: PosedBody
    feet: Feet
    times_s: Array
    settings: PlantSettings

    def joint_m(self, name: str) -> Array:
        """Positions (T, 3) of a joint."""
        return np.asarray(self.posed.positions_m[:, self.body.joint_index(name)])


@dataclass(frozen=True, slots=True)
class _Foot:
    """One foot over time: what carries it, where it wants to be and when it stands.

    `turn_rotvec` (T, 3) turns the foot, `shift_m` (T, 3) moves its ankle while `stands` (T,); `on` (T, 2) says
    which of heel and ball is held.
    """

    side: str
    points: slice
    turn_rotvec: Array
    shift_m: Array
    on: NDArray[np.bool_]

    @property
    def stands(self) -> NDArray[np.bool_]:
        """Frames (T,) in which any point of the foot is held."""
        return np.asarray(self.on.any(axis=1))


def plant_feet(
    body: CanonicalBody,
    shape: BodyShape,
    motion: Motion,
    planted: NDArray[np.bool_],
    settings: PlantSettings | None = None,
    rests: NDArray[np.bool_] | None = None,
) -> PlantedMotion:
    """Hold every planted foot point of `planted` (T, 4), in the order of `FOOT_POINTS`, at one place.

    Where the body `rests` (T,) on something besides its feet the root stays: only the legs bring the feet to their
    places. Frames with NaN stay as they are and end a contact. Rotations outside the legs never change.
    """
    settings = settings or PlantSettings()
    rotations, root = motion.rotations_wxyz.astype(np.float64), motion.root_m.astype(np.float64)
    held = np.zeros(planted.shape, dtype=bool)
    whole = np.concatenate([rotations.reshape(len(rotations), -1), root], axis=1)
    for run in finite_runs(motion.times_s, whole, resumed_s(motion.times_s)):
        if planted[run].any():
            part = Motion(motion.times_s[run], rotations[run], root[run])
            free = np.ones(len(part.times_s)) if rests is None else _free(part.times_s, rests[run], settings)
            done = _plant_run(_posed_scene(body, shape, part, settings), part, planted[run], free)
            rotations[run], root[run], held[run] = done.motion.rotations_wxyz, done.motion.root_m, done.held
    return PlantedMotion(Motion(motion.times_s, rotations, root), held)


def _free(times_s: Array, rests: NDArray[np.bool_], settings: PlantSettings) -> Array:
    """How far (T,) the root may follow the feet: 0 while the body rests on something else, 1 away from it."""
    free = (~rests).astype(np.float64)[:, None]
    return np.minimum(filter_positions(Gaussian(settings.root_sigma_s), times_s, free)[:, 0], free[:, 0])


def _posed_scene(body: CanonicalBody, shape: BodyShape, motion: Motion, settings: PlantSettings) -> _Scene:
    posed = pose_body(body, shape, motion.rotations_wxyz, motion.root_m)
    return _Scene(body, posed, find_feet(body, posed), motion.times_s, settings)


def _plant_run(scene: _Scene, motion: Motion, planted: NDArray[np.bool_], free: Array) -> PlantedMotion:
    held = [_hold_foot(scene, planted, side) for side in (0, 1)]
    move = _root_move(scene, held) * free[:, None]
    targets = [_ankle_target_m(scene, foot, move) for foot in held]
    drop = _pelvis_drop_m(scene, move, held, targets)
    # somebody on a chair comes down to feet out of reach, but nobody on the floor goes through it
    lying_m = _LYING_M * scene.posed.shape.height_m / scene.body.height_m
    above = np.maximum(scene.joint_m("pelvis")[:, 2] + move[:, 2] - lying_m, 0.0)
    move[:, 2] -= free * drop + (1.0 - free) * np.minimum(drop, above)
    rotations = motion.rotations_wxyz.copy()
    moved = PosedBody(scene.posed.positions_m + move[:, None], scene.posed.world_wxyz, scene.posed.shape)
    for foot, target in zip(held, targets, strict=True):
        _lead_leg(scene.body, moved, rotations, foot, target)
    done = Motion(motion.times_s, rotations, motion.root_m + move)
    return PlantedMotion(done, np.concatenate([foot.on for foot in held], axis=1))


def _hold_foot(scene: _Scene, planted: NDArray[np.bool_], side: int) -> _Foot:
    """Turn and shift that bring one foot's planted points to rest, the sole level while both of them stand."""
    points = slice(2 * side, 2 * side + 2)
    clearance = scene.feet.clearance_m[points]
    positions, on = scene.feet.positions_m[:, points], planted[:, points].copy()
    foot = scene.body.joint_index(f"{_SIDES[side]}_ankle")
    normal = quaternion_rotate(scene.posed.world_wxyz[:, foot], _UP)
    release_tilted(positions, on, normal)
    level = level_turn(normal)
    along = quaternion_rotate(level, positions[:, 1] - positions[:, 0])
    pins = np.full_like(positions, np.nan)
    turn = np.zeros((len(on), 3))
    for first, last in true_runs(on.any(axis=1)):
        step = slice(first, last + 1)
        _release_pivot(positions[step], on[step], scene.settings)
        pins[step] = _pins_m(positions[step], on[step], clearance, scene.settings)
        heading = about_up(heading_turn_rad(along[step], pins[first, 1] - pins[first, 0]))
        turn[step] = quaternion_to_rotvec(quaternion_multiply(heading, level[step]))
    both = on.all(axis=1)
    turn_wxyz = rotvec_to_quaternion(_spread(scene.times_s, turn, both, scene.settings.blend_s))
    lead = np.where(on[:, 0], 0, 1)
    # the point that does not stand stays above the floor
    arm: Array = (positions[:, 1] - positions[:, 0]) * (1.0 - 2.0 * lead[:, None])
    stands = on.any(axis=1)
    turn_wxyz = keep_above(turn_wxyz, arm, clearance[1 - lead] - clearance[lead], stands & ~both)
    turn_wxyz = level_roll(turn_wxyz, positions[:, 1] - positions[:, 0], normal, stands & ~both)
    rotvec = _spread(scene.times_s, quaternion_to_rotvec(turn_wxyz), stands, scene.settings.blend_s)
    turn_wxyz = rotvec_to_quaternion(rotvec)
    ankle = scene.posed.positions_m[:, foot]
    turned = ankle[:, None] + quaternion_rotate(turn_wxyz[:, None], positions - ankle[:, None])
    shift = np.take_along_axis(pins - turned, lead[:, None, None], axis=1)[:, 0]
    return _Foot(_SIDES[side], points, rotvec, np.where(stands[:, None], shift, 0.0), on)


def _release_pivot(positions: Array, on: NDArray[np.bool_], settings: PlantSettings) -> None:
    """Let go, in place, of the point that moves more when the foot turns too far during a step."""
    both = on.all(axis=1)
    if not both.any():
        return
    along = positions[both, 1] - positions[both, 0]
    along /= np.linalg.norm(along, axis=-1, keepdims=True)
    usual = np.median(along, axis=0)
    cosine = along @ (usual / max(float(np.linalg.norm(usual)), 1e-9))
    if cosine.min() < np.cos(np.deg2rad(settings.largest_turn_deg)):
        spread = np.linalg.norm(positions[both] - np.median(positions[both], axis=0), axis=-1).mean(axis=0)
        loose, calm = int(np.argmax(spread)), int(np.argmin(spread))
        # frames in which only the loose point stood keep it: a foot that stands is held somewhere
        on[on[:, calm], loose] = False


def _pins_m(positions: Array, on: NDArray[np.bool_], clearance_m: Array, settings: PlantSettings) -> Array:
    """Where heel and ball (2, 3) rest during one step: the medians of their contacts, at the foot's own length."""
    raised = standing_height_m((positions[..., 2] - clearance_m)[on], settings.floor_snap_m)
    places = []
    for point in (0, 1):
        frames = on[:, point] if on[:, point].any() else on.any(axis=1)
        place = np.median(positions[frames, point], axis=0)
        place[2] = clearance_m[point] + raised
        places.append(place)
    heel, ball = places
    if on.any(axis=0).all():
        length = np.median(np.linalg.norm(positions[:, 1] - positions[:, 0], axis=-1))
        along = ball - heel
        flat = np.linalg.norm(along[:2])
        along[:2] *= np.sqrt(max(length**2 - along[2] ** 2, 0.0)) / max(flat, 1e-6)
        # the step's middle stays; heel and ball share the rest
        middle = 0.5 * (heel[:2] + ball[:2])
        heel[:2], ball[:2] = middle - 0.5 * along[:2], middle + 0.5 * along[:2]
    return np.stack([heel, ball])


def _root_move(scene: _Scene, held: list[_Foot]) -> Array:
    """How the whole body moves (T, 3): the slow part of what its standing feet need."""
    times_s = scene.times_s
    stands = np.stack([foot.stands for foot in held], axis=1)
    shift = np.stack([foot.shift_m for foot in held], axis=1)
    count = stands.sum(axis=1)
    frames = np.flatnonzero(count > 0)
    mean = (shift * stands[..., None]).sum(axis=1)[frames] / count[frames, None]
    everywhere = np.stack([np.interp(times_s, times_s[frames], mean[:, axis]) for axis in range(3)], axis=-1)
    return filter_positions(Gaussian(scene.settings.root_sigma_s), times_s, everywhere)


def _ankle_target_m(scene: _Scene, foot: _Foot, move: Array) -> Array:
    """Where the ankle goes (T, 3): exact while the foot stands, back to the body's own motion between contacts."""
    feet, settings, ankle = scene.feet, scene.settings, scene.joint_m(f"{foot.side}_ankle")
    target = ankle + move + _spread(scene.times_s, foot.shift_m - move, foot.stands, settings.blend_s)
    turn = rotvec_to_quaternion(foot.turn_rotvec)[:, None]
    points = target[:, None] + quaternion_rotate(turn, feet.positions_m[:, foot.points] - ankle[:, None])
    depth = (feet.clearance_m[foot.points] - points[..., 2]).max(axis=1)
    # a swinging foot may not dip through the floor; a standing one is already where it belongs
    lift = np.where(foot.stands, 0.0, np.clip(depth, 0.0, SUNK_M))
    target[:, 2] += lift
    return np.asarray(target)


def _pelvis_drop_m(scene: _Scene, move: Array, held: list[_Foot], targets: list[Array]) -> Array:
    """How far (T,) the pelvis comes down so that every standing foot is in reach of its leg."""
    drop = np.zeros(len(scene.times_s))
    for foot, target in zip(held, targets, strict=True):
        hip, knee, ankle = (scene.joint_m(f"{foot.side}_{name}") for name in ("hip", "knee", "ankle"))
        longest = np.linalg.norm(knee - hip, axis=-1) + np.linalg.norm(ankle - knee, axis=-1)
        away = hip + move - target
        flat = np.linalg.norm(away[:, :2], axis=-1)
        needed = away[:, 2] - np.sqrt(np.maximum((scene.settings.reach * longest) ** 2 - flat**2, 0.0))
        drop = np.maximum(drop, np.where(foot.stands, needed, 0.0))
    # the envelope of the drops, then a blur that stays near it: the pelvis sinks and rises softly
    sigma_s = scene.settings.root_sigma_s
    half = min(int(np.ceil(1.5 * sigma_s / median_interval_s(scene.times_s))), len(drop) - 1)
    padded = np.pad(drop, half, mode="edge")
    envelope = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1).max(axis=-1)
    return np.maximum(filter_positions(Gaussian(0.5 * sigma_s), scene.times_s, envelope[:, None])[:, 0], 0.0)


def _lead_leg(body: CanonicalBody, posed: PosedBody, rotations: Array, foot: _Foot, target_m: Array) -> None:
    """Write, in place, the three leg rotations (T, J, 4) that bring the ankle to its target and turn the foot."""
    hip, knee, ankle = (body.joint_index(f"{foot.side}_{name}") for name in ("hip", "knee", "ankle"))
    pelvis = int(body.parents[hip])
    limb = Limb(posed.positions_m[:, hip], posed.positions_m[:, knee], posed.positions_m[:, ankle])
    forward = quaternion_rotate(posed.world_wxyz[:, pelvis], _FORWARD)
    led = two_bone_ik(limb, target_m, bend_hint=forward)
    thigh = quaternion_multiply(led.upper_turn_wxyz, posed.world_wxyz[:, hip])
    shin = quaternion_multiply(led.lower_turn_wxyz, posed.world_wxyz[:, knee])
    sole = quaternion_multiply(rotvec_to_quaternion(foot.turn_rotvec), posed.world_wxyz[:, ankle])
    rotations[:, hip] = quaternion_multiply(quaternion_conjugate(posed.world_wxyz[:, pelvis]), thigh)
    rotations[:, knee] = quaternion_multiply(quaternion_conjugate(thigh), shin)
    rotations[:, ankle] = quaternion_multiply(quaternion_conjugate(shin), sole)


def _spread(times_s: Array, values: Array, known: NDArray[np.bool_], blend_s: float) -> Array:
    """Values (T, C) where `known`, faded out before and after over `blend_s`; two close contacts are cross-faded."""
    frames = np.flatnonzero(known)
    if not len(frames):
        return np.zeros_like(values)
    index = np.arange(len(values))
    place = np.searchsorted(frames, index, side="right") - 1
    before, after = frames[np.clip(place, 0, None)], frames[np.clip(place + 1, None, len(frames) - 1)]
    has_before, has_after = place >= 0, place + 1 < len(frames)
    gap = np.where(has_before & has_after, times_s[after] - times_s[before], np.inf)
    span = np.minimum(blend_s, gap)
    since = np.where(has_before, (times_s - times_s[before]) / span, 1.0)
    until = np.where(has_after, (times_s[after] - times_s) / span, 1.0)
    out = fade_out(since)[:, None] * values[before] + fade_out(until)[:, None] * values[after]
    return np.where(known[:, None], values, out)
