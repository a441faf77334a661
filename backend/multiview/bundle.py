"""Bundle adjustment over people: cameras, lenses, clocks, bone lengths and 3D landmarks that explain all views.

numpy only. Gauss-Newton on robust residuals. A frame is one person at one time; its landmarks couple with nothing but
the cameras and the person's bone lengths, so they are eliminated frame by frame (Schur complement), and the inverse
of what is left is the covariance of the cameras. Each view's own 3D counts as evidence by direction: where few points
are seen, or cameras stand close together, triangulation alone lets the focal length run away.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from backend.embedding.skeleton import rotvec_to_matrix
from backend.types import Array

LANDMARKS = np.array([0, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32])
"""The BlazePose landmarks that are adjusted: nose, limbs, feet."""
_HIPS = np.array([7, 8])
BONES = np.array([[1, 3], [3, 5], [7, 9], [9, 11], [1, 7], [2, 4], [4, 6], [8, 10], [10, 12], [2, 8], [1, 2], [7, 8]])
_PAIRS = np.array([[0, 5], [1, 6], [2, 7], [3, 8], [4, 9]])
_NEAREST_M = 0.3


@dataclass(frozen=True, slots=True)
class BundleSettings:
    """Standard deviations: of keypoints at the person's depth, of the views' own 3D across and along the line of sight,
    of bone lengths in a frame and of the person's from the single solves, of left against right, of body size.

    `effective_frames`: errors of neighbouring frames are alike, so more frames than these count no further. `robust`:
    residuals beyond so many sigmas lose weight.
    """

    point_m: float = 0.02
    across_m: float = 0.2
    depth_m: float = 0.4
    bone_m: float = 0.01
    length_share: float = 0.06
    symmetry_share: float = 0.02
    size_share: float = 0.01
    effective_frames: float = 20.0
    robust: float = 2.5
    iterations: int = 20


@dataclass(frozen=True, slots=True)
class ViewEvidence:
    """One view of F frames: points (F, L, 2) normalised by the assumed lens, their velocity (F, L, 2) a second, weight
    (F, L); own_m (F, L, 3) the view's own 3D relative to the mid-hip, with sight (F, 3), the unit line of sight,
    depth_m (F,) of the mid-hip, and seen (F,).
    """

    points: Array
    velocity: Array
    weight: Array
    own_m: Array
    sight: Array
    depth_m: Array
    seen: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class CameraPrior:
    """What is known beforehand of one camera, as standard deviations around the state that the adjustment starts from;
    0 holds a value fixed. `pose_deg` and `pose_m`: infinite where nothing is known. `down` (3,) is the direction of
    gravity in the camera, known to `down_deg`.
    """

    focal_log: float = 0.15
    pose_deg: float = np.inf
    pose_m: float = np.inf
    clock_s: float = 0.05
    down: Array | None = None
    down_deg: float = np.inf


@dataclass(frozen=True, slots=True)
class BundleState:
    """rotations (V, 3, 3) and translations (V, 3) of the cameras, log of the focal factors (V,), shifts of the clocks
    (V,) s, landmarks (F, L, 3) in the take frame, log bone lengths (P, B), gravity's direction `down` (3,).
    """

    rotations: Array
    translations: Array
    focal_log: Array
    clock_s: Array
    points_m: Array
    length_log: Array
    down: Array


@dataclass(frozen=True, slots=True)
class BundleResult:
    """The state, one sigma of rotation (V,) degrees, position (V,) m and focal length (V,); the median distance (V,) of
    the keypoints from the landmarks, in m at the person's depth, and how far they lie to one side on the whole.
    """

    state: BundleState
    rotation_deg: Array
    position_m: Array
    focal_share: Array
    residual_m: Array
    aside_m: Array


@dataclass(frozen=True, slots=True)
class BundleProblem:
    """V views of F frames with `person` (F,), where the adjustment starts, and what is known of each camera."""

    views: tuple[ViewEvidence, ...]
    person: NDArray[np.intp]
    start: BundleState
    priors: tuple[CameraPrior, ...]
    settings: BundleSettings = field(default_factory=BundleSettings)


_WIDENED = (12.0, 4.0, 1.0)
_CAMERA = 8  # rotation, translation, focal length, clock


def adjust(problem: BundleProblem) -> BundleResult:
    """Iterate to the best state. The first camera, whose prior holds its pose, is the frame of all.

    Residuals are let lose weight late: at first everything is far off, and a robust loss would take it for outliers.
    """
    state = problem.start
    for widen in _WIDENED:
        settings = replace(problem.settings, robust=widen * problem.settings.robust)
        state, equations = _converged(replace(problem, settings=settings), state)
    return _result(problem, state, equations)


def _converged(problem: BundleProblem, state: BundleState) -> tuple[BundleState, _Equations]:
    """Levenberg-Marquardt from a state to where nothing changes any more."""
    damping, equations = 1e-3, _linearised(problem, state)
    for _ in range(problem.settings.iterations):
        trial = _stepped(state, *equations.solution(damping))
        tried = _linearised(problem, trial)
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


class _Equations:
    """Normal equations: `local` (F, 3L, 3L), `mixed` (F, 3L, G), `common` (G, G), with their right sides."""

    def __init__(self, frames: int, landmarks: int, common: int) -> None:
        size = 3 * landmarks
        self.local = np.zeros((frames, size, size))
        self.mixed = np.zeros((frames, size, common))
        self.common = np.zeros((common, common))
        self.local_right = np.zeros((frames, size))
        self.common_right = np.zeros(common)
        self.cost = 0.0

    def add(self, residual: Array, local: Array, common: Array, columns: NDArray[np.intp]) -> None:
        """Weighted residuals (F, R) with derivatives (F, R, 3L) and, at `columns` (C,) or (F, C), (F, R, C)."""
        turned = np.swapaxes(local, 1, 2)
        self.local += turned @ local
        self.local_right += (turned @ residual[..., None])[..., 0]
        mixed = turned @ common
        square = np.swapaxes(common, 1, 2) @ common
        right = (np.swapaxes(common, 1, 2) @ residual[..., None])[..., 0]
        if columns.ndim == 1:
            self.mixed[:, :, columns] += mixed
            self.common[np.ix_(columns, columns)] += square.sum(axis=0)
            self.common_right[columns] += right.sum(axis=0)
            return
        for frame, own in enumerate(columns):
            self.mixed[frame][:, own] += mixed[frame]
            self.common[np.ix_(own, own)] += square[frame]
            self.common_right[own] += right[frame]

    def add_common(self, residual: float, columns: NDArray[np.intp], slope: Array) -> None:
        """One weighted residual of common parameters alone."""
        self.common[np.ix_(columns, columns)] += np.outer(slope, slope)
        self.common_right[columns] += slope * residual
        self.cost += 0.5 * residual**2

    def reduced(self, damping: float) -> tuple[Array, Array, Array, Array]:
        """The system of the common parameters alone, and what leads back to the landmarks."""
        local = self.local.copy()
        diagonal = np.arange(local.shape[1])
        local[:, diagonal, diagonal] += damping * local[:, diagonal, diagonal] + 1e-6
        solved = np.linalg.solve(local, np.concatenate([self.mixed, self.local_right[..., None]], axis=-1))
        mixed, right = solved[..., :-1], solved[..., -1]
        system = self.common - np.einsum("fac,fad->cd", self.mixed, mixed)
        vector = self.common_right - np.einsum("fac,fa->c", self.mixed, right)
        return system, vector, mixed, right

    def solution(self, damping: float) -> tuple[Array, Array]:
        """The damped step of the common parameters (G,) and of the landmarks (F, L, 3)."""
        system, vector, mixed, right = self.reduced(damping)
        diagonal = np.arange(len(system))
        system[diagonal, diagonal] += damping * np.abs(np.diag(self.common)) + 1e-9
        step = np.linalg.solve(system, vector)
        return step, (right - mixed @ step).reshape(len(right), -1, 3)


def _linearised(problem: BundleProblem, state: BundleState) -> _Equations:
    frames, landmarks = state.points_m.shape[:2]
    views = len(problem.views)
    equations = _Equations(frames, landmarks, _CAMERA * views + state.length_log.size + 3)
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


def _cross(vectors: Array) -> Array:
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
    return _CAMERA * place + first + np.arange(count)


def _add_keypoints(
    equations: _Equations,
    place: int,
    view: ViewEvidence,
    state: BundleState,
    settings: BundleSettings,
    temper: float,
) -> None:
    turned = state.points_m @ state.rotations[place].T
    seen = turned + state.translations[place]
    depth = np.maximum(seen[..., 2:], _NEAREST_M)
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
        [slope @ -_cross(turned), slope, projected[..., None], view.velocity[..., None]], axis=-1
    )
    rows = scale[..., None]
    frames = len(residual)
    equations.add(
        (residual * scale).reshape(frames, -1),
        _block_rows(slope @ state.rotations[place] * rows),
        (by_camera * rows).reshape(frames, -1, _CAMERA),
        _columns(place, 0, _CAMERA),
    )


def _add_own(
    equations: _Equations,
    place: int,
    view: ViewEvidence,
    state: BundleState,
    settings: BundleSettings,
    temper: float,
) -> None:
    middle = state.points_m[:, _HIPS].mean(axis=1, keepdims=True)
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
    for hip in _HIPS:
        local[:, :, :, hip] -= 0.5 * by_point
    by_turn = (shape[:, None] @ -_cross(turned)) * scale[..., None]
    equations.add(
        (residual * scale).reshape(frames, -1),
        local.reshape(frames, 3 * landmarks, 3 * landmarks),
        by_turn.reshape(frames, -1, 3),
        _columns(place, 0, 3),
    )


def _add_bones(equations: _Equations, problem: BundleProblem, state: BundleState, temper: float) -> None:
    settings = problem.settings
    across = state.points_m[:, BONES[:, 0]] - state.points_m[:, BONES[:, 1]]
    length = np.maximum(np.linalg.norm(across, axis=-1), 1e-3)
    wanted = np.exp(state.length_log[problem.person])
    residual = (wanted - length) / settings.bone_m
    weight, _ = _robust(residual, settings.robust)
    equations.cost += temper**2 * _robust(residual, settings.robust)[1]
    scale = temper * np.sqrt(weight)
    unit = across / length[..., None] / settings.bone_m
    frames, bones = residual.shape
    local = np.zeros((frames, bones, state.points_m.shape[1], 3))
    each = np.arange(bones)
    local[:, each, BONES[:, 0]] = unit * scale[..., None]
    local[:, each, BONES[:, 1]] = -unit * scale[..., None]
    common = np.zeros((frames, bones, bones))
    common[:, each, each] = -wanted / settings.bone_m * scale
    columns = _CAMERA * len(problem.views) + bones * problem.person[:, None] + each
    equations.add(residual * scale, local.reshape(frames, bones, -1), common, columns)


def _add_priors(equations: _Equations, problem: BundleProblem, state: BundleState) -> None:
    start, settings = problem.start, problem.settings
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
    begin = _CAMERA * len(problem.views)
    bones = len(BONES)
    last = begin + state.length_log.size + np.arange(3)
    for place, prior in enumerate(problem.priors):
        if prior.down is None:
            continue
        turned, inverse = state.rotations[place] @ state.down, 1.0 / np.radians(prior.down_deg)
        slope = np.concatenate([-_cross(turned), state.rotations[place]], axis=1) * inverse
        columns = np.concatenate([_columns(place, 0, 3), last])
        for axis in range(3):
            equations.add_common(float((prior.down - turned)[axis] * inverse), columns, slope[axis])
    equations.add_common(float(1.0 - state.down @ state.down) / 1e-2, last, 2 * state.down / 1e-2)
    for person, lengths in enumerate(state.length_log):
        off = start.length_log[person] - lengths
        own = begin + bones * person + np.arange(bones)
        for bone in range(bones):
            equations.add_common(off[bone] / settings.length_share, own[[bone]], np.array([1 / settings.length_share]))
        for left, right in _PAIRS:
            slope = np.array([1.0, -1.0]) / settings.symmetry_share
            equations.add_common(float(-(lengths[[left, right]] @ slope)), own[[left, right]], slope)
        slope = np.full(bones, 1.0 / bones / settings.size_share)
        equations.add_common(float(off @ slope), own, slope)


def _long_tailed(off: float, sigma: float) -> float:
    """Lenses far from the usual one exist: beyond two sigmas a prior pulls no harder."""
    limit = 2.0 * sigma
    return float(np.clip(off, -limit, limit)) if sigma > 0 else off


def _rotvec(matrix: Array) -> Array:
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.from_matrix(matrix).as_rotvec())


def _stepped(state: BundleState, common: Array, points: Array) -> BundleState:
    views = len(state.rotations)
    cameras = common[: _CAMERA * views].reshape(views, _CAMERA)
    turn = np.clip(cameras[:, :3], -0.3, 0.3)
    lengths = common[_CAMERA * views : -3]
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


def _result(problem: BundleProblem, state: BundleState, equations: _Equations) -> BundleResult:
    system = equations.reduced(0.0)[0]
    covariance = np.linalg.inv(system + 1e-9 * np.eye(len(system)))
    views = len(problem.views)
    rotation, position, focal, residual, aside = (np.zeros(views) for _ in range(5))
    for place, view in enumerate(problem.views):
        own = _columns(place, 0, _CAMERA)
        block = covariance[np.ix_(own, own)]
        rotation[place] = np.degrees(np.sqrt(max(np.trace(block[:3, :3]), 0.0)))
        # the position is -R^T t: its error is that of t with t turned along
        slope = np.concatenate([_cross(state.translations[place]), np.eye(3)], axis=1)
        position[place] = np.sqrt(max(np.trace(slope @ block[:6, :6] @ slope.T), 0.0))
        focal[place] = np.sqrt(max(block[6, 6], 0.0))
        off = keypoint_misses_m(view, state, place)
        residual[place] = float(np.median(np.linalg.norm(off, axis=-1))) if len(off) else np.nan
        aside[place] = float(np.linalg.norm(np.median(off, axis=0))) if len(off) else np.nan
    return BundleResult(state, rotation, position, focal, residual, aside)


def keypoint_misses_m(view: ViewEvidence, state: BundleState, place: int) -> Array:
    """Where the keypoints that are seen well lie beside the projected landmarks (N, 2), in m at the person's depth."""
    seen = state.points_m @ state.rotations[place].T + state.translations[place]
    projected = np.exp(state.focal_log[place]) * seen[..., :2] / np.maximum(seen[..., 2:], _NEAREST_M)
    off = (view.points - view.velocity * state.clock_s[place] - projected) * view.depth_m[:, None, None]
    return np.asarray(off[(view.weight > 0.25) & view.seen[:, None]])
