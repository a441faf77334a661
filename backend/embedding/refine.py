"""Structured inference beyond the bank: fit a valid skeleton, over rotations. numpy only.

Gauss-Newton, all frames at once, on: agreement with the 2D keypoints, with the towers' 3D joints, nearness to the
rotations that it starts from, joint limits, and the score, which is climbed. It plays the part of the paper's
annealed particle filter (section 4.4): the result is a valid skeleton of the person's own proportions.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from backend.embedding.features import KEYPOINTS
from backend.embedding.fit_terms import (
    Evidence,
    NormalEquations,
    Posed,
    RefineSettings,
    add_limits,
    joint_terms,
    point_terms,
    stiffness,
    turns_to_prior,
)
from backend.embedding.score_gradient import ScoreGradient
from backend.embedding.skeleton import Skeleton, SkeletonPose, point_jacobian, pose_skeleton, turned
from backend.types import Array


@dataclass(frozen=True, slots=True)
class Refined:
    """local (T, J, 3, 3) rotations with joint 0 in the camera, root_m (T, 3), and the skeleton in that pose."""

    local: Array
    root_m: Array
    pose: SkeletonPose


_CHUNK = 64
_THREADS = min(4, os.cpu_count() or 1)

# a joint's turn in one step: beyond it the linear model of the step says nothing
LARGEST_TURN_RAD = 0.5
# how far in front of the camera the pelvis stays
NEAREST_PELVIS_M = 0.3
# keypoints that nobody trusts still hold the pelvis where no others do
_LEAST_WEIGHT = 1e-3


def refine_poses(
    skeleton: Skeleton, evidence: Evidence, settings: RefineSettings, climb: ScoreGradient | None = None
) -> Refined:
    """Fit every frame; frames are independent, time enters through the evidence. A score weight needs `climb`."""
    rows = [slice(at, at + _CHUNK) for at in range(0, len(evidence.points), _CHUNK)]
    climb = climb if settings.score_weight > 0 else None
    chunks = [(_slice(evidence, part), climb.rows(part) if climb else None) for part in rows]
    if len(chunks) == 1:  # a thread costs more than a few frames take
        parts = [_refine(skeleton, chunks[0][0], settings, chunks[0][1])]
    else:
        # numpy lets go of the interpreter in the heavy parts, so threads share the work without changing its result
        with ThreadPoolExecutor(_THREADS, "refine") as pool:
            parts = list(pool.map(lambda chunk: _refine(skeleton, chunk[0], settings, chunk[1]), chunks))
    local = np.concatenate([part.local for part in parts])
    root = np.concatenate([part.root_m for part in parts])
    return Refined(local, root, pose_skeleton(skeleton, local, root))


def _slice(evidence: Evidence, rows: slice) -> Evidence:
    return Evidence(*(getattr(evidence, name)[rows].astype(np.float32) for name in Evidence.__dataclass_fields__))


def _refine(
    skeleton: Skeleton, evidence: Evidence, settings: RefineSettings, climb: ScoreGradient | None = None
) -> Refined:
    local = evidence.prior.copy()
    root = initial_root(pose_skeleton(skeleton, local, np.zeros((len(local), 3), np.float32)).landmarks_m, evidence)
    turning = np.arange(local.shape[1])
    stiff = stiffness(skeleton, settings)
    for _ in range(settings.iterations):
        posed = Posed(skeleton, pose_skeleton(skeleton, local, root), local)
        equations = _normal_equations(posed, evidence, settings, stiff, climb)
        step = equations.solution().reshape(len(local), -1, 3)
        turn = np.clip(step[:, :-1], -LARGEST_TURN_RAD, LARGEST_TURN_RAD)
        local = turned(skeleton, posed.pose, local, turning, turn)
        root = root + step[:, -1]
        root[:, 2] = np.maximum(root[:, 2], NEAREST_PELVIS_M)
    return Refined(local, root, pose_skeleton(skeleton, local, root))


def initial_root(landmarks_m: Array, evidence: Evidence) -> Array:
    """Pelvis positions (T, 3) that lay landmarks (T, 33, 3), posed with the pelvis at 0, on their keypoints."""
    normal, right = root_equations(landmarks_m, evidence)
    root = np.linalg.solve(normal + 1e-9 * np.eye(3), right[..., None])[..., 0]
    root[:, 2] = np.maximum(root[:, 2], NEAREST_PELVIS_M)
    return root.astype(np.float32)


def root_equations(landmarks_m: Array, evidence: Evidence) -> tuple[Array, Array]:
    """Normal matrices (T, 3, 3) and right sides (T, 3) of the pelvis positions that lay landmarks (T, 33, 3), posed
    with the pelvis at 0, on their keypoints.

    Linear least squares of u (Z + z) = X + x and v (Z + z) = Y + y, weighted by confidence.
    """
    u, v = evidence.points[..., 0].astype(np.float64), evidence.points[..., 1].astype(np.float64)
    x, y, z = np.moveaxis(landmarks_m.astype(np.float64), -1, 0)
    w = np.maximum(evidence.weight, _LEAST_WEIGHT).astype(np.float64)
    total, wu, wv = w.sum(1), (w * u).sum(1), (w * v).sum(1)
    square = (w * (u * u + v * v)).sum(1)
    a, b = u * z - x, v * z - y
    zero = np.zeros_like(total)
    # residual: X - u Z = a' with a' = u z - x
    normal = np.stack(
        [np.stack([total, zero, -wu], -1), np.stack([zero, total, -wv], -1), np.stack([-wu, -wv, square], -1)], -2
    )
    right = np.stack([(w * a).sum(1), (w * b).sum(1), -(w * (u * a + v * b)).sum(1)], -1)
    return normal, right


def _normal_equations(
    posed: Posed, evidence: Evidence, settings: RefineSettings, stiff: Array, climb: ScoreGradient | None
) -> NormalEquations:
    """Everything that is fitted, linear around the present pose."""
    pose = posed.pose
    jacobian = point_jacobian(posed.skeleton, pose, np.arange(posed.local.shape[1]))
    landmarks, centres = jacobian[:, :KEYPOINTS], jacobian[:, KEYPOINTS:]
    equations = NormalEquations(len(jacobian), jacobian.shape[-1])
    equations.add(*point_terms(pose, landmarks, evidence, settings))
    equations.add(*joint_terms(pose, centres, evidence, settings))
    equations.add_turns(turns_to_prior(posed, evidence.prior), 1.0 / np.square(stiff))
    if settings.limit_deg > 0:
        add_limits(equations, posed, settings)
    if climb is not None:
        slope = settings.score_weight * climb.gradient(pose.centres_m - pose.centres_m[:, :1])
        equations.add_slope(centres - centres[:, :1], slope)
    return equations
