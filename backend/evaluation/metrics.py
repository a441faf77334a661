"""Pose errors in mm, each with its alignment (VideoPose3D's `loss.py` names them so). numpy only.

Poses are (T, J, 3) in m, relative to their root unless said; NaN frames do not count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.types import Array

LIMB_JOINTS = tuple(
    f"{side}{part}" for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle") for side in ("l", "r")
)
"""The joints that are scored, relative to the mid-hip: those that the peer has too."""


@dataclass(frozen=True, slots=True)
class PoseErrors:
    """mpjpe_mm as it is; n_mpjpe_mm one scale a frame; mpjpe_clip_mm one scale for the clip; pa_mpjpe_mm similarity
    a frame; acceleration_mm mean norm of the second difference of the prediction, of the truth, and of their
    difference; found: share of frames with a pose; per_joint_mm (J,) of mpjpe_clip.
    """

    mpjpe_mm: float
    n_mpjpe_mm: float
    mpjpe_clip_mm: float
    pa_mpjpe_mm: float
    acceleration_mm: float
    acceleration_truth_mm: float
    acceleration_error_mm: float
    found: float
    per_joint_mm: tuple[float, ...]


def pose_errors(predicted_m: Array, truth_m: Array) -> PoseErrors:
    """Every error of predicted (T, J, 3) against truth (T, J, 3), both relative to the same root."""
    seen = np.isfinite(predicted_m).all(axis=(1, 2))
    if not seen.any():
        nan = float("nan")
        return PoseErrors(nan, nan, nan, nan, nan, _second_mm(truth_m), nan, 0.0, (nan,) * truth_m.shape[1])
    p, t = predicted_m[seen], truth_m[seen]
    frame_scale = (p * t).sum((1, 2)) / np.maximum((p * p).sum((1, 2)), 1e-12)
    clip_scale = (p * t).sum() / (p * p).sum()
    per_joint = np.linalg.norm(clip_scale * p - t, axis=-1).mean(axis=0) * 1000
    aligned = similarity_aligned(p, t)
    return PoseErrors(
        _mean_mm(p - t),
        _mean_mm(frame_scale[:, None, None] * p - t),
        _mean_mm(clip_scale * p - t),
        _mean_mm(aligned - t),
        _second_mm(predicted_m),
        _second_mm(truth_m),
        _second_mm(predicted_m - truth_m),
        float(seen.mean()),
        tuple(float(value) for value in per_joint),
    )


def similarity_aligned(predicted: Array, truth: Array) -> Array:
    """Procrustes: predicted (T, J, 3) moved onto truth by rotation, translation and scale, frame by frame."""
    mean_p, mean_t = predicted.mean(1, keepdims=True), truth.mean(1, keepdims=True)
    p, t = predicted - mean_p, truth - mean_t
    u, s, vt = np.linalg.svd(np.swapaxes(p, 1, 2) @ t)
    sign = np.ones_like(s)
    sign[:, -1] = np.sign(np.linalg.det(u @ vt))
    rotation = (u * sign[:, None]) @ vt
    scale = (s * sign).sum(1) / np.maximum((p * p).sum((1, 2)), 1e-12)
    return scale[:, None, None] * (p @ rotation) + mean_t


def _mean_mm(difference: Array) -> float:
    return float(np.linalg.norm(difference, axis=-1).mean() * 1000)


def _second_mm(poses: Array) -> float:
    if len(poses) < 3:
        return float("nan")
    second = np.linalg.norm(poses[2:] - 2 * poses[1:-1] + poses[:-2], axis=-1)
    return float(np.nanmean(second) * 1000) if np.isfinite(second).any() else float("nan")
