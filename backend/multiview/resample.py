"""A person's track at the times of another video: keypoints interpolated between neighbouring frames. numpy only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backend.embedding.windows import solvable_frames
from backend.multiview.types import Offset
from backend.types import Array, PersonTrack

# frames further apart than this are not interpolated between; of a slow video so many of its steps, up to a limit
_LONGEST_GAP_S = 0.12
_GAP_STEPS = 1.5
_SLOWEST_GAP_S = 0.4
# a frame this near is taken as it is
_SAME_S = 0.02
_SAME_TIME_S = 1e-6  # clocks are computed to and fro


def longest_gap_s(times_s: Array) -> float:
    """The longest time between frames of a video that is interpolated over; `times_s` (N,) of its frames."""
    step_s = float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.0
    return max(_LONGEST_GAP_S, min(_GAP_STEPS * step_s, _SLOWEST_GAP_S))


def resampled_track(track: PersonTrack, offset: Offset, take_s: Array, cuts_s: Sequence[float] = ()) -> PersonTrack:
    """The track at times of the take (T,), as its `times_s`; presence 0 and NaN where the person is not seen.

    Nothing is interpolated across the cuts, times of the first frames after them: the frame on the same side is taken.
    """
    rows = np.flatnonzero(solvable_frames(track))
    frames = len(take_s)
    if not len(rows):
        return _empty(track, take_s)
    times_s, video_s = np.asarray(track.times_s, np.float64)[rows], offset.video_time_s(take_s)
    after = np.clip(np.searchsorted(times_s, video_s), min(1, len(rows) - 1), len(rows) - 1)
    before = np.maximum(after - 1, 0)
    span = times_s[after] - times_s[before]
    share = np.clip((video_s - times_s[before]) / np.maximum(span, 1e-9), 0.0, 1.0)
    if len(cuts_s):
        shots = [np.searchsorted(cuts_s, at_s + _SAME_TIME_S, side="right") for at_s in (times_s, video_s)]
        crossing = shots[0][before] != shots[0][after]
        share = np.where(crossing, (shots[1] >= shots[0][after]).astype(np.float64), share)
    nearest_s = np.minimum(np.abs(video_s - times_s[before]), np.abs(video_s - times_s[after]))
    inside = (video_s >= times_s[0] - _SAME_S) & (video_s <= times_s[-1] + _SAME_S)
    seen = inside & ((span <= longest_gap_s(track.times_s)) | (nearest_s < _SAME_S))

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
