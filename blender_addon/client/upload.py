"""Videos on their way to a remote backend, in parts, a few at a time, without ever waiting. stdlib and `wire`."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..wire import messages as wire
from ..wire.transport import MAX_PART_BYTES
from .link import BackendLink

_WINDOW = 4


class UploadError(Exception):
    """A video that cannot be sent to its end: `code` as in a refusal, what happened, what to do about it."""

    def __init__(self, code: str, words: str, remedy: str) -> None:
        super().__init__(words)
        self.code = code
        self.words = words
        self.remedy = remedy


class _Video:
    """One file: hashed first, then read in parts."""

    def __init__(self, path: Path) -> None:
        self.size_bytes = path.stat().st_size
        self.source: wire.Source | None = None
        self.name = path.name
        self._stream = path.open("rb")
        self._hash = hashlib.sha256()

    def prepare(self, deadline_s: float) -> bool:
        """Hash until the deadline; True when the source is known."""
        while self.source is None:
            data = self._stream.read(MAX_PART_BYTES)
            self._hash.update(data)
            if not data:
                self.source = wire.Source("upload", "", self.name, self.size_bytes, self._hash.hexdigest())
            elif time.perf_counter() >= deadline_s:
                return False
        return True

    def part(self, offset: int) -> bytes:
        """The next part from `offset` on; empty at the end."""
        self._stream.seek(offset)
        return self._stream.read(MAX_PART_BYTES)

    def close(self) -> None:
        """Let the file go."""
        self._stream.close()


class Upload:
    """Reads and hashes the files first (`sources` are there then), then sends parts from where the server stands.

    Every step takes a few milliseconds. Raises OSError when a file cannot be read.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._videos: list[_Video] = []
        try:
            for path in paths:
                self._videos.append(_Video(path))
        except OSError:
            self._close_files()
            raise
        self.size_bytes = sum(video.size_bytes for video in self._videos)
        self.complete = False
        self._place, self._offset = 0, 0
        self._keys: set[int] = set()
        self._job_id = ""
        self._fault: UploadError | None = None

    @property
    def sources(self) -> tuple[wire.Source, ...]:
        """The videos as they are submitted, in order; empty until all are hashed."""
        known = tuple(video.source for video in self._videos if video.source is not None)
        return known if len(known) == len(self._videos) else ()

    @property
    def video(self) -> int:
        """The video of a take that is sent now, counted from 1; 0 for the only one."""
        return min(self._place + 1, len(self._videos)) if len(self._videos) > 1 else 0

    @property
    def sent_bytes(self) -> int:
        """Bytes of all videos together."""
        return sum(video.size_bytes for video in self._videos[: self._place]) + self._offset

    def prepare(self, deadline_s: float) -> bool:
        """Hash until the deadline (`time.perf_counter`); True when the sources are known."""
        return all(video.prepare(deadline_s) for video in self._videos)

    def begin(self, job: wire.JobInfo) -> None:
        """The server says where it stands: go on from there."""
        self._job_id = job.job_id
        self._stand_at(job)

    def step(self, link: BackendLink, deadline_s: float) -> None:
        """Keep a few parts under way until the deadline. Raises UploadError when the server takes no more, OSError when
        a file cannot be read.
        """
        if self._fault is not None:
            raise self._fault
        while not self.complete and len(self._keys) < _WINDOW and self._place < len(self._videos):
            video = self._videos[self._place]
            data = video.part(self._offset)
            if not data and self._offset < video.size_bytes:
                raise UploadError(
                    "video", f"{video.name} became shorter while it was sent", "Capture it when it is whole"
                )
            if not data:
                self._place, self._offset = self._place + 1, 0
                continue
            part = wire.UploadPart(self._job_id, self._offset, np.frombuffer(data, dtype=np.uint8), self._place)
            self._send(link, part)
            self._offset += len(data)
            if time.perf_counter() >= deadline_s:
                return

    def close(self, link: BackendLink) -> None:
        """Stop and let the files go."""
        self._drop_all(link)
        self._close_files()

    def _close_files(self) -> None:
        for video in self._videos:
            video.close()

    def _stand_at(self, job: wire.JobInfo) -> None:
        self._place, self._offset = job.upload_source, job.upload_offset
        self.complete = job.state != "receiving"

    def _send(self, link: BackendLink, part: wire.UploadPart) -> None:
        def on_reply(message: Any) -> None:
            link.drop(key)
            self._keys.discard(key)
            if isinstance(message, wire.Accepted):
                self.complete = self.complete or message.job.state != "receiving"
            elif isinstance(message, wire.Refused) and message.code in ("bad_offset", "too_fast"):
                self._ask_where(link)
            elif isinstance(message, wire.Refused):
                self._fault = UploadError(message.code, message.message, message.remedy)

        key = link.ask(part, on_reply)
        self._keys.add(key)

    def _ask_where(self, link: BackendLink) -> None:
        """Parts crossed with a lost connection, or the server has a video already: ask where it stands, go on there."""
        self._drop_all(link)

        def on_reply(message: Any) -> None:
            self._drop_all(link)
            if isinstance(message, wire.JobList):
                for job in message.jobs:
                    if job.job_id == self._job_id:
                        self._stand_at(job)

        key = link.ask(wire.ListJobs(), on_reply)
        # Until the answer is there the window counts as full, so that no part goes out from a wrong offset.
        self._keys.update({key, *range(-_WINDOW, 0)})

    def _drop_all(self, link: BackendLink) -> None:
        for key in self._keys:
            link.drop(key)
        self._keys.clear()
