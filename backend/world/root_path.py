"""The root's path: metric pelvis positions whose projected body agrees with the keypoints over the whole clip.

May import numpy, scipy and its own room. One sparse linear least-squares problem, re-weighted a few times:
keypoints against the projection (linear in the root once multiplied by depth), small accelerations (smaller still
along the view, where only apparent size measures), standing feet that stay where they are, on one level floor.
Information is counted per second, not per frame, so that the constants hold at any frame rate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu

from backend.types import Array
from backend.world.world_track import RootSettings

# constants are quoted for this frame rate
_REFERENCE_FPS = 30.0
# residuals beyond this many sigmas lose weight (Cauchy)
_ROBUST_SIGMAS = 2.5
_LEAST_DEPTH_M = 0.3


@dataclass(frozen=True, slots=True)
class Sightings:
    """What is seen: N frames at `times_s` (N,) with K points.

    `points_m` (N, K, 3) relative to the pelvis in camera axes; `rays` (N, K, 2) their normalised image coordinates
    (x / z, y / z); `weights` (N, K) >= 0. `camera_m` (N, 3) is where the camera is; None where it stays at the origin.
    """

    times_s: Array
    points_m: Array
    rays: Array
    weights: Array
    camera_m: Array | None = None

    @property
    def from_camera_m(self) -> Array:
        """The points (N, K, 3) less the camera's place, to which the root's place has to be added."""
        return self.points_m if self.camera_m is None else self.points_m - self.camera_m[:, None]

    def depth_m(self, root_m: Array) -> Array:
        """Depths (N,) of the roots (N, 3) before the camera."""
        return np.asarray(root_m[:, 2] if self.camera_m is None else root_m[:, 2] - self.camera_m[:, 2])


@dataclass(frozen=True, slots=True)
class Steps:
    """Standing feet: M frame-wise observations of S steps.

    `frame` (M,) and `step` (M,) index frames and steps; `foot_m` (M, 3) is the foot point relative to the pelvis in
    camera axes; `clearance_m` (S,) its height above the floor while it stands; `down` (3,) gravity in the camera.
    """

    frame: NDArray[np.intp]
    step: NDArray[np.intp]
    foot_m: Array
    clearance_m: Array
    down: Array

    @property
    def count(self) -> int:
        """Number of steps S."""
        return len(self.clearance_m)


@dataclass(frozen=True, slots=True)
class RootPath:
    """`root_camera_m` (N, 3), `places_camera_m` (S, 3) where each step stands, `residual_m` (N, K) of the keypoints."""

    root_camera_m: Array
    places_camera_m: Array
    residual_m: Array


@dataclass(frozen=True, slots=True)
class _Trust:
    """How much steps count: `stays` (M,) each observation of a step, `is_level` (S,) each step's being on the floor."""

    stays: Array
    is_level: Array


def solve_root_path(seen: Sightings, settings: RootSettings, steps: Steps | None = None) -> RootPath:
    """The root path (N, 3) in camera axes. Needs at least one frame with three weighted points."""
    frames = len(seen.times_s)
    pace = _frame_pace(seen.times_s)
    weights = seen.weights.copy()
    smooth_weight = np.ones((max(frames - 2, 0), 3))
    step_weight = np.ones(0 if steps is None else len(steps.frame))
    # the keypoints say first where each step stands; only then do steps on one level agree on a floor
    level_weight = np.zeros(0 if steps is None else steps.count)
    root = np.zeros((frames, 3))
    places = np.zeros((0, 3))
    difference = _along_views(seen, _acceleration_rows(seen.times_s))
    sigma = np.array([settings.across_m_s2, settings.across_m_s2, settings.depth_m_s2])
    for _ in range(settings.rounds):
        blocks, right = _keypoint_terms(seen, weights * pace[:, None] / settings.keypoint_sigma_m**2)
        system = sparse.bsr_matrix((blocks, np.arange(frames), np.arange(frames + 1)), shape=(3 * frames, 3 * frames))
        inverse = (smooth_weight * pace[1:-1, None] / sigma**2).reshape(-1)
        system = system + difference.T @ sparse.diags(inverse) @ difference
        vector = right.reshape(-1)
        if steps is not None and steps.count:
            trust = _Trust(step_weight * pace[steps.frame], level_weight)
            system, vector = _with_steps(system, vector, steps, trust, settings)
        solution = _solve_symmetric(system, vector)
        root = solution[: 3 * frames].reshape(frames, 3)
        residual = _residual_m(seen, root)
        weights = seen.weights * _cauchy(residual / settings.keypoint_sigma_m)
        smooth_weight = _cauchy((difference @ root.reshape(-1)).reshape(-1, 3) / sigma)
        if steps is not None and steps.count:
            places = solution[3 * frames : 3 * (frames + steps.count)].reshape(-1, 3)
            slip = np.linalg.norm(root[steps.frame] + steps.foot_m - places[steps.step], axis=-1)
            step_weight = _cauchy(slip / settings.foot_sigma_m)
            level_weight = _same_level(places, steps, settings)
    return RootPath(root, places, _residual_m(seen, root))


def _solve_symmetric(system: sparse.spmatrix, vector: Array) -> Array:
    """Solve a symmetric positive definite system; the ordering keeps the floor's one dense row from filling it up."""
    factors = splu(system.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    return np.asarray(factors.solve(vector))


def _keypoint_terms(seen: Sightings, information: Array) -> tuple[Array, Array]:
    """Normal matrices (N, 3, 3) and right sides (N, 3) of `x + tx - u (z + tz) = 0` and its twin for y."""
    across, down = seen.rays[..., 0], seen.rays[..., 1]
    points = seen.from_camera_m
    known = points[..., :2] - seen.rays * points[..., 2:]
    normal = np.zeros((len(seen.times_s), 3, 3))
    normal[:, 0, 0] = normal[:, 1, 1] = information.sum(axis=1)
    normal[:, 0, 2] = normal[:, 2, 0] = -(information * across).sum(axis=1)
    normal[:, 1, 2] = normal[:, 2, 1] = -(information * down).sum(axis=1)
    normal[:, 2, 2] = (information * (across**2 + down**2)).sum(axis=1)
    along = across * known[..., 0] + down * known[..., 1]
    right = -np.stack([(information * part).sum(axis=1) for part in (known[..., 0], known[..., 1], -along)], axis=-1)
    # frames with hardly a point seen stay solvable: they follow the temporal terms
    return normal + 1e-6 * np.eye(3), right


def _acceleration_rows(times_s: Array) -> sparse.csr_matrix:
    """Rows (3 (N - 2), 3 N) that give the accelerations of the path in m/s^2, on irregular times."""
    frames = len(times_s)
    if frames < 3:
        return sparse.csr_matrix((0, 3 * frames))
    before, after = np.diff(times_s)[:-1], np.diff(times_s)[1:]
    mean = 0.5 * (before + after)
    diagonals = [1.0 / (before * mean), -(1.0 / before + 1.0 / after) / mean, 1.0 / (after * mean)]
    rows = sparse.diags(diagonals, [0, 1, 2], shape=(frames - 2, frames))
    return sparse.csr_matrix(sparse.kron(rows, sparse.identity(3)))


def _along_views(seen: Sightings, difference: sparse.csr_matrix) -> sparse.csr_matrix:
    """The same accelerations, told across and along the view of each frame where the camera travels."""
    if seen.camera_m is None or not difference.shape[0]:
        return difference
    weight = seen.weights[1:-1, :, None] + 1e-9
    middle = (seen.rays[1:-1] * weight).sum(axis=1) / weight.sum(axis=1)
    along = np.concatenate([middle, np.ones((len(middle), 1))], axis=1)
    along = along / np.linalg.norm(along, axis=1, keepdims=True)
    right = np.stack([along[:, 2], np.zeros(len(along)), -along[:, 0]], axis=1)
    right = right / np.linalg.norm(right, axis=1, keepdims=True)
    axes = np.stack([right, np.cross(along, right), along], axis=1)
    frames = len(axes)
    views = sparse.bsr_matrix((axes, np.arange(frames), np.arange(frames + 1)), shape=(3 * frames, 3 * frames))
    return sparse.csr_matrix(views @ difference)


def _with_steps(
    system: sparse.spmatrix, vector: Array, steps: Steps, trust: _Trust, settings: RootSettings
) -> tuple[sparse.spmatrix, Array]:
    """Add the unknown place of each step and the floor's unknown height: standing feet stay, on one level."""
    roots, places = len(vector), 3 * steps.count
    rows = np.arange(3 * len(steps.frame))
    axes = np.arange(3)
    root_columns = (3 * steps.frame[:, None] + axes).reshape(-1)
    place_columns = (roots + 3 * steps.step[:, None] + axes).reshape(-1)
    ones = np.ones(len(rows))
    total = roots + places + 1
    stay = sparse.csr_matrix(
        (np.concatenate([ones, -ones]), (np.tile(rows, 2), np.concatenate([root_columns, place_columns]))),
        shape=(len(rows), total),
    )
    information = np.repeat(trust.stays / settings.foot_sigma_m**2, 3)
    # down . place + clearance is how deep the floor lies below the camera: the same for every step
    step_rows = np.repeat(np.arange(steps.count), 3)
    level = sparse.csr_matrix(
        (
            np.concatenate([np.tile(steps.down, steps.count), -np.ones(steps.count)]),
            (
                np.concatenate([step_rows, np.arange(steps.count)]),
                np.concatenate([roots + np.arange(places), np.full(steps.count, total - 1)]),
            ),
        ),
        shape=(steps.count, total),
    )
    # a step's vote grows with how long it stands
    duration = np.bincount(steps.step, weights=trust.stays, minlength=steps.count)
    level_information = trust.is_level * duration / settings.floor_sigma_m**2
    wide = sparse.block_diag([system, sparse.identity(places + 1) * 1e-9], format="csr")
    wide = wide + stay.T @ sparse.diags(information) @ stay + level.T @ sparse.diags(level_information) @ level
    right = np.concatenate([vector, np.zeros(places + 1)])
    right = right - stay.T @ (information * steps.foot_m.reshape(-1))
    right = right - level.T @ (level_information * steps.clearance_m)
    return wide, right


def _same_level(places_m: Array, steps: Steps, settings: RootSettings) -> Array:
    """How far each step (S,) counts as standing on the common floor: hardly at all on a stair, a box or a roof."""
    below = places_m @ steps.down + steps.clearance_m
    return np.asarray(_cauchy((below - np.median(below)) / (2.0 * settings.floor_sigma_m)) ** 2)


def _residual_m(seen: Sightings, root: Array) -> Array:
    """Distance (N, K) in m, at the person's depth, between the keypoints and the projected points."""
    points = seen.from_camera_m + root[:, None]
    depth = np.maximum(points[..., 2:], _LEAST_DEPTH_M)
    return np.asarray(np.linalg.norm(points[..., :2] - seen.rays * depth, axis=-1))


def _frame_pace(times_s: Array) -> Array:
    """Each frame's share of time (N,), 1 at 30 frames a second."""
    if len(times_s) < 2:
        return np.ones(len(times_s))
    step = np.diff(times_s)
    around = 0.5 * (np.concatenate([step[:1], step]) + np.concatenate([step, step[-1:]]))
    return np.asarray(np.minimum(around, 3.0 * np.median(step)) * _REFERENCE_FPS)


def _cauchy(sigmas: Array) -> Array:
    return np.asarray(1.0 / (1.0 + (sigmas / _ROBUST_SIGMAS) ** 2))
