"""A known motion in front of a known camera, seen through a detector's and a pose solver's errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from backend.types import Intrinsics, PersonTrack, PoseTrack
from blender_addon.motion.body import BodyShape, canonical_body, forward_kinematics, points_m
from blender_addon.motion.rotations import (
    matrix_to_quaternion,
    quaternion_multiply,
    quaternion_rotate,
    rotvec_to_quaternion,
)


@dataclass(frozen=True)
class Camera:
    """A static camera in the world: position, look-at point, roll; 1280 x 720, 60 degrees wide."""

    position_m: tuple[float, float, float] = (0.0, -5.0, 1.4)
    target_m: tuple[float, float, float] = (0.0, 0.0, 0.9)
    roll_deg: float = 0.0

    def world_from_camera(self) -> np.ndarray:
        eye, target = np.array(self.position_m), np.array(self.target_m)
        ahead = (target - eye) / np.linalg.norm(target - eye)
        right = np.cross(ahead, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        down = np.cross(ahead, right)
        c, s = np.cos(np.deg2rad(self.roll_deg)), np.sin(np.deg2rad(self.roll_deg))
        pose = np.eye(4)
        pose[:3, :3] = np.stack([c * right + s * down, -s * right + c * down, ahead], axis=1)
        pose[:3, 3] = eye
        return pose

    def intrinsics(self) -> Intrinsics:
        focal = 640.0 / np.tan(np.deg2rad(30.0))
        return Intrinsics(np.array([[focal, 0, 640.0], [0, focal, 360.0], [0, 0, 1]]), 1280, 720, "test")


@dataclass(frozen=True)
class Noise:
    """Errors: pixels of the detector (part white, part slow), degrees of the poses (white, slow and constant pitch)."""

    keypoint_px: float = 4.0
    pose_white_deg: float = 2.0
    pose_slow_deg: float = 4.0
    pitch_deg: float = 4.0
    depth_m: float = 0.4
    seed: int = 0


@dataclass(frozen=True)
class Scene:
    """Truth and what the solver is given."""

    poses: PoseTrack
    track: PersonTrack
    intrinsics: Intrinsics
    root_camera_m: np.ndarray
    joints_camera_m: np.ndarray
    world_from_camera: np.ndarray


def make_scene(
    times_s: np.ndarray,
    rotations: np.ndarray,
    root_m: np.ndarray,
    camera: Camera | None = None,
    noise: Noise | None = None,
    height_m: float = 1.75,
) -> Scene:
    camera, noise = camera or Camera(), noise or Noise()
    random = np.random.default_rng(noise.seed)
    body = canonical_body()
    shape = BodyShape(height_m, np.ones(len(body.joint_names)))
    pose = camera.world_from_camera()
    camera_from_world = np.linalg.inv(pose)
    turn = matrix_to_quaternion(camera_from_world[:3, :3])
    in_camera = rotations.copy()
    in_camera[:, 0] = quaternion_multiply(turn, rotations[:, 0])
    root = root_m @ camera_from_world[:3, :3].T + camera_from_world[:3, 3]
    positions, world = forward_kinematics(body, in_camera, root, shape)
    points = points_m(body, "blazepose33", positions, world, shape)
    joints = points_m(body, "h36m17", positions, world, shape)
    intrinsics = camera.intrinsics()
    pixels = points @ intrinsics.matrix.T
    pixels = pixels[..., :2] / pixels[..., 2:]
    pixels = pixels + _mixed(random, times_s, pixels.shape, noise.keypoint_px)
    noisy = _noisy_poses(random, times_s, in_camera, noise)
    guess = root + _mixed(random, times_s, root.shape, 1.0) * np.array([0.05, 0.05, noise.depth_m])
    shaky, shaky_world = forward_kinematics(body, noisy, guess, shape)
    tilt = rotvec_to_quaternion(np.deg2rad([noise.pitch_deg, 0.0, 0.5 * noise.pitch_deg]))
    gravity = quaternion_rotate(tilt, camera_from_world[:3, :3] @ np.array([0.0, 0.0, -1.0]))
    frames = len(times_s)
    poses = PoseTrack(
        rotations_wxyz=noisy,
        root_camera_m=guess,
        joints_camera_m=points_m(body, "h36m17", shaky, shaky_world, shape),
        confidence=np.full(frames, 0.9),
        score=np.zeros(frames),
        margin=np.zeros(frames),
        gravity_camera=gravity,
        height_m=height_m,
        bone_scales=shape.bone_scales,
    )
    track = PersonTrack(
        track_id=0,
        frame_index=np.arange(frames),
        times_s=times_s,
        keypoints_px=pixels,
        keypoint_depth=np.zeros(pixels.shape[:2]),
        visibility=np.full(pixels.shape[:2], 0.95),
        world_m=np.zeros((*pixels.shape[:2], 3)),
        presence=np.ones(frames),
        box_px=np.zeros((frames, 4)),
    )
    return Scene(poses, track, intrinsics, root, joints, pose)


def _noisy_poses(random: np.random.Generator, times_s: np.ndarray, wxyz: np.ndarray, noise: Noise) -> np.ndarray:
    shape = (*wxyz.shape[:-1], 3)
    turn = random.normal(size=shape) * np.deg2rad(noise.pose_white_deg)
    turn = turn + _slow(random, times_s, shape) * np.deg2rad(noise.pose_slow_deg)
    out = quaternion_multiply(wxyz, rotvec_to_quaternion(turn))
    lean = rotvec_to_quaternion(np.deg2rad([noise.pitch_deg, 0.0, 0.0]))
    out[:, 0] = quaternion_multiply(lean, out[:, 0])
    return out


def _mixed(random: np.random.Generator, times_s: np.ndarray, shape: tuple[int, ...], sigma: float) -> np.ndarray:
    """Noise with half its variance white and half slow."""
    return sigma * (random.normal(size=shape) + _slow(random, times_s, shape)) / np.sqrt(2.0)


def _slow(random: np.random.Generator, times_s: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Noise of unit variance that wanders over about a third of a second."""
    margin = round(2.0 / float(np.median(np.diff(times_s))))
    sigma = 0.3 * margin / 2.0
    white = random.normal(size=(shape[0] + 2 * margin, *shape[1:]))
    slow = gaussian_filter1d(white, sigma, axis=0)[margin:-margin]
    return slow / slow.std()
