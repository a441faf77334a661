"""Which videos are one take: those that lie together in a folder, or that a manifest names together.

stdlib and `backend.batch.tasks` only.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Final

from backend.batch.tasks import ClipTask, Fault

MOST_VIDEOS: Final = 16
VIDEO_SUFFIXES: Final = frozenset(
    [
        *(".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg"),
        *(".mts", ".m2ts", ".ts", ".mxf", ".wmv", ".flv", ".ogv", ".3gp"),
    ]
)


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
    return replace(take_of(videos, template), word=folder.name)


def take_of_folder(folder: Path, template: ClipTask) -> ClipTask:
    """The order for the videos directly in a folder, in the order of their names; numbers in names count as numbers."""
    found = [path for path in folder.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()]
    videos = sorted((path for path in found if not path.name.startswith(".")), key=_by_name)
    return replace(take_of(videos, replace(template, source=str(folder.absolute()))), word=folder.absolute().name)


def take_of(videos: Sequence[Path], template: ClipTask) -> ClipTask:
    """The order for these videos as one take; it carries its trouble where they are too few or too many."""
    if not 2 <= len(videos) <= MOST_VIDEOS:
        what = f"A take has 2 to {MOST_VIDEOS} videos, {template.source} names {len(videos)}"
        return replace(template, trouble=Fault("bad_input", what, "Name every video of the take, or leave --takes out"))
    first, *more = (str(video.absolute()) for video in videos)
    return replace(template, source=first, more_videos=tuple(more), word=videos[0].stem)


def _by_name(path: Path) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", path.name.lower())
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts]
