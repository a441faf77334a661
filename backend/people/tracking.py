"""The people stage as one call: frames in, chosen tracks out. May import backend.people, backend.types."""

from __future__ import annotations

import time
from collections.abc import Iterable

from backend.people.choose import choose_tracks
from backend.people.networks import PeopleNetworks
from backend.people.options import PeopleOptions
from backend.people.tracker import PeopleTracker
from backend.types import CancelToken, Frame, PersonTrack, Progress, ProgressCallback, VideoInfo

STAGE = "people"


def track_people(
    frames: Iterable[Frame],
    info: VideoInfo,
    options: PeopleOptions,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
    networks: PeopleNetworks | None = None,
) -> list[PersonTrack]:
    """Follow everybody through `frames` and return the people that `options.selection` wants, by track number.

    `info.frame_count` is only for the progress. NoPersonError when nobody is found; Cancelled; WeightsError.
    """
    started, done = time.monotonic(), 0
    with PeopleTracker(options, networks) as tracker:
        for frame in frames:
            if cancel is not None:
                cancel.raise_if_cancelled()
            tracker.update(frame)
            done += 1
            if progress is not None:
                left = max(info.frame_count - done, 0)
                progress(Progress(STAGE, done, max(info.frame_count, done), left * (time.monotonic() - started) / done))
        tracker.flush()
        return choose_tracks(tracker.tracks(), options.selection)
