"""Errors on simulated landmark sequences of subjects that were never trained on, and what the bank can reach."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backend.bank.bank_file import PoseBank
from backend.bank.search import make_searcher
from backend.datasets.motion import Motion
from backend.embedding.retrieve import retrieve
from backend.embedding.tower_run import Towers
from backend.evaluation.metrics import PoseErrors, pose_errors
from backend.evaluation.report import Scored
from backend.training.pool import Variation, motion_pool
from backend.training.simulate import SimulationSettings, TrainingBatch, simulate_batch

Array = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class SimulatedErrors:
    """MPJPE in mm, pelvis-aligned, 17 joints: auxiliary head on the person's own proportions; Max, Avg(A) by A, and the
    nearest pose in the bank on the canonical body, which is all that a bank holds.
    """

    auxiliary_mm: float
    max_mm: float
    average_mm: dict[int, float]
    oracle_mm: float
    windows: int


def held_out_batch(takes: Sequence[Motion], count: int, seed: int) -> TrainingBatch:
    """Windows of mocap as it was recorded (no mixing, bending or tilting), bodies and cameras as in training."""
    settings = SimulationSettings(variation=Variation(0.0, 0.0, 0.0, 1.0, 1.0))
    return simulate_batch(motion_pool(takes), count, np.random.default_rng(seed), settings)


def simulated_errors(
    batch: TrainingBatch, towers: Towers, bank: PoseBank, averages: Sequence[int] = (1, 20, 100, 500)
) -> SimulatedErrors:
    """Errors of every way to read a pose off the towers."""
    output = towers.embed_images(batch.input)
    most = min(max(averages), len(bank))
    hits = make_searcher(bank.embeddings).search(output.embedding, most)
    by_count = {
        count: _mpjpe(retrieve(bank, hits, count).joints_m, batch.pose_m) for count in averages if count <= most
    }
    best = _mpjpe(retrieve(bank, hits, 1).best_joints_m, batch.pose_m)
    return SimulatedErrors(
        _mpjpe(output.joints_m, batch.joints_m), best, by_count, oracle_mm(batch.pose_m, bank), len(batch.joints_m)
    )


def scores_by_action(takes: Sequence[Motion], towers: Towers, bank: PoseBank, windows: int, seed: int) -> list[Scored]:
    """Errors of auxiliary head, Max and averages for each action; `windows` in all, by how long each action lasts."""
    groups: dict[str, list[Motion]] = {}
    for take in takes:
        groups.setdefault(action_name(take), []).append(take)
    frames = {action: sum(len(take) for take in group) for action, group in groups.items()}
    rows: list[Scored] = []
    for action in sorted(groups):
        count = max(20, round(windows * frames[action] / sum(frames.values())))
        batch = held_out_batch(groups[action], count, seed)
        output = towers.embed_images(batch.input)
        hits = make_searcher(bank.embeddings).search(output.embedding, min(100, len(bank)))
        found = {"Max": retrieve(bank, hits, 1).best_joints_m}
        found |= {f"Avg({a})": retrieve(bank, hits, a).joints_m for a in (20, 100) if a <= len(bank)}
        pairs = {"auxiliary head": (output.joints_m, batch.joints_m)}
        pairs |= {name: (joints, batch.pose_m) for name, joints in found.items()}
        rows += [
            Scored(name, action, count, _unordered(pose_errors(joints, truth)))
            for name, (joints, truth) in pairs.items()
        ]
    return rows


def action_name(take: Motion) -> str:
    """What is done in a take: named by HDM05's files, elsewhere only the subject is known."""
    name = re.fullmatch(r"HDM_[a-z]+_([A-Za-z].*?)(_\d+)*", take.action)
    return name.group(1) if name else take.subject


def _unordered(errors: PoseErrors) -> PoseErrors:
    """Windows drawn at random have no neighbours in time, so no acceleration."""
    nan = float("nan")
    return replace(errors, acceleration_mm=nan, acceleration_truth_mm=nan, acceleration_error_mm=nan)


def oracle_mm(joints_m: Array, bank: PoseBank, block: int = 8192) -> float:
    """Mean MPJPE in mm of the nearest candidate in the bank: no score could do better by retrieval alone."""
    best = np.full(len(joints_m), np.inf)
    for start in range(0, len(bank), block):
        near = np.zeros((len(joints_m), len(bank.candidates.pose[start : start + block])), np.float32)
        candidates = bank.candidates.joints_m(slice(start, start + block))
        for joint in range(1, joints_m.shape[1]):
            near += _distances(joints_m[:, joint], candidates[:, joint])
        best = np.minimum(best, near.min(axis=1) / joints_m.shape[1])
    return float(best.mean() * 1000)


def _distances(a: Array, b: Array) -> Array:
    square = np.square(a).sum(1)[:, None] + np.square(b).sum(1) - 2 * a @ b.T
    return np.sqrt(np.maximum(square, 0.0))


def _mpjpe(predicted: Array, truth: Array) -> float:
    return float(np.linalg.norm(predicted - truth, axis=-1).mean() * 1000)


def share_within_mm(batch: TrainingBatch, towers: Towers, limit_mm: float = 30.0) -> float:
    """Share of windows whose best-scoring pose lies within `limit_mm`, when the candidates are the windows' own poses
    (paper, section 5.3: 97 % of the training images lie within 30 mm).
    """
    embedding = towers.embed_images(batch.input).embedding
    poses = towers.embed_poses(batch.pose_m)
    best = make_searcher(poses).search(embedding, 1).indices[:, 0]
    error = np.linalg.norm(batch.pose_m[best] - batch.pose_m, axis=-1).mean(axis=-1) * 1000
    return float((error <= limit_mm).mean())
