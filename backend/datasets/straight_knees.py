"""Mocap whose people never stretch a leg: the constant bend that their skeletons add is taken out. numpy only.

Marker sets place the knee's centre in front of the line from hip to ankle: in the files of CMU and HDM05 most subjects
bend a knee by less than 11 to 31 degrees in one frame of twenty only, where people who walk or stand bend theirs by
less than 5. Whoever learns from such poses makes people crouch wherever the image leaves the knee's depth open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from backend.datasets.motion import Motion
from backend.types import Array
from blender_addon.motion.body import canonical_body, forward_kinematics
from blender_addon.motion.rotations import (
    quaternion_conjugate,
    quaternion_multiply,
    quaternion_normalize,
    rotvec_to_quaternion,
    swing_twist,
)

_STRETCHED_DEG = 5.0
_STRAIGHTEST_PERCENT = 5.0
_MOST_DEG = 15.0
_FEWEST_FRAMES = 150
_X = np.array([1.0, 0.0, 0.0])


def knee_flexion(rotations_wxyz: Array, side: str) -> Array:
    """Bend (T,) in rad of the left or right knee in poses (T, J, 4): the twist about the body's X axis, positive where
    the shin goes back.
    """
    knee = np.asarray(rotations_wxyz[:, canonical_body().joint_index(f"{side}_knee")], np.float64)
    _, twist = swing_twist(knee, _X)
    angle = 2 * np.arctan2(twist[:, 1], twist[:, 0])
    return np.asarray((angle + np.pi) % (2 * np.pi) - np.pi)


def with_straight_knees(takes: Sequence[Motion]) -> tuple[Motion, ...]:
    """Takes in which each subject's straightest legs are nearly straight: what their 5th percentile of bend exceeds
    5 degrees by, at most 15, is taken out of every frame of that leg. Hip, ankle and the foot's direction stay in line;
    the pelvis rises with the longer legs. Subjects with less than 150 frames are left alone.
    """
    flexion = {side: [knee_flexion(take.rotations_wxyz, side) for take in takes] for side in ("left", "right")}
    subjects = np.array([take.subject for take in takes])
    out = list(takes)
    for side, bends in flexion.items():
        for subject in np.unique(subjects):
            own = np.flatnonzero(subjects == subject)
            extra = _extra_bend(np.concatenate([bends[take] for take in own]))
            for take in own if extra > 0 else ():
                out[take] = replace(out[take], rotations_wxyz=_stretched(out[take].rotations_wxyz, side, extra))
    return tuple(_raised(new, old) for new, old in zip(out, takes, strict=True))


def _extra_bend(bend: Array) -> float:
    if len(bend) < _FEWEST_FRAMES:
        return 0.0
    over = float(np.percentile(bend, _STRAIGHTEST_PERCENT)) - np.radians(_STRETCHED_DEG)
    return float(np.clip(over, 0.0, np.radians(_MOST_DEG)))


def _stretched(rotations_wxyz: Array, side: str, extra: float) -> Array:
    """The knee's bend less `extra` rad; the thigh takes up what keeps the ankle on its line from the hip."""
    body = canonical_body()
    hip, knee, ankle = (body.joint_index(f"{side}_{part}") for part in ("hip", "knee", "ankle"))
    thigh, shin = np.linalg.norm(body.offsets_m[[knee, ankle]], axis=-1)
    old = rotations_wxyz.astype(np.float64)
    bend = knee_flexion(old, side)
    less = np.clip(bend, 0.0, extra)  # a straight or overstretched knee stays as it is
    back = _from_line(bend, thigh, shin) - _from_line(bend - less, thigh, shin)
    new = old.copy()
    new[:, hip] = quaternion_multiply(old[:, hip], rotvec_to_quaternion(back[:, None] * _X))
    new[:, knee] = quaternion_multiply(rotvec_to_quaternion(-less[:, None] * _X), old[:, knee])
    foot = quaternion_multiply(quaternion_multiply(old[:, hip], old[:, knee]), old[:, ankle])
    leg = quaternion_multiply(new[:, hip], new[:, knee])
    new[:, ankle] = quaternion_multiply(quaternion_conjugate(leg), foot)
    return quaternion_normalize(new).astype(rotations_wxyz.dtype)


def _from_line(bend: Array, thigh: float, shin: float) -> Array:
    """Angle between the thigh and the line from hip to ankle."""
    return np.asarray(np.arctan2(shin * np.sin(bend), thigh + shin * np.cos(bend)))


def _raised(new: Motion, old: Motion) -> Motion:
    """The pelvis as much higher as the lower ankle has sunk."""
    if new is old:
        return new
    ankles = [canonical_body().joint_index(f"{side}_ankle") for side in ("left", "right")]
    heights = [
        forward_kinematics(canonical_body(), np.asarray(take.rotations_wxyz, np.float64), np.zeros(3))[0][:, ankles, 2]
        for take in (old, new)
    ]
    root = new.root_m.astype(np.float64)
    root[:, 2] += heights[0].min(axis=1) - heights[1].min(axis=1)
    return replace(new, root_m=root.astype(new.root_m.dtype))
