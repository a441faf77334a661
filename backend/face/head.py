"""The head's direction from the landmarks of a face. numpy.

May import `backend.types` and `blender_addon.motion`. The points that follow the skull, and hardly any expression, are
laid onto where they are in the frame of the canonical head.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from backend.types import Array, PoseTrack
from blender_addon.motion.body import BodyShape, canonical_body, forward_kinematics, points_m
from blender_addon.motion.posing import pose_body
from blender_addon.motion.rotations import (
    matrix_to_quaternion,
    quaternion_conjugate,
    quaternion_multiply,
    quaternion_slerp,
    quaternion_to_rotvec,
)

_MOST_TURN_RAD = np.radians(80.0)  # of the head against the neck

RIGID = (10, 151, 9, 168, 6, 197, 195, 5, 4, 2, 33, 133, 362, 263, 127, 356, 234, 454, 21, 251)
"""Landmarks of forehead, nose, corners of the eyes, temples and cheekbones."""


HEAD_POINTS: Array = np.array(
    (
        (0.000, -0.298, 0.899),
        (0.000, -0.355, 0.627),
        (0.000, -0.392, 0.328),
        (0.000, -0.349, 0.058),
        (0.000, -0.421, -0.076),
        (0.000, -0.503, -0.199),
        (0.000, -0.591, -0.314),
        (0.000, -0.683, -0.436),
        (0.000, -0.724, -0.578),
        (0.000, -0.416, -0.797),
        (-0.781, 0.028, 0.044),
        (-0.298, -0.064, -0.010),
        (0.298, -0.064, -0.010),
        (0.781, 0.028, 0.044),
        (-1.236, 0.909, 0.001),
        (1.236, 0.909, 0.001),
        (-1.230, 0.996, -0.248),
        (1.230, 0.996, -0.248),
        (-1.152, 0.497, 0.457),
        (1.152, 0.497, 0.457),
    )
)
"""Where the points of `RIGID` lie in the frame of the canonical head, x left, y backwards, z up, at any size: mean of
what the landmark network sees on 45 renders of 12 people whose heads are known, made symmetric.
"""


def head_turn(points: Array) -> Array:
    """The rotation (4,) from the canonical head's frame to the camera's of landmarks (478, 3), x right, y down, z away.

    Least squares over `RIGID` (Umeyama 1991), with the size left open.
    """
    seen = points[list(RIGID)]
    seen = seen - seen.mean(axis=0)
    own = HEAD_POINTS - HEAD_POINTS.mean(axis=0)
    left, _, right = np.linalg.svd(seen.T @ own)
    flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    return matrix_to_quaternion(left @ flip @ right)


def with_head(poses: PoseTrack, turn_wxyz: Array, weight: Array) -> PoseTrack:
    """The poses with the head turned as the face shows it: `turn_wxyz` (T, 4) in the poses' camera, by `weight` (T,).

    No other joint turns. Where the face would turn the head further than necks allow, the body's own pose stays.
    """
    body = canonical_body()
    head = body.joint_index("head")
    _, world = forward_kinematics(body, poses.rotations_wxyz, np.zeros((len(weight), 3)))
    parent = world[:, body.parents[head]]
    known = (weight > 0) & np.isfinite(turn_wxyz).all(axis=1) & np.isfinite(parent).all(axis=1)
    rows = np.flatnonzero(known)
    rotations, joints = poses.rotations_wxyz.copy(), poses.joints_camera_m.copy()
    wanted = quaternion_multiply(quaternion_conjugate(parent[rows]), turn_wxyz[rows])
    possible = np.linalg.norm(quaternion_to_rotvec(wanted), axis=-1) < _MOST_TURN_RAD
    rows, wanted = rows[possible], wanted[possible]
    if not len(rows):
        return poses
    rotations[rows, head] = quaternion_slerp(rotations[rows, head], wanted, weight[rows])
    shape = BodyShape(poses.height_m, poses.bone_scales)
    before, after = (
        _points(turns[rows], poses.root_camera_m[rows], shape) for turns in (poses.rotations_wxyz, rotations)
    )
    joints[rows] += after - before
    return replace(poses, rotations_wxyz=rotations, joints_camera_m=joints)


def _points(rotations: Array, root_m: Array, shape: BodyShape) -> Array:
    """The 17 joints of poses (T, 17, 3)."""
    body = canonical_body()
    posed = pose_body(body, shape, rotations, root_m)
    return points_m(body, "h36m17", posed.positions_m, posed.world_wxyz, shape)
