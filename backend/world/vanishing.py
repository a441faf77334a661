"""Vanishing directions: which directions the straight edges of a scene run along.

May import numpy, scipy and its own room. Every direction is an axis (its sign says nothing), in OpenCV camera axes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from backend.types import Array, SceneEdges

Rows = tuple[Array, Array]

# directions of the search, about 2.6 degrees apart
_AXES = 3000
_HEADINGS = 30
# rows of the table that finds the nearest of them
_TABLE = 120
# how well a segment points at its vanishing point: 1 degree, more for short ones (0.7 px of 960 at each end)
_SIGMA_DEG = 1.0
_END_ERROR = 0.7 / 960
_SEARCH_SIGMA_DEG = 1.5
_SHARES = (0.02, 0.05, 0.1, 0.2, 0.35, 0.6)
# an edge of this part of the frame's longer side counts as one
_USUAL_LENGTH = 0.12
_LONGEST_COUNT = 2.0
# segments of one edge (its two sides, its parts, the same edge in another frame) are no independent observations
_TEMPER = 0.4
# the best of thousands of directions fits segments without any order this well
_BY_CHANCE = 3.0
_MOST_SEGMENTS = 500
# a segment further off than this many sigmas runs along something else
_ROBUST_SIGMAS = 1.5
_ROUNDS = 10
# as many of the best frames of three axes are refined, each this far from the others
_FRAMES = 6
_APART_DEG = 6.0
# a smaller turn than this ends the refinement
_SMALL_TURN_RAD = 1e-5
# a segment further off an axis than this does not run along it, however short it is
_FURTHEST_DEG = 10.0


@dataclass(frozen=True, slots=True)
class EdgeLines:
    """Segments as lines through the lens: `normal` (S, 3) of the plane through the lens, `along` (S, 3) the segment's
    own direction in it, both at right angles to its middle; `sigma_deg` (S,) and how much each counts, `weight` (S,).
    """

    normal: Array
    along: Array
    sigma_deg: Array
    weight: Array

    def off_rad(self, direction: Array) -> Array:
        """Signed angles (S,) in the image between each segment and the line from its middle to `direction` (3,)."""
        across, ahead = self.normal @ direction, self.along @ direction
        return np.asarray(np.arctan2(across * np.sign(ahead), np.abs(ahead)))


@dataclass(frozen=True, slots=True)
class EdgeVote:
    """What the edges say: `axes` (G, 3) that were tried as down and the log-likelihood `gain` (G,) of each, over
    that of a scene without order, when two more directions at right angles to it are free; `partner` (G, 2, 3) are
    these two. The three axes of one scene have the same gain: the edges do not say which of them is down.
    """

    lines: EdgeLines
    axes: Array
    gain: Array
    partner: Array


def edge_lines(edges: SceneEdges) -> EdgeLines:
    """The segments as lines, the longest ones of a crowd."""
    longest = np.argsort(-edges.length, kind="stable")[:_MOST_SEGMENTS]
    start, end = edges.rays[longest, 0], edges.rays[longest, 1]
    normal = _unit(np.cross(start, end))
    middle = _unit(start + end)
    length = edges.length[longest]
    angle = np.linalg.norm(start - end, axis=1)
    known = (angle > 1e-6) & np.isfinite(normal).all(axis=1)
    sigma = np.hypot(_SIGMA_DEG, np.rad2deg(_END_ERROR / np.maximum(length, 1e-6)))
    count = np.minimum(length / _USUAL_LENGTH, _LONGEST_COUNT) / max(edges.frames, 1)
    return EdgeLines(normal[known], np.cross(middle, normal)[known], sigma[known], count[known])


def vote(edges: SceneEdges) -> EdgeVote:
    """Try all directions as down, each with the best two level ones at right angles."""
    lines, (axes, partners) = edge_lines(edges), _search_grid()
    gain = _gains(lines, axes)
    pairs = gain[partners].sum(axis=-1)
    best = pairs.argmax(axis=1)
    rows = np.arange(len(axes))
    total = gain + pairs[rows, best]
    partner = axes[partners[rows, best]]
    if not total.any():
        return EdgeVote(lines, axes, total, partner)
    # the grid is coarse: it favours one of a scene's axes over the two others by chance
    frames = np.stack([_settled(lines, frame) for frame in _best_frames(axes, total, partner)])
    whole = _gains(lines, frames.reshape(-1, 3)).reshape(-1, 3).sum(axis=1)
    exact = frames.reshape(-1, 3) * np.where(frames.reshape(-1, 1, 3)[..., 2] < 0.0, -1.0, 1.0)
    others = frames[:, [[1, 2], [2, 0], [0, 1]]].reshape(-1, 2, 3)
    return EdgeVote(
        lines,
        np.concatenate([axes, exact]),
        np.concatenate([total, np.repeat(whole, 3)]),
        np.concatenate([partner, others]),
    )


def _best_frames(axes: Array, total: Array, partner: Array) -> list[Array]:
    """The best frames (3, 3) of three axes as rows, no two of which are nearly the same."""
    found: list[Array] = []
    least = np.cos(np.deg2rad(_APART_DEG))
    for place in np.argsort(-total):
        if total[place] <= 0.0 or len(found) == _FRAMES:
            break
        frame = _square(axes[place], partner[place])
        if all((np.abs(frame @ other.T).max(axis=1) < least).any() for other in found):
            found.append(frame)
    return found


def _settled(lines: EdgeLines, frame: Array) -> Array:
    """A frame (3, 3) turned onto the edges alone."""
    for _ in range(_ROUNDS):
        rows = [_edge_rows(lines, axis) for axis in frame]
        normal = 1e-3 * np.eye(3) + sum(slope.T @ slope for _, slope in rows)
        turn = -np.linalg.solve(normal, sum(slope.T @ residual for residual, slope in rows))
        frame = _turned(frame, turn)
        if np.abs(turn).max() < _SMALL_TURN_RAD:
            break
    return frame


def refine(lines: EdgeLines, down: Array, level: Array, others: Callable[[Array], Rows]) -> tuple[Array, float]:
    """`down` (3,) turned, with its two `level` (2, 3) partners, onto the edges; and how sure that is, degrees.

    `others` gives, for a direction down, what else is known about it: residuals (M,) in sigmas and their gradients
    (M, 3) by the direction. They decide where the edges say nothing.
    """
    frame = _square(down, level)
    normal = np.eye(3)
    for _ in range(_ROUNDS):
        normal, right = 1e-3 * np.eye(3), np.zeros(3)
        rows = [_edge_rows(lines, axis) for axis in frame]
        residual, gradient = others(frame[0])
        rows.append((residual, np.cross(frame[0], gradient)))
        for residual, slope in rows:
            normal += slope.T @ slope
            right -= slope.T @ residual
        turn = np.linalg.solve(normal, right)
        frame = _turned(frame, turn)
        if np.abs(turn).max() < _SMALL_TURN_RAD:
            break
    spread = np.cross(frame[0], np.eye(3))
    covariance = spread.T @ np.linalg.inv(normal) @ spread
    return frame[0], float(np.rad2deg(np.sqrt(max(np.trace(covariance) / 2.0, 0.0))))


def _edge_rows(lines: EdgeLines, axis: Array) -> Rows:
    """Residuals (S,) in sigmas of the segments that run along `axis` (3,), and their slopes (S, 3) by a turn of it."""
    side = np.sign(lines.along @ axis)
    off = lines.off_rad(axis) / np.deg2rad(lines.sigma_deg)
    root = np.sqrt(_TEMPER * lines.weight) / (1.0 + (off / _ROBUST_SIGMAS) ** 2)
    # turning the axis by w moves it by w x axis: across the line that is w . (axis x normal)
    ahead = np.maximum(np.abs(lines.along @ axis), 0.05) * np.deg2rad(lines.sigma_deg)
    return root * off, np.cross(axis, lines.normal) * (root * side / ahead)[:, None]


def _gains(lines: EdgeLines, axes: Array) -> Array:
    """How much better (G,) the segments are explained when a share of them runs along an axis than by no order."""
    if not len(lines.weight):
        return np.zeros(len(axes))
    across, ahead = np.abs(axes @ lines.normal.T), np.abs(axes @ lines.along.T)
    # few segments run along any one axis; all others fit it equally badly, by log(1 - share)
    place, segment = np.nonzero(across < np.tan(np.deg2rad(_FURTHEST_DEG)) * ahead)
    off = np.rad2deg(np.arctan2(across[place, segment], ahead[place, segment]))
    sigma = np.hypot(lines.sigma_deg, _SEARCH_SIGMA_DEG)[segment]
    ratio = 90.0 * np.sqrt(2.0 / np.pi) / sigma * np.exp(-0.5 * (off / sigma) ** 2)
    weight = lines.weight[segment]
    gains = [
        np.bincount(place, weight * np.log1p(share / (1.0 - share) * ratio), len(axes))
        + np.log1p(-share) * lines.weight.sum()
        for share in _SHARES
    ]
    return np.asarray(_TEMPER * np.maximum(np.max(gains, axis=0) - _BY_CHANCE, 0.0), np.float64)


@lru_cache(maxsize=1)
def _search_grid() -> tuple[Array, NDArray[np.intp]]:
    """Axes (G, 3) over half a sphere, and for each the places (G, H, 2) of its pairs at right angles."""
    place = np.arange(_AXES) + 0.5
    z = place / _AXES
    turn = np.pi * (1.0 + np.sqrt(5.0)) * place
    axes = np.stack([np.sqrt(1.0 - z**2) * np.cos(turn), np.sqrt(1.0 - z**2) * np.sin(turn), z], axis=1)
    side = _unit(np.cross(axes, np.where(np.abs(axes[:, :1]) < 0.8, [[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]])))
    other = np.cross(axes, side)
    heading = np.linspace(0.0, np.pi / 2, _HEADINGS, endpoint=False)
    cosine, sine = np.cos(heading)[:, None], np.sin(heading)[:, None]
    first = cosine * side[:, None] + sine * other[:, None]
    second = cosine * other[:, None] - sine * side[:, None]
    return axes, _nearest(axes, np.stack([first, second], axis=2))


def _nearest(axes: Array, wanted: Array) -> NDArray[np.intp]:
    """The place of the axis nearest to each of the wanted ones (..., 3), to a degree, by a table over the sphere."""
    heights, turns = np.linspace(-1.0, 1.0, _TABLE), np.linspace(-np.pi, np.pi, 2 * _TABLE)
    level = np.sqrt(1.0 - heights**2)[:, None]
    table = np.stack(np.broadcast_arrays(level * np.cos(turns), level * np.sin(turns), heights[:, None]), axis=-1)
    _, found = cKDTree(np.concatenate([axes, -axes])).query(table)
    row = np.rint(0.5 * (wanted[..., 2] + 1.0) * (_TABLE - 1)).astype(np.intp)
    column = np.rint((np.arctan2(wanted[..., 1], wanted[..., 0]) / (2.0 * np.pi) + 0.5) * (2 * _TABLE - 1))
    return np.asarray(found[row, column.astype(np.intp)] % _AXES, np.intp)


def _square(down: Array, level: Array) -> Array:
    first = _unit(level[0] - (level[0] @ down) * down)
    return np.stack([down, first, np.cross(down, first)])


def _turned(frame: Array, by: Array) -> Array:
    angle = float(np.linalg.norm(by))
    if angle < 1e-12:
        return frame
    axis = by / angle
    cross = np.cross(axis, frame)
    return np.asarray(
        frame * np.cos(angle) + cross * np.sin(angle) + np.outer(frame @ axis, axis) * (1.0 - np.cos(angle))
    )


def _unit(vectors: Array) -> Array:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12))
