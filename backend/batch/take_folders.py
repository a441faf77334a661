"""Which videos are one take: those that lie together in a folder, or that a manifest names together.

In a folder, videos that are called close-ups are the take's close-ups, and a file that is called a calibration is that
of its cameras. May import stdlib, `backend.batch.tasks` and `blender_addon.motion`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Final

from backend.batch.tasks import ClipTask, Fault
from blender_addon.motion.close_up_name import is_close_up_name

MOST_VIDEOS: Final = 16
VIDEO_SUFFIXES: Final = frozenset(
    [
        *(".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg"),
        *(".mts", ".m2ts", ".ts", ".mxf", ".wmv", ".flv", ".ogv", ".3gp"),
    ]
)


_CALIBRATIONS: Final = frozenset({".toml", ".json", ".yml", ".yaml", ".xml"})
_CALIBRATION_FOLDER: Final = "calibration"


def joined_takes(orders: Sequence[ClipTask], apart: Collection[ClipTask] = ()) -> list[ClipTask]:
    """The orders with the videos of each folder joined to one take, in the place of the first; `apart` stay apart.

    A take has the folder's name, and lies where the folder does.
    """
    folders: dict[Path, list[ClipTask]] = {}
    for order in orders:
        if order not in apart and Path(order.source).suffix.lower() in VIDEO_SUFFIXES and order.trouble is None:
            folders.setdefault(Path(order.source).parent, []).append(order)
    takes = {folder: _joined(folder, held) for folder, held in folders.items()}
    joined = [
        take
        if (take := takes.get(Path(order.source).parent)) and order in folders[Path(order.source).parent]
        else order
        for order in orders
    ]
    return list(dict.fromkeys(joined))


def _joined(folder: Path, held: Sequence[ClipTask]) -> ClipTask:
    """The one order of a folder: a take, or the only video as it was."""
    videos = sorted({Path(order.source) for order in held}, key=_by_name)
    if len(videos) == 1:
        return held[0]
    above = PurePosixPath(held[0].folder).parent.as_posix()
    template = replace(held[0], source=str(folder), folder="" if above == "." else above)
    return replace(_take_in(folder, videos, template), word=folder.name)


def take_of_folder(folder: Path, template: ClipTask) -> ClipTask:
    """The order for the videos directly in a folder, in the order of their names; numbers in names count as numbers.

    It carries its trouble where the folder cannot be read.
    """
    template = replace(template, source=str(folder.absolute()), word=folder.absolute().name)
    try:
        found = [path for path in folder.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()]
        videos = sorted((path for path in found if not path.name.startswith(".")), key=_by_name)
        return replace(_take_in(folder, videos, template), word=template.word)
    except OSError as fault:
        what = f"The folder {folder} cannot be read: {fault.strerror or fault}"
        return replace(template, trouble=Fault("bad_input", what, "Check the folder and its permissions"))


def _take_in(folder: Path, videos: Sequence[Path], template: ClipTask) -> ClipTask:
    """The take of a folder's videos, with its close-ups and its calibration by their names; what the template says
    comes first.
    """
    named = {Path(video).resolve() for video in template.close_ups}
    others = [video for video in videos if video.resolve() not in named]
    bodies = [video for video in others if not is_close_up_name(video.name)] or others
    close_ups = [str(video.absolute()) for video in others if video not in bodies]
    template = replace(template, close_ups=template.close_ups or tuple(close_ups))
    if not (template.solve.calibration or template.solve.setup):
        found = _calibrations_in(folder)
        if len(found) > 1:
            what = f"The folder {folder} has {len(found)} calibration files: {', '.join(path.name for path in found)}"
            remedy = f"Keep one, put those of one camera each into a folder {_CALIBRATION_FOLDER}, or name one"
            return replace(template, trouble=Fault("bad_input", what, remedy))
        calibration = str(found[0].absolute()) if found else ""
        template = replace(template, solve=replace(template.solve, calibration=calibration))
    return take_of(bodies, template)


def _calibrations_in(folder: Path) -> list[Path]:
    """The files of a folder that are called a calibration, or the folder in it that is."""
    return sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".")  # `._calib.toml`, which macOS leaves on other disks, is none
        if (path.is_file() and path.suffix.lower() in _CALIBRATIONS and "calib" in path.stem.lower())
        or (path.is_dir() and path.name.lower() == _CALIBRATION_FOLDER)
    )


def take_of(videos: Sequence[Path], template: ClipTask) -> ClipTask:
    """The order for these videos and the template's close-ups as one take; it carries its trouble where they are too
    few or too many.
    """
    least = 1 if template.close_ups else 2
    if not least <= len(videos) <= MOST_VIDEOS:
        what = f"A take has 2 to {MOST_VIDEOS} videos, {template.source} names {len(videos)}"
        return replace(template, trouble=Fault("bad_input", what, "Name every video of the take, or leave --takes out"))
    if len(template.close_ups) > MOST_VIDEOS:
        what = f"A take has {MOST_VIDEOS} close-ups at most, {template.source} has {len(template.close_ups)}"
        return replace(template, trouble=Fault("bad_input", what, "Leave some out"))
    first, *more = (str(video.absolute()) for video in videos)
    return replace(template, source=first, more_videos=tuple(more), word=videos[0].stem)


def _by_name(path: Path) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", path.name.lower())
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts]
