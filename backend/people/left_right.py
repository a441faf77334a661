"""Puts right the frames in which the network took a back for a front: left and right exchanged, depth reversed.

A view from behind and one from the front, mirrored in depth, have the same outline; small networks jump between the
two. Over a whole track the labels with the least jumps win. numpy, backend.types.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from backend.keypoint_layouts import BLAZEPOSE
from backend.types import Array, PersonTrack

PAIRS = BLAZEPOSE.pairs
MIRRORED = BLAZEPOSE.mirror
_BODY = np.arange(11, BLAZEPOSE.count)
_HIPS = [23, 24]
_COST_OF_DOUBT = 0.004  # of the body's size a frame: what it costs to contradict the network


def fix_swaps(track: PersonTrack) -> PersonTrack:
    """The track with left and right exchanged where that makes the motion continuous (the input when nowhere)."""
    return exchange_sides(track, exchanged_frames(track.keypoints_px, track.presence, track.box_px))


def exchange_sides(track: PersonTrack, wrong: NDArray[np.bool_]) -> PersonTrack:
    """The track with left and right exchanged, and the depth reversed, in the frames `wrong` (T,)."""
    if not wrong.any():
        return track
    keypoints, depth = track.keypoints_px.copy(), track.keypoint_depth.copy()
    visibility, world = track.visibility.copy(), track.world_m.copy()
    for values in (keypoints, depth, visibility, world):
        values[wrong] = values[wrong][:, MIRRORED]
    depth[wrong] *= -1
    world[wrong, :, 2] *= -1
    return replace(track, keypoints_px=keypoints, keypoint_depth=depth, visibility=visibility, world_m=world)


def exchanged_frames(keypoints_px: Array, presence: Array, box_px: Array) -> NDArray[np.bool_]:
    """(T,) whether left and right are to be exchanged, by the cheapest path through both labellings (Viterbi).

    `keypoints_px` (T, 33, 2), `presence` (T,) 0 where there is nobody, `box_px` (T, 4).
    """
    seen = np.flatnonzero(presence > 0)
    exchanged = np.zeros(len(presence), bool)
    if len(seen) < 2:
        return exchanged
    size = float(np.median(np.linalg.norm(box_px[seen, 2:] - box_px[seen, :2], axis=-1)))
    points = keypoints_px[seen] - keypoints_px[seen][:, _HIPS].mean(1, keepdims=True)
    kept = _mean_step(points[:-1], points[1:]) / max(size, 1.0)
    crossed = _mean_step(points[:-1, MIRRORED], points[1:]) / max(size, 1.0)
    apart = np.diff(seen) > 1  # after a gap either labelling may follow
    kept[apart] = crossed[apart] = 0.0
    exchanged[seen] = _cheapest_path(kept, crossed)
    return exchanged


def _mean_step(before: Array, after: Array) -> Array:
    return np.asarray(np.linalg.norm(after[:, _BODY] - before[:, _BODY], axis=-1).mean(-1), np.float64)


def _cheapest_path(kept: Array, crossed: Array) -> NDArray[np.bool_]:
    """Labels (n,) False as the network says, True exchanged; `kept`, `crossed` (n - 1,) cost of staying, changing."""
    as_said, contrary = 0.0, _COST_OF_DOUBT
    came_from = np.zeros((len(kept) + 1, 2), bool)
    for step, (stay, change) in enumerate(zip(kept.tolist(), crossed.tolist(), strict=True), start=1):
        said = (as_said + stay, contrary + change)
        other = (contrary + stay, as_said + change)
        came_from[step] = said[1] < said[0], other[0] <= other[1]
        as_said, contrary = min(said), min(other) + _COST_OF_DOUBT
    labels = np.zeros(len(kept) + 1, bool)
    labels[-1] = contrary < as_said
    for step in range(len(kept), 0, -1):
        labels[step - 1] = came_from[step, int(labels[step])]
    return labels
