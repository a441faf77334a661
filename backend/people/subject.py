"""Who is the subject of a shot: large, in the middle, in motion and long in sight. numpy, backend.types.

The size is that of the body, whatever its pose: somebody who crouches or lies has a small box, not a small body.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from backend.types import Array, PersonTrack

# segments between landmarks, and their length in parts of the stature
_SEGMENTS: Final = (
    ((11, 12), (23, 24), 0.29),
    ((11,), (12,), 0.21),
    ((11,), (13,), 0.16),
    ((12,), (14,), 0.16),
    ((13,), (15,), 0.145),
    ((14,), (16,), 0.145),
    ((23,), (25,), 0.245),
    ((24,), (26,), 0.245),
    ((25,), (27,), 0.245),
    ((26,), (28,), 0.245),
)
# a segment that points at the camera looks short and one close to it long, so the third longest counts
_RANK: Final = 3
_EDGE_SHARE: Final = 0.75  # what somebody at the edge of the frame counts, of one in the middle
_MOTION_BONUS: Final = 0.35
_BRISK_PER_S: Final = 0.5  # landmarks that move by half a stature a second get the whole bonus
_LAG_S: Final = 0.25  # over which motion is measured: landmarks shake from frame to frame


def stature_px(keypoints_px: Array) -> Array:
    """How tall bodies (..., 33, 2) would stand in the image, px (...); NaN where landmarks are missing."""
    ratios = []
    for start, end, share in _SEGMENTS:
        along = keypoints_px[..., start, :].mean(axis=-2) - keypoints_px[..., end, :].mean(axis=-2)
        ratios.append(np.linalg.norm(along, axis=-1) / share)
    return np.asarray(np.sort(np.stack(ratios, axis=-1), axis=-1)[..., -_RANK])


def prominence(track: PersonTrack, frame_px: tuple[int, int] | None) -> float:
    """How much a person is the subject of a video: stature summed over time, times place and motion.

    `frame_px` (width, height) of the upright frame; without it the place does not count.
    """
    size = stature_px(track.keypoints_px.astype(np.float64))
    size = np.where((track.presence > 0) & np.isfinite(size), size, 0.0)
    place = np.ones(len(size)) if frame_px is None else _centrality(track, frame_px)
    return float((size * place).sum()) * (1.0 + _MOTION_BONUS * _liveliness(track, size))


def _centrality(track: PersonTrack, frame_px: tuple[int, int]) -> Array:
    """1 (T,) for hips in the middle of the frame's width, less towards its edges."""
    hips = np.nan_to_num(track.keypoints_px[:, [23, 24], 0].mean(axis=1), nan=0.0)
    off = np.clip(np.abs(hips / frame_px[0] - 0.5) * 2.0, 0.0, 1.0)
    return np.asarray(1.0 - (1.0 - _EDGE_SHARE) * off**2)


def _liveliness(track: PersonTrack, size: Array) -> float:
    """0 for somebody still to 1 for somebody who moves briskly."""
    times_s = track.times_s
    if len(times_s) < 2 or not size.any():
        return 0.0
    lag = max(1, round(_LAG_S / float(np.median(np.diff(times_s)))))
    rows = np.arange(0, len(times_s), lag)
    moved = np.linalg.norm(np.diff(track.keypoints_px[rows, 11:], axis=0), axis=-1).mean(axis=-1)
    speed = moved / np.maximum(np.diff(times_s[rows]), 1e-6) / float(np.median(size[size > 0]))
    speed = speed[np.isfinite(speed)]
    return float(min(speed.mean() / _BRISK_PER_S, 1.0)) if len(speed) else 0.0
