"""Where the videos of a clip lie on this computer, and the search for those that are gone. May import bpy."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from ..motion.clip import MotionClip

_MOST_FILES = 100_000
_LOOK_AGAIN_S = 2.0  # panels draw often, and a file on a server is slow to ask for


@dataclass(frozen=True, slots=True)
class Found:
    """What a search brought: how many videos were found, and the names of those that are still missing, with why."""

    count: int
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClipVideo:
    """A video of a clip: the path that is known of it, and its file, None where there is none."""

    path: str
    file: Path | None

    @property
    def name(self) -> str:
        """The name of the file."""
        return file_name(self.path)


_shown: dict[tuple[str, ...], tuple[float, list[ClipVideo]]] = {}


def videos_of(entry: Any, clip: MotionClip) -> list[ClipVideo]:
    """The videos of a clip in the order of its cameras, or its only one."""
    sources = source_names(clip)
    named = _named(entry, len(sources))
    paths = [bpy.path.abspath(path) if path else source for path, source in zip(named, sources, strict=True)]
    return [ClipVideo(*video) for video in zip(paths, clip_videos(entry, clip), strict=True)]


def shown_videos(entry: Any, clip: MotionClip) -> list[ClipVideo]:
    """As `videos_of`, for panels: what was found is remembered for a moment."""
    sources = source_names(clip)
    key = (entry.filepath, bpy.data.filepath, *_named(entry, len(sources)), *sources)
    now, seen = time.monotonic(), _shown.get(key)
    if seen is None or now - seen[0] > _LOOK_AGAIN_S:
        _shown.clear()
        seen = _shown[key] = (now, videos_of(entry, clip))
    return seen[1]


def source_names(clip: MotionClip) -> list[str]:
    """The videos of a clip as it names them: one for each camera, or its only one."""
    return [camera.source for camera in clip.header.cameras] or [clip.header.source]


def file_name(source: str) -> str:
    """The last part of a path of this or another system."""
    return _parts(source)[-1] if _parts(source) else source


def clip_videos(entry: Any, clip: MotionClip) -> list[Path | None]:
    """The file of each of a clip's videos, None where there is none.

    Looked for where the list says, where the clip says, and beside the clip, the open file and the other videos.
    """
    sources = source_names(clip)
    named = _named(entry, len(sources))
    tried = [[bpy.path.abspath(path)] if path else [] for path in named]
    places = [Path(bpy.path.abspath(entry.filepath)).parent]
    if bpy.data.filepath:
        places.append(Path(bpy.data.filepath).parent)
    places += [Path(path[0]).parent for path in tried if path]
    result: list[Path | None] = []
    for source, paths in zip(sources, tried, strict=True):
        beside = [place / file_name(path) for path in (*paths, source) if path for place in places]
        candidates = [*map(Path, paths), *([Path(source)] if source else []), *beside]
        result.append(next((path for path in candidates if _is_file(path)), None))
    return result


def main_video(entry: Any, clip: MotionClip) -> Path | None:
    """The file of the video that a clip's frames and times are from, None where there is none."""
    used = [place for place, camera in enumerate(clip.header.cameras) if camera.used]
    return clip_videos(entry, clip)[used[0] if used else 0]


def find_videos(entry: Any, clip: MotionClip, folder: Path) -> Found:
    """Look for the videos of a clip that are not there in a folder and those below it, and keep where they are.

    Of several files of one name the one whose folders agree with the old path is taken; where that does not decide,
    none.
    """
    sources, present = source_names(clip), clip_videos(entry, clip)
    named = _named(entry, len(sources))
    wanted = {place: named[place] or sources[place] for place, path in enumerate(present) if path is None}
    files = _files_by_name(folder, {os.path.normcase(file_name(path)) for path in wanted.values()})
    taken = {os.path.normcase(path) for path in present if path is not None}
    count, missing = 0, []
    for place, path in wanted.items():
        fits = [
            file for file in files.get(os.path.normcase(file_name(path)), []) if os.path.normcase(file) not in taken
        ]
        best = _best(fits, path)
        if len(best) == 1:
            set_video(entry, place, best[0], len(sources))
            count += 1
        else:
            missing.append(f"{file_name(path)} ({len(best)} files of this name)" if best else file_name(path))
    return Found(count, tuple(missing))


def set_video(entry: Any, place: int, path: Path, count: int) -> None:
    """Say where a video of a clip lies; `count` is the number of the clip's videos."""
    if count == 1:
        entry.video = str(path)
        return
    while len(entry.videos) < count:
        entry.videos.add()
    entry.videos[place].filepath = str(path)


def set_videos(entry: Any, paths: Sequence[Path]) -> None:
    """Say where all videos of a clip lie."""
    entry.videos.clear()
    for path in paths:
        entry.videos.add().filepath = str(path)


def _named(entry: Any, count: int) -> list[str]:
    """The paths that the list says, "" where it does not."""
    if count == 1:
        return [entry.video]
    rows = [row.filepath for row in entry.videos]
    return [*rows, *[""] * count][:count]


def _parts(path: str) -> list[str]:
    return [part for part in path.replace("\\", "/").split("/") if part]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _files_by_name(folder: Path, names: set[str]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in _walk(folder):
        name = os.path.normcase(path.name)
        if name in names:
            found.setdefault(name, []).append(path)
    return found


def _walk(folder: Path) -> Iterator[Path]:
    seen = 0
    for here, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            seen += 1
            if seen > _MOST_FILES:
                return
            yield Path(here) / name


def _best(files: Sequence[Path], old: str) -> list[Path]:
    """The files that share most folders with the old path, from the end."""
    wanted = _parts(old)[::-1]

    def shared(file: Path) -> int:
        count = 0
        for ours, theirs in zip(_parts(str(file))[::-1], wanted, strict=False):
            if os.path.normcase(ours) != os.path.normcase(theirs):
                break
            count += 1
        return count

    most = max(map(shared, files), default=0)
    return [file for file in files if shared(file) == most]
