"""Fingers and a simple face as lines for the skeleton's preview. `motion` and numpy only, free of bpy.

The face is a drawing: eyes that close, brows that rise, a mouth that opens, smiles and rounds. It shows that and when a
weight acts, not the person's looks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..motion.clip import MotionClip
from ..motion.face import FACE_WEIGHT_NAMES
from ..motion.hands import HAND_SIDES, hand_points_m
from ..motion.posing import PosedBody, clip_body, pose_clip
from ..motion.rotations import quaternion_rotate

Array = NDArray[np.floating]

# places on the canonical head (m, from the head joint: left, back, up), a little before the skin
_EYE, _MOUTH_UP, _FORWARD = (0.030, 0.040), -0.035, -0.115


def detail_lines(clip: MotionClip) -> tuple[Array, Array]:
    """Ends (T, 2 L, 3) in the clip's world and their confidence (T, 2 L); L is 0 for a clip without hands and face."""
    posed = pose_clip(clip)
    parts = [*_hand_lines(clip, posed), *_face_lines(clip, posed)]
    if not parts:
        return np.zeros((len(clip), 0, 3)), np.zeros((len(clip), 0))
    lines, sure = zip(*parts, strict=True)
    return np.concatenate(lines, axis=1), np.concatenate(sure, axis=1)


def _hand_lines(clip: MotionClip, posed: PosedBody) -> list[tuple[Array, Array]]:
    if clip.hands is None:
        return []
    body, found = clip_body(clip), []
    size = posed.shape.height_m / body.height_m
    for side, name in enumerate(HAND_SIDES):
        points = size * hand_points_m(np.asarray(clip.hands.rotations_wxyz[:, side], dtype=np.float64), side)
        points = np.concatenate([np.zeros_like(points[:, :, :1]), points], axis=2)
        ends = np.stack([points[:, :, :-1], points[:, :, 1:]], axis=3).reshape(len(clip), -1, 3)
        found.append((_placed(ends, posed, body.joint_index(f"{name}_wrist")), clip.hands.confidence[:, side]))
    return [(lines, np.broadcast_to(sure[:, None], lines.shape[:2])) for lines, sure in found]


def _face_lines(clip: MotionClip, posed: PosedBody) -> list[tuple[Array, Array]]:
    if clip.face is None:
        return []
    body = clip_body(clip)
    weights = {name: clip.face.weights[:, column] for column, name in enumerate(FACE_WEIGHT_NAMES)}
    size = posed.shape.height_m / body.height_m
    flat = np.concatenate([*(_eye(weights, side) for side in (1, -1)), _mouth(weights)], axis=1)
    ends = size * np.stack([flat[..., 0], np.full(flat.shape[:2], _FORWARD), flat[..., 1]], axis=-1)
    lines = _placed(ends, posed, body.joint_index("head"))
    return [(lines, np.broadcast_to(clip.face.confidence[:, None], lines.shape[:2]))]


def _placed(ends: Array, posed: PosedBody, joint: int) -> Array:
    """Ends (T, N, 3) from a joint's frame in the world."""
    turned = quaternion_rotate(posed.world_wxyz[:, joint, None], ends)
    return np.asarray(posed.positions_m[:, joint, None] + turned)


def _eye(weights: dict[str, Array], side: int) -> Array:
    """An eye and its brow: ends (T, 10, 2), left and up in m. `side` 1 is the left one."""
    name = "Left" if side > 0 else "Right"
    x, z = side * _EYE[0], _EYE[1]
    opened = 0.006 * (1.0 - weights[f"eyeBlink{name}"]) + 0.004 * weights[f"eyeWide{name}"]
    eye = _ring([(x + 0.014, z), (x, z + opened), (x - 0.014, z), (x, z - opened)], len(opened))
    inner = 0.018 + 0.012 * weights["browInnerUp"] - 0.010 * weights[f"browDown{name}"]
    outer = 0.018 + 0.012 * weights[f"browOuterUp{name}"] - 0.006 * weights[f"browDown{name}"]
    brow = _path([(x - side * 0.014, z + inner), (x + side * 0.016, z + outer)], len(opened))
    return np.concatenate([eye, brow], axis=1)


def _mouth(weights: dict[str, Array]) -> Array:
    """The mouth: ends (T, 8, 2), left and up in m."""
    narrow = 0.012 * weights["mouthPucker"] + 0.008 * weights["mouthFunnel"]
    corners = []
    for side, name in ((1, "Left"), (-1, "Right")):
        wide = 0.024 + 0.008 * (weights[f"mouthSmile{name}"] + weights[f"mouthStretch{name}"]) - narrow
        lift = 0.010 * weights[f"mouthSmile{name}"] - 0.010 * weights[f"mouthFrown{name}"]
        corners.append((side * wide, _MOUTH_UP + lift))
    opened = 0.030 * weights["jawOpen"] * (1.0 - weights["mouthClose"]) + 0.008 * weights["mouthFunnel"]
    top = (0.0, _MOUTH_UP + 0.003 + 0.004 * weights["mouthFunnel"])
    return _ring([corners[0], top, corners[1], (0.0, _MOUTH_UP - 0.003 - opened)], len(opened))


def _ring(points: list[tuple[Array | float, Array | float]], frames: int) -> Array:
    return _path([*points, points[0]], frames)


def _path(points: list[tuple[Array | float, Array | float]], frames: int) -> Array:
    """The ends (T, 2 (P - 1), 2) of the lines along a path."""
    table = np.stack([np.stack([np.broadcast_to(value, frames) for value in point], -1) for point in points], axis=1)
    return np.stack([table[:, :-1], table[:, 1:]], axis=2).reshape(frames, -1, 2)
