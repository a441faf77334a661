"""Retrieval: max-scoring pose, Avg(A) as a valid skeleton, confidence from the margin, and the temporal path.

numpy only. All poses are in the virtual camera of each frame. (Paper: inference, equations 4 and 5; Avg(A).)
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from backend.bank.bank_file import PoseBank
from backend.bank.search import Hits
from backend.keypoint_layouts import HUMAN36M
from backend.types import Array
from blender_addon.motion.rotations import quaternion_mean

_DIFFERENT_M = 0.10
_FEW = 20  # rotations of distinct modes average badly: the nearest few only
_BLOCK = 512  # frames at once: each has some hundred candidates with all their joints


@dataclass(frozen=True, slots=True)
class Retrieved:
    """For T frames: joints_m (T, 17, 3) and rotations_wxyz (T, J, 4), joint 0 in the virtual camera, of the average of
    the best A poses; best_joints_m (T, 17, 3) of the single best; score (T,) of the best; margin (T,) to the best
    candidate that differs by more than 100 mm (spread of the top K where none does).
    """

    joints_m: Array
    rotations_wxyz: Array
    best_joints_m: Array
    score: Array
    margin: Array


def retrieve(bank: PoseBank, hits: Hits, average: int) -> Retrieved:
    """Turn search hits (T, K) into poses: the mean of the best `average` joints, and the mean of their rotations.

    Rotations are averaged as rotations (Markley), so the result is a valid skeleton where a mean of positions has
    shrunken limbs.
    """
    blocks = [slice(at, at + _BLOCK) for at in range(0, len(hits.scores), _BLOCK)] or [slice(0, 0)]
    parts = [_retrieve(bank, hits.rows(rows), average) for rows in blocks]
    return Retrieved(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Retrieved)))


def _retrieve(bank: PoseBank, hits: Hits, average: int) -> Retrieved:
    candidates = bank.candidates
    best = candidates.joints_m(hits.indices[:, 0])
    top = hits.indices[:, : max(1, average)]
    frames = len(top)
    joints = candidates.joints_m(top.reshape(-1)).reshape(frames, -1, HUMAN36M.count, 3).mean(axis=1)
    few = top[:, :_FEW]
    rotations = candidates.rotations_wxyz[candidates.pose[few]].copy()
    rotations[:, :, 0] = candidates.view_wxyz[few]
    mean = quaternion_mean(np.moveaxis(rotations, 1, 2)).astype(np.float32)
    return Retrieved(joints, mean, best, hits.scores[:, 0], _margin(bank, hits))


def _margin(bank: PoseBank, hits: Hits) -> Array:
    """Score of the best minus that of the best one that is another pose (paper's margin, read as confidence)."""
    frames, count = hits.indices.shape
    joints = bank.candidates.joints_m(hits.indices.reshape(-1)).reshape(frames, count, HUMAN36M.count, 3)
    distance = np.linalg.norm(joints - joints[:, :1], axis=-1).mean(axis=-1)
    other = np.where(distance > _DIFFERENT_M, hits.scores, -np.inf).max(axis=1)
    return np.where(np.isfinite(other), hits.scores[:, 0] - other, hits.scores[:, 0] - hits.scores[:, -1])


def best_path(bank: PoseBank, hits: Hits, to_camera: Array, step_cost: float) -> NDArray[np.intp]:
    """Viterbi over the top K of each frame: the path (T,) of bank indices with the largest sum of scores minus
    `step_cost` x MPJPE in m between neighbours, compared in the real camera (to_camera (T, 3, 3) from the virtual).
    """
    frames, count = hits.indices.shape
    joints = bank.candidates.joints_m(hits.indices.reshape(-1)).reshape(frames, count, HUMAN36M.count, 3)
    joints = np.matmul(joints, np.swapaxes(to_camera, -1, -2)[:, None])
    total = hits.scores[0].astype(np.float64)
    came_from = np.zeros((frames, count), np.intp)
    for frame in range(1, frames):
        distance = np.linalg.norm(joints[frame - 1][:, None] - joints[frame][None], axis=-1).mean(axis=-1)
        reach = total[:, None] - step_cost * distance
        came_from[frame] = reach.argmax(axis=0)
        total = reach.max(axis=0) + hits.scores[frame]
    path = np.empty(frames, np.intp)
    place = int(total.argmax())
    for frame in range(frames - 1, -1, -1):
        path[frame] = hits.indices[frame, place]
        place = int(came_from[frame, place])
    return path
