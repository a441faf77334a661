"""Preview chunks: the newest frames of the chosen people, solved by themselves while the video is being tracked.

May import `backend.people`, `backend.embedding`, `backend.solving` and `backend.types`. Never changes the result.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

import numpy as np

from backend.errors import BadInputError, NoPersonError
from backend.people.choose import choose_tracks
from backend.people.options import Selection
from backend.people.tracker import PeopleTracker
from backend.solving.clip_assembly import track_rows
from backend.solving.request import ChunkCallback, SolvedChunk
from backend.types import PersonTrack, PoseTrack

log = logging.getLogger(__name__)

_FIRST_FRAMES: Final = 8
_EVERY_S: Final = 1.0
# previews may take up to this share of the time, however slow the machine is
_SHARE: Final = 0.15
_LONGEST_FRAMES: Final = 120


class Previewer:
    """Looks at the tracker after each frame and now and then solves what is new for `on_chunk`."""

    def __init__(
        self, solve: Callable[[PersonTrack], PoseTrack], selection: Selection, on_chunk: ChunkCallback | None
    ) -> None:
        self._solve = solve
        self._selection = selection
        self._on_chunk = on_chunk
        self._sent: dict[int, int] = {}
        self._frames = 0
        self._next_s = 0.0
        self.spent_s = 0.0

    def preview(self, tracker: PeopleTracker) -> None:
        """Send chunks of what is new, if it is time."""
        self._frames += 1
        began = time.monotonic()
        if self._on_chunk is None or self._frames < _FIRST_FRAMES or began < self._next_s:
            return
        try:
            for person, track in enumerate(choose_tracks(tracker.tracks(), self._selection)):
                self._send(person, track)
        except (NoPersonError, BadInputError):  # a number or a click that is not there yet
            log.debug("no preview: no person is visible yet")
        took = time.monotonic() - began
        self.spent_s += took
        self._next_s = began + max(_EVERY_S if self._sent else 0.1, took / _SHARE)

    def _send(self, person: int, track: PersonTrack) -> None:
        start = max(self._sent.get(track.track_id, 0), len(track.frame_index) - _LONGEST_FRAMES)
        fresh = track_rows(track, start, len(track.frame_index))
        if self._on_chunk is None or not (fresh.presence > 0).any():
            return
        self._sent[track.track_id] = len(track.frame_index)
        poses = self._solve(fresh)
        keep = np.isfinite(poses.rotations_wxyz).all(axis=(1, 2))
        if keep.any():
            self._on_chunk(
                SolvedChunk(
                    person=person,
                    space="camera",
                    frame_index=fresh.frame_index[keep],
                    times_s=fresh.times_s[keep],
                    rotations_wxyz=poses.rotations_wxyz[keep],
                    root_m=poses.root_camera_m[keep],
                    joints_camera_m=poses.joints_camera_m[keep],
                    confidence=np.nan_to_num(poses.confidence[keep]),
                )
            )
