"""From poses in the camera to motion in the world: root path, gravity, floor, contacts, planted feet.

May import `camera`, `motion`, `types` and its own room. Pure: no files, no clock, no randomness.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backend.types import Array, Intrinsics, PersonTrack, PoseTrack
from backend.world.bent_body import down_if_bent
from backend.world.foreshortened import turn_foreshortened
from backend.world.gravity import GravityHints, estimate_gravity, gravity_hints, world_axes
from backend.world.gravity_doubt import doubted
from backend.world.root_path import RootPath, solve_root_path
from backend.world.scene import Scene, make_scene
from backend.world.steps import (
    body_contacts,
    find_steps,
    floor_height,
    footing,
    lowest_level_m,
    step_places_m,
    touching_points,
)
from backend.world.unseen import gravity_doubt_deg, settle_unseen
from backend.world.world_track import Gravity, WorldOptions, WorldTrack
from backend.world.world_warnings import gravity_warning, turned_video
from blender_addon.motion.body import points_m
from blender_addon.motion.body_contacts import CONTACT_PARTS
from blender_addon.motion.clip_warning import ClipWarning, WarningCode
from blender_addon.motion.contacts import ContactSettings, planted_frames, point_speed_m_s
from blender_addon.motion.foot_evidence import foot_figures, stands
from blender_addon.motion.planting import Motion, plant_feet
from blender_addon.motion.posing import FOOT_POINTS, PosedBody, camera_to_world, find_feet, pose_body, world_to_camera
from blender_addon.motion.resting import lift_feet, rest_body
from blender_addon.motion.rotations import matrix_to_quaternion, quaternion_multiply

_log = logging.getLogger(__name__)

_FEW_FRAMES = 3
# the highest probability of a foot point that planting did not hold
_LOOSE = 0.28
_ANY_HEIGHT_M = 100.0
# somebody whose feet are further from the floor that is known stands on something else
_MOST_LIFT_M = 0.3
# a seat this far above the floor is on a chair
_CHAIR_M = 0.25
# where feet stand in this part of all frames with contacts, they alone say where the floor is
_FEET_SHARE = 0.8
# and where hands do in this part of the frames, the person does push-ups or walks on them
_ON_HANDS_SHARE = 0.4


def place_in_world(
    poses: PoseTrack, track: PersonTrack, intrinsics: Intrinsics, options: WorldOptions | None = None
) -> WorldTrack:
    """Place one person's poses in the world.

    The root path agrees with the keypoints of `track` under `intrinsics` and with the body height; gravity and floor
    come from the poses, the standing feet and the habit of level cameras, or from `options`. Frames without a pose
    stay NaN. A track without any solved frame gives an all-NaN result with a warning.
    """
    options = options or WorldOptions()
    solved = np.flatnonzero(np.isfinite(poses.rotations_wxyz).all(axis=(1, 2)) & (poses.confidence > 0))
    if len(solved) < _FEW_FRAMES:
        return _nothing(poses, options)
    given = _given(options)
    spread_deg = float(np.hypot(poses.gravity_spread_deg, gravity_doubt_deg(options.framed(track), intrinsics, solved)))
    hints = gravity_hints(poses.gravity_camera, spread_deg, options.edges, down_if_bent(poses, solved))
    rough = given or estimate_gravity(hints, options.vertical)
    poses, unseen = settle_unseen(poses, options.framed(track), intrinsics, rough.down, solved)
    scene = make_scene(poses, track, intrinsics, solved, unseen, options.travel)
    path = solve_root_path(scene.seen, options.root)
    turned = turn_foreshortened(scene, path.root_camera_m, rough.down)
    if turned is not poses:
        scene = make_scene(turned, track, intrinsics, solved, unseen, options.travel)
        path = solve_root_path(scene.seen, options.root)
    gravity = given or _first_gravity(scene, path, (hints, rough.down), options)
    probability = body_contacts(scene, path.root_camera_m, gravity.down, options)
    for _ in range(2):
        steps = find_steps(scene, probability, gravity.down, options)
        path = solve_root_path(scene.seen, options.root, steps)
        gravity = given or estimate_gravity(hints, options.vertical, footing(path.places_camera_m, steps))
        probability = body_contacts(scene, path.root_camera_m, gravity.down, options)
    return _finish(scene, path, given or doubted(gravity, hints, poses, unseen), probability, options)


def _first_gravity(scene: Scene, path: RootPath, known: tuple[GravityHints, Array], options: WorldOptions) -> Gravity:
    """Gravity while no floor is known: heels that stay in place, at whatever height, stand on one level.

    Whether soles are level is not asked: those of a person who lies are not.
    """
    hints, down = known
    anywhere = replace(options, contacts=replace(options.contacts, height_m=_ANY_HEIGHT_M))
    resting = body_contacts(scene, path.root_camera_m, down, anywhere)
    resting[:, 1:4:2] = 0.0
    resting[:, 4:] = 0.0
    steps = find_steps(scene, resting, down, anywhere)
    return estimate_gravity(hints, options.vertical, footing(step_places_m(path, steps), steps))


def _given(options: WorldOptions) -> Gravity | None:
    """The down direction in the camera where the caller knows it."""
    if options.gravity is not None:
        return options.gravity
    if options.world_from_camera is not None:
        return Gravity(-np.asarray(options.world_from_camera, dtype=np.float64)[2, :3], 0.0)
    if options.gravity_camera is not None:
        down = np.asarray(options.gravity_camera, dtype=np.float64)
        return Gravity(np.asarray(down / np.linalg.norm(down)), 0.0)
    return None


def _finish(scene: Scene, path: RootPath, gravity: Gravity, probability: Array, options: WorldOptions) -> WorldTrack:
    """Turn the result upright, put the floor at zero, plant the feet, and fill the frames in."""
    times_s, frames = scene.seen.times_s, len(scene.poses.confidence)
    rotations = scene.poses.rotations_wxyz[scene.solved].astype(np.float64)
    world_from_camera, lift_m = _camera_pose(scene, path, gravity.down, probability, options)
    path = replace(path, root_camera_m=path.root_camera_m + lift_m * gravity.down)
    repeated = np.tile(world_from_camera, (len(times_s), 1, 1))
    rotations[:, 0] = quaternion_multiply(matrix_to_quaternion(world_from_camera[:3, :3]), rotations[:, 0])
    root = camera_to_world(repeated, path.root_camera_m[:, None])[:, 0]
    motion = Motion(times_s, rotations, root)
    planted = planted_frames(times_s, probability, options.contacts)
    feet, told = probability[:, : len(FOOT_POINTS)], probability[:, len(FOOT_POINTS) :]
    if options.plant_feet:
        motion = rest_body(scene.body, scene.shape, motion, planted)
        rests = planted[:, len(FOOT_POINTS) :].any(axis=1)
        done = plant_feet(scene.body, scene.shape, motion, planted[:, : len(FOOT_POINTS)], options.plant, rests)
        motion = lift_feet(scene.body, scene.shape, done.motion, planted, scene.unseen.feet)
        feet = _told_contacts(feet, planted[:, : len(FOOT_POINTS)], done.held, options.contacts)
    before = pose_body(scene.body, scene.shape, rotations, root)
    after = pose_body(scene.body, scene.shape, motion.rotations_wxyz, motion.root_m)
    change = _h36m(scene, after) - _h36m(scene, before)
    root_camera = world_to_camera(repeated, motion.root_m[:, None])[:, 0]
    # what the pose solver found stays as it was; only the root and the planted legs move
    joints = scene.poses.joints_camera_m[scene.solved] - scene.poses.root_camera_m[scene.solved, None]
    joints = joints + path.root_camera_m[:, None] + change @ world_from_camera[:3, :3]
    fill = _Filler(frames, scene.solved)
    return WorldTrack(
        rotations_wxyz=fill.nan(motion.rotations_wxyz),
        root_world_m=fill.nan(motion.root_m),
        root_camera_m=fill.nan(root_camera),
        joints_camera_m=fill.nan(joints),
        contacts=fill.zero(feet),
        body_contacts=fill.zero(told),
        joint_confidence=fill.zero(scene.unseen.joints),
        world_from_camera=np.tile(world_from_camera, (frames, 1, 1)),
        gravity=gravity,
        gravity_source=_gravity_source(options),
        reprojection_px=fill.nan(_reprojection_px(scene, path)),
        warnings=_warnings(scene, gravity, planted, options),
        figures=_figures_before(scene, before),
    )


def _told_contacts(
    probability: Array, planted: NDArray[np.bool_], held: NDArray[np.bool_], settings: ContactSettings
) -> Array:
    """Contact probabilities (N, 4) that leave no doubt which points are held: later stages hold the same ones.

    They start a contact from 0.5 and end it below 0.3 by default, which lies between what is told here.
    """
    told = np.where(held, np.maximum(probability, settings.enter), np.minimum(probability, _LOOSE))
    return np.where(planted & ~held, np.minimum(told, 0.5 * settings.leave), told)


def _figures_before(scene: Scene, posed: PosedBody) -> dict[str, float]:
    """What the feet did before they were planted, when their keypoints stood still."""
    feet, times_s = find_feet(scene.body, posed), scene.seen.times_s
    camera_depth_m = scene.poses.root_camera_m[scene.solved, 2:]
    found = foot_figures(times_s, feet, stands(point_speed_m_s(times_s, scene.foot_rays) * camera_depth_m, feet))
    return {
        "foot_skate_before_m_s": round(found.skate_m_s, 4),
        "floating_before_m": round(found.floating_m, 4),
        "penetration_before_m": round(found.below_m, 4),
    }


def _camera_pose(
    scene: Scene, path: RootPath, down: Array, probability: Array, options: WorldOptions
) -> tuple[Array, float]:
    """`world_from_camera` (4, 4): floor at zero, the first pelvis above the origin; or the given one. And how far the
    feet stand above that floor, m, where it is known by itself and is what they stand on.
    """
    if options.world_from_camera is not None and options.floor_below_m is None:
        return np.asarray(options.world_from_camera, dtype=np.float64), 0.0
    turn = world_axes(down) if options.right is None else world_axes(down, options.right)
    points = touching_points(scene)
    planted = planted_frames(scene.seen.times_s, probability, options.contacts)
    height = (points.positions_m + path.root_camera_m[:, None]) @ turn[2] - points.clearance_m
    # a seat on a chair says nothing of the floor
    seat = len(FOOT_POINTS) + CONTACT_PARTS.index("seat")
    planted[:, seat] &= height[:, seat] < floor_height(height) + _CHAIR_M
    # soles are more exact than other parts of the body
    feet = planted & (np.arange(planted.shape[1]) < len(FOOT_POINTS))
    standing = feet if feet.any(axis=1).sum() >= _FEET_SHARE * planted.any(axis=1).sum() else planted
    floor = lowest_level_m(height[standing]) if standing.any() else floor_height(height)
    camera_m = -floor if options.floor_below_m is None else options.floor_below_m
    lift = floor + camera_m if abs(floor + camera_m) <= _MOST_LIFT_M else 0.0
    if options.world_from_camera is not None:
        return np.asarray(options.world_from_camera, dtype=np.float64), lift
    pose = np.eye(4)
    pose[:3, :3] = turn
    start = turn @ path.root_camera_m[0]
    pose[:3, 3] = -start[0], -start[1], camera_m
    return pose, lift


def _h36m(scene: Scene, posed: PosedBody) -> Array:
    return points_m(scene.body, "h36m17", posed.positions_m, posed.world_wxyz, scene.shape)


def _reprojection_px(scene: Scene, path: RootPath) -> Array:
    """The weighted middle of the keypoints' distances (N,) at the person's depth, in rays."""
    residual = path.residual_m / np.maximum(scene.seen.depth_m(path.root_camera_m)[:, None], 0.1)
    order = np.argsort(residual, axis=1)
    weight = np.cumsum(np.take_along_axis(scene.seen.weights, order, axis=1), axis=1)
    middle = np.argmax(weight >= 0.5 * weight[:, -1:], axis=1)
    return np.take_along_axis(np.take_along_axis(residual, order, axis=1), middle[:, None], axis=1)[:, 0]


def _gravity_source(options: WorldOptions) -> str:
    return "given" if options.gravity_camera is not None else "found"


def _warnings(
    scene: Scene, gravity: Gravity, planted: NDArray[np.bool_], options: WorldOptions
) -> tuple[ClipWarning, ...]:
    found: list[ClipWarning] = []
    # somebody who rests on their hands stands in no turned video
    hands = planted[:, len(FOOT_POINTS) + np.array([CONTACT_PARTS.index(f"{side}_hand") for side in ("left", "right")])]
    turned = "" if hands.any(axis=1).mean() > _ON_HANDS_SHARE else turned_video(scene.track, gravity.down)
    doubt = None if options.gravity_camera is not None else gravity_warning(gravity, turned)
    if doubt is not None:
        found.append(doubt)
    if options.travel is not None:
        text = (
            "The camera travels; its path was found from the background, and its scale from the person's height. "
            "If that height is assumed, give --height"
        )
        found.append(ClipWarning(WarningCode.CAMERA_MOVES, text))
    elif options.camera_turns:
        text = (
            "The camera moves; only its turns and zoom could be followed. Where it also travels, the path through the "
            "world drifts with it"
        )
        found.append(ClipWarning(WarningCode.CAMERA_MOVES, text))
    elif options.camera_moves:
        text = (
            "The camera seems to travel; Marionet takes it as still, so the path through the world drifts with it. A "
            "camera on a tripod, or one that only turns and zooms on one spot, gives a path that holds"
        )
        found.append(ClipWarning(WarningCode.CAMERA_MOVES, text))
    if not scene.seen.weights.any():
        found.append(ClipWarning(WarningCode.NOT_PLACED, "No keypoint was seen well enough to place the person"))
    for warning in found:
        _log.warning("%s", warning.text)
    return tuple(found)


def _nothing(poses: PoseTrack, options: WorldOptions) -> WorldTrack:
    frames = len(poses.confidence)
    gravity = _given(options) or estimate_gravity(gravity_hints(poses.gravity_camera), options.vertical)
    pose = np.eye(4)
    pose[:3, :3] = world_axes(gravity.down)
    text = f"The person is solved in fewer than {_FEW_FRAMES} frames; there is no motion to place"
    return WorldTrack(
        rotations_wxyz=np.full(poses.rotations_wxyz.shape, np.nan),
        root_world_m=np.full((frames, 3), np.nan),
        root_camera_m=np.full((frames, 3), np.nan),
        joints_camera_m=np.full(poses.joints_camera_m.shape, np.nan),
        contacts=np.zeros((frames, 4)),
        world_from_camera=np.tile(pose, (frames, 1, 1)),
        gravity=gravity,
        gravity_source=_gravity_source(options),
        reprojection_px=np.full(frames, np.nan),
        warnings=(ClipWarning(WarningCode.TOO_FEW_FRAMES, text),),
    )


@dataclass(frozen=True, slots=True)
class _Filler:
    """Puts solved frames back among all `frames`."""

    frames: int
    solved: NDArray[np.intp]

    def nan(self, values: Array) -> Array:
        """`values` (N, ...) at their frames, NaN elsewhere."""
        out = np.full((self.frames, *values.shape[1:]), np.nan)
        out[self.solved] = values
        return out

    def zero(self, values: Array) -> Array:
        """`values` (N, ...) at their frames, 0 elsewhere."""
        return np.asarray(np.nan_to_num(self.nan(values), nan=0.0))
