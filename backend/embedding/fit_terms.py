"""What a skeleton's pose is fitted to, as terms of Gauss-Newton's normal equations. numpy only.

`refine` fits one camera with them, `backend.multiview` several.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.embedding.skeleton import Skeleton, SkeletonPose, joint_limits, matrix_to_rotvec
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


_STIFF = ("clavicle", "hand", "toe", "spine", "chest", "upper_chest", "neck")
# how far in front of the camera a point stays that is projected
_NEAREST_POINT_M = 0.1
# Levenberg-Marquardt: a share of the diagonal, and a floor for parameters that nothing determines
_DAMPING, _FLOOR = 1e-4, 1e-6


def stiffness(skeleton: Skeleton, settings: RefineSettings) -> Array:
    """Standard deviations (J,) rad of the joints' turns from the rotations that the fit starts from."""
    names = [name.removeprefix("left_").removeprefix("right_") for name in skeleton.body.joint_names]
    return np.radians([settings.stiff_deg if name in _STIFF else settings.prior_deg for name in names]).astype(
        np.float32
    )


@dataclass(frozen=True, slots=True)
class Posed:
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


class NormalEquations:
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


def point_terms(
    pose: SkeletonPose, jacobian: Array, evidence: Evidence, settings: RefineSettings
) -> tuple[Array, Array]:
    """Weighted derivatives (T, 66, P) and residuals (T, 66) of keypoints, from the landmarks' (T, 33, 3, P)."""
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


def joint_terms(
    pose: SkeletonPose, jacobian: Array, evidence: Evidence, settings: RefineSettings
) -> tuple[Array, Array]:
    """Weighted derivatives (T, 51, P) and residuals (T, 51) of 3D joints, from the centres' (T, 17, 3, P)."""
    relative = pose.centres_m - pose.centres_m[:, :1]
    scale = (1.0 / np.hypot(evidence.error_m, settings.joint_floor_m))[..., None]
    residual = (evidence.joints_m - relative) * scale
    along = (jacobian - jacobian[:, :1]) * scale[..., None]
    frames, size = len(relative), jacobian.shape[-1]
    return along.reshape(frames, -1, size), residual.reshape(frames, -1)


def turns_to_prior(posed: Posed, prior: Array) -> Array:
    """The turns (T, J, 3) in the camera's axes that lead back to the `prior` (T, J, 3, 3) local rotations."""
    back = matrix_to_rotvec(prior @ np.swapaxes(posed.local, -1, -2))
    return posed.in_camera(back.astype(np.float32))


def add_limits(equations: NormalEquations, posed: Posed, settings: RefineSettings) -> None:
    """Joints turned beyond what people do are led back; those within are left alone."""
    excess = joint_limits().excess(matrix_to_rotvec(posed.local).astype(np.float32))
    outside = (np.abs(excess) > 0).any(axis=-1)
    outside[:, 0] = False
    if outside.any():
        weight = outside / np.float32(np.square(np.radians(settings.limit_deg)))
        equations.add_turns(posed.in_camera(-excess), weight)
