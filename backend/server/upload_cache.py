"""Uploaded videos between two jobs: looked through for people, and wanted again for the capture. stdlib.

    <folder>/<hash of the owner>-<SHA-256 of the video>

A video comes here by a rename and leaves by one, so it is in one place at a time and never half there. Only the owner
who uploaded it gets it again, and not for long.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import shutil
import time
from collections import Counter
from pathlib import Path

from backend.server.logs import log_event
from blender_addon.wire.messages import Source

_SWEEP_S = 1.0


class UploadCache:
    """Videos that may be taken again for `keep_s` seconds, together at most `most_bytes`.

    Where there are more, the oldest of the client that has most goes first: one client's do not push out another's.
    All go while the disk has less than `least_free_bytes`: what is wanted for sure needs it more.
    """

    def __init__(self, folder: Path, keep_s: float, most_bytes: int, least_free_bytes: int = 0) -> None:
        self._folder = folder
        self._keep_s = keep_s
        self._most_bytes = most_bytes
        self._least_free_bytes = least_free_bytes
        self._next_sweep_s = 0.0
        self._since_s: dict[str, float] = {}  # by name, of a clock that does not leap
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for place, found in self._places():  # of a server that was killed
            self._since_s[place.name] = time.monotonic() - max(0.0, time.time() - found.st_mtime)

    def put(self, owner: str, source: Source, path: Path) -> None:
        """Keep a complete upload that its job needs no more. Raises OSError when the disk refuses."""
        if self._keep_s <= 0 or source.size_bytes > self._most_bytes:
            path.unlink()
            return
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # somebody may have removed it
        os.utime(path)
        os.replace(path, self._place(owner, source))
        self._since_s[self._place(owner, source).name] = time.monotonic()
        self._bound()

    def take(self, owner: str, source: Source, path: Path) -> bool:
        """Move the same owner's same video to `path`; False where it is not kept."""
        place = self._place(owner, source)
        try:
            if self._age_s(place) > self._keep_s or place.stat().st_size != source.size_bytes:
                return False
            os.replace(place, path)
        except OSError:
            return False
        self._since_s.pop(place.name, None)
        return True

    def sweep(self, now_s: float) -> None:
        """Drop what is too old, or all when the disk fills; looks once a second of `time.monotonic()`."""
        if now_s < self._next_sweep_s:
            return
        self._next_sweep_s = now_s + _SWEEP_S
        places = self._places()
        if places and shutil.disk_usage(self._folder).free < self._least_free_bytes:
            self.clear()
            return
        for place, _ in places:
            if self._age_s(place) > self._keep_s:
                self._drop(place, "too old")

    def clear(self) -> None:
        """Drop everything: the disk is full, or the server stops."""
        for place, _ in self._places():
            self._drop(place, "cleared")

    def _bound(self) -> None:
        places = sorted(self._places(), key=lambda item: -self._age_s(item[0]))
        held: Counter[str] = Counter()
        for place, found in places:
            held[_owner_of(place)] += found.st_size
        while places and held.total() > self._most_bytes:
            largest = held.most_common(1)[0][0]
            place, found = next(item for item in places if _owner_of(item[0]) == largest)
            places.remove((place, found))
            held[largest] -= found.st_size
            self._drop(place, "no room")

    def _age_s(self, place: Path) -> float:
        """How long a video is kept; one that nobody put here is too old for everything."""
        return time.monotonic() - self._since_s.get(place.name, -math.inf)

    def _drop(self, place: Path, why: str) -> None:
        self._since_s.pop(place.name, None)
        _drop(place, why)

    def _place(self, owner: str, source: Source) -> Path:
        return self._folder / f"{hashlib.sha256(owner.encode()).hexdigest()[:32]}-{source.sha256}"

    def _places(self) -> list[tuple[Path, os.stat_result]]:
        """The kept videos; empty where the folder is gone. The service's loop must not end over somebody's `rm`."""
        try:
            return [(place, place.stat()) for place in self._folder.iterdir() if place.is_file()]
        except FileNotFoundError:
            return []
        except OSError as fault:
            log_event("kept uploads cannot be read", logging.WARNING, reason=str(fault))
            return []


def _owner_of(place: Path) -> str:
    return place.name.partition("-")[0]


def _drop(place: Path, why: str) -> None:
    try:
        place.unlink(missing_ok=True)
        log_event("kept upload dropped", why=why)
    except OSError as fault:
        log_event("kept upload cannot be dropped", logging.WARNING, reason=str(fault))
