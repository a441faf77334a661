"""The path of a camera that moves: its turns, its travel, and the scale of the travel.

May import `backend.camera`, `backend.world` and its own room.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Final

from backend.camera.feature_tracks import follow_features
from backend.camera.path import CameraPath, follow_camera
from backend.camera.travel import find_travel
from backend.solving.job import SolveJob
from backend.types import CancelToken, Frame, PersonTrack, PoseTrack, Progress, ProgressCallback
from backend.world import WorldOptions, scale_travel

STOPPED_CAMERA: Final = "stopped early: the motion of the camera was not followed, so it is taken as still"
"""What the user is told where the passes that follow the camera were cancelled."""
# features of more frames need too much memory, and seldom share enough to be reconstructed together
MOST_TRAVEL_FRAMES: Final = 9000
_TURNS, _TRAVEL = "camera", "travel"
# of the time for travel, features take this part
_FEATURES_PART: Final = 0.3
_TELL_S: Final = 0.5


class _Stopped(Exception):
    """The user cancelled."""


@dataclass(slots=True)
class _Work:
    """Work of one stage in `total` units, told now and then; raises _Stopped after a cancel."""

    stage: str
    total: int
    progress: ProgressCallback
    cancel: CancelToken
    _begun_s: float = field(default_factory=time.monotonic)
    _told_s: float = -1.0

    def tell(self, share: float) -> None:
        """Tell the share 0 to 1 that is done."""
        if self.cancel.cancelled:
            raise _Stopped
        now = time.monotonic()
        if now - self._told_s < _TELL_S:
            return
        self._told_s = now
        left = (now - self._begun_s) * (1.0 - share) / share if share > 0.0 else None
        self.progress(Progress(self.stage, min(round(share * self.total), self.total), self.total, left))


def with_camera_path(job: SolveJob, cancel: CancelToken) -> SolveJob:
    """With the path of a moving camera: its turns, found in a second pass over the video, and in a third one its
    travel, where the turns leave something unexplained. As it is for a still one, and for one that cannot be followed.

    A cancel ends the passes: the camera then counts as still, and the clip says so. Where the user had cancelled
    before, the frames that were seen get their turns alone. Raises VideoError.
    """
    tracked = job.tracked
    if not tracked.camera_moves or not len(tracked.frame_index):
        return job
    stopped_before = cancel.cancelled
    if stopped_before:
        cancel = CancelToken()
    try:
        path = _path(job, cancel, turns_alone=stopped_before)
    except _Stopped:
        return replace(job, cautions=(*job.cautions, STOPPED_CAMERA))
    return job if path is None else replace(job, tracked=replace(tracked, camera_path=path))


def _path(job: SolveJob, cancel: CancelToken, turns_alone: bool) -> CameraPath | None:
    tracked, intrinsics, count = job.tracked, job.intrinsics, len(job.tracked.frame_index)
    turning = _Work(_TURNS, count, job.progress, cancel)
    path = follow_camera(_again(job, turning, 1.0), tracked.tracks, intrinsics, tracked.cuts_s)
    if path.may_travel and not turns_alone and not tracked.cuts_s and count <= MOST_TRAVEL_FRAMES:
        travelling = _Work(_TRAVEL, 100, job.progress, cancel)
        features = follow_features(_again(job, travelling, _FEATURES_PART), tracked.tracks, intrinsics)
        rest = 1.0 - _FEATURES_PART
        travel = find_travel(features, lambda share: travelling.tell(_FEATURES_PART + rest * share))
        if travel is not None:
            return travel
    return path if path.turns_only else None


def _again(job: SolveJob, work: _Work, part: float) -> Iterator[Frame]:
    """The frames that were watched, once more: a part of the work."""
    last, count = int(job.tracked.frame_index[-1]), len(job.tracked.frame_index)
    for done, frame in enumerate(takewhile(lambda frame: frame.index <= last, job.reader.frames())):
        work.tell(part * min(done / count, 1.0))
        yield frame


def with_travel_in_metres(
    job: SolveJob, poses: Sequence[PoseTrack], still: Sequence[PersonTrack], options: WorldOptions
) -> tuple[SolveJob, WorldOptions]:
    """With the travel of the camera in metres; without it where neither floor nor feet give its scale."""
    path = job.tracked.camera_path
    if path is None or path.travel is None:
        return job, options
    options = scale_travel(list(zip(poses, still, strict=True)), job.intrinsics, options, path.travel)
    return replace(job, tracked=replace(job.tracked, camera_path=replace(path, travel=options.travel))), options
