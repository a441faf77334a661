"""The rig's body at rest, measured in the world: facing, floor, legs, feet. numpy, `motion` and its own room only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .rest_alignment import SIDES, body_frame
from .rest_world import RestWorld
from .skeleton_map import SkeletonMap

Array = NDArray[np.floating]

# proportions of the canonical body, for rigs whose bones do not show them
_BALL_OF_LEG, _HEEL_OF_FOOT = 0.15, 0.35
# a foot shorter than this part of the leg shows no direction
_LEAST_FOOT = 0.03
# how high the lowest bone of a foot lies above the sole, in leg lengths: usual and at most; toes and ankle-only feet
_TOE_HEIGHTS, _ANKLE_HEIGHTS = (0.02, 0.06), (0.09, 0.13)


@dataclass(frozen=True, slots=True)
class TargetFoot:
    """A foot at rest, world positions (3,) in m: ankle, and heel and ball on the floor below the sole; `tip_m` the
    toes' end on the floor (None: no toe bone leads to it).
    """

    ankle_m: Array
    heel_m: Array
    ball_m: Array
    tip_m: Array | None = None


@dataclass(frozen=True, slots=True)
class TargetBody:
    """A rig's body at rest in the world.

    `frame` (3, 3) columns are its left, backward and up; `pelvis_m` (3,) the middle of the hip joints; `floor` the
    height of the sole along `up`; `leg_length_m` from hip joint to sole along the straight leg (0: no leg mapped).
    """

    frame: Array
    pelvis_m: Array
    floor: float
    leg_length_m: float
    feet: dict[str, TargetFoot]

    @property
    def up(self) -> Array:
        """The body's own up (3,) in the world."""
        return np.asarray(self.frame[:, 2])

    @property
    def standing_m(self) -> Array:
        """The point (3,) on the floor below the pelvis."""
        return self.pelvis_m + self.up * (self.floor - self.pelvis_m @ self.up)


def measure_target(rest: RestWorld, skeleton_map: SkeletonMap) -> TargetBody:
    """Measure a rig. Raises ValueError when hips and shoulders are too few to tell its axes."""
    frame = body_frame(rest, skeleton_map)
    place = {joint: rest.heads_m[rest.rig.index(bones[0])] for joint, bones in skeleton_map.joints.items() if bones}
    up = frame[:, 2]
    pelvis = place["pelvis"]
    if "left_hip" in place and "right_hip" in place:
        pelvis = (place["left_hip"] + place["right_hip"]) / 2
    bones_m = [_straight_leg_m(place, side) for side in SIDES]
    bones_m = [length for length in bones_m if length > 0.0]
    leg = float(np.mean(bones_m)) if bones_m else 0.0
    lowest = min(float((rest.heads_m @ up).min()), float((rest.tails_m @ up).min()))
    floor = _floor(rest, skeleton_map, up, leg or float(pelvis @ up) - lowest)
    ankles = [place[f"{side}_ankle"] @ up - floor for side in SIDES if f"{side}_ankle" in place]
    feet = {side: _foot(rest, skeleton_map, place, side, frame, floor) for side in SIDES if f"{side}_ankle" in place}
    # without a whole leg the hips' height tells the size
    length = leg + float(np.mean(ankles)) if leg and ankles else float(pelvis @ up) - floor
    return TargetBody(frame, pelvis, floor, max(length, 0.0), feet)


def _straight_leg_m(place: dict[str, Array], side: str) -> float:
    names = [f"{side}_{joint}" for joint in ("hip", "knee", "ankle")]
    if any(name not in place for name in names):
        return 0.0
    hip, knee, ankle = (place[name] for name in names)
    return float(np.linalg.norm(knee - hip) + np.linalg.norm(ankle - knee))


def _floor(rest: RestWorld, skeleton_map: SkeletonMap, up: Array, leg_m: float) -> float:
    """The sole's height along `up`: the mesh's lowest point, else the object's origin or just below the toes."""
    ankles = [skeleton_map.joints.get(f"{side}_ankle", ()) for side in SIDES]
    feet = {rest.rig.index(bones[0]) for bones in ankles if bones}
    low = {rest.rig.index(bone) for bone in skeleton_map.bones()}
    low |= {bone for bone in range(len(rest.rig)) if feet & set(rest.path_up(bone))}
    usual, highest = _TOE_HEIGHTS if len(low) > len(skeleton_map.bones()) or _has_toes(skeleton_map) else _ANKLE_HEIGHTS
    lowest_bone = float((rest.heads_m[sorted(low)] @ up).min())
    if rest.rig.skin_bounds is not None:
        corners = np.array(np.meshgrid(*rest.rig.skin_bounds.T)).reshape(3, -1).T
        world = corners @ rest.world_from_armature.T + rest.rig.object_matrix[:3, 3]
        sole = float((world @ up).min())
        # a cloak or a tail may hang lower than the feet, a mesh without feet may end higher
        if -0.12 * leg_m <= lowest_bone - sole <= 0.25 * leg_m:
            return sole
    origin = float(rest.rig.object_matrix[:3, 3] @ up)
    if -0.01 * leg_m <= lowest_bone - origin < highest * leg_m:
        return origin
    return lowest_bone - usual * leg_m


def _has_toes(skeleton_map: SkeletonMap) -> bool:
    return any(skeleton_map.joints.get(f"{side}_toe") for side in SIDES)


def _foot(
    rest: RestWorld, skeleton_map: SkeletonMap, place: dict[str, Array], side: str, frame: Array, floor: float
) -> TargetFoot:
    up, forward = frame[:, 2], -frame[:, 1]
    ankle = place[f"{side}_ankle"]
    toes = skeleton_map.joints.get(f"{side}_toe", ())
    ball = place.get(f"{side}_toe")
    leg_m = _straight_leg_m(place, side)
    if ball is not None and np.linalg.norm((ball - ankle) - up * ((ball - ankle) @ up)) < _LEAST_FOOT * leg_m:
        ball = None  # it sits where the ankle does
    if ball is None:
        reach = _BALL_OF_LEG * max(_straight_leg_m(place, side), 1e-6)
        tail = rest.tails_m[rest.rig.index(skeleton_map.joints[f"{side}_ankle"][-1])] - ankle
        ball = ankle + (tail if tail @ forward > 0.5 * reach else forward * reach)
    ball = ball + up * (floor - ball @ up)
    below = ankle + up * (floor - ankle @ up)
    return TargetFoot(ankle, below - _HEEL_OF_FOOT * (ball - below), ball, _tip_m(rest, toes, ball, frame, floor))


def _tip_m(rest: RestWorld, toes: tuple[str, ...], ball: Array, frame: Array, floor: float) -> Array | None:
    """Where the toes end, on the floor; None without a toe bone that points ahead."""
    if not toes:
        return None
    up, tip = frame[:, 2], rest.tails_m[rest.rig.index(toes[-1])]
    tip = tip + up * (floor - tip @ up)
    return tip if (tip - ball) @ -frame[:, 1] > 0.0 else None
