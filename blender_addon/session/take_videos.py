"""The videos of the next capture where there are several: their files, faults, offsets and results. May import bpy."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import bpy

from ..client.job_state import JobRequest
from ..client.take_options import CALIBRATION_ENDINGS, SETUP_NAME, is_calibration_name
from ..motion.clip import ClipHeader
from ..motion.clip_cameras import ClipCamera
from ..motion.clip_warning import WarningCode
from ..motion.close_up_name import is_close_up_name
from ..wire.records import MAX_SETUP_CHARS, MOST_TAKE_VIDEOS

_SETUP_FORMAT = "marionet-setup"
_LOOK_AGAIN_S = 2.0  # panels draw often, and a file on a server is slow to ask for


@dataclass(frozen=True, slots=True)
class _Look:
    """What is wrong with a file, empty where nothing is; what it is recognised by, and when it was changed."""

    fault: str
    identity: tuple[int, int] | str = ""
    changed_ns: int = 0
    is_folder: bool = False


_looked: dict[str, tuple[float, _Look]] = {}


def is_take(capture: Any) -> bool:
    """Whether the next capture has several videos."""
    return capture.source == "FILE" and len(capture.more_videos) > 0


def is_close_up(row: Any) -> bool:
    """Whether a further video shows the face or the hands alone."""
    return bool(row.role == "CLOSE_UP")


def row_numbers(capture: Any) -> list[int]:
    """The number of each further video, as the backend counts them: the first one is 1, close-ups come last."""
    rows = list(capture.more_videos)
    order = sorted(range(len(rows)), key=lambda place: is_close_up(rows[place]))
    return [2 + order.index(place) for place in range(len(rows))]


def _in_order(capture: Any) -> list[Any]:
    """The further videos in the order of their numbers."""
    return sorted(capture.more_videos, key=is_close_up)


def close_up_count(capture: Any) -> int:
    """How many of the videos are close-ups."""
    return sum(is_close_up(row) for row in capture.more_videos)


def video_paths(capture: Any) -> list[Path]:
    """Absolute paths of all videos of a take in the order of their numbers."""
    named = [capture.video, *(row.filepath for row in _in_order(capture))]
    return [Path(bpy.path.abspath(path)) for path in named]


def video_faults(capture: Any) -> list[str]:
    """What is wrong with the file of each video in the order of their numbers; empty where nothing is."""
    named = [capture.video, *(row.filepath for row in _in_order(capture))]
    faults: list[str] = []
    known: dict[tuple[int, int] | str, int] = {}
    for number, path in enumerate(named, 1):
        look = _look_at(bpy.path.abspath(path)) if path else _Look("choose a file")
        fault, identity = look.fault, look.identity
        if not fault and identity in known:
            fault = f"it is the same file as video {known[identity]}: choose that of the other camera"
        elif not fault:
            known[identity] = number
        faults.append(fault)
    return faults


def why_no_take(capture: Any) -> str:
    """Why a capture of several videos cannot be started with these settings; empty when it can."""
    for number, fault in enumerate(video_faults(capture), 1):
        if fault:
            return f"Video {number}: {fault}"
    if len(capture.more_videos) >= MOST_TAKE_VIDEOS:
        return f"At most {MOST_TAKE_VIDEOS} videos can be solved together: remove some"
    if capture.use_setup and capture.use_calibration:
        return "Use Set-up and Use Calibration both say where the cameras stand: switch one of them off"
    return _why_no_setup(capture) or _why_no_calibration(capture)


def _why_no_calibration(capture: Any) -> str:
    if not capture.use_calibration:
        return ""
    if not capture.calibration_file:
        return "Choose the calibration file, or switch Use Calibration off"
    path = Path(bpy.path.abspath(capture.calibration_file))
    look = _look_at(str(path), folders=True)
    if look.fault:
        return f"Calibration {path.name}: {look.fault}"
    if not look.is_folder and not is_calibration_name(path.name):
        return f"{path.name} is not a calibration. Choose a {', '.join(CALIBRATION_ENDINGS)} file"
    return ""


def _why_no_setup(capture: Any) -> str:
    if not capture.use_setup:
        return ""
    if not capture.setup_file:
        return "Choose the set-up file, or switch Use Set-up off"
    path = bpy.path.abspath(capture.setup_file)
    look = _look_at(path)
    if look.fault:
        return f"Set-up {Path(path).name}: {look.fault}"
    cameras = _cameras_of_setup(path, look.changed_ns)
    videos = 1 + len(capture.more_videos) - close_up_count(capture)
    if cameras is None:
        return f"{Path(path).name} is not a set-up. Choose a file that Save Set-up has written"
    if cameras != videos:
        return f"The set-up has {cameras} cameras, and there are {videos} videos: one for each, in the same order"
    return ""


@lru_cache(maxsize=8)
def _cameras_of_setup(path: str, _changed_ns: int) -> int | None:
    """How many cameras a set-up file has; None for a file that is none. What is in them the backend checks."""
    try:
        with open(path, encoding="utf-8") as stream:
            record = json.loads(stream.read(MAX_SETUP_CHARS))
        return len(record["cameras"]) if record["format"] == _SETUP_FORMAT else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _look_at(path: str, folders: bool = False) -> _Look:
    """What a file looks like; remembered for a moment. With `folders` a folder is as good."""
    now = time.monotonic()
    seen = _looked.get(path)
    if seen is None or now - seen[0] > _LOOK_AGAIN_S:
        if len(_looked) > 10 * MOST_TAKE_VIDEOS:
            _looked.clear()
        seen = _looked[path] = (now, _examine(path))
    return _Look("", is_folder=True) if folders and seen[1].is_folder else seen[1]


def _examine(path: str) -> _Look:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return _Look(f"there is no file {path}")
    except (OSError, ValueError) as fault:
        return _Look(f"{path} cannot be read ({getattr(fault, 'strerror', None) or fault})")
    if Path(path).is_dir():
        return _Look(f"{path} is a folder", is_folder=True)
    if found.st_size == 0:
        return _Look(f"{path} is empty")
    identity = (found.st_dev, found.st_ino) if found.st_ino else os.path.normcase(os.path.realpath(path))
    return _Look("", identity, found.st_mtime_ns)


def look_again() -> None:
    """Forget what files looked like a moment ago."""
    _looked.clear()


def given_offsets(capture: Any) -> list[float | None]:
    """The offset of each further video in s in the order of their numbers, None where it is to be found."""
    return [float(row.offset_s) if row.know_offset else None for row in _in_order(capture)]


def setup_path(capture: Any) -> Path | None:
    """The set-up to use, or None."""
    return Path(bpy.path.abspath(capture.setup_file)) if capture.use_setup else None


def calibration_path(capture: Any) -> Path | None:
    """The calibration to use, or None."""
    return Path(bpy.path.abspath(capture.calibration_file)) if capture.use_calibration else None


def add_videos(capture: Any, paths: Sequence[Path]) -> None:
    """Add videos to those of the next capture; the first becomes the first video where there is none yet. Those that
    are called close-ups are entered as such: also the first video, where it was alone and others show the body.
    """
    capture.source = "FILE"
    was_alone = not len(capture.more_videos)
    rest = sorted(paths, key=lambda path: is_close_up_name(path.name))
    if not capture.video and rest:
        capture.video = str(rest.pop(0))
    for path in rest:
        row = capture.more_videos.add()
        row.name, row.filepath = path.name, str(path)
        row.role = "CLOSE_UP" if is_close_up_name(path.name) else "BODY"
    if was_alone and is_close_up_name(Path(capture.video).name):
        _put_body_first(capture)
    capture.more_index = max(len(capture.more_videos) - 1, 0)
    look_again()


def _put_body_first(capture: Any) -> None:
    """Make the first further video that shows the body the first one, and the first one a close-up."""
    place = next((place for place, row in enumerate(capture.more_videos) if not is_close_up(row)), None)
    if place is not None:
        capture.more_videos.move(place, 0)
        move_video(capture, 0, -1)
        capture.more_videos[0].role = "CLOSE_UP"


def choose_videos(capture: Any, paths: Sequence[Path]) -> None:
    """Make these, and no others, the videos of the next capture."""
    capture.more_videos.clear()
    capture.video = ""
    add_videos(capture, paths)


def move_video(capture: Any, place: int, step: int) -> bool:
    """Move a further video, counted from 0, up (-1) or down (1); above the first of them is the first video.

    A close-up is never the first video. Known offsets stay true: all of them count from the first video. Returns
    whether some had to be forgotten.
    """
    rows = capture.more_videos
    target = place + step
    if 0 <= target < len(rows):
        rows.move(place, target)
        capture.more_index = target
        return False
    if target != -1 or not len(rows) or is_close_up(rows[0]):
        return False
    row = rows[0]
    capture.video, row.filepath = row.filepath, capture.video
    row.name = Path(row.filepath).name
    lost = False
    for other in list(rows)[1:]:
        if row.know_offset:
            other.offset_s -= row.offset_s
        elif other.know_offset:
            other.know_offset, lost = False, True
    row.offset_s = -row.offset_s
    return lost


def keep_results(capture: Any, request: JobRequest, header: ClipHeader) -> None:
    """Write what a solve found out about each video into the list; videos that were changed meanwhile get nothing.

    A capture that was stopped has no cameras, and nothing is known.
    """
    results = [capture.first_result, *(row.result for row in _in_order(capture))]
    cameras = {os.path.normcase(path): camera for path, camera in zip(request.bodies, header.cameras, strict=False)}
    close_ups = {os.path.normcase(path) for path in request.videos[len(request.bodies) :]}
    stopped = any(warning.code is WarningCode.STOPPED_EARLY for warning in header.warnings)
    bodies = len(results) - close_up_count(capture)
    for number, (path, result) in enumerate(zip(video_paths(capture), results, strict=True)):
        key = os.path.normcase(path)
        camera = cameras.get(key) if number < bodies else None
        result.solved = camera is not None or (number >= bodies and key in close_ups and not stopped)
        if camera is not None:
            result.used, result.reason = camera.used, camera.reason
            result.start_s, result.error_px = camera.start_s, camera.reprojection_px
        elif result.solved:
            result.reason = _left_out(path.name, header)
            result.used = not result.reason


def _left_out(name: str, header: ClipHeader) -> str:
    """Why a close-up is left out, by the warnings of the clip; empty where it is used."""
    texts = [warning.text for warning in header.warnings if warning.code is WarningCode.VIEW_EXCLUDED]
    return next((text for text in texts if text.startswith(f"{name} is left out")), "")


def main_video(videos: Sequence[Path], cameras: Sequence[ClipCamera]) -> Path:
    """The video whose times and image a clip of these has: the first one that takes part."""
    used = [path for path, camera in zip(videos, cameras, strict=False) if camera.used]
    return (used or list(videos))[0]


def setup_of_clip(clip_file: Path) -> Path | None:
    """The set-up that came with a clip, or None."""
    path = clip_file.with_name(SETUP_NAME)
    return path if path.is_file() else None
