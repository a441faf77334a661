"""A person's track at the times of another video: keypoints interpolated between neighbouring frames. numpy only."""

from __future__ import annotations

import numpy as np

from backend.embedding.windows import solvable_frames
from backend.multiview.types import Offset
from backend.types import Array, PersonTrack

# frames further apart than this are not interpolated between; a frame this near is taken as it is
_LONGEST_GAP_S = 0.12
_SAME_S = 0.02


def resampled_track(track: PersonTrack, offset: Offset, take_s: Array) -> PersonTrack:
    """The track at times of the take (T,), as its `times_s`; presence 0 and NaN where the person is not seen."""
    rows = np.flatnonzero(solvable_frames(track))
    frames = len(take_s)
    if not len(rows):
        return _empty(track, take_s)
    times_s, video_s = np.asarray(track.times_s, np.float64)[rows], offset.video_time_s(take_s)
    after = np.clip(np.searchsorted(times_s, video_s), min(1, len(rows) - 1), len(rows) - 1)
    before = np.maximum(after - 1, 0)
    span = times_s[after] - times_s[before]
    share = np.clip((video_s - times_s[before]) / np.maximum(span, 1e-9), 0.0, 1.0)
    nearest_s = np.minimum(np.abs(video_s - times_s[before]), np.abs(video_s - times_s[after]))
    inside = (video_s >= times_s[0] - _SAME_S) & (video_s <= times_s[-1] + _SAME_S)
    seen = inside & ((span <= _LONGEST_GAP_S) | (nearest_s < _SAME_S))

    def at(values: Array, blank: float) -> Array:
        values = np.asarray(values, np.float64)[rows]
        weight = share.reshape(-1, *(1,) * (values.ndim - 1))
        mixed = values[before] * (1 - weight) + values[after] * weight
        return np.where(seen.reshape(weight.shape), mixed, blank)

    return PersonTrack(
        track.track_id,
        np.arange(frames),
        np.asarray(take_s, np.float64),
        at(track.keypoints_px, np.nan),
        at(track.keypoint_depth, 0.0),
        at(track.visibility, 0.0),
        at(track.world_m, 0.0),
        at(track.presence, 0.0),
        at(track.box_px, 0.0),
    )


def _empty(track: PersonTrack, take_s: Array) -> PersonTrack:
    def blank(values: Array, fill: float) -> Array:
        return np.full((len(take_s), *np.shape(values)[1:]), fill)

    return PersonTrack(
        track.track_id,
        np.arange(len(take_s)),
        np.asarray(take_s, np.float64),
        blank(track.keypoints_px, np.nan),
        blank(track.keypoint_depth, 0.0),
        blank(track.visibility, 0.0),
        blank(track.world_m, 0.0),
        np.zeros(len(take_s)),
        blank(track.box_px, 0.0),
    )
