"""Thighs that the image shows shorter than the pose has them: they point towards the camera, or away from it.

May import `motion`, `types` and its own room. Pure. From the front, the thighs of somebody who sits and of somebody
who stands with bent knees differ in their length in the image and hardly in anything else. Where the towers take the
one for the other, the fit leaves the thighs longer than the keypoints have them: the person seems to crouch, with their
feet far behind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.types import Array, PoseTrack
from backend.world.bent_body import bend_deg, unit_vectors
from backend.world.scene import Scene
from backend.world.unseen import changed_poses
from blender_addon.motion.body import CanonicalBody, points_m
from blender_addon.motion.contacts import point_speed_m_s, resumed_s
from blender_addon.motion.posing import PosedBody, pose_body
from blender_addon.motion.rotations import (
    quaternion_conjugate,
    quaternion_from_to,
    quaternion_multiply,
    quaternion_rotate,
    quaternion_slerp,
)
from blender_addon.motion.temporal import Gaussian, filter_positions

# a thigh this much shorter in the image than in the pose is turned not at all, and wholly
_RATIOS = (0.95, 0.87)
# so far has a knee to be seen, and an ankle
_LEAST_VISIBILITY = 0.4
# knees bent by this much, degrees, are not those of somebody who stands; nothing below the first, all above the second
_BENT_DEG = (20.0, 35.0)
# the trunk is so far upright, and the pelvis faces so far along the view
_UPRIGHT, _FACING = (0.5, 0.7), (0.2, 0.4)
# and the knees move so fast beside the hips, m/s: all below the first
_SLOW_M_S = (0.2, 0.4)
_STEADY_S = 0.2
_FORWARD = np.array([0.0, -1.0, 0.0])
_SIDES = ("left", "right")


@dataclass(frozen=True, slots=True)
class _Leg:
    """Where a leg's hip, knee and ankle are in the camera (N, 3, 3), in m; lengths (N, 2) of thigh and shin in the
    image, over those that the pose has there; `seen` (N, 2), how far that counts, 0 to 1.
    """

    joints_m: Array
    ratios: Array
    seen: Array


def turn_foreshortened(scene: Scene, root_camera_m: Array, down: Array) -> PoseTrack:
    """The poses of a scene with foreshortened thighs turned along the view; the same ones where there are none.

    `root_camera_m` (N, 3) is where the pelvis is by the keypoints, `down` (3,) gravity in the camera. A thigh is turned
    the way the pelvis faces: the other way no hip bends. The shin goes with it, half by the knee's angle and half by
    its own length in the image; the foot keeps its direction.
    """
    body, times_s, poses, frames = scene.body, scene.seen.times_s, scene.poses, scene.solved
    before = poses.rotations_wxyz[frames].astype(np.float64)
    place = root_camera_m if scene.seen.camera_m is None else root_camera_m - scene.seen.camera_m
    posed = pose_body(body, scene.shape, before, place)
    visibility = np.nan_to_num(scene.track.visibility[frames])
    legs = [_leg(body, posed, scene.seen.rays, visibility, side) for side in _SIDES]
    crouches = _crouches(body, posed, legs, down) * _still(times_s, legs)
    weights = [_steady(times_s, crouches * _less(leg.ratios[:, 0]) * leg.seen[:, 0], leg.seen[:, 0]) for leg in legs]
    # somebody who walks towards the camera lifts one leg at a time
    weight = np.minimum(*weights) if all((leg.seen[:, 0] > 0.5).mean() > 0.5 for leg in legs) else np.maximum(*weights)
    if weight.max(initial=0.0) < 0.05:
        return poses
    after = before.copy()
    for side, leg in zip(_SIDES, legs, strict=True):
        steady = np.stack([_steady(times_s, leg.ratios[:, bone], leg.seen[:, bone], 1.0) for bone in (0, 1)], axis=1)
        _turn_leg(body, posed, after, side, _Leg(leg.joints_m, steady, leg.seen * weight[:, None]))
    return changed_poses(poses, scene.shape, frames, (before, after))


def _leg(body: CanonicalBody, posed: PosedBody, rays: Array, visibility: Array, side: str) -> _Leg:
    names = body.subsets["blazepose33"]
    points = points_m(body, "blazepose33", posed.positions_m, posed.world_wxyz, posed.shape)
    places = [names.index(f"{side}_{name}") for name in ("hip", "knee", "ankle")]
    own = points[:, places, :2] / np.maximum(points[:, places, 2:], 0.1)
    lengths = [np.linalg.norm(np.diff(ends, axis=1), axis=-1) for ends in (rays[:, places], own)]
    with np.errstate(invalid="ignore"):
        ratios = lengths[0] / np.maximum(lengths[1], 1e-6)
    seen = (visibility[:, places[1:]] > _LEAST_VISIBILITY) & np.isfinite(ratios)
    seen[:, 1] &= seen[:, 0]
    joints = [body.joint_index(f"{side}_{name}") for name in ("hip", "knee", "ankle")]
    return _Leg(posed.positions_m[:, joints], np.nan_to_num(ratios, nan=1.0), seen.astype(np.float64))


def _crouches(body: CanonicalBody, posed: PosedBody, legs: list[_Leg], down: Array) -> Array:
    """How far (N,) the trunk is upright, the pelvis faces along the view, and both knees are bent."""
    trunk = unit_vectors(posed.positions_m[:, body.joint_index("neck")] - posed.positions_m[:, 0])
    bent = np.min([bend_deg(*np.moveaxis(leg.joints_m, 1, 0)) for leg in legs], axis=0)
    return np.asarray(
        _ramp(-(trunk @ down), _UPRIGHT) * _ramp(np.abs(_facing(posed)), _FACING) * _ramp(bent, _BENT_DEG)
    )


def _still(times_s: Array, legs: list[_Leg]) -> Array:
    """How far (N,) both knees stay where they are beside the hips: 0 for somebody who walks."""
    beside = np.stack([leg.joints_m[:, 1] - leg.joints_m[:, 0] for leg in legs], axis=1)
    speed = filter_positions(Gaussian(_STEADY_S), times_s, point_speed_m_s(times_s, beside), resumed_s(times_s))
    return _ramp(-speed.max(axis=1), (-_SLOW_M_S[1], -_SLOW_M_S[0]))


def _facing(posed: PosedBody) -> Array:
    """How far (N,) the pelvis faces along the view, away from the camera: -1 to 1."""
    forward = quaternion_rotate(posed.world_wxyz[:, 0], _FORWARD)
    return np.asarray((forward * unit_vectors(posed.positions_m[:, 0])).sum(axis=-1))


def _less(ratio: Array) -> Array:
    return _ramp(-ratio, (-_RATIOS[0], -_RATIOS[1]))


def _turn_leg(body: CanonicalBody, posed: PosedBody, rotations: Array, side: str, leg: _Leg) -> None:
    """Write, in place, the rotations (N, J, 4) of a leg whose thigh is as long in the image as `leg.ratios` has it."""
    hip, knee, ankle = (body.joint_index(f"{side}_{name}") for name in ("hip", "knee", "ankle"))
    pelvis = int(body.parents[hip])
    way = np.sign(_facing(posed))
    thigh, shin = leg.joints_m[:, 1] - leg.joints_m[:, 0], leg.joints_m[:, 2] - leg.joints_m[:, 1]
    view = unit_vectors(0.5 * (leg.joints_m[:, 0] + leg.joints_m[:, 1]))
    led = _along(thigh, np.minimum(leg.ratios[:, 0], 1.0), view, way)
    still = np.tile([1.0, 0.0, 0.0, 0.0], (len(thigh), 1))
    turn = quaternion_slerp(still, quaternion_from_to(thigh, led), leg.seen[:, 0])
    carried = quaternion_rotate(turn, shin)
    shown = _along(shin, leg.ratios[:, 1], view, np.sign((carried * view).sum(axis=-1)))
    middle = unit_vectors(carried) + unit_vectors(shown)
    bend = quaternion_slerp(still, quaternion_from_to(carried, middle), leg.seen[:, 1])
    upper = quaternion_multiply(turn, posed.world_wxyz[:, hip])
    lower = quaternion_multiply(quaternion_multiply(bend, turn), posed.world_wxyz[:, knee])
    rotations[:, hip] = quaternion_multiply(quaternion_conjugate(posed.world_wxyz[:, pelvis]), upper)
    rotations[:, knee] = quaternion_multiply(quaternion_conjugate(upper), lower)
    rotations[:, ankle] = quaternion_multiply(quaternion_conjugate(lower), posed.world_wxyz[:, ankle])


def _along(bone: Array, ratio: Array, view: Array, way: Array) -> Array:
    """The bone (N, 3), `ratio` times as long across the `view` (N, 3), and along it as its own length leaves, `way`."""
    across = bone - (bone * view).sum(axis=-1, keepdims=True) * view
    length = np.linalg.norm(bone, axis=-1)
    wide = np.linalg.norm(across, axis=-1)
    shown = np.minimum(wide * ratio, length)
    depth = np.sqrt(np.maximum(length**2 - shown**2, 0.0))
    return np.asarray(across * (shown / np.maximum(wide, 1e-9))[:, None] + (way * depth)[:, None] * view)


def _steady(times_s: Array, values: Array, seen: Array, unknown: float = 0.0) -> Array:
    """Values (N,) over the neighbouring frames in which they are seen (N,); `unknown` far from all of them."""
    both = np.stack([(values - unknown) * seen, seen], axis=1)
    total, weight = filter_positions(Gaussian(_STEADY_S), times_s, both, resumed_s(times_s)).T
    return np.asarray(unknown + total / np.maximum(weight, 0.1))


def _ramp(value: Array, ends: tuple[float, float]) -> Array:
    return np.asarray(np.clip((value - ends[0]) / (ends[1] - ends[0]), 0.0, 1.0))
