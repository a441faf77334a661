"""Which videos are one take: those that lie together in a folder, or that a manifest names together.

stdlib and `backend.batch.tasks` only.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from backend.batch.tasks import ClipTask, Fault

MOST_VIDEOS: Final = 16
VIDEO_SUFFIXES: Final = frozenset(
    [
        *(".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg"),
        *(".mts", ".m2ts", ".ts", ".mxf", ".wmv", ".flv", ".ogv", ".3gp"),
    ]
)


def folders_of_takes(videos: Sequence[Path]) -> list[Path]:
    """The folders that directly hold two videos or more, in order."""
    held = Counter(path.parent for path in videos if path.suffix.lower() in VIDEO_SUFFIXES)
    return sorted(folder for folder, count in held.items() if count > 1)


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
