"""What limits an image tower: its errors when every keypoint is exact and no 3D guess is given. torch.

Windows of mocap as it was recorded, on bodies and before cameras as in training. A design that errs much here is not
worth training on errors or on renders.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from backend.datasets.motion import Motion
from backend.embedding.temporal_tower import TemporalTower
from backend.embedding.window_offsets import DENSE_OFFSETS, LONG_OFFSETS
from backend.errors import BadInputError
from backend.evaluation.metrics import pose_errors, similarity_aligned
from backend.training.batch import TrainingBatch
from backend.training.checkpoint import TrainedTowers
from backend.training.pool import Variation, motion_pool
from backend.training.simulate import SimulationSettings, simulate_batch
from backend.types import Array

_BLOCK = 512


@dataclass(frozen=True, slots=True)
class ExactKeypointErrors:
    """Over 17 joints relative to the pelvis, bodies of one size, in mm: MPJPE, along the optical axis (mean absolute
    value), Procrustes-aligned (PA-MPJPE); trunk_deg: direction from pelvis to thorax; within_30: share of windows
    whose own pose scores best, or one within 30 mm of it, among the poses of all windows.
    """

    mpjpe_mm: float
    depth_mm: float
    pa_mpjpe_mm: float
    trunk_deg: float
    within_30: float
    windows: int


def exact_keypoint_errors(
    takes: Sequence[Motion], towers: TrainedTowers, windows: int, seed: int
) -> ExactKeypointErrors:
    """Errors of the auxiliary joints of trained towers on `windows` windows of these takes."""
    if not takes:
        raise BadInputError("no take of these subjects to measure on", "Give --mocap a folder with more subjects")
    offsets = LONG_OFFSETS if isinstance(towers.image, TemporalTower) else DENSE_OFFSETS
    settings = SimulationSettings(variation=Variation(0.0, 0.0, 0.0, 1.0, 1.0), offsets=offsets, exact_keypoints=True)
    pool, rng = motion_pool(takes), np.random.default_rng(seed)
    blocks = [min(_BLOCK, windows - at) for at in range(0, windows, _BLOCK)]
    batches = [simulate_batch(pool, count, rng, settings) for count in blocks]
    answers = [_answer(towers, batch) for batch in batches]
    joints, embedding, poses = (np.concatenate(parts) for parts in zip(*answers, strict=True))
    truth = np.concatenate([batch.joints_m for batch in batches])
    pose = np.concatenate([batch.pose_m for batch in batches])
    errors = pose_errors(joints, truth)
    best = np.concatenate([(block @ poses.T).argmax(axis=1) for block in np.array_split(embedding, len(blocks))])
    return ExactKeypointErrors(
        errors.mpjpe_mm,
        float(1000 * np.abs(joints - truth)[..., 2].mean()),
        float(1000 * np.linalg.norm(similarity_aligned(joints, truth) - truth, axis=-1).mean()),
        _trunk_deg(joints, truth),
        float((np.linalg.norm(pose[best] - pose, axis=-1).mean(axis=-1) <= 0.03).mean()),
        windows,
    )


def _answer(towers: TrainedTowers, batch: TrainingBatch[Array]) -> tuple[Array, Array, Array]:
    frames, context = torch.from_numpy(batch.frames), torch.from_numpy(batch.context)
    with torch.inference_mode():
        output = towers.image(frames, context)
        poses = towers.pose(torch.from_numpy(batch.pose_m))
    return output.joints_m.numpy().astype(np.float64), output.embedding.numpy(), poses.numpy()


def _trunk_deg(joints_m: Array, truth_m: Array) -> float:
    a, b = joints_m[:, 8], truth_m[:, 8]
    cosine = (a * b).sum(-1) / np.maximum(np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1), 1e-9)
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))).mean())
