"""Residuals of a bundle adjustment with their derivatives: keypoints, own 3D, bone lengths, priors. numpy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from backend.multiview.bundle_equations import Equations
from backend.multiview.bundle_problem import (
    BONE_SLACK,
    BONES,
    CAMERA,
    HIPS,
    NEAREST_M,
    PAIRS,
    BundleProblem,
    BundleSettings,
    BundleState,
    ViewEvidence,
)
from backend.types import Array


def linearised(problem: BundleProblem, state: BundleState) -> Equations:
    """All residuals of a problem at a state, and how they change."""
    frames, landmarks = state.points_m.shape[:2]
    views = len(problem.views)
    equations = Equations(frames, landmarks, CAMERA * views + state.length_log.size + 3)
    temper = np.sqrt(min(1.0, problem.settings.effective_frames * len(state.length_log) / max(frames, 1)))
    for place, view in enumerate(problem.views):
        _add_keypoints(equations, place, view, state, problem.settings, temper)
        _add_own(equations, place, view, state, problem.settings, temper)
    _add_bones(equations, problem, state, temper)
    _add_priors(equations, problem, state)
    return equations


def _robust(distance: Array, limit: float) -> tuple[Array, float]:
    """Weights of Cauchy's loss for distances in sigmas, and its cost."""
    square = np.square(distance / limit)
    return 1.0 / (1.0 + square), float(0.5 * limit**2 * np.log1p(square).sum())


def cross_matrices(vectors: Array) -> Array:
    """Matrices (..., 3, 3) of vectors (..., 3) with matrix @ w = vector x w."""
    out = np.zeros((*vectors.shape, 3))
    out[..., 0, 1], out[..., 0, 2], out[..., 1, 2] = -vectors[..., 2], vectors[..., 1], -vectors[..., 0]
    return out - np.swapaxes(out, -1, -2)


def _block_rows(rows: Array) -> Array:
    """Derivatives (F, L, R, 3) of each landmark's residuals by that landmark as (F, L R, 3 L)."""
    frames, landmarks, count = rows.shape[:3]
    out = np.zeros((frames, landmarks, count, landmarks, 3))
    each = np.arange(landmarks)
    out[:, each, :, each] = np.moveaxis(rows, 1, 0)
    return out.reshape(frames, landmarks * count, landmarks * 3)


def _columns(place: int, first: int, count: int) -> NDArray[np.intp]:
    return CAMERA * place + first + np.arange(count)


def _add_keypoints(
    equations: Equations,
    place: int,
    view: ViewEvidence,
    state: BundleState,
    settings: BundleSettings,
    temper: float,
) -> None:
    turned = state.points_m @ state.rotations[place].T
    seen = turned + state.translations[place]
    depth = np.maximum(seen[..., 2:], NEAREST_M)
    factor = np.exp(state.focal_log[place])
    projected = factor * seen[..., :2] / depth
    residual = view.points - view.velocity * state.clock_s[place] - projected
    unit = view.depth_m[:, None] / settings.point_m
    base = temper * np.sqrt(view.weight * view.seen[:, None])
    distance = np.linalg.norm(residual, axis=-1) * unit
    weight, _ = _robust(distance, settings.robust)
    equations.cost += float(
        (0.5 * settings.robust**2 * np.square(base) * np.log1p(np.square(distance / settings.robust))).sum()
    )
    scale = (base * np.sqrt(weight) * unit)[..., None]
    slope = np.zeros((*projected.shape, 3))
    slope[..., 0, 0] = slope[..., 1, 1] = factor
    slope[..., 2] = -projected
    slope /= depth[..., None]
    by_camera = np.concatenate(
        [slope @ -cross_matrices(turned), slope, projected[..., None], view.velocity[..., None]], axis=-1
    )
    rows = scale[..., None]
    frames = len(residual)
    equations.add(
        (residual * scale).reshape(frames, -1),
        _block_rows(slope @ state.rotations[place] * rows),
        (by_camera * rows).reshape(frames, -1, CAMERA),
        _columns(place, 0, CAMERA),
    )


def _add_own(
    equations: Equations,
    place: int,
    view: ViewEvidence,
    state: BundleState,
    settings: BundleSettings,
    temper: float,
) -> None:
    middle = state.points_m[:, HIPS].mean(axis=1, keepdims=True)
    rotation = state.rotations[place]
    turned = (state.points_m - middle) @ rotation.T
    residual = view.own_m - turned
    along = view.sight[:, :, None] * view.sight[:, None, :]
    shape = np.eye(3) / settings.across_m + along * (1.0 / settings.depth_m - 1.0 / settings.across_m)
    residual = residual @ shape
    distance = np.linalg.norm(residual, axis=-1)
    weight, _ = _robust(distance, settings.robust)
    base = temper * (view.seen[:, None] * np.ones(distance.shape))
    equations.cost += float(
        (0.5 * settings.robust**2 * np.square(base) * np.log1p(np.square(distance / settings.robust))).sum()
    )
    scale = (base * np.sqrt(weight))[..., None]
    frames, landmarks = distance.shape
    local = np.zeros((frames, landmarks, 3, landmarks, 3))
    by_point = (shape @ rotation)[:, None] * scale[..., None]
    each = np.arange(landmarks)
    local[:, each, :, each] = np.moveaxis(by_point, 1, 0)
    for hip in HIPS:
        local[:, :, :, hip] -= 0.5 * by_point
    by_turn = (shape[:, None] @ -cross_matrices(turned)) * scale[..., None]
    equations.add(
        (residual * scale).reshape(frames, -1),
        local.reshape(frames, 3 * landmarks, 3 * landmarks),
        by_turn.reshape(frames, -1, 3),
        _columns(place, 0, 3),
    )


def _add_bones(equations: Equations, problem: BundleProblem, state: BundleState, temper: float) -> None:
    settings = problem.settings
    across = state.points_m[:, BONES[:, 0]] - state.points_m[:, BONES[:, 1]]
    length = np.maximum(np.linalg.norm(across, axis=-1), 1e-3)
    wanted = np.exp(state.length_log[problem.person])
    sigma_m = settings.bone_m * BONE_SLACK
    residual = (wanted - length) / sigma_m
    weight, _ = _robust(residual, settings.robust)
    equations.cost += temper**2 * _robust(residual, settings.robust)[1]
    scale = temper * np.sqrt(weight)
    unit = across / length[..., None] / sigma_m[:, None]
    frames, bones = residual.shape
    local = np.zeros((frames, bones, state.points_m.shape[1], 3))
    each = np.arange(bones)
    local[:, each, BONES[:, 0]] = unit * scale[..., None]
    local[:, each, BONES[:, 1]] = -unit * scale[..., None]
    common = np.zeros((frames, bones, bones))
    common[:, each, each] = -wanted / sigma_m * scale
    columns = CAMERA * len(problem.views) + bones * problem.person[:, None] + each
    equations.add(residual * scale, local.reshape(frames, bones, -1), common, columns)


def _add_priors(equations: Equations, problem: BundleProblem, state: BundleState) -> None:
    start = problem.start
    for place, prior in enumerate(problem.priors):
        turn = _rotvec(start.rotations[place] @ state.rotations[place].T)
        offsets = [
            *((value, np.radians(prior.pose_deg)) for value in turn),
            *((value, prior.pose_m) for value in start.translations[place] - state.translations[place]),
            (_long_tailed(start.focal_log[place] - state.focal_log[place], prior.focal_log), prior.focal_log),
            (start.clock_s[place] - state.clock_s[place], prior.clock_s),
        ]
        for at, (value, sigma) in enumerate(offsets):
            inverse = 1.0 / max(sigma, 1e-7)
            equations.add_common(value * inverse, _columns(place, at, 1), np.array([inverse]))
    last = CAMERA * len(problem.views) + state.length_log.size + np.arange(3)
    for place, prior in enumerate(problem.priors):
        if prior.down is None:
            continue
        turned, inverse = state.rotations[place] @ state.down, 1.0 / np.radians(prior.down_deg)
        slope = np.concatenate([-cross_matrices(turned), state.rotations[place]], axis=1) * inverse
        columns = np.concatenate([_columns(place, 0, 3), last])
        for axis in range(3):
            equations.add_common(float((prior.down - turned)[axis] * inverse), columns, slope[axis])
    equations.add_common(float(1.0 - state.down @ state.down) / 1e-2, last, 2 * state.down / 1e-2)
    _add_length_priors(equations, problem, state)


def _add_length_priors(equations: Equations, problem: BundleProblem, state: BundleState) -> None:
    """Proportions are those of the single solves, sizes are not: of two people one may be a head taller."""
    settings, begin, bones = problem.settings, CAMERA * len(problem.views), len(BONES)
    off = problem.start.length_log - state.length_log
    mean = np.full(bones, 1.0 / bones)
    people = len(off)
    several = float(people > 1)
    for person in range(people):
        own = begin + bones * person + np.arange(bones)
        for bone in range(bones):
            slope = (np.eye(bones)[bone] - several * mean) / settings.length_share
            equations.add_common(float(off[person] @ slope), own, slope)
        for left, right in PAIRS:
            slope = np.array([1.0, -1.0]) / settings.symmetry_share
            equations.add_common(float(-(state.length_log[person, [left, right]] @ slope)), own[[left, right]], slope)
        if several:
            slope = mean / settings.people_share
            equations.add_common(float(off[person] @ slope), own, slope)
    everyone = begin + np.arange(bones * people)
    slope = np.tile(mean, people) / people / settings.size_share
    equations.add_common(float(off.ravel() @ slope), everyone, slope)


def _long_tailed(off: float, sigma: float) -> float:
    """Lenses far from the usual one exist: beyond two sigmas a prior pulls no harder."""
    limit = 2.0 * sigma
    return float(np.clip(off, -limit, limit)) if sigma > 0 else off


def _rotvec(matrix: Array) -> Array:
    return np.asarray(Rotation.from_matrix(matrix).as_rotvec())
