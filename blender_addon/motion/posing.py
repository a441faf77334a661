"""A clip's body in space: joints and feet in the world, and clips rebuilt around changed rotations.

May import numpy and its own room only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .body import BodyShape, CanonicalBody, canonical_body, forward_kinematics, points_m
from .clip import ClipError, MotionClip
from .rotations import Array, quaternion_rotate

# order of `MotionClip.contacts`; heels are sites on the ankle, the toe is the joint at the ball of the foot
FOOT_POINTS = ("left_heel", "left_toe", "right_heel", "right_toe")
# the joint that carries each foot point rigidly
_FOOT_JOINTS = ("left_ankle", "left_ankle", "right_ankle", "right_ankle")


@dataclass(frozen=True, slots=True)
class PosedBody:
    """The body in the world: joint positions (T, J, 3) in m and world rotations (T, J, 4), with its shape."""

    positions_m: Array
    world_wxyz: Array
    shape: BodyShape


@dataclass(frozen=True, slots=True)
class Feet:
    """Heel and ball of both feet (`FOOT_POINTS`).

    `positions_m` (T, 4, 3); `offsets_m` (4, 3) from the ankle in the foot's own axes; `clearance_m` (4,) height of
    each point above the ground while the sole stands flat.
    """

    positions_m: Array
    offsets_m: Array
    clearance_m: Array


def clip_shape(clip: MotionClip) -> BodyShape:
    """The body shape that a clip's motion is expressed on."""
    return BodyShape(clip.header.body_height_m, clip.bone_scales)


def pose_body(body: CanonicalBody, shape: BodyShape, rotations_wxyz: Array, root_m: Array) -> PosedBody:
    """Pose the body: rotations (T, J, 4) and root (T, 3) in one frame give positions in that frame."""
    positions, world = forward_kinematics(body, rotations_wxyz, root_m, shape)
    return PosedBody(positions, world, shape)


def pose_clip(clip: MotionClip) -> PosedBody:
    """The clip's body in the world. Raises ClipError when the clip is for another body."""
    body = clip_body(clip)
    return pose_body(body, clip_shape(clip), clip.rotations_wxyz, clip.root_world_m)


def clip_body(clip: MotionClip) -> CanonicalBody:
    """The canonical body, after a check that the clip is for it. Raises ClipError when it is not."""
    body = canonical_body()
    if tuple(clip.body_joint_names) != body.joint_names:
        raise ClipError(f"the clip is for another body ({len(clip.body_joint_names)} joints); solve the video again")
    return body


def find_feet(body: CanonicalBody, posed: PosedBody) -> Feet:
    """Heels and balls of the feet of a posed body."""
    offsets = np.stack([_foot_offset_m(body, posed.shape, name) for name in FOOT_POINTS])
    ankles = [body.joint_index(name) for name in _FOOT_JOINTS]
    positions = posed.positions_m[:, ankles] + quaternion_rotate(posed.world_wxyz[:, ankles], offsets)
    rest = body.rest_positions_m()
    canonical = np.stack([_foot_offset_m(body, None, name) for name in FOOT_POINTS])
    clearance = (rest[ankles] + canonical)[:, 2] * (posed.shape.height_m / body.height_m)
    # a foot of another length stands on its heel: what its ball is lower then belongs to its clearance
    heels = [FOOT_POINTS.index(name.replace("toe", "heel")) for name in FOOT_POINTS]
    clearance = clearance[heels] + offsets[:, 2] - offsets[heels, 2]
    return Feet(positions, offsets, clearance)


def heading_rad(pelvis_wxyz: Array) -> Array:
    """Heading (...) about Z of pelvis rotations (..., 4): 0 looks along -Y.

    From the pelvis' left and front together, so that a body that lies has one too.
    """
    left = quaternion_rotate(pelvis_wxyz, np.array([1.0, 0.0, 0.0]))
    back = quaternion_rotate(pelvis_wxyz, np.array([0.0, 1.0, 0.0]))
    return np.asarray(np.arctan2(left[..., 1] - back[..., 0], left[..., 0] + back[..., 1]))


def with_motion(
    clip: MotionClip, rotations_wxyz: Array, root_world_m: Array, contacts: Array | None = None
) -> MotionClip:
    """The clip with other rotations and root; what follows from them (camera root, camera joints) is recomputed."""
    body = clip_body(clip)
    posed = pose_body(body, clip_shape(clip), rotations_wxyz, root_world_m)
    joints_world = points_m(body, "h36m17", posed.positions_m, posed.world_wxyz, posed.shape)
    joints_camera = world_to_camera(clip.world_from_camera, joints_world)
    root_camera = world_to_camera(clip.world_from_camera, np.asarray(root_world_m)[:, None])[:, 0]
    return replace(
        clip,
        rotations_wxyz=np.asarray(rotations_wxyz).astype(clip.rotations_wxyz.dtype),
        root_world_m=np.asarray(root_world_m).astype(clip.root_world_m.dtype),
        root_camera_m=root_camera.astype(clip.root_camera_m.dtype),
        joints_camera_m=joints_camera.astype(clip.joints_camera_m.dtype),
        contacts=clip.contacts if contacts is None else np.asarray(contacts).astype(clip.contacts.dtype),
    )


def world_to_camera(world_from_camera: Array, points_world_m: Array) -> Array:
    """Points (T, N, 3) of the world in the camera's axes; `world_from_camera` (T, 4, 4)."""
    turn, shift = world_from_camera[:, :3, :3], world_from_camera[:, :3, 3]
    return np.asarray((points_world_m - shift[:, None]) @ turn)


def camera_to_world(world_from_camera: Array, points_camera_m: Array) -> Array:
    """Points (T, N, 3) of the camera in the world."""
    turn, shift = world_from_camera[:, :3, :3], world_from_camera[:, :3, 3]
    return np.asarray(points_camera_m @ np.swapaxes(turn, -1, -2) + shift[:, None])


def _foot_offset_m(body: CanonicalBody, shape: BodyShape | None, name: str) -> Array:
    """A foot point's offset (3,) from its ankle in the rest pose."""
    scale = 1.0 if shape is None else shape.height_m / body.height_m
    if name in body.joint_names:
        joint = body.joint_index(name)
        own = 1.0 if shape is None else float(shape.bone_scales[joint])
        return np.asarray(body.offsets_m[joint] * scale * own)
    site = next(site for site in body.sites if site.name == name)
    return np.array(site.rest_offset_m) * scale
