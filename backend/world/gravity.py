"""Where down is: the scene's edges, the poses' own hint, the habit of holding cameras level, and the standing feet.

May import numpy and its own room. Unit vectors in OpenCV camera axes (x right, y down, z forward).

Every hint can be wrong altogether: the poses' one when a person lies, the level one when the camera is rolled, the
edges' one when the boards of a floor outvote the walls. So each is a mixture of "right" and "says nothing", all are
multiplied over a grid of directions, and the best direction is refined. What is left on other directions is the
uncertainty.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.types import Array, SceneEdges
from backend.world.vanishing import EdgeVote, Rows, refine, vote
from backend.world.world_track import Gravity, GravitySettings

_LEVEL = np.array([0.0, 1.0, 0.0])
_RIGHT = np.array([1.0, 0.0, 0.0])
_SPHERE = 4.0 * np.pi
# a hint further off than this many of its sigmas is taken for wrong (Geman-McClure)
_ROBUST_SIGMAS = 2.0
# within this of the answer a direction counts as the same answer
_SAME_DEG = 8.0
# how far off trunk and legs of somebody who sits or kneels are from down, besides what the poses are
_BENT_DEG = 5.0
_MOST_STEPS = 80
_NO_EDGES = SceneEdges(np.zeros((0, 2, 3)), np.zeros(0), 0)


@dataclass(frozen=True, slots=True)
class Footing:
    """Where feet stood: `places_m` (S, 3) in the camera, their `clearance_m` (S,) over the floor, `weights` (S,)."""

    places_m: Array
    clearance_m: Array
    weights: Array


@dataclass(frozen=True, slots=True)
class PoseHint:
    """The poses' own direction `down` (3,), which wanders by `spread_deg` over the clip."""

    down: Array
    spread_deg: float


@dataclass(frozen=True, slots=True)
class GravityHints:
    """What is known before the feet: the hints of the `poses`, one of which is right, or none of them; there is none
    where they say nothing; the scene's edges' `vote`.
    """

    poses: tuple[PoseHint, ...]
    vote: EdgeVote


def gravity_hints(
    pose: Array, pose_spread_deg: float = 0.0, edges: SceneEdges | None = None, bent: Array | None = None
) -> GravityHints:
    """The hints of a pose direction (3,), NaN where the poses say nothing, of a body that kneels or sits, `bent` (3,),
    and of edges, which vote only once.
    """
    found = []
    for direction, more_deg in ((pose, 0.0), (bent, _BENT_DEG)):
        length = 0.0 if direction is None else float(np.linalg.norm(direction))
        if direction is not None and np.isfinite(length) and length > 1e-6:
            spread_deg = float(np.hypot(pose_spread_deg, more_deg))
            found.append(PoseHint(np.asarray(direction, np.float64) / length, spread_deg))
    return GravityHints(tuple(found), vote(edges or _NO_EDGES))


def estimate_gravity(hints: GravityHints, settings: GravitySettings, footing: Footing | None = None) -> Gravity:
    """The most likely direction down."""
    tried = np.concatenate([hints.vote.axes, -hints.vote.axes])
    belief = np.tile(hints.vote.gain, 2) + _log_hints(tried, hints, settings)
    if footing is not None and len(footing.places_m) >= 2:
        belief = belief + _log_floor(tried, footing, settings)
    share = np.exp(belief - belief.max())
    share = share / share.sum()
    best = int(belief.argmax())
    level = hints.vote.partner[best % len(hints.vote.axes)]

    def others(down: Array) -> Rows:
        return _rows(down, hints, settings, footing)

    down, local_deg = refine(hints.vote.lines, tried[best], level, others)
    away_deg = np.rad2deg(np.arccos(np.clip(tried @ down, -1.0, 1.0)))
    elsewhere = float((share * np.where(away_deg > _SAME_DEG, away_deg, 0.0) ** 2).sum())
    return Gravity(down, float(np.sqrt(local_deg**2 + elsewhere)))


def _level_parts(down: Array, settings: GravitySettings) -> Array:
    """How likely (3, G) cameras are held so: level as most, tilted as some, or anyhow."""
    roll = np.arctan2(down[:, 0], down[:, 1])
    pitch = np.arcsin(np.clip(down[:, 2], -1.0, 1.0))
    usual = _bell(roll, settings.level_roll_deg) * _bell(pitch, settings.level_pitch_deg)
    tilted = _bell(roll, settings.tilted_deg) * _bell(pitch, settings.tilted_deg)
    # the chart of roll and pitch shrinks towards the poles
    area = np.maximum(np.cos(pitch), 0.1)
    rest = 1.0 - settings.usual_share - settings.tilted_share
    return np.stack(
        [settings.usual_share * usual / area, settings.tilted_share * tilted / area, np.full(len(down), rest / _SPHERE)]
    )


def _pose_parts(down: Array, hint: PoseHint, settings: GravitySettings) -> Array:
    """How likely (3, G) the poses' hint is where it is: near as usual, further off as at times, or anywhere."""
    off = down - hint.down
    roll, pitch = (np.sin(np.deg2rad(np.hypot(sigma, hint.spread_deg))) for sigma in settings.pose_sigmas_deg)
    wide = np.sin(np.deg2rad(np.hypot(settings.pose_wide_deg, hint.spread_deg)))
    near = np.exp(-0.5 * ((off[:, 0] / roll) ** 2 + (off[:, 2] / pitch) ** 2)) * (off @ hint.down > -1.0)
    far = np.exp(-0.5 * (off**2).sum(axis=1) / wide**2)
    rest = 1.0 - settings.pose_share - settings.pose_wide_share
    return np.stack(
        [
            settings.pose_share * near / (2.0 * np.pi * roll * pitch),
            settings.pose_wide_share * far / (2.0 * np.pi * wide**2),
            np.full(len(down), rest / _SPHERE),
        ]
    )


def _log_hints(down: Array, hints: GravityHints, settings: GravitySettings) -> Array:
    """Log-likelihood (G,) of the camera's habit and of the poses' hint."""
    belief = np.log(_level_parts(down, settings).sum(axis=0))
    if hints.poses:
        belief = belief + np.log(
            np.mean([_pose_parts(down, hint, settings).sum(axis=0) for hint in hints.poses], axis=0)
        )
    return np.asarray(belief)


def _log_floor(down: Array, footing: Footing, settings: GravitySettings) -> Array:
    """Standing feet lie on one level, whichever direction (G, 3) is down; those far off count no further."""
    some = np.linspace(0, len(footing.places_m) - 1, min(len(footing.places_m), _MOST_STEPS)).astype(int)
    below = down @ footing.places_m[some].T + footing.clearance_m[some]
    off = (below - np.median(below, axis=1, keepdims=True)) / (2.0 * settings.floor_sigma_m)
    cost = footing.weights[some] * off**2 / (1.0 + (off / _ROBUST_SIGMAS) ** 2)
    return np.asarray(-0.5 * cost.sum(axis=1) * min(1.0, settings.most_steps / max(footing.weights[some].sum(), 1e-9)))


def _bell(angle_rad: Array, sigma_deg: float) -> Array:
    """Normal density of an angle, per radian."""
    sigma = np.deg2rad(sigma_deg)
    return np.asarray(np.exp(-0.5 * (angle_rad / sigma) ** 2) / (np.sqrt(2.0 * np.pi) * sigma))


def _rows(down: Array, hints: GravityHints, settings: GravitySettings, footing: Footing | None) -> Rows:
    """Residuals (M,) in sigmas of everything but the edges near `down` (3,), and their gradients (M, 3) by it.

    Each part of a mixture pulls as far as it is likely to be the true one.
    """
    usual, tilted, rest = _level_parts(down[None], settings)[:, 0]
    every = usual + tilted + rest
    side, ahead = np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])
    known = [
        (side, _LEVEL, settings.level_roll_deg, usual / every),
        (ahead, _LEVEL, settings.level_pitch_deg, usual / every),
        (side, _LEVEL, settings.tilted_deg, tilted / every),
        (ahead, _LEVEL, settings.tilted_deg, tilted / every),
    ]
    known += _pose_rows(down, hints.poses, settings)
    scale = [np.sqrt(share) / np.sin(np.deg2rad(sigma_deg)) for _, _, sigma_deg, share in known]
    residual = np.array([factor * ((down - at) @ axis) for factor, (axis, at, _, _) in zip(scale, known, strict=True)])
    gradient = np.stack([factor * axis for factor, (axis, _, _, _) in zip(scale, known, strict=True)])
    if footing is not None and len(footing.places_m) >= 2:
        floor_residual, floor_gradient = _floor_rows(down, settings, footing)
        return np.concatenate([residual, floor_residual]), np.concatenate([gradient, floor_gradient])
    return residual, gradient


def _pose_rows(
    down: Array, hints: tuple[PoseHint, ...], settings: GravitySettings
) -> list[tuple[Array, Array, float, float]]:
    """What each hint of the poses says near `down` (3,): axis, direction, sigma in degrees, and how likely it is."""
    parts = [_pose_parts(down[None], hint, settings)[:, 0] for hint in hints]
    every = sum(float(part.sum()) for part in parts)
    side, ahead = np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])
    known = []
    for hint, (near, far, _) in zip(hints, parts, strict=True):
        roll_deg, pitch_deg = settings.pose_sigmas_deg
        known.append((side, hint.down, float(np.hypot(roll_deg, hint.spread_deg)), near / every))
        known.append((ahead, hint.down, float(np.hypot(pitch_deg, hint.spread_deg)), near / every))
        wide_deg = float(np.hypot(settings.pose_wide_deg, hint.spread_deg))
        known += [(axis, hint.down, wide_deg, far / every) for axis in np.eye(3)]
    return known


def _floor_rows(down: Array, settings: GravitySettings, footing: Footing) -> Rows:
    """Depth of the standing feet below the camera against the weighted mean of all."""
    below = footing.places_m @ down + footing.clearance_m
    off = (below - np.median(below)) / settings.floor_sigma_m
    weights = footing.weights / (1.0 + (off / _ROBUST_SIGMAS) ** 2) ** 2
    share = weights / max(weights.sum(), 1e-9)
    root = np.sqrt(weights) / settings.floor_sigma_m
    gradient = footing.places_m - share @ footing.places_m
    return root * (below - share @ below), root[:, None] * gradient


def world_axes(down: Array, right: Array = _RIGHT) -> Array:
    """Rotation (3, 3) that takes camera axes to world axes: Z up, X along the camera's `right` (3,), Y ahead.

    A camera that looks straight along its own x axis at the sky has no right; its image x axis is used then.
    """
    up = -np.asarray(down, dtype=np.float64) / np.linalg.norm(down)
    right = right - (right @ up) * up
    if np.linalg.norm(right) < 1e-6:
        right = np.array([0.0, 0.0, 1.0]) - up[2] * up
    right = right / np.linalg.norm(right)
    return np.stack([right, np.cross(up, right), up])
