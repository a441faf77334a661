"""Whether a camera that only turns and zooms, through another lens than the one that is assumed, explains what is seen.

Through a wrong focal length or an unknown distortion, a pan leaves residuals that look like parallax. May import numpy
and its own room.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from backend.camera.feature_tracks import FeatureTracks
from backend.camera.path import MAY_TRAVEL_PX, fit_turn, low_px
from backend.types import Array

# the tangent of the angle of view over the assumed one, and the first radial coefficient
_SIZES: Final = (0.7, 0.8, 0.9, 1.0, 1.12, 1.25, 1.4)
_BENDS: Final = (-0.2, -0.1, 0.0, 0.1)
_PAIRS: Final = 16
_LEAST_LEFT: Final = 0.5
_LEAST_COMMON: Final = 24


def another_lens_explains(tracks: FeatureTracks) -> bool:
    """Whether turn and zoom explain the features of most frames through some lens, as `CameraPath.may_travel` asks."""
    pairs = list(_pairs(tracks))
    if not pairs:
        return True
    return any(_unexplained_px(pairs, tracks.unit_px, size, bend) < MAY_TRAVEL_PX for size in _SIZES for bend in _BENDS)


def _pairs(tracks: FeatureTracks) -> Iterator[tuple[Array, Array]]:
    """Features (N, 2) of some frames, and where those were in their key frame: (before, after)."""
    frames, key, keys = len(tracks.frame_index), 0, []
    bounds = np.searchsorted(tracks.row, np.arange(frames + 1))
    parts = [slice(bounds[row], bounds[row + 1]) for row in range(frames)]
    for row in range(1, frames):
        keys.append(key)
        common = np.isin(tracks.feature[parts[key]], tracks.feature[parts[row]], assume_unique=True)
        if len(common) and common.mean() < _LEAST_LEFT:
            key = row
    for row in np.unique(np.linspace(1, frames - 1, min(_PAIRS, frames - 1)).astype(int)).tolist():
        before, after = parts[keys[row - 1]], parts[row]
        _, left, right = np.intersect1d(tracks.feature[before], tracks.feature[after], return_indices=True)
        if len(left) >= _LEAST_COMMON:
            yield tracks.plane[before][left], tracks.plane[after][right]


def _unexplained_px(pairs: list[tuple[Array, Array]], unit_px: float, size: float, bend: float) -> float:
    """What turn and zoom leave in the worse quarter of the pairs, px of an image 640 wide, through another lens."""
    left = []
    for before, after in pairs:
        seen = (_through(before, size, bend), _through(after, size, bend))
        off = fit_turn(*seen, (np.zeros(3), 1.0), 1.0, unit_px / size)[2]
        left.append(max(float(np.median(off)), low_px(off, seen[1])))
    return float(np.percentile(left, 75.0))


def _through(plane: Array, size: float, bend: float) -> Array:
    ideal = plane * size
    return np.asarray(ideal / (1.0 + bend * np.minimum((ideal**2).sum(axis=1, keepdims=True), 1.0)))
