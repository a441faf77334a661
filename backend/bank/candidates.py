"""Candidate poses: mocap poses seen from many virtual cameras. numpy and `camera` only.

A candidate is a pose of a pose table and the orientation of its root in the virtual camera that looks at the
mid-hip with the torso upright, as `embedding.features` defines it; every candidate is a valid skeleton.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.camera.virtual_camera import look_at_rotation, on_image_plane, roll_matrix, upright_roll
from backend.keypoint_layouts import HUMAN36M
from backend.types import Array
from blender_addon.motion.body import canonical_body, forward_kinematics, points_m
from blender_addon.motion.rotations import (
    matrix_to_quaternion,
    quaternion_multiply,
    quaternion_to_matrix,
    rotvec_to_quaternion,
)


@dataclass(frozen=True, slots=True)
class Candidates:
    """P poses, N candidates.

    rotations_wxyz (P, J, 4) local rotations, joint 0 the identity; pose_joints_m (P, 17, 3) Human3.6M joints of the
    unturned pose relative to the pelvis on the canonical body; pose (N,) index into them; view_wxyz (N, 4) the root's
    orientation in the virtual camera.
    """

    rotations_wxyz: Array
    pose_joints_m: Array
    pose: NDArray[np.integer]
    view_wxyz: Array

    def __len__(self) -> int:
        return len(self.pose)

    def joints_m(self, index: NDArray[np.integer] | slice = slice(None)) -> Array:
        """Joints (..., 17, 3) in m of candidates in the virtual camera, relative to the pelvis."""
        turn = quaternion_to_matrix(self.view_wxyz[index].astype(np.float32))
        return np.matmul(self.pose_joints_m[self.pose[index]], np.swapaxes(turn, -1, -2))


@dataclass(frozen=True, slots=True)
class ViewRange:
    """Virtual cameras around each pose, as in training: pitch positive looks down, degrees and metres."""

    pitch_mean_deg: float = 9.0
    pitch_spread_deg: float = 17.0
    pitch_lowest_deg: float = -30.0
    pitch_highest_deg: float = 75.0
    nearest_m: float = 1.7
    farthest_m: float = 9.0
    tilted_share: float = 0.06


def make_candidates(world_rotations_wxyz: Array, views: int, ranges: ViewRange, rng: np.random.Generator) -> Candidates:
    """`views` random views of each pose (P, J, 4), whose joint 0 is the root orientation in a Z-up world."""
    local = world_rotations_wxyz.astype(np.float32).copy()
    root = local[:, 0].copy()
    local[:, 0] = (1, 0, 0, 0)
    joints = unturned_joints_m(local)
    pose = np.repeat(np.arange(len(local), dtype=np.int32), views)
    # a pose's headings are spread over the circle, so that no two views of it are wasted on one side
    yaw = 2 * np.pi * (np.tile(np.arange(views), len(local)) + rng.random(len(pose))) / views
    view = view_rotations(joints[pose], root[pose], yaw, ranges, rng)
    return Candidates(local, joints, pose, view)


def unturned_joints_m(local_wxyz: Array, block: int = 8192) -> Array:
    """Human3.6M joints (P, 17, 3) m of local rotations (P, J, 4), relative to the pelvis, on the canonical body."""
    body = canonical_body()
    out = np.empty((len(local_wxyz), HUMAN36M.count, 3), np.float32)
    for start in range(0, len(local_wxyz), block):
        rows = slice(start, start + block)
        positions, turns = forward_kinematics(body, local_wxyz[rows], np.zeros(3, np.float32))
        out[rows] = points_m(body, "centres17", positions, turns)
    return out - out[:, :1]


def view_rotations(joints_m: Array, root_wxyz: Array, yaw: Array, ranges: ViewRange, rng: np.random.Generator) -> Array:
    """Root orientations (N, 4) in random virtual cameras at headings `yaw` (N,) rad, of poses (N, 17, 3) with world
    root orientation (N, 4).
    """
    count = len(joints_m)
    root_wxyz = _tilted(root_wxyz, ranges.tilted_share, rng)
    pitch = rng.normal(ranges.pitch_mean_deg, ranges.pitch_spread_deg, count)
    pitch = np.radians(np.clip(pitch, ranges.pitch_lowest_deg, ranges.pitch_highest_deg))
    distance = np.exp(rng.uniform(np.log(ranges.nearest_m), np.log(ranges.farthest_m), count))
    toward = np.stack([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), -np.sin(pitch)], axis=-1)
    right = np.cross(toward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right, axis=-1, keepdims=True)
    camera = np.stack([right, np.cross(toward, right), toward], axis=1)
    turn = camera @ quaternion_to_matrix(root_wxyz)
    seen = np.matmul(joints_m, np.swapaxes(turn, -1, -2))
    seen[..., 2] += distance[:, None]
    return matrix_to_quaternion(upright(seen) @ turn).astype(np.float32)


def upright(camera_joints_m: Array) -> Array:
    """Rotations (N, 3, 3) from a camera into the virtual camera that sees these joints (N, 17, 3) upright."""
    hips = camera_joints_m[:, 0]
    look = look_at_rotation(hips[:, :2] / hips[:, 2:])
    seen = np.matmul(camera_joints_m[:, [1, 4, 11, 14]], np.swapaxes(look, -1, -2))
    points = on_image_plane(seen)
    torso = points[:, 2:].mean(1) - points[:, :2].mean(1)
    return roll_matrix(upright_roll(torso)) @ look


def _tilted(root_wxyz: Array, share: float, rng: np.random.Generator) -> Array:
    heading, angle = rng.uniform(0, 2 * np.pi, len(root_wxyz)), np.radians(rng.uniform(20, 110, len(root_wxyz)))
    angle *= rng.random(len(root_wxyz)) < share
    turn = np.stack([np.cos(heading) * angle, np.sin(heading) * angle, np.zeros_like(angle)], axis=-1)
    return quaternion_multiply(rotvec_to_quaternion(turn), root_wxyz)
