"""Follows one person through a video without an end: the tracker with a short memory, and who of the people is meant.

May import `backend.people` and `backend.types`.

The network's sudden exchanges of left and right are taken back as they come. Over a whole track the labels with the
least jumps win (`people.left_right`); here each frame is compared with the last one whose sides were clear, since a
network changes its mind over a frame or two that lie in between.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from backend.keypoint_layouts import BLAZEPOSE
from backend.people.flip_averaging import average_flips
from backend.people.left_right import MIRRORED, exchange_sides
from backend.people.networks import PeopleNetworks
from backend.people.options import PeopleOptions
from backend.people.subject import prominence
from backend.people.tracker import PeopleTracker
from backend.types import Array, Frame, PersonTrack

_BODY: Final = np.arange(11, BLAZEPOSE.count)
_HIPS: Final = [23, 24]
_CLEAR: Final = 0.5  # the smaller of the two distances over the larger
_OLDEST_S: Final = 0.2  # a reference that is older says nothing
_BELIEVE_S: Final = 0.5  # contradicted for so long, the network is believed


class SideKeeper:
    """`is_wrong` for each frame in order."""

    def __init__(self) -> None:
        self._reference: Array | None = None
        self._reference_s = -np.inf
        self._contrary_s = 0.0
        self._last_s = -np.inf

    def is_wrong(self, keypoints_px: Array, time_s: float) -> bool:
        """Whether left and right of these keypoints (33, 2) are to be exchanged, to go on as before."""
        points = keypoints_px - keypoints_px[_HIPS].mean(axis=0)
        if self._reference is None or time_s - self._reference_s > _OLDEST_S or self._contrary_s > _BELIEVE_S:
            self._take(points, time_s, False)
            return False
        kept, crossed = (
            float(np.linalg.norm(one[_BODY] - self._reference[_BODY], axis=-1).mean())
            for one in (points, points[MIRRORED])
        )
        wrong = crossed < _CLEAR * kept
        if wrong or kept < _CLEAR * crossed:
            self._take(points[MIRRORED] if wrong else points, time_s, wrong)
        return wrong

    def _take(self, points: Array, time_s: float, wrong: bool) -> None:
        self._reference, self._reference_s = points, time_s
        step = min(max(time_s - self._last_s, 0.0), 0.1)
        self._contrary_s = self._contrary_s + step if wrong else 0.0
        self._last_s = time_s


_KEPT_S: Final = 1.2  # of the track: more than the towers' window reaches back
_MOST_FRAMES: Final = 240
_SWITCH_AFTER_S: Final = 3.0


class Follower:
    """`update` with each frame gives the recent track of the person who is followed, up to that frame.

    The person is the most prominent one of the first frames with anybody (`people.subject`). Out of sight for three
    seconds, the most prominent one in sight takes the place. Use as a context manager.
    """

    def __init__(self, options: PeopleOptions, networks: PeopleNetworks) -> None:
        self._tracker = PeopleTracker(options, networks)
        self._frame_px = options.selection.frame_px
        self._chosen: int | None = None
        self._seen_s = -np.inf
        self._sides = SideKeeper()
        self._wrong: dict[int, bool] = {}
        self.people = 0
        self.changes = 0

    def __enter__(self) -> Follower:
        return self

    def __exit__(self, *_: object) -> None:
        self._tracker.close()

    def update(self, frame: Frame) -> PersonTrack | None:
        """The followed person's track over the last second; None while the person is not in this frame.

        `people` is then how many are in sight, `changes` how often another person took the place.
        """
        self._tracker.update(frame)
        self._tracker.flush()
        seen = self._tracker.tracks_as_seen()
        present = [pair for pair in seen if pair[0].frame_index[-1] == frame.index and pair[0].presence[-1] > 0]
        self.people = len(present)
        chosen = self._choose(present, frame.time_s)
        self._forget([track for track, _ in seen], frame.time_s)
        return None if chosen is None else self._put_right(*chosen)

    def _choose(self, present: list[tuple[PersonTrack, Array]], time_s: float) -> tuple[PersonTrack, Array] | None:
        same = next((pair for pair in present if pair[0].track_id == self._chosen), None)
        if same is None and present and time_s - self._seen_s > _SWITCH_AFTER_S:
            same = max(present, key=lambda pair: prominence(pair[0], self._frame_px))
            self.changes += self._chosen is not None
            self._chosen = same[0].track_id
            self._sides = SideKeeper()
        if same is not None:
            self._seen_s = time_s
        return same

    def _put_right(self, track: PersonTrack, mirrored: Array) -> PersonTrack:
        """The track with its sides as they were told frame by frame, and flips averaged."""
        first, last = int(track.frame_index[0]), int(track.frame_index[-1])
        self._wrong = {index: wrong for index, wrong in self._wrong.items() if index >= first}
        self._wrong[last] = self._sides.is_wrong(track.keypoints_px[-1], float(track.times_s[-1]))
        wrong = np.array([self._wrong.get(int(index), False) for index in track.frame_index])
        return average_flips(exchange_sides(track, wrong), mirrored)

    def _forget(self, tracks: list[PersonTrack], time_s: float) -> None:
        """Keep the memory short: twice what is needed at most."""
        times = max((track.times_s for track in tracks), key=len, default=np.zeros(0))
        held = self._tracker.taken_in
        if held < _MOST_FRAMES and (not len(times) or times[-1] - times[0] < 2 * _KEPT_S):
            return
        recent = int((times > time_s - _KEPT_S).sum()) if len(times) else 0
        spare = held - min(max(recent, 4), _MOST_FRAMES // 2)
        if spare > 1:
            self._tracker.forget(spare - spare % 2)
