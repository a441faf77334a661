"""How far people are told apart in the image: what a landmark network says of a person behind another is often wrong.

numpy only. Where one person covers another, the keypoints of both lie up to 200 mm from where they are, with the usual
confidence, and often one of the two is lost: the person who is left may then be either. So a person who is lost counts
as still there for a while.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from backend.types import Array, PersonTrack

# a person whose box is covered by this much of another's is told from that one half as well
_COVERED = 0.2
_LEAST = 0.03
_STAYS_S = 1.0
_LONGEST_S = 4.0  # somebody who is lost for longer went away, and is elsewhere between two sightings
_AROUND_S = 0.1
# somebody who looks so small beside the person stands behind; from the second on, perhaps in front
_IN_FRONT, _BESIDE = 0.6, 0.9
_SEEN = 0.3


def told_apart(tracks: Sequence[PersonTrack], place: int) -> Array:
    """How surely (T,) the keypoints of the track with this place are its person's own and nobody else's: 1 where nobody
    is near in the image, towards 0 where somebody covers the person or is covered.
    """
    own = tracks[place]
    times_s = np.asarray(own.times_s, np.float64)
    covered = np.zeros(len(times_s))
    boxes = _boxes(own, times_s)
    for at, other in enumerate(tracks):
        if at != place and _at_one_time(times_s, np.asarray(other.times_s, np.float64)):
            covered = np.maximum(covered, _covered(boxes, _boxes(other, times_s)))
    return np.asarray(np.maximum(1.0 / (1.0 + np.square(_widest(covered, times_s) / _COVERED)), _LEAST))


def _at_one_time(times_s: Array, other_s: Array) -> bool:
    """Whether a track at these times may meet another one, before or after which somebody counts as there."""
    if not len(times_s) or not len(other_s):
        return False
    return bool(other_s[0] - _STAYS_S <= times_s[-1] and times_s[0] <= other_s[-1] + _STAYS_S)


def _boxes(track: PersonTrack, times_s: Array) -> Array:
    """The box (T, 4) around a person's keypoints, left, top, right, bottom in px, at other times of the video; where
    the person is not seen, between the boxes before and after, or for a while as it was; NaN elsewhere.
    """
    seen = np.flatnonzero((track.presence > 0) & np.isfinite(track.keypoints_px).all(axis=(1, 2)))
    if not len(seen):
        return np.full((len(times_s), 4), np.nan)
    points = np.where((track.visibility[seen] > _SEEN)[..., None], track.keypoints_px[seen], np.nan)
    points = np.where(np.isfinite(points).any(axis=(1, 2))[:, None, None], points, track.keypoints_px[seen])
    whole = np.concatenate([np.nanmin(points, axis=1), np.nanmax(points, axis=1)], axis=1)
    own_s = np.asarray(track.times_s, np.float64)[seen]
    boxes = np.stack([np.interp(times_s, own_s, whole[:, side]) for side in range(4)], axis=1)
    boxes[~still_there(own_s, times_s, _STAYS_S)] = np.nan
    return boxes


def still_there(seen_s: Array, times_s: Array, stays_s: float) -> NDArray[np.bool_]:
    """Whether (T,) a person who is seen at some times (N,) of a video, in order, counts as there at others: for
    `stays_s` before and after, and between two sightings unless they are so far apart that the person went away.
    """
    after = np.searchsorted(seen_s, times_s)
    known_s = np.concatenate([[-np.inf], seen_s, [np.inf]])
    before_s, next_s = known_s[after], known_s[after + 1]
    near = np.minimum(times_s - before_s, next_s - times_s) <= stays_s
    return np.asarray(near | (next_s - before_s <= _LONGEST_S))


def _covered(boxes: Array, others: Array) -> Array:
    """The share (T,) of the smaller of two boxes (T, 4) that both cover; 0 where one is not known, and less where the
    other is much smaller, and so behind.
    """
    low, high = np.maximum(boxes[:, :2], others[:, :2]), np.minimum(boxes[:, 2:], others[:, 2:])
    shared = np.prod(np.maximum(high - low, 0.0), axis=1)
    size = np.minimum(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), np.prod(others[:, 2:] - others[:, :2], axis=1))
    own, other = ((box[:, 2:] - box[:, :2]).max(axis=1) for box in (boxes, others))
    behind = np.clip((other / np.maximum(own, 1.0) - _IN_FRONT) / (_BESIDE - _IN_FRONT), 0.0, 1.0)
    return np.asarray(np.nan_to_num(behind * shared / np.maximum(size, 1.0)))


def _widest(values: Array, times_s: Array) -> Array:
    """The largest of the values (T,) around each time: a tower looks at the frames before and after."""
    if len(values) < 2:
        return values
    step_s = max(float(np.median(np.diff(times_s))), 1e-3)
    reach = round(_AROUND_S / step_s)
    padded = np.pad(values, reach, mode="edge")
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).max(axis=1))
