"""A rest pose to measure a source's rotations from: its own where a person stands in it, else a frame that stands so.

Some files hold a rest pose that nobody could stand in (all bones along one axis, legs folded upwards), some hold none.
Rotations say how a bone differs from its rest pose, and that must be a known one: a person who stands, with straight
legs, and arms in any straight direction. numpy, `motion` and its own room only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..motion.rotations import (
    quaternion_conjugate,
    quaternion_from_to,
    quaternion_multiply,
    quaternion_rotate,
    quaternion_to_matrix,
)
from .posed_source import PosedSource
from .rest_alignment import SIDES
from .rest_world import rest_world
from .skeleton_map import SkeletonMap

Array = NDArray[np.floating]

_UP = np.array([0.0, 0.0, 1.0])
# a rest pose may differ by this much from a person who stands, in degrees: trunk over legs, knees, elbows
_LEGS_DEG, _KNEE_DEG, _ELBOW_DEG = 40.0, 40.0, 75.0
# arms nearer than this to straight up, or to one another's direction, are folded
_ARM_UP_DEG = 35.0
# the worst that a frame may be to serve as a rest pose, in degrees: how far the trunk leans, how far legs are from down
_LEAN_DEG, _LEG_DEG = 35.0, 65.0
# the first frame is a rest pose on purpose more often than any other, and so is one with straight arms held out
_FIRST_BONUS_DEG, _ARMS_OUT_BONUS_DEG = 12.0, 25.0
_STRAIGHT_DEG, _OUT_DEG = 15.0, (30.0, 110.0)
# feet at different heights: degrees for a difference of a leg's length
_UNEVEN_DEG = 100.0


@dataclass(frozen=True, slots=True)
class _Body:
    """Places of the mapped joints (T, 3) by name."""

    places: Mapping[str, Array]

    def along(self, upper: str, lower: str) -> Array | None:
        """Unit vectors (T, 3) from one joint to another; None where one is not mapped."""
        if upper not in self.places or lower not in self.places:
            return None
        span = self.places[lower] - self.places[upper]
        return span / np.maximum(np.linalg.norm(span, axis=-1, keepdims=True), 1e-12)

    def middle(self, joint: str) -> Array | None:
        """The middle (T, 3) of a pair of joints."""
        pair = [self.places[f"{side}_{joint}"] for side in SIDES if f"{side}_{joint}" in self.places]
        return np.asarray(sum(pair) / len(pair)) if pair else None

    def trunk(self) -> Array | None:
        """Unit vectors (T, 3) from the hips up the trunk."""
        low = self.middle("hip")
        low = self.places.get("pelvis") if low is None else low
        high = next((self.places[name] for name in ("neck", "head", "upper_chest") if name in self.places), None)
        high = self.middle("shoulder") if high is None else high
        if low is None or high is None:
            return None
        return (high - low) / np.maximum(np.linalg.norm(high - low, axis=-1, keepdims=True), 1e-12)

    def left(self) -> Array | None:
        """Unit vectors (T, 3) to the body's left."""
        for joint in ("hip", "shoulder", "clavicle"):
            found = self.along(f"right_{joint}", f"left_{joint}")
            if found is not None:
                return found
        return None


def stands_at_rest(source: PosedSource, skeleton_map: SkeletonMap) -> bool:
    """Whether a person could stand in the rest pose, whichever way it is turned."""
    if not source.has_rest:
        return False
    body = _Body({joint: place[None] for joint, place in _rest_places(source, skeleton_map).items()})
    trunk = body.trunk()
    if trunk is None:
        return True  # the map is too poor to say; it is refused elsewhere
    for side in SIDES:
        thigh, shin = body.along(f"{side}_hip", f"{side}_knee"), body.along(f"{side}_knee", f"{side}_ankle")
        if thigh is not None and _angle_deg(thigh, -trunk)[0] > _LEGS_DEG:
            return False
        if thigh is not None and shin is not None and _angle_deg(thigh, shin)[0] > _KNEE_DEG:
            return False
        upper, lower = body.along(f"{side}_shoulder", f"{side}_elbow"), body.along(f"{side}_elbow", f"{side}_wrist")
        if upper is not None and _angle_deg(upper, trunk)[0] < _ARM_UP_DEG:
            return False
        if upper is not None and lower is not None and _angle_deg(upper, lower)[0] > _ELBOW_DEG:
            return False
    return True


def standing_frame(source: PosedSource, skeleton_map: SkeletonMap) -> int | None:
    """The frame that serves best as a rest pose; None where the body stands straight in none."""
    body = _Body(_posed_places(source, skeleton_map))
    trunk = body.trunk()
    if trunk is None:
        return None
    lean = _angle_deg(trunk, _UP)
    worst, cost = np.zeros(len(lean)), 1.5 * lean
    for side in SIDES:
        thigh, shin = body.along(f"{side}_hip", f"{side}_knee"), body.along(f"{side}_knee", f"{side}_ankle")
        for part in (thigh, shin):
            if part is not None:
                off = _angle_deg(part, -_UP)
                worst, cost = np.maximum(worst, off), cost + off
    cost = cost + _arms_cost_deg(body, trunk) + _uneven_feet_deg(body)
    hips, shoulders = body.along("right_hip", "left_hip"), body.along("right_shoulder", "left_shoulder")
    if hips is not None and shoulders is not None:
        cost = cost + _angle_deg(hips, shoulders)
    cost = np.where((worst > _LEG_DEG) | (lean > _LEAN_DEG), np.inf, cost)
    cost[0] -= _FIRST_BONUS_DEG
    best = int(np.argmin(cost))
    return best if np.isfinite(cost[best]) else None


def _arms_cost_deg(body: _Body, trunk: Array) -> Array:
    """What (T,) bent or raised arms cost, and straight ones that are held out earn."""
    cost = np.zeros(len(trunk))
    for side in SIDES:
        upper, lower = body.along(f"{side}_shoulder", f"{side}_elbow"), body.along(f"{side}_elbow", f"{side}_wrist")
        if upper is None or lower is None:
            return cost
        bent, lifted = _angle_deg(upper, lower), _angle_deg(upper, -trunk)
        cost = cost + 0.5 * bent + np.where(lifted > 180.0 - _ARM_UP_DEG, 60.0, 0.0)
    return cost - np.where(_arms_out(body, trunk), _ARMS_OUT_BONUS_DEG, 0.0)


def _arms_out(body: _Body, trunk: Array) -> NDArray[np.bool_]:
    """Frames (T,) in which both arms are straight and held out to the sides, as in a rest pose."""
    out = np.ones(len(trunk), dtype=bool)
    for side in SIDES:
        upper, lower = body.along(f"{side}_shoulder", f"{side}_elbow"), body.along(f"{side}_elbow", f"{side}_wrist")
        if upper is None or lower is None:
            return np.zeros(len(trunk), dtype=bool)
        lifted = _angle_deg(upper, -trunk)
        out &= (_angle_deg(upper, lower) < _STRAIGHT_DEG) & (lifted > _OUT_DEG[0]) & (lifted < _OUT_DEG[1])
    return out


def _uneven_feet_deg(body: _Body) -> Array | float:
    """What (T,) feet at different heights cost."""
    ankles = [body.places.get(f"{side}_ankle") for side in SIDES]
    hips = body.middle("hip")
    if ankles[0] is None or ankles[1] is None or hips is None:
        return 0.0
    leg = np.median(np.linalg.norm(hips - ankles[0], axis=-1))
    return np.asarray(_UNEVEN_DEG * np.abs(ankles[0][:, 2] - ankles[1][:, 2]) / max(float(leg), 1e-9))


def on_a_standing_frame(source: PosedSource, skeleton_map: SkeletonMap, frame: int) -> PosedSource:
    """The source with that frame's pose as its rest pose, in axes that look the way the body looks there."""
    body = _Body(_posed_places(source, skeleton_map))
    left, trunk = body.left(), body.trunk()
    heading = 0.0 if left is None else float(np.arctan2(left[frame, 1], left[frame, 0]))
    out = trunk is not None and bool(_arms_out(body, trunk)[frame])
    return replace(source.rebased(frame, heading), by_frame=not out)


def set_upright(source: PosedSource, skeleton_map: SkeletonMap) -> PosedSource:
    """The source turned so that its body stands along Z, where it lies in its rest pose and stands so as it moves:
    the axes of its file were read as others.
    """
    rest = _Body({j: p[None] for j, p in _rest_places(source, skeleton_map).items()})
    trunk = rest.trunk() if source.has_rest else None
    if trunk is None or trunk[0] @ _UP > 0.5:
        return source
    posed = _Body(_posed_places(source, skeleton_map)).trunk()
    assert posed is not None  # the rest pose has one
    mean = posed.mean(axis=0)
    axis = np.zeros(3)
    axis[int(np.argmax(np.abs(trunk[0])))] = np.sign(trunk[0][int(np.argmax(np.abs(trunk[0])))])
    if mean @ axis < 0.7 or axis[2] > 0.5:
        return source
    turn = quaternion_from_to(axis, _UP)
    return _turned(source, turn)


def _turned(source: PosedSource, turn: Array) -> PosedSource:
    matrix = np.eye(4)
    matrix[:3, :3] = quaternion_to_matrix(turn)
    deltas = quaternion_multiply(quaternion_multiply(turn, source.deltas_wxyz), quaternion_conjugate(turn))
    return replace(
        source,
        rig=replace(source.rig, object_matrix=matrix @ source.rig.object_matrix),
        deltas_wxyz=deltas,
        heads_m=quaternion_rotate(turn, source.heads_m),
        notes=(*source.notes, "the body lies in its rest pose and stands so as it moves: it was turned upright"),
    )


def _rest_places(source: PosedSource, skeleton_map: SkeletonMap) -> dict[str, Array]:
    heads = rest_world(source.rig).heads_m
    return {joint: heads[source.rig.index(bones[0])] for joint, bones in skeleton_map.joints.items() if bones}


def _posed_places(source: PosedSource, skeleton_map: SkeletonMap) -> dict[str, Array]:
    index = {joint: source.rig.index(bones[0]) for joint, bones in skeleton_map.joints.items() if bones}
    return {joint: source.heads_m[:, bone] for joint, bone in index.items()}


def _angle_deg(a: Array, b: Array) -> Array:
    return np.degrees(np.arccos(np.clip(np.sum(a * b, axis=-1), -1.0, 1.0)))
