"""Which way is down if the person kneels or sits. May import `motion`, `types` and its own room. Pure.

The towers have learnt that people stand: of somebody with bent legs they say that down is somewhere between trunk,
thighs and shins. But nobody stands with bent knees and straight hips: if such a body is upright, its thighs are. And
somebody with bent knees and bent hips sits or squats: trunk and shins lean to opposite sides of down, if at all.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.types import Array, PoseTrack
from blender_addon.motion.body import BodyShape, canonical_body
from blender_addon.motion.posing import pose_body

# knees bent further than this; hips less of somebody who kneels, more of somebody who sits
_KNEE_DEG, _STRAIGHT_HIP_DEG, _BENT_HIP_DEG = 50.0, 35.0, 55.0
_MOST_FRAMES = 0.7
_MOST_SEEN = 0.5


def down_if_bent(poses: PoseTrack, solved: NDArray[np.intp], seen: NDArray[np.bool_]) -> Array | None:
    """The direction (3,) in the camera that is down for a body which kneels upright, sits or squats in most of those
    `solved` frames (N,) in which its legs are `seen` (N,); None for other bodies, and where the legs are mostly hidden:
    nobody knows whether these knees are bent.
    """
    if seen.mean() < _MOST_SEEN:
        return None
    body, frames = canonical_body(), solved[seen]
    rotations = poses.rotations_wxyz[frames].astype(np.float64)
    shape = BodyShape(poses.height_m, poses.bone_scales)
    joints = pose_body(body, shape, rotations, np.zeros((len(frames), 3))).positions_m
    neck, pelvis = joints[:, body.joint_index("neck")], joints[:, 0]
    kneels, sits = np.ones(len(frames), bool), np.ones(len(frames), bool)
    to_knees, shins = np.zeros((len(frames), 3)), np.zeros((len(frames), 3))
    for side in ("left", "right"):
        hip, knee, ankle = (joints[:, body.joint_index(f"{side}_{name}")] for name in ("hip", "knee", "ankle"))
        bent, hip_deg = bend_deg(hip, knee, ankle) > _KNEE_DEG, bend_deg(neck, hip, knee)
        kneels &= bent & (hip_deg < _STRAIGHT_HIP_DEG)
        sits &= bent & (hip_deg > _BENT_HIP_DEG)
        to_knees += knee - neck
        shins += unit_vectors(ankle - knee)
    if kneels.mean() >= _MOST_FRAMES:
        return np.asarray(np.median(unit_vectors(to_knees[kneels]), axis=0))
    if sits.mean() >= _MOST_FRAMES:
        return np.asarray(np.median(unit_vectors(unit_vectors(pelvis - neck) + unit_vectors(shins))[sits], axis=0))
    return None


def bend_deg(upper: Array, middle: Array, lower: Array) -> Array:
    """How far (N,) a joint at `middle` (N, 3) is bent between two others, degrees; 0: straight."""
    cosine = (unit_vectors(middle - upper) * unit_vectors(lower - middle)).sum(axis=1)
    return np.asarray(np.rad2deg(np.arccos(np.clip(cosine, -1.0, 1.0))))


def unit_vectors(vectors: Array) -> Array:
    """Vectors (..., 3) at length 1; those without a length stay 0."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9))
