"""The path of a camera that moves: its turns, its travel, and how large the travel is.

May import `backend.camera`, `backend.world` and its own room.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import takewhile

from backend.camera.feature_tracks import follow_features
from backend.camera.path import follow_camera
from backend.camera.travel import find_travel
from backend.solving.job import SolveJob
from backend.solving.video_pass import TrackedVideo
from backend.types import Frame, PersonTrack, PoseTrack, Progress
from backend.world import WorldOptions, size_travel

_TELL_FRAMES = 30  # progress is told as often while the camera is followed


def with_camera_path(job: SolveJob) -> TrackedVideo:
    """With the path of a moving camera: its turns, found in a second pass over the video, and in a third one its
    travel, where the turns leave something unexplained. As it is for a still one, and for one that cannot be followed.
    """
    tracked, intrinsics = job.tracked, job.intrinsics
    if not tracked.camera_moves or not len(tracked.frame_index):
        return tracked
    path = follow_camera(_again(job), tracked.tracks, intrinsics, tracked.cuts_s)
    if path.may_travel and not tracked.cuts_s:
        travel = find_travel(follow_features(_again(job), tracked.tracks, intrinsics))
        if travel is not None:
            return replace(tracked, camera_path=travel)
    return replace(tracked, camera_path=path) if path.turns_only else tracked


def _again(job: SolveJob) -> Iterator[Frame]:
    """The frames that were watched, once more."""
    last, count = int(job.tracked.frame_index[-1]), len(job.tracked.frame_index)
    for done, frame in enumerate(takewhile(lambda frame: frame.index <= last, job.reader.frames())):
        if done % _TELL_FRAMES == 0:
            job.progress(Progress("camera", min(done, count), count))
        yield frame


def with_travel_in_metres(
    job: SolveJob, poses: Sequence[PoseTrack], still: Sequence[PersonTrack], options: WorldOptions
) -> tuple[SolveJob, WorldOptions]:
    """With the travel of the camera in metres; without it where no standing foot tells how large it is."""
    path = job.tracked.camera_path
    if path is None or path.eyes is None:
        return job, options
    options = size_travel(list(zip(poses, still, strict=True)), job.intrinsics, options, path.eyes)
    return replace(job, tracked=replace(job.tracked, camera_path=replace(path, eyes=options.eyes))), options
