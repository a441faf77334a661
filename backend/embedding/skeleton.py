"""The canonical skeleton as matrices for batched inference: kinematics, motion of points, limits of joints.

numpy only. A frame's state is local rotation matrices (T, J, 3, 3), joint 0 in the camera, and the pelvis (T, 3).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.keypoint_layouts import BLAZEPOSE
from backend.types import Array
from blender_addon.motion.body import BodyShape, CanonicalBody, canonical_body, shaped_offsets_m

_POINT_SETS = ("blazepose33", "centres17")


@dataclass(frozen=True, slots=True)
class Skeleton:
    """A body of one shape with its 33 landmarks and the joint centres of Human3.6M as points on joints.

    offsets_m (J, 3); point p is where joint point_joint (50,) is, plus point_offset_m (50, 3) in the frame of joint
    point_frame (50,); moves (J, 50) whether a turn of joint j moves point p.
    """

    body: CanonicalBody
    offsets_m: Array
    point_joint: NDArray[np.intp]
    point_frame: NDArray[np.intp]
    point_offset_m: Array
    moves: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class SkeletonPose:
    """joints_m (T, J, 3), turns (T, J, 3, 3) in the camera, landmarks_m (T, 33, 3), joint centres_m (T, 17, 3)."""

    joints_m: Array
    turns: Array
    landmarks_m: Array
    centres_m: Array


def make_skeleton(shape: BodyShape) -> Skeleton:
    """The canonical body in a person's shape."""
    body = canonical_body()
    points = [point for subset in _POINT_SETS for point in body.points[subset]]
    joint = np.array([point.anchor for point in points])
    frame = np.array([point.frame for point in points])
    rest = np.array([point.offset_m for point in points])
    scale = shape.height_m / body.height_m
    own = np.asarray(shape.bone_scales)[joint]
    return Skeleton(
        body,
        shaped_offsets_m(body, shape).astype(np.float32),
        joint,
        frame,
        (rest * scale * own[:, None]).astype(np.float32),
        _descendants(body)[:, frame],
    )


def _descendants(body: CanonicalBody) -> NDArray[np.bool_]:
    """(J, J): whether joint j's turn carries joint k along (k is j or below it)."""
    count = len(body.joint_names)
    below = np.eye(count, dtype=bool)
    for joint in range(1, count):
        below[:, joint] |= below[:, body.parents[joint]]
    return below


def pose_skeleton(skeleton: Skeleton, local: Array, root_m: Array) -> SkeletonPose:
    """Forward kinematics of local rotations (T, J, 3, 3) with the pelvis at root_m (T, 3)."""
    turns, joints = np.empty_like(local), np.empty(local.shape[:-1], local.dtype)
    turns[:, 0], joints[:, 0] = local[:, 0], root_m
    for joint in range(1, local.shape[1]):
        parent = int(skeleton.body.parents[joint])
        np.matmul(turns[:, parent], local[:, joint], out=turns[:, joint])
        joints[:, joint] = joints[:, parent] + turns[:, parent] @ skeleton.offsets_m[joint]
    points = (
        joints[:, skeleton.point_joint]
        + np.matmul(turns[:, skeleton.point_frame], skeleton.point_offset_m[..., None])[..., 0]
    )
    return SkeletonPose(joints, turns, points[:, : BLAZEPOSE.count], points[:, BLAZEPOSE.count :])


def point_jacobian(skeleton: Skeleton, pose: SkeletonPose, turning: NDArray[np.intp]) -> Array:
    """How points (T, 50, 3) move when joints `turning` (A,) turn by small vectors in the camera's axes, and when the
    pelvis moves: (T, 50, 3, 3 A + 3).
    """
    points = np.concatenate([pose.landmarks_m, pose.centres_m], axis=1)
    arm = points[:, :, None] - pose.joints_m[:, None, turning]
    arm *= skeleton.moves[turning].T[None, :, :, None]
    frames, count = points.shape[:2]
    jacobian = np.zeros((frames, count, 3, len(turning) + 1, 3), points.dtype)
    x, y, z = arm[..., 0], arm[..., 1], arm[..., 2]
    # d(omega x arm)/d(omega)
    jacobian[:, :, 0, :-1, 1], jacobian[:, :, 0, :-1, 2] = z, -y
    jacobian[:, :, 1, :-1, 0], jacobian[:, :, 1, :-1, 2] = -z, x
    jacobian[:, :, 2, :-1, 0], jacobian[:, :, 2, :-1, 1] = y, -x
    for axis in range(3):
        jacobian[:, :, axis, -1, axis] = 1.0
    return jacobian.reshape(frames, count, 3, -1)


def turned(skeleton: Skeleton, pose: SkeletonPose, local: Array, turning: NDArray[np.intp], step: Array) -> Array:
    """Local rotations after turning joints (A,) by vectors (T, A, 3) given in the camera's axes."""
    out = local.copy()
    for place, joint in enumerate(turning):
        parent = int(skeleton.body.parents[joint])
        vector = step[:, place]
        if parent >= 0:
            vector = np.matmul(np.swapaxes(pose.turns[:, parent], -1, -2), vector[..., None])[..., 0]
        out[:, joint] = rotvec_to_matrix(vector) @ local[:, joint]
    return out


def rotvec_to_matrix(vector: Array) -> Array:
    """Rotation vectors (..., 3) to matrices (..., 3, 3) (Rodrigues)."""
    angle = np.linalg.norm(vector, axis=-1)[..., None, None]
    cross = np.zeros((*vector.shape, 3), vector.dtype)
    cross[..., 0, 1], cross[..., 0, 2], cross[..., 1, 2] = -vector[..., 2], vector[..., 1], -vector[..., 0]
    cross -= np.swapaxes(cross, -1, -2)
    sine, cosine = np.sinc(angle / np.pi), 0.5 * np.square(np.sinc(angle / (2 * np.pi)))
    return (
        np.eye(3, dtype=vector.dtype)
        + sine.astype(vector.dtype) * cross
        + cosine.astype(vector.dtype) * (cross @ cross)
    )


def matrix_to_rotvec(matrix: Array) -> Array:
    """Matrices (..., 3, 3) to rotation vectors (..., 3)."""
    from blender_addon.motion.rotations import matrix_to_quaternion, quaternion_to_rotvec

    return quaternion_to_rotvec(matrix_to_quaternion(matrix))


def local_from_turns(turns: Array) -> Array:
    """Local rotations (T, J, 3, 3) from rotations in the camera (T, J, 3, 3)."""
    local = turns.copy()
    local[:, 1:] = np.matmul(np.swapaxes(turns[:, canonical_body().parents[1:]], -1, -2), turns[:, 1:])
    return local


_FILE = Path(__file__).with_name("joint_limits.json")


@dataclass(frozen=True, slots=True)
class JointLimits:
    """low and high (J, 3) rad of each joint's local rotation vector; the pelvis has none."""

    low: Array
    high: Array

    def excess(self, turns: Array) -> Array:
        """How far local rotation vectors (T, J, 3) lie outside, component by component, zero inside."""
        return turns - np.clip(turns, self.low, self.high)


@cache
def joint_limits(slack_deg: float = 5.0) -> JointLimits:
    """The measured limits (tools/build_joint_limits.py), widened by `slack_deg`."""
    record = json.loads(_FILE.read_text(encoding="utf-8"))["limits"]
    free = [-1e3, -1e3, -1e3], [1e3, 1e3, 1e3]
    rows = [
        (record[name]["low_deg"], record[name]["high_deg"]) if name in record else free
        for name in canonical_body().joint_names
    ]
    low, high = (np.radians(np.array(side, np.float64)) for side in zip(*rows, strict=True))
    slack = np.radians(slack_deg)
    return JointLimits((low - slack).astype(np.float32), (high + slack).astype(np.float32))
