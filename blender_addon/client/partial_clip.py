"""A clip out of the chunks that a running capture sends, for preview and live retarget. `wire` and `motion` only.

Chunks hold rotations and the root; everything that only the finished clip knows is NaN or zero here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..motion.body import canonical_body, forward_kinematics
from ..motion.clip import ClipHeader, MotionClip
from ..motion.rotations import matrix_to_quaternion, quaternion_continuous, quaternion_multiply
from ..wire.messages import LiveFrame, MotionChunk

Array = NDArray[np.floating]

# OpenCV's camera (x right, y down, z forward) stood upright in Z up: a level camera that looks along +Y
_WORLD_FROM_CAMERA = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])


class ChunkBuffer:
    """Collects chunks of one person; `clip` is everything so far. A later chunk may hold a frame again: it counts."""

    def __init__(self, body_height_m: float = 1.70, source_fps: float = 0.0) -> None:
        self._height_m = body_height_m
        self._fps = source_fps
        self._attempt = 0
        self._person: int | None = None
        self._frames: dict[int, tuple[float, Array, Array, float]] = {}

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, chunk: MotionChunk) -> bool:
        """Take a chunk; False when it belongs to another person than the first one, or to a voided attempt."""
        if chunk.attempt < self._attempt:
            return False
        if chunk.attempt > self._attempt:
            self._attempt = chunk.attempt
            self._frames.clear()
        if self._person is None:
            self._person = chunk.person
        if chunk.person != self._person:
            return False
        rotations, root = np.asarray(chunk.rotations_wxyz, np.float64), np.asarray(chunk.root_m, np.float64)
        if chunk.space == "camera":
            turn = matrix_to_quaternion(_WORLD_FROM_CAMERA)
            rotations = np.concatenate([quaternion_multiply(turn, rotations[:, :1]), rotations[:, 1:]], axis=1)
            root = root @ _WORLD_FROM_CAMERA.T
        for row, frame in enumerate(np.asarray(chunk.frame_index).tolist()):
            self._frames[frame] = (
                float(chunk.times_s[row]),
                rotations[row],
                root[row],
                float(chunk.confidence[row]),
            )
        return True

    def clip(self) -> MotionClip | None:
        """Everything so far as a clip that stands on the floor, or None before the first frame with a person."""
        if not self._frames:
            return None
        rows = [self._frames[frame] for frame in sorted(self._frames)]
        times, first = np.array([row[0] for row in rows]), rows[0][0]
        increasing = np.concatenate([[True], np.diff(times) > 0])
        rotations, root = np.stack([row[1] for row in rows])[increasing], np.stack([row[2] for row in rows])[increasing]
        confidence = np.array([row[3] for row in rows])[increasing]
        if not np.isfinite(root).all(axis=1).any():
            return None
        root = root - [0.0, 0.0, _floor_m(rotations, root, self._height_m)]
        return _clip(
            times[increasing] - first,
            rotations,
            root,
            confidence,
            ClipHeader(source="capture under way", source_fps=self._fps, body_height_m=self._height_m),
        )


def frames_clip(frames: Sequence[LiveFrame], height_m: float = 1.70) -> MotionClip:
    """Frames of a live capture, each with a person, as a clip in the world with times 0, 1, 2."""
    rotations = quaternion_continuous(np.stack([np.asarray(frame.rotations_wxyz, np.float64) for frame in frames]))
    root = np.stack([np.asarray(frame.root_m, np.float64) for frame in frames])
    header = ClipHeader(source="live", source_fps=1.0, body_height_m=height_m)
    confidence = np.array([frame.confidence for frame in frames])
    return _clip(np.arange(len(frames), dtype=np.float64), rotations, root, confidence, header)


def _floor_m(rotations: Array, root: Array, height_m: float) -> float:
    """Height of the lowest joints over the clip, less the ankle's rest height: where the floor seems to be."""
    body = canonical_body()
    scale = height_m / body.height_m
    seen = np.isfinite(root).all(axis=1)
    positions, _ = forward_kinematics(body, rotations[seen], root[seen] / scale)
    toe = body.rest_positions_m()[body.joint_index("left_toe"), 2]
    return float((np.percentile(positions[..., 2].min(axis=1), 5.0) - toe) * scale)


def _clip(times: Array, rotations: Array, root: Array, confidence: Array, header: ClipHeader) -> MotionClip:
    body = canonical_body()
    frames = len(times)
    points, keypoints = body.subsets["h36m17"], body.subsets["blazepose33"]
    return MotionClip(
        times_s=times,
        rotations_wxyz=rotations,
        root_world_m=root,
        root_camera_m=np.full((frames, 3), np.nan),
        joints_camera_m=np.full((frames, len(points), 3), np.nan),
        keypoints_px=np.full((frames, len(keypoints), 2), np.nan),
        keypoint_confidence=np.tile(confidence[:, None], (1, len(keypoints))),
        confidence=confidence,
        score=np.zeros(frames),
        margin=np.zeros(frames),
        contacts=np.zeros((frames, 4)),
        intrinsics=np.full((3, 3), np.nan),
        world_from_camera=np.full((frames, 4, 4), np.nan),
        bone_scales=np.ones(len(body.joint_names)),
        body_joint_names=body.joint_names,
        joint_names=points,
        keypoint_names=keypoints,
        header=header,
    )
