"""Clips with known truth for the tests: smooth motion of the canonical body in front of a known camera."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np

from blender_addon.motion.body import BodyShape, canonical_body, forward_kinematics, points_m
from blender_addon.motion.clip import ClipHeader, MotionClip, check_clip
from blender_addon.motion.clip_cameras import ClipCamera
from blender_addon.motion.rotations import quaternion_multiply, rotvec_to_quaternion

WIDTH, HEIGHT, FOCAL_PX = 1280, 720, 1100.0


def smooth_clip(frames: int = 60, fps: float = 30.0, seed: int = 0, swing_rad: float = 0.4) -> MotionClip:
    """A person who sways with every joint and drifts to the side; the camera stands still at (0, -5, 1.1)."""
    body = canonical_body()
    rng = np.random.default_rng(seed)
    joints = len(body.joint_names)
    times = np.arange(frames) / fps
    phase, rate = rng.uniform(0, 2 * np.pi, (joints, 3)), rng.uniform(0.3, 1.2, (joints, 3))
    turns = swing_rad * np.sin(2 * np.pi * rate * times[:, None, None] + phase) * rng.uniform(0.3, 1.0, (joints, 3))
    rotations = rotvec_to_quaternion(turns)
    heading = np.tile([0.0, 0.0, 0.5], (frames, 1))
    rotations[:, 0] = quaternion_multiply(rotvec_to_quaternion(heading), rotvec_to_quaternion(turns[:, 0] * 0.3))
    root = np.stack([0.4 * np.sin(times), 0.3 * times / max(times[-1], 1e-6), 0.93 + 0.02 * np.sin(5 * times)], axis=1)
    return clip_of_motion(times, rotations, root, fps)


def clip_of_motion(times: np.ndarray, rotations: np.ndarray, root: np.ndarray, fps: float) -> MotionClip:
    """A complete clip around a motion, seen by a camera that stands still and looks along +Y."""
    body = canonical_body()
    frames, joints = rotations.shape[:2]
    shape = BodyShape(1.75, np.ones(joints))
    positions, world = forward_kinematics(body, rotations, root, shape)
    world_from_camera = np.eye(4)
    world_from_camera[:3, :3] = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], dtype=float)
    world_from_camera[:3, 3] = (0.0, -5.0, 1.1)
    matrix = np.array([[FOCAL_PX, 0, 655.0], [0, FOCAL_PX, 340.0], [0, 0, 1]])
    camera_from_world = np.linalg.inv(world_from_camera)

    def to_camera(points: np.ndarray) -> np.ndarray:
        return points @ camera_from_world[:3, :3].T + camera_from_world[:3, 3]

    key_camera = to_camera(points_m(body, "blazepose33", positions, world, shape))
    key_px = (key_camera @ matrix.T)[..., :2] / key_camera[..., 2:]
    clip = MotionClip(
        times_s=times,
        rotations_wxyz=rotations.astype(np.float32),
        root_world_m=root.astype(np.float32),
        root_camera_m=to_camera(root).astype(np.float32),
        joints_camera_m=to_camera(points_m(body, "h36m17", positions, world, shape)).astype(np.float32),
        keypoints_px=key_px.astype(np.float32),
        keypoint_confidence=np.full(key_px.shape[:2], 0.9, np.float32),
        confidence=np.full(frames, 0.8, np.float32),
        score=np.zeros(frames, np.float32),
        margin=np.zeros(frames, np.float32),
        contacts=np.zeros((frames, 4), np.float32),
        intrinsics=matrix,
        world_from_camera=np.tile(world_from_camera, (frames, 1, 1)),
        bone_scales=shape.bone_scales,
        body_joint_names=body.joint_names,
        joint_names=body.subsets["h36m17"],
        keypoint_names=body.subsets["blazepose33"],
        header=ClipHeader(
            source="synthetic", source_width=WIDTH, source_height=HEIGHT, source_fps=fps, body_height_m=1.75
        ),
    )
    check_clip(clip)
    return clip


def turned_copy(video: Path, copy: Path, turns: int) -> Path:
    """The video with clockwise quarter turns in its header, as phones write them (ISO/IEC 14496-12)."""
    one, matrices = 0x10000, {0: (1, 0, 0, 1), 1: (0, 1, -1, 0), 2: (-1, 0, 0, -1), 3: (0, -1, 1, 0)}
    a, b, c, d = (value * one for value in matrices[turns])
    data = bytearray(video.read_bytes())
    place = data.index(struct.pack(">9i", one, 0, 0, 0, one, 0, 0, 0, 0x40000000), data.index(b"tkhd"))
    data[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 0x40000000)
    copy.write_bytes(data)
    return copy


def anamorphic_copy(video: Path, copy: Path, times: int) -> Path:
    """The video with a header that has it shown so many times wider than it is stored: its pixels are not square."""
    one = 0x10000
    data = bytearray(video.read_bytes())
    matrix = struct.pack(">9i", one, 0, 0, 0, one, 0, 0, 0, 0x40000000)
    place = data.index(matrix, data.index(b"tkhd")) + len(matrix)
    data[place : place + 4] = struct.pack(">I", times * struct.unpack_from(">I", data, place)[0])
    copy.write_bytes(data)
    return copy


def take_clip(frames: int = 60, fps: float = 30.0, sources: tuple[str, ...] = ("left.mp4", "right.mp4")) -> MotionClip:
    """The swaying person as solved from several videos: camera k stands 50 degrees further to the side, has its own
    size and lens, and begins 0.5 s later than the one before it, at another frame rate.
    """
    clip = smooth_clip(frames, fps)
    cameras = []
    for number, source in enumerate(sources):
        turn = np.eye(4)
        angle = np.radians(50.0 * number)
        turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        width, height = (WIDTH, HEIGHT) if number == 0 else (720, 1280 + 16 * number)
        matrix = clip.intrinsics if number == 0 else np.array([[900.0, 0, 350], [0, 930.0, 655], [0, 0, 1]])
        cameras.append(
            ClipCamera(
                source,
                width,
                height,
                fps * (1.0, 2.0, 0.8)[number % 3],
                0.5 * number,
                1.0,
                tuple(tuple(map(float, row)) for row in matrix),
                (),
                tuple(tuple(map(float, row)) for row in turn @ clip.world_from_camera[0]),
                reprojection_px=3.0 + number,
                calibrated_from="people",
            )
        )
    return replace(clip, header=replace(clip.header, source=sources[0], cameras=tuple(cameras)))


def left_out(clip: MotionClip, place: int, reason: str) -> MotionClip:
    """The clip with one of its videos left out."""
    cameras = list(clip.header.cameras)
    cameras[place] = replace(cameras[place], used=False, reason=reason)
    return replace(clip, header=replace(clip.header, cameras=tuple(cameras)))
