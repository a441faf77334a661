"""A video on its way to a remote backend, in parts, a few at a time, without ever waiting. stdlib and `wire`."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import numpy as np

from ..wire import messages as wire
from ..wire.transport import MAX_PART_BYTES
from .link import BackendLink

_WINDOW = 4


class UploadError(OSError):
    """A video that the server does not take."""


class Upload:
    """Reads and hashes the file first (`source` is there then), then sends parts from where the server stands.

    Every step takes a few milliseconds. Raises OSError when the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.size_bytes = path.stat().st_size
        self.sent_bytes = 0
        self.source: wire.Source | None = None
        self.complete = False
        self._name = path.name
        self._stream = path.open("rb")
        self._hash = hashlib.sha256()
        self._keys: set[int] = set()
        self._job_id = ""
        self._fault = ""

    def prepare(self, deadline_s: float) -> bool:
        """Hash until the deadline (`time.perf_counter`); True when the source is known."""
        while self.source is None:
            data = self._stream.read(MAX_PART_BYTES)
            self._hash.update(data)
            if not data:
                self.source = wire.Source("upload", "", self._name, self.size_bytes, self._hash.hexdigest())
            elif time.perf_counter() >= deadline_s:
                return False
        return True

    def begin(self, job_id: str, offset: int) -> None:
        """The server has `offset` bytes: go on from there."""
        self._job_id, self.sent_bytes = job_id, offset
        self.complete = offset >= self.size_bytes

    def step(self, link: BackendLink, deadline_s: float) -> None:
        """Keep a few parts under way until the deadline. Raises UploadError when the server takes no more."""
        if self._fault:
            raise UploadError(self._fault)
        while not self.complete and len(self._keys) < _WINDOW and self.sent_bytes < self.size_bytes:
            self._stream.seek(self.sent_bytes)
            data = self._stream.read(MAX_PART_BYTES)
            part = wire.UploadPart(self._job_id, self.sent_bytes, np.frombuffer(data, dtype=np.uint8))
            self._send(link, part)
            self.sent_bytes += len(data)
            if time.perf_counter() >= deadline_s:
                return

    def close(self, link: BackendLink) -> None:
        """Stop and let the file go."""
        self._drop_all(link)
        self._stream.close()

    def _send(self, link: BackendLink, part: wire.UploadPart) -> None:
        def on_reply(message: Any) -> None:
            link.drop(key)
            self._keys.discard(key)
            if isinstance(message, wire.Accepted):
                self.complete = self.complete or message.job.state != "receiving"
            elif isinstance(message, wire.Refused) and message.code in ("bad_offset", "too_fast"):
                self._ask_where(link)
            elif isinstance(message, wire.Refused):
                self._fault = message.message

        key = link.ask(part, on_reply)
        self._keys.add(key)

    def _ask_where(self, link: BackendLink) -> None:
        """Parts crossed with a lost connection: ask where the server stands and go on from there."""
        self._drop_all(link)

        def on_reply(message: Any) -> None:
            self._drop_all(link)
            if isinstance(message, wire.JobList):
                for job in message.jobs:
                    if job.job_id == self._job_id:
                        self.sent_bytes = job.upload_offset
                        self.complete = job.state != "receiving"

        key = link.ask(wire.ListJobs(), on_reply)
        # Until the answer is there the window counts as full, so that no part goes out from a wrong offset.
        self._keys.update({key, *range(-_WINDOW, 0)})

    def _drop_all(self, link: BackendLink) -> None:
        for key in self._keys:
            link.drop(key)
        self._keys.clear()
