"""What the solve of a take tells while it works: which video the progress is about, and poses for a preview."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from backend.multiview.take_request import TakeRequest, TakeResult
from backend.people.options import Choice, Selection
from backend.pipeline import WatchedVideo
from backend.solving.request import ChunkCallback, SolvedChunk
from backend.types import Progress, ProgressCallback
from blender_addon.motion.clip_warning import ClipWarning, WarningCode

_OF_FIRST: Final = (Choice.INDEX, Choice.CLICK)


def about_video(progress: ProgressCallback, place: int) -> ProgressCallback:
    """The same callback for the work on one video, which is counted from 1."""

    def tell(now: Progress) -> None:
        progress(replace(now, video=place + 1))

    return tell


def person_in(request: TakeRequest, view: int) -> Selection:
    """Who is solved, chosen among the people of a view. A number or a point counts in the first video alone: in another
    one somebody else has the number, and the point is anywhere.
    """
    chosen = request.videos[0].person
    return chosen if view == 0 or chosen.choice not in _OF_FIRST else Selection(Choice.LARGEST)


def choice_elsewhere(request: TakeRequest, used: Sequence[int]) -> tuple[ClipWarning, ...]:
    """A warning where a number or a point chose a person in the first video, and this one takes no part."""
    if not used or used[0] == 0 or request.videos[0].person.choice not in _OF_FIRST:
        return ()
    text = (
        f"the person was chosen in video 1, which is left out: the largest person in video {used[0] + 1} was solved. "
        f"To solve somebody else, name video {used[0] + 1} first, and choose the person in it"
    )
    return (ClipWarning(WarningCode.VIEW_EXCLUDED, text),)


def tell_poses(result: TakeResult, watched: Sequence[WatchedVideo], on_chunk: ChunkCallback) -> None:
    """The common poses of everybody as chunks in the world. Where the first video takes no part, its previews are of
    other frames than the clip, and nothing is told.
    """
    if result.take.used[:1] != (0,):
        return
    for person, clip in enumerate(result.clips):
        on_chunk(
            SolvedChunk(
                person=person,
                space="world",
                frame_index=watched[0].tracked.frame_index,
                times_s=clip.times_s,
                rotations_wxyz=clip.rotations_wxyz,
                root_m=clip.root_world_m,
                joints_camera_m=clip.joints_camera_m,
                confidence=np.nan_to_num(clip.confidence),
            )
        )
