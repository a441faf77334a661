"""Legs stretched: hips raised over feet that stay where they are, for people who came out of a solve too crouched.

One camera in front of a person hardly sees how far a knee is bent towards it. May import numpy and its own room only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .body import CanonicalBody
from .clip import MotionClip
from .limb_ik import Limb, two_bone_ik
from .posing import PosedBody, clip_body, pose_clip, with_motion
from .rotations import Array, quaternion_conjugate, quaternion_multiply

MOST_DEG = 40.0
# a knee bent so far was bent: nothing is taken from it, and less and less from where the fading begins
_FADE_DEG = (50.0, 95.0)
# the leg that carries counts: ankles this much higher than the other hardly do
_CARRIES_M = 0.04
_REACH = 0.9995
_SIDES = ("left", "right")


@dataclass(frozen=True, slots=True)
class _Leg:
    """Joint indices of a leg, and its bones' lengths in m."""

    hip: int
    knee: int
    ankle: int
    thigh_m: float
    shin_m: float

    def bend(self, distance_m: Array) -> Array:
        """The knee's bend in rad at a distance (T,) from hip to ankle."""
        cosine = (distance_m**2 - self.thigh_m**2 - self.shin_m**2) / (2 * self.thigh_m * self.shin_m)
        return np.asarray(np.arccos(np.clip(cosine, -1.0, 1.0)))

    def distance_m(self, bend: Array) -> Array:
        """The distance (T,) from hip to ankle at a bend."""
        square = self.thigh_m**2 + self.shin_m**2 + 2 * self.thigh_m * self.shin_m * np.cos(bend)
        return np.asarray(np.sqrt(np.maximum(square, 0.0)))


def straighten_legs(clip: MotionClip, less_deg: float) -> MotionClip:
    """The clip with knees bent by up to `less_deg` less, nowhere overstretched; ankles and feet stay where they are.

    The pelvis, and with it all above, rises as far as the carrying leg asks for (Z up, in the world); legs follow by
    inverse kinematics. Knees that are bent beyond 50 degrees lose less, beyond 95 nothing. Frames without a person stay
    as they are. Raises ValueError when `less_deg` is not from 0 to 40.
    """
    if not 0.0 <= less_deg <= MOST_DEG:
        raise ValueError(f"Knees cannot be straightened by {less_deg:g} degrees: give 0 to {MOST_DEG:g}")
    body, posed = clip_body(clip), pose_clip(clip)
    seen = np.isfinite(posed.positions_m).all(axis=(1, 2))
    if less_deg == 0.0 or not seen.any():
        return clip
    posed = PosedBody(posed.positions_m[seen], posed.world_wxyz[seen], posed.shape)
    legs = [_leg(body, posed, side) for side in _SIDES]
    rise = _rise(posed, legs, np.radians(less_deg))
    rotations, root = clip.rotations_wxyz.astype(np.float64), clip.root_world_m.astype(np.float64)
    root[seen, 2] += rise
    rotations[seen] = _with_legs(body, posed, legs, rise, rotations[seen])
    return with_motion(clip, rotations, root)


def _leg(body: CanonicalBody, posed: PosedBody, side: str) -> _Leg:
    hip, knee, ankle = (body.joint_index(f"{side}_{part}") for part in ("hip", "knee", "ankle"))
    at = posed.positions_m[0]
    return _Leg(
        hip, knee, ankle, float(np.linalg.norm(at[knee] - at[hip])), float(np.linalg.norm(at[ankle] - at[knee]))
    )


def _rise(posed: PosedBody, legs: list[_Leg], less: float) -> Array:
    """How far the pelvis rises (T,) in m: the mean of what either leg asks for, by how much it carries, and no further
    than the shorter one reaches.
    """
    ankles = np.stack([posed.positions_m[:, leg.ankle, 2] for leg in legs])
    carries = np.exp((ankles.min(axis=0) - ankles) / _CARRIES_M)
    wanted, most = np.empty_like(ankles), np.empty_like(ankles)
    for row, leg in enumerate(legs):
        line = posed.positions_m[:, leg.hip] - posed.positions_m[:, leg.ankle]
        bend = leg.bend(np.linalg.norm(line, axis=-1))
        begins, ends = np.radians(_FADE_DEG)
        fading = np.clip((ends - bend) / (ends - begins), 0.0, 1.0)
        straighter = np.maximum(bend - less * fading, 0.0)
        wanted[row] = _lift(line, leg.distance_m(straighter))
        most[row] = _lift(line, np.full(len(line), _REACH * (leg.thigh_m + leg.shin_m)))
    return np.asarray(np.maximum(np.minimum((carries * wanted).sum(axis=0) / carries.sum(axis=0), most.min(axis=0)), 0))


def _lift(line_m: Array, distance_m: Array) -> Array:
    """How far up (T,) the upper end of a line (T, 3) has to go to make it `distance_m` (T,) long; 0 where none does."""
    across = np.square(line_m[:, :2]).sum(axis=-1)
    return np.asarray(np.sqrt(np.maximum(np.square(distance_m) - across, 0.0)) - line_m[:, 2])


def _with_legs(body: CanonicalBody, posed: PosedBody, legs: list[_Leg], rise: Array, rotations: Array) -> Array:
    """Local rotations (T, J, 4) whose legs reach the old ankles from the raised hips, feet turned as before."""
    out = rotations.copy()
    up = np.stack([np.zeros_like(rise), np.zeros_like(rise), rise], axis=-1)
    for leg in legs:
        hip, knee, ankle = (posed.positions_m[:, joint] for joint in (leg.hip, leg.knee, leg.ankle))
        solved = two_bone_ik(Limb(hip + up, knee + up, ankle + up), ankle)
        thigh = quaternion_multiply(solved.upper_turn_wxyz, posed.world_wxyz[:, leg.hip])
        shin = quaternion_multiply(solved.lower_turn_wxyz, posed.world_wxyz[:, leg.knee])
        pelvis = posed.world_wxyz[:, int(body.parents[leg.hip])]
        out[:, leg.hip] = quaternion_multiply(quaternion_conjugate(pelvis), thigh)
        out[:, leg.knee] = quaternion_multiply(quaternion_conjugate(thigh), shin)
        out[:, leg.ankle] = quaternion_multiply(quaternion_conjugate(shin), posed.world_wxyz[:, leg.ankle])
    return out
