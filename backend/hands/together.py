"""Hands that several videos show: one pose from all of them, most from the one that shows a hand best. numpy.

May import its own room, `backend.types` and `blender_addon.motion`. V videos, T frames, both hands, left first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from backend.hands.evidence import HandEvidence, no_hands
from backend.hands.over_time import averaged
from backend.types import Array
from blender_addon.motion.rotations import quaternion_between, quaternion_mean

_ENOUGH_PX = 60.0  # palms longer than this show nothing more
_CONTRADICTION_RAD = np.radians(45.0)
_CONTRADICTED = 0.05  # what is left of a view's weight whose palm looks elsewhere than the best view's


def hands_together(views: Sequence[HandEvidence], times_s: Array, shots: NDArray[np.intp]) -> HandEvidence:
    """Evidence of all `views`, whose frames are the same T moments; `shots` (T,) as in `over_time`.

    A view counts by its confidence and by the hand's size; weights change smoothly over time. A view whose palm points
    elsewhere than the best view's hardly counts: from one side a palm can look like its back.
    """
    if len(views) == 1:
        return views[0]
    made = no_hands(len(times_s))
    for side in (0, 1):
        weight = np.stack([_weight(view, side, times_s, shots) for view in views])
        if not weight.any():
            continue
        best = weight.argmax(axis=0)
        weight = weight * _agreement(views, side, weight)
        angles = np.stack([np.nan_to_num(view.angles[:, side]) for view in views])
        total = weight.sum(axis=0)
        known = total > 0
        made.angles[known, side] = (np.einsum("vt,vta->ta", weight, angles) / np.maximum(total, 1e-12)[:, None])[known]
        frames = np.arange(len(times_s))
        confidence, pixels = (np.stack([getattr(view, name)[:, side] for view in views]) for name in _FIGURES)
        made.confidence[:, side] = np.where(known, (weight * confidence).sum(axis=0) / np.maximum(total, 1e-12), 0.0)
        made.pixels[:, side] = pixels[best, frames]
        _turns(views, side, weight, made)
    return made


_FIGURES = ("confidence", "pixels")


def _weight(view: HandEvidence, side: int, times_s: Array, shots: NDArray[np.intp]) -> Array:
    """How much the view counts (T,), 0 where it does not show the hand."""
    size = np.clip(np.nan_to_num(view.pixels[:, side]), 1.0, _ENOUGH_PX) / _ENOUGH_PX
    raw = np.square(view.confidence[:, side]) * size
    smooth = averaged(times_s, shots, raw[:, None], np.ones(len(times_s)))[:, 0]
    return np.where(np.isfinite(view.angles[:, side]).all(axis=1), smooth + 1e-9, 0.0)


def _agreement(views: Sequence[HandEvidence], side: int, weight: Array) -> Array:
    """1 where a view's palm looks where that of the view with the most weight looks, little elsewhere (V, T)."""
    turns = np.stack([view.wrist_wxyz[:, side] for view in views])
    placed = np.isfinite(turns).all(axis=-1)
    leading = np.where(placed, weight, -1.0).argmax(axis=0)
    led = turns[leading, np.arange(turns.shape[1])]
    with np.errstate(invalid="ignore"):
        apart = quaternion_between(turns, np.broadcast_to(led, turns.shape))
    return np.where(np.nan_to_num(apart) > _CONTRADICTION_RAD, _CONTRADICTED, 1.0)


def _turns(views: Sequence[HandEvidence], side: int, weight: Array, made: HandEvidence) -> None:
    """The wrists' rotations of those views whose place is known, into `made`."""
    turns = np.stack([view.wrist_wxyz[:, side] for view in views])
    share = np.where(np.isfinite(turns).all(axis=-1), weight, 0.0)
    turns = np.where(share[..., None] > 0, turns, [1.0, 0.0, 0.0, 0.0])
    sure = np.stack([view.wrist_confidence[:, side] for view in views])
    total = share.sum(axis=0)
    rows = np.flatnonzero(total > 0)
    made.wrist_wxyz[rows, side] = quaternion_mean(turns[:, rows].swapaxes(0, 1), share[:, rows].T)
    made.wrist_confidence[rows, side] = (share * sure).sum(axis=0)[rows] / total[rows]
