"""Which way is down if the person kneels. May import `motion`, `types` and its own room. Pure.

The towers have learnt that people stand: of somebody who kneels they say that down is along the legs, half way between
thighs and shins. But nobody stands with bent knees and straight hips: if such a body is upright, its thighs are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.types import Array, PoseTrack
from blender_addon.motion.body import BodyShape, canonical_body
from blender_addon.motion.posing import pose_body

# knees bent further than this, and hips less
_KNEE_DEG, _HIP_DEG = 50.0, 35.0
_MOST_FRAMES = 0.7


def kneeling_down(poses: PoseTrack, frames: NDArray[np.intp]) -> Array | None:
    """The direction (3,) in the camera from the shoulders to the knees, where both knees are bent and both hips
    straight in most of the solved `frames` (N,); None elsewhere.
    """
    body = canonical_body()
    rotations = poses.rotations_wxyz[frames].astype(np.float64)
    shape = BodyShape(poses.height_m, poses.bone_scales)
    joints = pose_body(body, shape, rotations, np.zeros((len(frames), 3))).positions_m
    neck, knees, kneels = joints[:, body.joint_index("neck")], np.zeros((len(frames), 3)), np.ones(len(frames), bool)
    for side in ("left", "right"):
        hip, knee, ankle = (joints[:, body.joint_index(f"{side}_{name}")] for name in ("hip", "knee", "ankle"))
        kneels &= _bend_deg(hip, knee, ankle) > _KNEE_DEG
        kneels &= _bend_deg(neck, hip, knee) < _HIP_DEG
        knees += 0.5 * knee
    if kneels.mean() < _MOST_FRAMES:
        return None
    along = (knees - neck)[kneels]
    return np.asarray(np.median(along / np.linalg.norm(along, axis=1, keepdims=True), axis=0))


def _bend_deg(upper: Array, middle: Array, lower: Array) -> Array:
    """How far (N,) a joint at `middle` (N, 3) is bent between two others, degrees; 0: straight."""
    one, other = middle - upper, lower - middle
    cosine = (one * other).sum(axis=1) / np.maximum(np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1), 1e-9)
    return np.asarray(np.rad2deg(np.arccos(np.clip(cosine, -1.0, 1.0))))
