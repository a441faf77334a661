"""Loops: a clip's end joined to its start, and the cycle in a clip that joins best.

May import numpy and its own room only. The seam is closed on the motion itself: each side takes half of what differs,
in place and then in velocity, and the correction dies out away from the seam. Feet are planted again over the seam.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from .clip import ClipError, MotionClip
from .contacts import ContactSettings, planted_frames
from .cycles import unroll
from .planting import Motion, plant_feet
from .posing import FOOT_POINTS, clip_body, clip_shape, find_feet, heading_rad, pose_clip, with_motion
from .rotations import (
    Array,
    quaternion_conjugate,
    quaternion_continuous,
    quaternion_multiply,
    quaternion_normalize,
    quaternion_rotate,
    quaternion_slerp,
    quaternion_to_rotvec,
    rotvec_to_quaternion,
)
from .temporal import angular_velocity_rad_s, sample_slopes

_UP = np.array([0.0, 0.0, 1.0])
_LEAST_FRAMES, _SHORTEST_S = 8, 0.3
# velocities at the ends are those of the parabola through this much of the motion
_VELOCITY_S, _VELOCITY_FRAMES = 0.12, 5
# a search looks at no more frames than this: a longer clip is looked at in larger steps
_MOST_FRAMES = 1200
_VELOCITY_WEIGHT_S = 0.15
_HALF = 0.5
# a foot that the correction carries further than this from where it stood does not stand there
_CARRIED_M = 0.03


class Loop(Enum):
    """Which part of a clip becomes a cycle: none, the one that repeats best, or the whole range that is used."""

    OFF = "off"
    FIND = "find"
    RANGE = "range"


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """How the ends are joined: each side is corrected over `blend_s` (half the clip at most); travel over the floor
    that is shorter than `closed_m` is taken out, longer travel stays and goes on from cycle to cycle.
    """

    blend_s: float = 0.4
    closed_m: float = 0.15


@dataclass(frozen=True, slots=True)
class Cycle:
    """A part of a clip that repeats: from `start_s` to `end_s`; its ends differ by `mismatch_m` on average over the
    joints, `share` of how far the pose goes in between.
    """

    start_s: float
    end_s: float
    mismatch_m: float
    share: float


def loop_clip(clip: MotionClip, settings: LoopSettings | None = None) -> MotionClip:
    """The clip as one cycle: the last frame is the first one again, moved on by the cycle's travel over the floor.

    Poses and velocities agree at the seam. A turn between the ends is spread over the whole cycle and so taken out.
    Raises ClipError for a clip that is too short or has frames without the person.
    """
    settings = settings or LoopSettings()
    _check(clip)
    span_s = float(clip.times_s[-1] - clip.times_s[0])
    rotations, root = _straightened(clip, settings)
    straight = with_motion(clip, rotations, root)
    joined = with_motion(clip, *_joined(clip, rotations, root, min(settings.blend_s, 0.5 * span_s)))
    contacts = _kept_contacts(straight, joined)
    contacts[-1] = contacts[0]
    header = replace(clip.header, is_cyclic=True, cuts_s=())
    closed = _with_closed_groups(replace(joined, contacts=contacts, header=header), settings.blend_s)
    return _planted(closed)


def _with_closed_groups(clip: MotionClip, blend_s: float) -> MotionClip:
    """Fingers and face that go back to their first frame over the last `blend_s`."""
    part = np.clip((clip.times_s - clip.times_s[-1] + blend_s) / blend_s, 0.0, 1.0)
    share = part * part * (3.0 - 2.0 * part)
    hands, face = clip.hands, clip.face
    if hands is not None:
        first = np.broadcast_to(hands.rotations_wxyz[:1], hands.rotations_wxyz.shape)
        turned = quaternion_slerp(hands.rotations_wxyz, first, share[:, None, None])
        hands = replace(hands, rotations_wxyz=turned.astype(hands.rotations_wxyz.dtype))
    if face is not None:
        weights = face.weights + share[:, None] * (face.weights[:1] - face.weights)
        face = replace(face, weights=weights.astype(face.weights.dtype))
    return replace(clip, hands=hands, face=face)


def _check(clip: MotionClip) -> None:
    span_s = float(clip.times_s[-1] - clip.times_s[0])
    if len(clip) < _LEAST_FRAMES or span_s < _SHORTEST_S:
        raise ClipError(f"a loop needs {_SHORTEST_S} s and {_LEAST_FRAMES} frames at least", "trim the clip less")
    if not (np.isfinite(clip.rotations_wxyz).all() and np.isfinite(clip.root_world_m).all()):
        raise ClipError("the clip has frames without the person", "trim it to a part that is whole, or fill its gaps")


def _straightened(clip: MotionClip, settings: LoopSettings) -> tuple[Array, Array]:
    """Rotations and root with the turn between the ends taken out evenly, and a travel too short to be one."""
    rotations = quaternion_continuous(clip.rotations_wxyz.astype(np.float64))
    root = clip.root_world_m.astype(np.float64)
    part = (clip.times_s - clip.times_s[0]) / (clip.times_s[-1] - clip.times_s[0])
    ends = heading_rad(rotations[[0, -1], 0])
    turn = float((ends[1] - ends[0] + np.pi) % (2.0 * np.pi) - np.pi)
    rotations[:, 0] = quaternion_multiply(rotvec_to_quaternion(-turn * part[:, None] * _UP), rotations[:, 0])
    half = 0.5 * (part[1:] + part[:-1])
    steps = quaternion_rotate(rotvec_to_quaternion(-turn * half[:, None] * _UP), np.diff(root, axis=0))
    root = root[0] + np.concatenate([np.zeros((1, 3)), np.cumsum(steps, axis=0)])
    travel = (root[-1] - root[0]) * np.array([1.0, 1.0, 0.0])
    planted = planted_frames(clip.times_s, clip.contacts, ContactSettings())
    if np.linalg.norm(travel) < settings.closed_m or planted.all(axis=0).any():
        root -= part[:, None] * travel
    return rotations, root


def _joined(clip: MotionClip, rotations: Array, root: Array, blend_s: float) -> tuple[Array, Array]:
    """Rotations (T, J, 4) and root (T, 3) whose ends agree: first in place, then in velocity."""
    times_s, half = clip.times_s.astype(np.float64), np.full(3, 0.5)
    travel = (root[-1] - root[0]) * np.array([1.0, 1.0, 0.0])
    sides, shares = _Sides.of(times_s, blend_s), _start_shares(clip)
    apart = quaternion_to_rotvec(quaternion_multiply(quaternion_conjugate(rotations[-1]), rotations[0]))
    rotations = _turned(rotations, sides.place(apart, shares))
    root = root + sides.place(root[0] + travel - root[-1], half)
    first, last = _end_frames(times_s)
    spin = [angular_velocity_rad_s(times_s[rows], rotations[rows]) for rows in (first, last)]
    middle = [0.5 * (times_s[rows][1:] + times_s[rows][:-1]) for rows in (first, last)]
    faster = _at_end(middle[0], spin[0], times_s[0]) - _at_end(middle[1], spin[1], times_s[-1])
    rotations = _turned(rotations, sides.velocity(faster, shares))
    speed = [sample_slopes(times_s[rows], root[rows]) for rows in (first, last)]
    faster = _at_end(times_s[first], speed[0], times_s[0]) - _at_end(times_s[last], speed[1], times_s[-1])
    root = root + sides.velocity(faster, half)
    rotations[-1], root[-1] = rotations[0], root[0] + travel  # to the last bit
    return rotations, root


@dataclass(frozen=True, slots=True)
class _Sides:
    """The corrections' course over time: for the start and the end of a cycle the parts (T,) `decay`, of a difference
    in place, and `bump_s`, of one in velocity.
    """

    decay: tuple[Array, Array]
    bump_s: tuple[Array, Array]

    @classmethod
    def of(cls, times_s: Array, blend_s: float) -> _Sides:
        sides = ((times_s - times_s[0]) / blend_s, (times_s[-1] - times_s) / blend_s)
        start, end = (np.clip(part, 0.0, 1.0) for part in sides)
        # quintics: 1, or a slope of 1, at the seam without acceleration; level and zero where the correction ends
        decay = [1.0 - part**3 * (10.0 - part * (15.0 - 6.0 * part)) for part in (start, end)]
        bump = [blend_s * part * (1.0 - part**2 * (6.0 - part * (8.0 - 3.0 * part))) for part in (start, end)]
        return cls((decay[0], decay[1]), (bump[0], bump[1]))

    def place(self, difference: Array, share: Array) -> Array:
        """What to add (T, ...) so that the end meets the start, which lies `difference` (...) further on; the start
        takes its `share` (...) of that.
        """
        start, end = (_over_time(part, difference) for part in self.decay)
        return np.asarray((end * (1.0 - share) - start * share) * difference)

    def velocity(self, difference: Array, share: Array) -> Array:
        """What to add (T, ...) so that the end is as fast as the start, which is faster by `difference` (...)."""
        start, end = (_over_time(part, difference) for part in self.bump_s)
        return np.asarray(-(end * (1.0 - share) + start * share) * difference)


def _over_time(part: Array, values: Array) -> Array:
    return part.reshape((-1,) + (1,) * np.ndim(values))


def _start_shares(clip: MotionClip) -> Array:
    """The start's share (J, 1) of what differs: half, but none in a leg that stands at the start alone, and all in one
    that stands at the end alone: a foot that stands is not moved.
    """
    planted = planted_frames(clip.times_s, clip.contacts, ContactSettings())
    shares = np.full((len(clip.body_joint_names), 1), 0.5)
    for place, side in enumerate(("left", "right")):
        start, end = (planted[row, 2 * place : 2 * place + 2].any() for row in (0, -1))
        for joint in ("hip", "knee", "ankle", "toe"):
            shares[clip.body_joint_names.index(f"{side}_{joint}")] = 0.5 + 0.5 * (float(end) - float(start))
    return shares


def _kept_contacts(clip: MotionClip, joined: MotionClip) -> Array:
    """The contacts (T, 4), without those of a leg that stands at one end alone where the correction carries it off."""
    body = clip_body(clip)
    before, after = (find_feet(body, pose_clip(one)).positions_m for one in (clip, joined))
    carried = np.linalg.norm(after - before, axis=-1) > _CARRIED_M
    hips = [body.joint_index(f"{name.partition('_')[0]}_hip") for name in FOOT_POINTS]
    return np.where(carried & (_start_shares(clip)[hips, 0] != _HALF), 0.0, clip.contacts)


def _turned(rotations: Array, rotvec: Array) -> Array:
    """Rotations (T, J, 4), turned on in their own axes by (T, J, 3)."""
    return quaternion_normalize(quaternion_multiply(rotations, rotvec_to_quaternion(rotvec)))


def _end_frames(times_s: Array) -> tuple[slice, slice]:
    """The frames at the start and at the end that tell the velocity there."""
    first = max(int(np.searchsorted(times_s, times_s[0] + _VELOCITY_S)) + 1, _VELOCITY_FRAMES)
    last = max(len(times_s) - int(np.searchsorted(times_s, times_s[-1] - _VELOCITY_S)), _VELOCITY_FRAMES)
    return slice(0, min(first, len(times_s))), slice(max(len(times_s) - last, 0), len(times_s))


def _at_end(times_s: Array, values: Array, at_s: float) -> Array:
    """The value (...) at a time of the straight line through values (N, ...)."""
    flat = values.reshape(len(values), -1)
    slope, level = np.polyfit(times_s - at_s, flat, 1)
    del slope
    return np.asarray(level.reshape(values.shape[1:]))


def _planted(clip: MotionClip) -> MotionClip:
    """A cyclic clip with planted feet, held over the seam too."""
    several = unroll(clip)
    long = several.clip
    planted = planted_frames(long.times_s, long.contacts, ContactSettings())
    motion = Motion(long.times_s, long.rotations_wxyz, long.root_world_m)
    done = plant_feet(clip_body(clip), clip_shape(clip), motion, planted).motion
    middle = several.middle
    return with_motion(clip, done.rotations_wxyz[middle], done.root_m[middle])


def find_cycle(clip: MotionClip, shortest_s: float = 0.5, longest_s: float = 8.0) -> Cycle:
    """The part of a clip that repeats best: its ends are alike, and the pose goes far in between.

    Raises ClipError where no part is long enough and whole.
    """
    rows, apart = _pose_distances(clip)
    times_s = clip.times_s[rows]
    span_s = times_s[None, :] - times_s[:, None]
    usable = (span_s >= shortest_s) & (span_s <= longest_s) & np.isfinite(apart)
    gone = np.concatenate([[0], np.cumsum(~_present(clip))])
    usable &= gone[rows[None, :] + 1] - gone[rows[:, None]] == 0
    if not usable.any():
        raise ClipError(f"no part of the clip between {shortest_s:g} and {longest_s:g} s is whole", "trim it elsewhere")
    total = np.cumsum(np.nan_to_num(apart), axis=1)
    own = np.take_along_axis(total, np.arange(len(rows))[:, None], axis=1)
    between = (total - own) / np.maximum(np.arange(len(rows))[None, :] - np.arange(len(rows))[:, None], 1)
    share = np.where(usable, apart / np.maximum(between, 1e-6), np.inf)
    start, end = np.unravel_index(int(np.argmin(share)), share.shape)
    return Cycle(float(times_s[start]), float(times_s[end]), float(apart[start, end]), float(share[start, end]))


def _present(clip: MotionClip) -> NDArray[np.bool_]:
    whole = np.isfinite(clip.rotations_wxyz).all(axis=(1, 2)) & np.isfinite(clip.root_world_m).all(axis=1)
    return np.asarray(whole)


def _pose_distances(clip: MotionClip) -> tuple[NDArray[np.intp], Array]:
    """Frames looked at (N,), and how far (N, N) in m their poses and velocities differ, seen from the pelvis' place and
    heading; NaN without the person.
    """
    rows = np.arange(0, len(clip), max(-(-len(clip) // _MOST_FRAMES), 1))
    posed = pose_clip(clip).positions_m
    back = rotvec_to_quaternion(-heading_rad(clip.rotations_wxyz[:, 0])[:, None] * _UP)[:, None]
    seen = quaternion_rotate(back, posed - posed[:, :1] * np.array([1.0, 1.0, 0.0]))
    moving = quaternion_rotate(back, sample_slopes(clip.times_s, posed))
    features = np.concatenate([seen, _VELOCITY_WEIGHT_S * moving], axis=1).reshape(len(clip), -1)[rows]
    square = np.sum(features**2, axis=1)
    distance = np.sqrt(np.maximum(square[:, None] + square[None] - 2.0 * features @ features.T, 0.0))
    return rows, distance / np.sqrt(posed.shape[1])
