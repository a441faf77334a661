"""What the solve of a take tells while it works: which video the progress is about, and poses for a preview."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from backend.multiview.take_request import TakeRequest, TakeResult
from backend.people.options import Choice
from backend.pipeline import WatchedVideo
from backend.solving.request import ChunkCallback, SolvedChunk
from backend.types import Progress, ProgressCallback
from blender_addon.motion.clip_warning import ClipWarning, WarningCode


def about_video(progress: ProgressCallback, place: int) -> ProgressCallback:
    """The same callback for the work on one video, which is counted from 1."""

    def tell(now: Progress) -> None:
        progress(replace(now, video=place + 1))

    return tell


def choice_elsewhere(request: TakeRequest, used: Sequence[int]) -> tuple[ClipWarning, ...]:
    """A warning where a number or a point chose a person in the first video, and this one takes no part: in another
    video it may be somebody else.
    """
    if not used or used[0] == 0 or request.videos[0].person.choice not in (Choice.INDEX, Choice.CLICK):
        return ()
    text = (
        f"the person was chosen in video 1, which is left out: check who was solved, by their number in video "
        f"{used[0] + 1}"
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
