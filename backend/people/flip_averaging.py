"""Every other frame is seen in a mirror, which evens out what the landmark network does differently left and right.

The network errs otherwise on the mirrored image, so the mean of both errs less (on the development recording 77.6
-> 75.8 mm with two passes a frame). Seen in turns it costs nothing: the slow part of the difference between
neighbouring frames is the mirror's doing and is taken out, half from either side; motion is left alone, up to what
moves back and forth at half the frame rate. numpy, backend.types.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from backend.types import Array, PersonTrack

_SPREAD = 2.0  # standard deviation, in frames, over which the mirror's doing is thought to stay the same
_REACH = 6


def is_mirrored(position: int) -> bool:
    """Whether the frame at `position` (counted over all frames of a tracker) is looked at in a mirror."""
    return position % 2 == 1


def average_flips(track: PersonTrack, mirrored: Array) -> PersonTrack:
    """The track without the mirror's doing; `mirrored` (T,) 1 in a mirror, 0 plainly, NaN not seen.

    A frame counts where both its neighbours were seen the other way round; without such frames near by, nothing is
    changed.
    """
    side = 1.0 - 2.0 * np.asarray(mirrored, np.float64)  # +1 plain, -1 in a mirror, NaN not seen
    told = np.zeros(len(side), bool)
    told[1:-1] = (side[1:-1] == -side[:-2]) & (side[1:-1] == -side[2:])
    if not told.any():
        return track
    kernel = np.exp(-0.5 * np.square(np.arange(-_REACH, _REACH + 1) / _SPREAD))
    total = _spread(told.astype(np.float64), kernel)
    share = np.divide(1.0, total, out=np.zeros_like(total), where=total > 1e-6)
    share[np.isnan(side)] = 0.0
    half = 0.5 * np.nan_to_num(side) * share
    return replace(
        track,
        keypoints_px=_without(track.keypoints_px, side, told, kernel, half),
        keypoint_depth=_without(track.keypoint_depth, side, told, kernel, half),
        visibility=np.clip(_without(track.visibility, side, told, kernel, half), 0.0, 1.0),
        world_m=_without(track.world_m, side, told, kernel, half),
    )


def _without(values: Array, side: Array, told: NDArray[np.bool_], kernel: Array, half: Array) -> Array:
    flat = values.reshape(len(values), -1).astype(np.float64)
    differs = np.zeros_like(flat)
    places = np.flatnonzero(told)
    around = (flat[places - 1] + flat[places + 1]) / 2
    differs[places] = side[places, None] * (flat[places] - around)
    slow = np.stack([_spread(column, kernel) for column in differs.T], axis=1)
    return (flat - half[:, None] * slow).reshape(values.shape).astype(values.dtype)


def _spread(values: Array, kernel: Array) -> Array:
    return np.convolve(values, kernel)[_REACH : _REACH + len(values)]
