"""Bundle adjustment over people: cameras, lenses, clocks, bone lengths and 3D landmarks that explain all views.

numpy only. Gauss-Newton on robust residuals. A frame is one person at one time; its landmarks couple with nothing but
the cameras and the person's bone lengths, so they are eliminated frame by frame (Schur complement), and the inverse
of what is left is the covariance of the cameras. Each view's own 3D counts as evidence by direction: where few points
are seen, or cameras stand close together, triangulation alone lets the focal length run away.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from backend.embedding.skeleton import rotvec_to_matrix
from backend.multiview.bundle_equations import Equations
from backend.multiview.bundle_problem import (
    CAMERA,
    NEAREST_M,
    BundleProblem,
    BundleResult,
    BundleState,
    ViewEvidence,
    seen_well,
)
from backend.multiview.bundle_terms import cross_matrices, linearised
from backend.types import Array

_WIDENED = (12.0, 4.0, 1.0)


def adjust(problem: BundleProblem) -> BundleResult:
    """Iterate to the best state. The first camera, whose prior holds its pose, is the frame of all.

    Residuals are let lose weight late: at first everything is far off, and a robust loss would take it for outliers.
    """
    state = problem.start
    for widen in _WIDENED:
        settings = replace(problem.settings, robust=widen * problem.settings.robust)
        state, equations = _converged(replace(problem, settings=settings), state)
    return _result(problem, state, equations)


def _converged(problem: BundleProblem, state: BundleState) -> tuple[BundleState, Equations]:
    """Levenberg-Marquardt from a state to where nothing changes any more."""
    damping, equations = 1e-3, linearised(problem, state)
    for _ in range(problem.settings.iterations):
        trial = _stepped(state, *equations.solution(damping))
        tried = linearised(problem, trial)
        if tried.cost > equations.cost:
            damping *= 8.0
            if damping >= 1e3:
                break
            continue
        change = (equations.cost - tried.cost) / max(equations.cost, 1e-9)
        state, equations, damping = trial, tried, max(damping / 4.0, 1e-7)
        if change < 1e-4:
            break
    return state, equations


def _stepped(state: BundleState, common: Array, points: Array) -> BundleState:
    views = len(state.rotations)
    cameras = common[: CAMERA * views].reshape(views, CAMERA)
    turn = np.clip(cameras[:, :3], -0.3, 0.3)
    lengths = common[CAMERA * views : -3]
    return replace(
        state,
        rotations=rotvec_to_matrix(turn) @ state.rotations,
        translations=state.translations + np.clip(cameras[:, 3:6], -1.0, 1.0),
        focal_log=state.focal_log + np.clip(cameras[:, 6], -0.2, 0.2),
        clock_s=state.clock_s + np.clip(cameras[:, 7], -0.05, 0.05),
        points_m=state.points_m + np.clip(points, -0.5, 0.5),
        length_log=state.length_log + np.clip(lengths.reshape(state.length_log.shape), -0.1, 0.1),
        down=state.down + np.clip(common[-3:], -0.2, 0.2),
    )


def _result(problem: BundleProblem, state: BundleState, equations: Equations) -> BundleResult:
    system = equations.reduced(0.0)[0]
    covariance = np.linalg.inv(system + 1e-9 * np.eye(len(system)))
    views = len(problem.views)
    rotation, position, focal, residual, aside = (np.zeros(views) for _ in range(5))
    for place, view in enumerate(problem.views):
        own = CAMERA * place + np.arange(CAMERA)
        block = covariance[np.ix_(own, own)]
        rotation[place] = np.degrees(np.sqrt(max(np.trace(block[:3, :3]), 0.0)))
        # the position is -R^T t: its error is that of t with t turned along
        slope = np.concatenate([cross_matrices(state.translations[place]), np.eye(3)], axis=1)
        position[place] = np.sqrt(max(np.trace(slope @ block[:6, :6] @ slope.T), 0.0))
        focal[place] = np.sqrt(max(block[6, 6], 0.0))
        off = keypoint_misses_m(view, state, place)
        residual[place] = float(np.median(np.linalg.norm(off, axis=-1))) if len(off) else np.nan
        aside[place] = float(np.linalg.norm(np.median(off, axis=0))) if len(off) else np.nan
    return BundleResult(state, rotation, position, focal, residual, aside)


def keypoint_misses_m(view: ViewEvidence, state: BundleState, place: int) -> Array:
    """Where the keypoints that are seen well lie beside the projected landmarks (N, 2), in m at the person's depth."""
    seen = state.points_m @ state.rotations[place].T + state.translations[place]
    projected = np.exp(state.focal_log[place]) * seen[..., :2] / np.maximum(seen[..., 2:], NEAREST_M)
    off = (view.points - view.velocity * state.clock_s[place] - projected) * view.depth_m[:, None, None]
    return np.asarray(off[seen_well(view.weight * view.seen[:, None])])
