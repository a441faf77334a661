"""A request's video opened, with its camera.

May import `backend.camera`, `backend.video` and its own room's request.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from backend.camera import choose_intrinsics
from backend.errors import BadInputError
from backend.solving.request import SolveRequest
from backend.types import Intrinsics
from backend.video import VideoReader, open_video


@dataclass(frozen=True, slots=True)
class OpenedVideo:
    """A video that can be read, with its camera; the request's click is in the video's pixels."""

    request: SolveRequest
    reader: VideoReader
    intrinsics: Intrinsics


def open_request(request: SolveRequest) -> OpenedVideo:
    """Open a request's video. Raises VideoError, BadInputError."""
    reader = _open(request)
    request = replace(request, person=request.person.in_frame(reader.info.width, reader.info.height))
    return OpenedVideo(request, reader, choose_intrinsics(reader.info, request.camera))


def _open(request: SolveRequest) -> VideoReader:
    reader = open_video(request.video, request.video_options)
    exact, click = reader.info.frame_count_is_exact, request.person.click_frame
    if request.person.click_px is not None and exact and click >= reader.info.frame_count:
        raise click_outside(click, f"the video, which has {reader.info.frame_count} frames")
    return reader


def click_outside(frame: int, span: str) -> BadInputError:
    """The error for a click in a frame that is not there or not read."""
    return BadInputError(
        f"The click of --person lies in frame {frame}, outside {span}", "Frames count from 0, from the video's first"
    )
