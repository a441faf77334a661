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
from backend.embedding.score_gradient import ScoreGradient
from backend.embedding.skeleton import (
    Skeleton,
    SkeletonPose,
    joint_limits,
    matrix_to_rotvec,
    point_jacobian,
    pose_skeleton,
    turned,
)
from backend.types import Array


@dataclass(frozen=True, slots=True)
class RefineSettings:
    """Standard deviations of what is fitted; a smaller one pulls harder.

    point_share: 2D keypoints, as share of the person's half size; outlier_share: beyond it a keypoint counts less;
    shake_share: a keypoint that shakes so much counts half (0: all alike; `keypoint_trust`);
    prior_deg: nearness to the rotation that the fit starts from; limit_deg: how hard joint limits are (0: none);
    score_weight: how much a point of score counts (one point is 100 mm of margin; 0: the score is not climbed).
    """

    iterations: int = 6
    point_share: float = 0.006
    outlier_share: float = 0.04
    shake_share: float = 0.006
    joint_floor_m: float = 0.02
    prior_deg: float = 12.0
    stiff_deg: float = 4.0
    limit_deg: float = 4.0
    score_weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a clip's frames are fitted to.

    points (T, 33, 2) normalised image coordinates, weight (T, 33) 0..1; joints_m (T, 17, 3) relative to the pelvis in
    the camera, in the skeleton's size, with error_m (T, 17); prior (T, J, 3, 3) local rotations; half_size (T,).
    """

    points: Array
    weight: Array
    joints_m: Array
    error_m: Array
    prior: Array
    half_size: Array


@dataclass(frozen=True, slots=True)
class Refined:
    """local (T, J, 3, 3) rotations with joint 0 in the camera, root_m (T, 3), and the skeleton in that pose."""

    local: Array
    root_m: Array
    pose: SkeletonPose


_STIFF = ("clavicle", "hand", "toe", "spine", "chest", "upper_chest", "neck")
_CHUNK = 64
_THREADS = min(4, os.cpu_count() or 1)

# a joint's turn in one step: beyond it the linear model of the step says nothing
_LARGEST_TURN_RAD = 0.5
# how far in front of the camera the pelvis stays, and a point that is projected
_NEAREST_PELVIS_M = 0.3
_NEAREST_POINT_M = 0.1
# keypoints that nobody trusts still hold the pelvis where no others do
_LEAST_WEIGHT = 1e-3
# Levenberg-Marquardt: a share of the diagonal, and a floor for parameters that nothing determines
_DAMPING, _FLOOR = 1e-4, 1e-6


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


def _stiffness(skeleton: Skeleton, settings: RefineSettings) -> Array:
    names = [name.removeprefix("left_").removeprefix("right_") for name in skeleton.body.joint_names]
    return np.radians([settings.stiff_deg if name in _STIFF else settings.prior_deg for name in names]).astype(
        np.float32
    )


def _slice(evidence: Evidence, rows: slice) -> Evidence:
    return Evidence(*(getattr(evidence, name)[rows].astype(np.float32) for name in Evidence.__dataclass_fields__))


def _refine(
    skeleton: Skeleton, evidence: Evidence, settings: RefineSettings, climb: ScoreGradient | None = None
) -> Refined:
    local = evidence.prior.copy()
    root = initial_root(pose_skeleton(skeleton, local, np.zeros((len(local), 3), np.float32)).landmarks_m, evidence)
    turning = np.arange(local.shape[1])
    stiffness = _stiffness(skeleton, settings)
    for _ in range(settings.iterations):
        posed = _Posed(skeleton, pose_skeleton(skeleton, local, root), local)
        equations = _normal_equations(posed, evidence, settings, stiffness, climb)
        step = equations.solution().reshape(len(local), -1, 3)
        turn = np.clip(step[:, :-1], -_LARGEST_TURN_RAD, _LARGEST_TURN_RAD)
        local = turned(skeleton, posed.pose, local, turning, turn)
        root = root + step[:, -1]
        root[:, 2] = np.maximum(root[:, 2], _NEAREST_PELVIS_M)
    return Refined(local, root, pose_skeleton(skeleton, local, root))


def initial_root(landmarks_m: Array, evidence: Evidence) -> Array:
    """Pelvis positions (T, 3) that lay landmarks (T, 33, 3), posed with the pelvis at 0, on their keypoints.

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
    root = np.linalg.solve(normal + 1e-9 * np.eye(3), right[..., None])[..., 0]
    root[:, 2] = np.maximum(root[:, 2], _NEAREST_PELVIS_M)
    return root.astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Posed:
    """The skeleton in the pose of a step: `local` (T, J, 3, 3) rotations, and the points that follow from them."""

    skeleton: Skeleton
    pose: SkeletonPose
    local: Array

    def in_camera(self, turns: Array) -> Array:
        """Small turns (T, J, 3) in each joint's parent's axes, in the camera's axes."""
        parents = self.skeleton.body.parents
        out = turns.copy()
        out[:, 1:] = np.matmul(self.pose.turns[:, parents[1:]], turns[:, 1:, :, None])[..., 0]
        return out


class _NormalEquations:
    """J^T J x = J^T r of T frames over P parameters: three for each joint's turn, then three for the pelvis position.

    `matrix` (T, P, P) and `right` (T, P) grow with every term that is added.
    """

    def __init__(self, frames: int, parameters: int) -> None:
        self.matrix = np.zeros((frames, parameters, parameters), np.float32)
        self.right = np.zeros((frames, parameters), np.float32)

    def add(self, jacobian: Array, residual: Array) -> None:
        """Weighted residuals (T, R) with their derivatives (T, R, P)."""
        transposed = np.swapaxes(jacobian, -1, -2)
        self.matrix += transposed @ jacobian
        self.right += (transposed @ residual[..., None])[..., 0]

    def add_turns(self, turns: Array, weight: Array) -> None:
        """Joints pulled through `turns` (T, J, 3) rad in the camera's axes, by `weight` (J,) or (T, J)."""
        count = 3 * turns.shape[1]
        diagonal = np.arange(count)
        self.matrix[:, diagonal, diagonal] += np.repeat(weight, 3, axis=-1)
        self.right[:, :count] += (turns * weight[..., None]).reshape(len(turns), count)

    def add_slope(self, jacobian: Array, slope: Array) -> None:
        """A function to climb: its slope (T, J, 3) over points whose derivatives are (T, J, 3, P)."""
        self.right += np.einsum("tjcp,tjc->tp", jacobian, slope.astype(np.float32))

    def solution(self) -> Array:
        """The damped step (T, P)."""
        diagonal = np.arange(self.matrix.shape[-1])
        self.matrix[:, diagonal, diagonal] += _DAMPING * self.matrix[:, diagonal, diagonal] + _FLOOR
        return np.asarray(np.linalg.solve(self.matrix, self.right[..., None])[..., 0])


def _normal_equations(
    posed: _Posed, evidence: Evidence, settings: RefineSettings, stiffness: Array, climb: ScoreGradient | None
) -> _NormalEquations:
    """Everything that is fitted, linear around the present pose."""
    pose = posed.pose
    jacobian = point_jacobian(posed.skeleton, pose, np.arange(posed.local.shape[1]))
    landmarks, centres = jacobian[:, :KEYPOINTS], jacobian[:, KEYPOINTS:]
    equations = _NormalEquations(len(jacobian), jacobian.shape[-1])
    equations.add(*_point_terms(pose, landmarks, evidence, settings))
    equations.add(*_joint_terms(pose, centres, evidence, settings))
    equations.add_turns(_turns_to_prior(posed, evidence), 1.0 / np.square(stiffness))
    if settings.limit_deg > 0:
        _add_limits(equations, posed, settings)
    if climb is not None:
        slope = settings.score_weight * climb.gradient(pose.centres_m - pose.centres_m[:, :1])
        equations.add_slope(centres - centres[:, :1], slope)
    return equations


def _point_terms(
    pose: SkeletonPose, jacobian: Array, evidence: Evidence, settings: RefineSettings
) -> tuple[Array, Array]:
    depth = np.maximum(pose.landmarks_m[..., 2:], _NEAREST_POINT_M)
    projected = pose.landmarks_m[..., :2] / depth
    residual = evidence.points - projected
    unit = (settings.point_share * evidence.half_size)[:, None]
    distance = np.linalg.norm(residual, axis=-1)
    robust = 1.0 / (1.0 + np.square(distance / (settings.outlier_share * evidence.half_size[:, None])))
    scale = (np.sqrt(evidence.weight * robust) / unit)[..., None]
    along = (jacobian[..., :2, :] - projected[..., None] * jacobian[..., 2:, :]) / depth[..., None]
    frames, size = len(projected), jacobian.shape[-1]
    return (along * scale[..., None]).reshape(frames, -1, size), (residual * scale).reshape(frames, -1)


def _joint_terms(
    pose: SkeletonPose, jacobian: Array, evidence: Evidence, settings: RefineSettings
) -> tuple[Array, Array]:
    relative = pose.centres_m - pose.centres_m[:, :1]
    scale = (1.0 / np.hypot(evidence.error_m, settings.joint_floor_m))[..., None]
    residual = (evidence.joints_m - relative) * scale
    along = (jacobian - jacobian[:, :1]) * scale[..., None]
    frames, size = len(relative), jacobian.shape[-1]
    return along.reshape(frames, -1, size), residual.reshape(frames, -1)


def _turns_to_prior(posed: _Posed, evidence: Evidence) -> Array:
    """The turns (T, J, 3) in the camera's axes that lead back to the prior's local rotations."""
    back = matrix_to_rotvec(evidence.prior @ np.swapaxes(posed.local, -1, -2))
    return posed.in_camera(back.astype(np.float32))


def _add_limits(equations: _NormalEquations, posed: _Posed, settings: RefineSettings) -> None:
    """Joints turned beyond what people do are led back; those within are left alone."""
    excess = joint_limits().excess(matrix_to_rotvec(posed.local).astype(np.float32))
    outside = (np.abs(excess) > 0).any(axis=-1)
    outside[:, 0] = False
    if outside.any():
        weight = outside / np.float32(np.square(np.radians(settings.limit_deg)))
        equations.add_turns(posed.in_camera(-excess), weight)
