"""The frames that a reconstruction hangs on, and what they show. numpy."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from backend.camera.bundle import Observations
from backend.camera.feature_tracks import FeatureTracks
from backend.types import Array

# key frames are this far apart, in px of the image 640 wide; closer on a short path, further where there are too many
_KEY_PX: Final = 8.0
_WANTED_KEYS: Final = 24
_MOST_KEYS: Final = 800
# so few features tell nothing of a frame
_LEAST_STEPS: Final = 10


def key_rows(tracks: FeatureTracks) -> NDArray[np.intp]:
    """Rows of the frames between which features move by enough, the first and last one among them."""
    frames = len(tracks.frame_index)
    if not frames:
        return np.zeros(0, np.intp)
    moved = np.zeros(frames)
    order = np.lexsort((tracks.row, tracks.feature))
    feature, row, plane = tracks.feature[order], tracks.row[order], tracks.plane[order]
    next_one = (feature[1:] == feature[:-1]) & (row[1:] == row[:-1] + 1)
    step = np.linalg.norm(plane[1:] - plane[:-1], axis=1)[next_one] * tracks.unit_px
    at = row[1:][next_one]
    by_row = np.argsort(at, kind="stable")
    low = plane[1:, 1][next_one][by_row] > 0.0
    # what is far away moves least; the ground is in the lower half
    for some in (np.ones(len(low), bool), low):
        for one, part in zip(*_groups(at[by_row][some], step[by_row][some]), strict=True):
            moved[one] = max(moved[one], float(np.median(part)) if some.all() or len(part) >= _LEAST_STEPS else 0.0)
    path_px = np.cumsum(moved)
    spacing = max(min(_KEY_PX, max(path_px[-1] / _WANTED_KEYS, 0.25 * _KEY_PX)), path_px[-1] / _MOST_KEYS)
    keys = np.searchsorted(path_px, np.arange(0.0, path_px[-1], spacing))
    return np.unique(np.append(keys, frames - 1)).astype(np.intp)


def _groups(key: NDArray[np.intp], values: Array) -> tuple[list[int], list[Array]]:
    """Values (M,) split by their sorted key (M,)."""
    if not len(key):
        return [], []
    cuts = np.flatnonzero(np.diff(key)) + 1
    return key[np.append(0, cuts)].tolist(), np.split(values, cuts)


def at_keys(tracks: FeatureTracks, keys: NDArray[np.intp]) -> tuple[Observations, NDArray[np.intp]]:
    """Observations in key frames of features that at least two of them show, counted from 0 on, and those features."""
    camera = np.full(len(tracks.frame_index), -1)
    camera[keys] = np.arange(len(keys))
    inside = camera[tracks.row] >= 0
    count = np.bincount(tracks.feature[inside], minlength=int(tracks.feature.max(initial=0)) + 1)
    inside &= count[tracks.feature] >= 2
    features, point = np.unique(tracks.feature[inside], return_inverse=True)
    return Observations(camera[tracks.row[inside]], point, tracks.plane[inside]), features
