"""Where down is: the poses' own hint, the habit of holding cameras level, and the plane of the standing feet.

May import numpy and its own room. A unit vector in OpenCV camera axes (x right, y down, z forward).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.types import Array
from backend.world.world_track import GravitySettings

_LEVEL = np.array([0.0, 1.0, 0.0])
# a hint further off than this many of its sigmas is taken for wrong (Geman-McClure), e.g. a camera that is rolled
_ROBUST_SIGMAS = 2.0
_ROUNDS = 12


@dataclass(frozen=True, slots=True)
class Footing:
    """Where feet stood: `places_m` (S, 3) in the camera, their `clearance_m` (S,) over the floor, `weights` (S,)."""

    places_m: Array
    clearance_m: Array
    weights: Array


def estimate_gravity(pose_gravity: Array, settings: GravitySettings, footing: Footing | None = None) -> Array:
    """The most likely down direction (3,). `pose_gravity` (3,) may be NaN when the poses say nothing.

    Gauss-Newton over two small turns from the poses' gravity (or a level camera), re-weighted robustly.
    """
    pose = np.asarray(pose_gravity, dtype=np.float64)
    known = bool(np.isfinite(pose).all()) and float(np.linalg.norm(pose)) > 1e-6
    pose = pose / np.linalg.norm(pose) if known else _LEVEL
    down = pose
    for _ in range(_ROUNDS):
        tangents = world_axes(down)[:2]
        normal, right = 1e-9 * np.eye(2), np.zeros(2)
        for residual, jacobian, weight in _hints(down, tangents, pose if known else None, settings, footing):
            normal += weight * jacobian.T @ jacobian
            right -= weight * jacobian.T @ residual
        turn = np.linalg.solve(normal, right)
        down = down + turn @ tangents
        down = down / np.linalg.norm(down)
    return np.asarray(down)


def _hints(
    down: Array, tangents: Array, pose: Array | None, settings: GravitySettings, footing: Footing | None
) -> list[tuple[Array, Array, float]]:
    """Residuals in sigmas, their derivatives by the two `tangents` (2, 3), and robust weights."""
    hints = []
    side, ahead = np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])
    directions = [(side, _LEVEL, settings.level_roll_deg), (ahead, _LEVEL, settings.level_pitch_deg)]
    if pose is not None:
        directions += [(side, pose, settings.pose_roll_deg), (ahead, pose, settings.pose_pitch_deg)]
    for axis, reference, sigma_deg in directions:
        sigma = np.sin(np.deg2rad(sigma_deg))
        residual = np.array([(down - reference) @ axis]) / sigma
        robust = 1.0 if reference is pose else _geman_mcclure(float(residual[0]))
        hints.append((residual, (tangents @ axis)[None] / sigma, robust))
    if footing is not None and len(footing.places_m) >= 2:
        hints.append(_floor_hint(down, tangents, settings, footing))
    return hints


def _floor_hint(
    down: Array, tangents: Array, settings: GravitySettings, footing: Footing
) -> tuple[Array, Array, float]:
    """Standing feet lie on one level: their depth below the camera, against the weighted mean of all."""
    below = footing.places_m @ down + footing.clearance_m
    weights = footing.weights * _geman_mcclure_array((below - np.median(below)) / settings.floor_sigma_m)
    share = weights / max(weights.sum(), 1e-9)
    root = np.sqrt(weights)[:, None]
    slopes = footing.places_m @ tangents.T
    residual = (below - share @ below) / settings.floor_sigma_m
    jacobian = (slopes - share @ slopes) / settings.floor_sigma_m
    return residual * root[:, 0], jacobian * root, 1.0


def _geman_mcclure(sigmas: float) -> float:
    return float(1.0 / (1.0 + (sigmas / _ROBUST_SIGMAS) ** 2) ** 2)


def _geman_mcclure_array(sigmas: Array) -> Array:
    return np.asarray(1.0 / (1.0 + (sigmas / _ROBUST_SIGMAS) ** 2) ** 2)


def world_axes(down: Array) -> Array:
    """Rotation (3, 3) that takes camera axes to world axes: Z up, X along the camera's right, Y ahead.

    A camera that looks straight along its own x axis at the sky has no right; its image x axis is used then.
    """
    up = -np.asarray(down, dtype=np.float64) / np.linalg.norm(down)
    right = np.array([1.0, 0.0, 0.0]) - up[0] * up
    if np.linalg.norm(right) < 1e-6:
        right = np.array([0.0, 0.0, 1.0]) - up[2] * up
    right = right / np.linalg.norm(right)
    return np.stack([right, np.cross(up, right), up])
