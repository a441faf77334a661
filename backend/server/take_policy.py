"""Which takes a server takes in: how many videos, of which kinds, and what is known of them. stdlib and `wire`."""

from __future__ import annotations

from backend.server.errors import RequestRefused
from blender_addon.wire.records import MAX_SETUP_CHARS, MOST_TAKE_VIDEOS
from blender_addon.wire.requests import Submit

_MOST_OFFSET_S = 86_400.0


def check_take(request: Submit, most_upload_bytes: int) -> None:
    """Raise RequestRefused for a take that no worker could solve, before its videos are uploaded."""
    videos = (request.source, *request.more_sources)
    if len(videos) == 1:
        if request.take.offsets or request.take.setup:
            raise RequestRefused("bad_request", "Offsets and a set-up are for several videos, and there is one")
        return
    if request.task != "solve":
        raise RequestRefused(
            "bad_request", f"The task {request.task!r} is about one video", "Submit the first video of the take for it"
        )
    if len(videos) > MOST_TAKE_VIDEOS:
        raise RequestRefused("too_large", f"A take has 2 to {MOST_TAKE_VIDEOS} videos, not {len(videos)}")
    if any(video.kind == "live" for video in videos):
        raise RequestRefused("unsupported", "A live source cannot be part of a take", "Record it, and submit the file")
    total = sum(video.size_bytes for video in videos if video.kind == "upload")
    if total > most_upload_bytes:
        raise RequestRefused(
            "too_large", f"The videos of a take have at most {most_upload_bytes} bytes, not {total}", "Trim the videos"
        )
    _check_known(request, len(videos))


def _check_known(request: Submit, count: int) -> None:
    if any(abs(offset.start_s) > _MOST_OFFSET_S for offset in request.take.offsets):
        raise RequestRefused("bad_request", "An offset is a number of seconds within a day", "Check the offsets")
    places = [offset.source for offset in request.take.offsets]
    if len(set(places)) != len(places) or not all(0 < place < count for place in places):
        raise RequestRefused("bad_request", f"Offsets are for the videos 1 to {count - 1}, each at most once")
    if sum(len(text) for text in request.take.setup) > MAX_SETUP_CHARS:
        raise RequestRefused("too_large", f"A set-up has at most {MAX_SETUP_CHARS} characters")
