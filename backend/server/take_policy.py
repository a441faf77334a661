"""Which takes a server takes in: how many videos, of which kinds, and what is known of them. stdlib and `wire`."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from backend.server.errors import RequestRefused
from blender_addon.motion.input_limits import LONGEST_DOWN, SHORTEST_DOWN
from blender_addon.wire.records import MAX_SETUP_CHARS, MOST_TAKE_VIDEOS, CalibrationFile
from blender_addon.wire.requests import Submit

_MOST_OFFSET_S = 86_400.0
_MOST_NAME_BYTES = 200  # a disk takes 255, and a mark follows while it is written
# it becomes the name of a file in the job's folder: no folder, no drive and no stream of Windows
_NO_NAME = r'/\\:*?"<>|\x00-\x1f\x7f'
_CALIBRATION_NAME = re.compile(rf"[^.{_NO_NAME}][^{_NO_NAME}]*\.(?:json|toml|yml|yaml|xml)", re.IGNORECASE)


def check_down(direction: Sequence[float]) -> None:
    """Raise RequestRefused for a direction down that no worker could use, before a video is uploaded."""
    if direction and not (len(direction) == 3 and SHORTEST_DOWN < math.hypot(*direction) < LONGEST_DOWN):
        length = f"a length between {SHORTEST_DOWN:g} and {LONGEST_DOWN:g}"
        what = f"The gravity vector must consist of three numbers and have {length}"
        raise RequestRefused("bad_request", what, "Give for example 0, 1, 0 for a level camera")


def check_take(request: Submit, most_upload_bytes: int) -> None:
    """Raise RequestRefused for a take that no worker could solve, before its videos are uploaded."""
    videos = (request.source, *request.more_sources)
    if len(videos) == 1:
        if request.take.offsets or request.take.setup or request.take.close_ups or request.take.calibration:
            what = "Offsets, close-ups, a set-up and a calibration are for several videos, and there is one"
            raise RequestRefused("bad_request", what)
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
    if not 0 <= request.take.close_ups < count:
        raise RequestRefused(
            "bad_request", f"{count} videos have 0 to {count - 1} close-ups", "Name the close-ups last, after the body"
        )
    if sum(len(text) for text in request.take.setup) > MAX_SETUP_CHARS:
        raise RequestRefused("too_large", f"A set-up has at most {MAX_SETUP_CHARS} characters")
    if request.take.setup and request.take.calibration:
        raise RequestRefused("bad_request", "The cameras are given twice", "Use a calibration or a set-up")
    _check_calibration(request.take.calibration)


def _check_calibration(files: Sequence[CalibrationFile]) -> None:
    if sum(len(text) for file in files for text in file.text) > MAX_SETUP_CHARS:
        raise RequestRefused("too_large", f"A calibration has at most {MAX_SETUP_CHARS} characters")
    names = [file.name for file in files]
    for name in names:
        if len(name.encode()) > _MOST_NAME_BYTES or not _CALIBRATION_NAME.fullmatch(name):
            what = f"{name[:_MOST_NAME_BYTES]!r} is not the name of a calibration file"
            remedy = 'Give it a shorter name without \\ / : * ? " < > |, and the ending .toml, .json, .yml or .xml'
            raise RequestRefused("bad_request", what, remedy)
    if len({name.lower() for name in names}) < len(names):
        raise RequestRefused("bad_request", "Two calibration files have the same name", "Rename one")
