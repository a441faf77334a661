"""Performances of one or two people for rendered takes: pieces of mocap joined to one motion, walks that meet.

May import numpy, `backend.datasets` and `blender_addon.motion`. Rotations are local on the canonical body, joint 0 in a
world that is Z up; root positions are those of the canonical body's pelvis, in m.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from backend.datasets import Motion
from backend.types import Array
from blender_addon.motion.body import canonical_body
from blender_addon.motion.rotations import (
    quaternion_continuous,
    quaternion_multiply,
    quaternion_slerp,
    quaternion_to_matrix,
    rotvec_to_quaternion,
)

_FPS = 60.0
_JOIN_S = 0.4
_SIT_M = 0.52
_LEGS = ("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "left_toe", "right_toe")


class Kind(StrEnum):
    """What is performed."""

    SOLO = "solo"
    SEATED = "seated"
    CROSS = "cross"
    HUG = "hug"


@dataclass(frozen=True, slots=True)
class Performed:
    """One person's motion at 60 frames per second: rotations_wxyz (T, J, 4), root_m (T, 3)."""

    rotations_wxyz: Array
    root_m: Array


def perform(rng: np.random.Generator, kind: Kind, takes: Sequence[Motion], length_s: float) -> list[Performed]:
    """A performance of `length_s` seconds, near the origin, by one person or two."""
    if kind is Kind.SOLO:
        return [_centred(_joined(rng, takes, length_s))]
    if kind is Kind.SEATED:
        return [_seated(_joined(rng, takes, length_s))]
    return _meeting(rng, kind, [take for take in takes if _is_walk(take)], length_s)


def _joined(rng: np.random.Generator, takes: Sequence[Motion], length_s: float) -> Performed:
    """Pieces of one subject's takes, each turned and moved to go on where the one before ended."""
    long = [take for take in takes if len(take) >= 1.2 * take.fps and np.ptp(take.root_m[:, :2], axis=0).max() < 2.2]
    subject = str(rng.choice(sorted({take.subject for take in long})))
    own = [take for take in long if take.subject == subject]
    made = _part(rng, own[rng.integers(len(own))], length_s)
    while len(made.root_m) < length_s * _FPS:
        made = _appended(made, _part(rng, own[rng.integers(len(own))], length_s))
    count = int(length_s * _FPS)
    return Performed(quaternion_continuous(made.rotations_wxyz[:count]), made.root_m[:count])


def _part(rng: np.random.Generator, take: Motion, length_s: float) -> Performed:
    """A take at 60 frames per second from a random place on, at most `length_s` long."""
    spare_s = (len(take) - 1) / take.fps - length_s
    begin_s = float(rng.uniform(0.0, spare_s)) if spare_s > 0 else 0.0
    end_s = min((len(take) - 1) / take.fps, begin_s + length_s)
    return _at(take, np.arange(begin_s, end_s, 1.0 / _FPS))


def _at(take: Motion, times_s: Array) -> Performed:
    place = np.clip(times_s * take.fps, 0.0, len(take) - 1.001)
    before = place.astype(int)
    share = (place - before)[:, None]
    known = quaternion_continuous(take.rotations_wxyz.astype(np.float64))
    root = take.root_m.astype(np.float64)
    return Performed(
        quaternion_slerp(known[before], known[before + 1], share),
        root[before] * (1 - share) + root[before + 1] * share,
    )


def heading_rad(rotation_wxyz: Array) -> float:
    """Where a pelvis with this world rotation (4,) faces, about Z; 0 looks along -Y."""
    forward = quaternion_to_matrix(rotation_wxyz) @ np.array([0.0, -1.0, 0.0])
    return float(np.arctan2(forward[0], -forward[1]))


def turned_by(part: Performed, angle_rad: Array | float, about_m: Array) -> Performed:
    """The motion turned about a vertical line through `about_m` (3,); one angle, or one for each frame."""
    angle = np.broadcast_to(np.asarray(angle_rad, np.float64), (len(part.root_m),))
    turn = rotvec_to_quaternion(angle[:, None] * np.array([0.0, 0.0, 1.0]))
    rotations = part.rotations_wxyz.copy()
    rotations[:, 0] = quaternion_multiply(turn, rotations[:, 0])
    root = (quaternion_to_matrix(turn) @ (part.root_m - about_m)[..., None])[..., 0] + about_m
    return Performed(rotations, root)


def _appended(first: Performed, second: Performed) -> Performed:
    turn = heading_rad(first.rotations_wxyz[-1, 0]) - heading_rad(second.rotations_wxyz[0, 0])
    second = turned_by(second, turn, second.root_m[0])
    shift = first.root_m[-1] - second.root_m[0]
    shift[2] = 0.0
    second = Performed(second.rotations_wxyz, second.root_m + shift)
    share = _smoothstep(np.linspace(0.0, 1.0, int(_JOIN_S * _FPS) + 2)[1:-1])
    between = quaternion_slerp(first.rotations_wxyz[-1][None], second.rotations_wxyz[0][None], share[:, None])
    root = first.root_m[-1] * (1 - share[:, None]) + second.root_m[0] * share[:, None]
    return Performed(
        np.concatenate([first.rotations_wxyz, between, second.rotations_wxyz]),
        np.concatenate([first.root_m, root, second.root_m]),
    )


def _smoothstep(share: Array) -> Array:
    share = np.clip(share, 0.0, 1.0)
    return np.asarray(share * share * (3.0 - 2.0 * share))


def _centred(made: Performed) -> Performed:
    middle = (made.root_m.max(axis=0) + made.root_m.min(axis=0)) / 2
    return Performed(made.rotations_wxyz, made.root_m - [middle[0], middle[1], 0.0])


def _seated(made: Performed) -> Performed:
    """The upper body of a motion on a chair: legs and pelvis stay, the trunk's heading does not."""
    body = canonical_body()
    rotations = made.rotations_wxyz.copy()
    turns = dict.fromkeys(_LEGS, np.zeros(3))
    turns |= {f"{side}_hip": np.array([-85.0, 0.0, 0.0]) for side in ("left", "right")}
    turns |= {f"{side}_knee": np.array([88.0, 0.0, 0.0]) for side in ("left", "right")}
    for name, turn in turns.items():
        rotations[:, body.joint_index(name)] = rotvec_to_quaternion(np.radians(turn))
    rotations[:, 0] = rotvec_to_quaternion(np.radians([-4.0, 0.0, 0.0]))
    return Performed(rotations, np.tile([0.0, 0.0, _SIT_M], (len(rotations), 1)))


def _is_walk(take: Motion) -> bool:
    """A straight walk of three metres or more on level ground."""
    path = np.linalg.norm(np.diff(take.root_m[:, :2], axis=0), axis=1).sum()
    straight = float(np.linalg.norm(take.root_m[-1, :2] - take.root_m[0, :2]))
    seconds = len(take) / take.fps
    level = float(np.ptp(take.root_m[:, 2])) < 0.12 and float(take.root_m[:, 2].min()) > 0.75
    return level and straight > 2.8 and straight > 0.93 * path and 0.7 < straight / seconds < 1.8


def _meeting(rng: np.random.Generator, kind: Kind, walks: Sequence[Motion], length_s: float) -> list[Performed]:
    """Two people who walk past each other or hug."""
    times_s = np.arange(int(length_s * _FPS)) / _FPS
    along = float(rng.uniform(-np.pi, np.pi))
    apart = np.pi if kind is Kind.HUG else float(rng.choice([-1, 1])) * rng.uniform(np.radians(60), np.pi)
    side = 0.0 if kind is Kind.HUG else float(rng.uniform(0.22, 0.4))
    back = bool(rng.random() < 0.5)
    out = []
    for angle in (along, along + apart):
        walk = walks[rng.integers(len(walks))]
        made = _walk(rng, walk, times_s, kind, back)
        made = turned_by(_walk(rng, walk, times_s, kind, back), angle - _direction(walk), np.zeros(3))
        across = np.array([-np.sin(angle), np.cos(angle), 0.0])
        out.append(Performed(made.rotations_wxyz, made.root_m + side * across))
    return out


def _direction(walk: Motion) -> float:
    way = walk.root_m[-1] - walk.root_m[0]
    return float(np.arctan2(way[1], way[0]))


def _walk(rng: np.random.Generator, walk: Motion, times_s: Array, kind: Kind, back: bool) -> Performed:
    """A walk through the origin in the middle of the time, or to 0.2 m before it, a hug, and away again."""
    way = walk.root_m[-1, :2] - walk.root_m[0, :2]
    gone = ((walk.root_m[:, :2] - walk.root_m[0, :2]) @ way) / np.linalg.norm(way)
    last_s, total = (len(walk) - 1) / walk.fps, float(gone[-1])
    if kind is Kind.CROSS:
        middle_s = float(np.interp(total / 2, gone, np.arange(len(gone)) / walk.fps))
        walked = np.clip(middle_s + (times_s - times_s[-1] / 2) * 0.95, 0.0, last_s)
        made = _at(walk, walked)
        start = np.array([*(walk.root_m[0, :2] + way / 2), 0.0])
        return Performed(made.rotations_wxyz, made.root_m - start)
    meet_s = times_s[-1] / 2 - 0.7
    stop_s = min(0.6 * last_s, meet_s * 0.9)
    held = np.clip((times_s - meet_s) / 1.4, 0.0, 1.0)
    inside = np.minimum(times_s, meet_s) + np.clip(times_s - meet_s - 1.4, 0.0, 1.5) * (-1.0 if back else 1.0)
    walked = np.clip(stop_s + (inside - meet_s) * 0.9, 0.0, last_s)
    made = _at(walk, walked)
    at_stop = _at(walk, np.array([stop_s])).root_m[0]
    unit = np.array([*(way / np.linalg.norm(way)), 0.0])
    reach = float(rng.uniform(0.15, 0.2))
    made = Performed(made.rotations_wxyz, made.root_m - [at_stop[0], at_stop[1], 0.0])
    if not back:  # turns about in 0.9 s and walks away
        made = turned_by(made, np.pi * _smoothstep((times_s - meet_s - 1.2) / 0.9), np.zeros(3))
    near = np.clip(1.2 - np.abs(held - 0.5) * 2.4, 0.0, 1.0) * (held > 0) * (held < 1)
    made = _hugging(made, _smoothstep(near))
    return Performed(made.rotations_wxyz, made.root_m - reach * unit)


def _hugging(made: Performed, share: Array) -> Performed:
    """The arms about somebody in front, as much as `share` (T,) says; the legs stand."""
    body = canonical_body()
    rotations = made.rotations_wxyz.copy()
    turns = {name: np.zeros(3) for name in _LEGS}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        turns[f"{side}_shoulder"] = np.array([0.0, 25.0 * sign, -70.0 * sign])
        turns[f"{side}_elbow"] = np.array([0.0, 0.0, -70.0 * sign])
    for name, turn in turns.items():
        joint = body.joint_index(name)
        wanted = rotvec_to_quaternion(np.radians(turn))
        rotations[:, joint] = quaternion_slerp(
            rotations[:, joint], np.broadcast_to(wanted, rotations[:, joint].shape), share
        )
    return Performed(rotations, made.root_m)
