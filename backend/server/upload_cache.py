"""Uploaded videos between two jobs: looked through for people, and wanted again for the capture. stdlib.

    <folder>/<hash of the owner>-<SHA-256 of the video>

A video comes here by a rename and leaves by one, so it is in one place at a time and never half there. Only the owner
who uploaded it gets it again, and not for long.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import time
from pathlib import Path

from backend.server.logs import log_event
from blender_addon.wire.messages import Source

_SWEEP_S = 1.0


class UploadCache:
    """Videos that may be taken again for `keep_s` seconds, together at most `most_bytes`; the oldest go first.

    All go while the disk has less than `least_free_bytes`: what is wanted for sure needs it more.
    """

    def __init__(self, folder: Path, keep_s: float, most_bytes: int, least_free_bytes: int = 0) -> None:
        self._folder = folder
        self._keep_s = keep_s
        self._most_bytes = most_bytes
        self._least_free_bytes = least_free_bytes
        self._next_sweep_s = 0.0
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def put(self, owner: str, source: Source, path: Path) -> None:
        """Keep a complete upload that its job needs no more. Raises OSError when the disk refuses."""
        if self._keep_s <= 0 or source.size_bytes > self._most_bytes:
            path.unlink()
            return
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # somebody may have removed it
        os.utime(path)
        os.replace(path, self._place(owner, source))
        self._bound()

    def take(self, owner: str, source: Source, path: Path) -> bool:
        """Move the same owner's same video to `path`; False where it is not kept."""
        place = self._place(owner, source)
        try:
            if time.time() - place.stat().st_mtime > self._keep_s or place.stat().st_size != source.size_bytes:
                return False
            os.replace(place, path)
        except OSError:
            return False
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
        for place, found in places:
            if time.time() - found.st_mtime > self._keep_s:
                _drop(place, "too old")

    def clear(self) -> None:
        """Drop everything: the disk is full, or the server stops."""
        for place, _ in self._places():
            _drop(place, "cleared")

    def _bound(self) -> None:
        places = sorted(self._places(), key=lambda item: item[1].st_mtime)
        total = sum(found.st_size for _, found in places)
        for place, found in places:
            if total <= self._most_bytes:
                return
            total -= found.st_size
            _drop(place, "no room")

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


def _drop(place: Path, why: str) -> None:
    try:
        place.unlink(missing_ok=True)
        log_event("kept upload dropped", why=why)
    except OSError as fault:
        log_event("kept upload cannot be dropped", logging.WARNING, reason=str(fault))
