"""Structured inference over several views: one skeleton, all views' keypoints, 3D and scores in one fit. numpy only.

The normal equations are those of one camera (`backend.embedding.fit_terms`), summed over the views, with each view's
3D joints as evidence by direction: sure across its line of sight, unsure along it. Frames hang together through
accelerations, which are kept small where nothing asks for large ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from backend.embedding.features import KEYPOINTS
from backend.embedding.fit_terms import (
    Evidence,
    NormalEquations,
    Posed,
    RefineSettings,
    add_limits,
    point_terms,
    stiffness,
    turns_to_prior,
)
from backend.embedding.refine import LARGEST_TURN_RAD, Refined, root_equations
from backend.embedding.score_gradient import ScoreGradient
from backend.embedding.skeleton import Skeleton, SkeletonPose, point_jacobian, pose_skeleton, turned
from backend.types import Array

_CHUNK = 64
_LEAST = 0.01


@dataclass(frozen=True, slots=True)
class JointFitSettings:
    """How several views are fitted: the settings of one camera, and factors of the error of a view's 3D joints across
    its line of sight and along it.
    """

    fit: RefineSettings = field(default_factory=lambda: RefineSettings(iterations=8))
    across: float = 0.7
    along: float = 2.0


@dataclass(frozen=True, slots=True)
class FitView:
    """One view of the T frames of a fit: rotation (3, 3) and translation (3,) from the take frame, its evidence in its
    own camera (weights and `seen` (T,) 0 where the person is not seen, less than 1 where it counts less), and the score
    that it climbs.

    `evidence.joints_m` are the view's own joints; `sight` (T, 3) is the unit line of sight to the person.
    """

    rotation: Array
    translation: Array
    evidence: Evidence
    seen: Array
    sight: Array
    climb: ScoreGradient | None = None

    def rows(self, rows: slice) -> FitView:
        """Some of the frames."""
        names = Evidence.__dataclass_fields__
        return FitView(
            self.rotation.astype(np.float32),
            self.translation.astype(np.float32),
            Evidence(*(getattr(self.evidence, name)[rows].astype(np.float32) for name in names)),
            self.seen[rows].astype(np.float32),
            self.sight[rows].astype(np.float32),
            self.climb.rows(rows) if self.climb else None,
        )

    def in_camera(self, points_m: Array) -> Array:
        """Points (..., 3) of the take frame in this camera."""
        return np.asarray(points_m @ self.rotation.T + self.translation)


def fit_views(
    skeleton: Skeleton, views: Sequence[FitView], prior: Array, common_m: Array, settings: JointFitSettings
) -> Refined:
    """Fit T frames to all views.

    prior (T, J, 3, 3) local rotations to start from, joint 0 in the take frame; common_m (T, 17, 3) retrieved joints in
    the take frame, relative to the pelvis. The result is in the take frame.
    """
    parts = []
    for at in range(0, len(prior), _CHUNK):
        rows = slice(at, at + _CHUNK)
        chunk = [view.rows(rows) for view in views]
        parts.append(_fit(skeleton, chunk, prior[rows].astype(np.float32), common_m[rows].astype(np.float32), settings))
    local = np.concatenate([part.local for part in parts])
    root = np.concatenate([part.root_m for part in parts])
    return Refined(local, root, pose_skeleton(skeleton, local, root))


def _fit(
    skeleton: Skeleton, views: Sequence[FitView], prior: Array, common_m: Array, settings: JointFitSettings
) -> Refined:
    local = prior.copy()
    root = first_root(pose_skeleton(skeleton, local, np.zeros((len(local), 3), np.float32)), views)
    joints = np.arange(local.shape[1])
    weight = 1.0 / np.square(stiffness(skeleton, settings.fit))
    for _ in range(settings.fit.iterations):
        posed = Posed(skeleton, pose_skeleton(skeleton, local, root), local)
        jacobian = point_jacobian(skeleton, posed.pose, joints)
        equations = NormalEquations(len(jacobian), jacobian.shape[-1])
        for view in views:
            _add_view(equations, view, posed.pose, jacobian, settings)
        _add_common(equations, posed.pose, jacobian[:, KEYPOINTS:], views, common_m, settings)
        equations.add_turns(turns_to_prior(posed, prior), weight)
        if settings.fit.limit_deg > 0:
            add_limits(equations, posed, settings.fit)
        step = equations.solution().reshape(len(local), -1, 3)
        turn = np.clip(step[:, :-1], -LARGEST_TURN_RAD, LARGEST_TURN_RAD)
        local = turned(skeleton, posed.pose, local, joints, turn)
        root = root + step[:, -1]
    return Refined(local, root, pose_skeleton(skeleton, local, root))


def first_root(pose: SkeletonPose, views: Sequence[FitView]) -> Array:
    """Pelvis positions (T, 3) in the take frame that lay a pose with the pelvis at 0 on all views' keypoints."""
    normal, right = np.zeros((len(pose.joints_m), 3, 3)), np.zeros((len(pose.joints_m), 3))
    for view in views:
        own, vector = root_equations(pose.landmarks_m @ view.rotation.T, view.evidence)
        share = view.seen.astype(np.float64)
        vector = vector - own @ view.translation
        normal += share[:, None, None] * (view.rotation.T @ own @ view.rotation)
        right += share[:, None] * (vector @ view.rotation)
    return np.asarray(np.linalg.solve(normal + 1e-9 * np.eye(3), right[..., None])[..., 0], np.float32)


def _in_view(view: FitView, pose: SkeletonPose) -> SkeletonPose:
    """The skeleton's points in a view's camera."""
    return SkeletonPose(pose.joints_m, pose.turns, view.in_camera(pose.landmarks_m), view.in_camera(pose.centres_m))


def _add_view(
    equations: NormalEquations, view: FitView, pose: SkeletonPose, jacobian: Array, settings: JointFitSettings
) -> None:
    seen = _in_view(view, pose)
    own = np.matmul(view.rotation, jacobian)
    along, residual = point_terms(seen, own[:, :KEYPOINTS], view.evidence, settings.fit)
    equations.add(along * view.seen[:, None, None], residual * view.seen[:, None])
    centres = own[:, KEYPOINTS:] - own[:, KEYPOINTS : KEYPOINTS + 1]
    relative = seen.centres_m - seen.centres_m[:, :1]
    equations.add(*_own_terms(view, relative, centres, settings))
    if view.climb is not None and settings.fit.score_weight > 0:
        slope = settings.fit.score_weight * view.climb.gradient(relative) * view.seen[:, None, None]
        equations.add_slope(centres, slope)


def _own_terms(view: FitView, relative: Array, centres: Array, settings: JointFitSettings) -> tuple[Array, Array]:
    """A view's own joints by direction: weighted derivatives (T, 51, P) and residuals (T, 51)."""
    sigma = np.hypot(view.evidence.error_m, settings.fit.joint_floor_m)[..., None, None]
    line = view.sight[:, :, None] * view.sight[:, None, :]
    shape = np.eye(3, dtype=np.float32) / settings.across + line * (1.0 / settings.along - 1.0 / settings.across)
    shape = (shape[:, None] / sigma * view.seen[:, None, None, None]).astype(np.float32)
    residual = np.matmul(shape, (view.evidence.joints_m - relative)[..., None])[..., 0]
    frames = len(relative)
    return np.matmul(shape, centres).reshape(frames, -1, centres.shape[-1]), residual.reshape(frames, -1)


def _add_common(
    equations: NormalEquations,
    pose: SkeletonPose,
    centres: Array,
    views: Sequence[FitView],
    common_m: Array,
    settings: JointFitSettings,
) -> None:
    """The retrieved joints, as sure as the surest view is of its own."""
    unseen = np.float32(1e3)
    errors = [
        np.where(view.seen > 0, 1.0 / np.maximum(view.seen, _LEAST), unseen)[:, None] * view.evidence.error_m
        for view in views
    ]
    sigma = np.hypot(np.min(errors, axis=0), settings.fit.joint_floor_m)[..., None]
    residual = (common_m - (pose.centres_m - pose.centres_m[:, :1])) / sigma
    along = (centres - centres[:, :1]) / sigma[..., None]
    frames = len(residual)
    equations.add(along.reshape(frames, -1, along.shape[-1]), residual.reshape(frames, -1))
