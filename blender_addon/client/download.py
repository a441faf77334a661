"""A result on its way to this machine's disk: whole and checked, or not there at all. stdlib and `wire`."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from ..wire import messages as wire
from ..wire.transport import MAX_PART_BYTES
from .link import BackendLink

_WINDOW = 4


class DownloadError(OSError):
    """A result that did not arrive as the server has it."""


class Download:
    """Fetches all files of a job into `folder`. `paths` are complete when `complete` is true.

    `step` raises OSError when the disk refuses, DownloadError when the server does or the bytes are wrong.
    """

    def __init__(self, job_id: str, files: tuple[wire.ResultFile, ...], folder: Path) -> None:
        self.paths: tuple[Path, ...] = ()
        self.complete = not files
        self._job_id = job_id
        self._files = files
        self._folder = folder
        self._next = (0, 0)
        self._keys: set[int] = set()
        self._parts: dict[tuple[int, int], bytes] = {}
        self._written = (0, 0)
        self._hash = hashlib.sha256()
        self._fault = ""
        folder.mkdir(parents=True, exist_ok=True)

    def step(self, link: BackendLink) -> None:
        """Write what has come and keep a few parts under way."""
        if self._fault:
            raise DownloadError(self._fault)
        self._write_in_order()
        while not self.complete and len(self._keys) + len(self._parts) < _WINDOW and self._next[0] < len(self._files):
            file, offset = self._next
            self._send(link, file, offset)
            at_end = offset + MAX_PART_BYTES >= self._files[file].size_bytes
            self._next = (file + 1, 0) if at_end else (file, offset + MAX_PART_BYTES)

    def close(self, link: BackendLink) -> None:
        """Stop; what is half-written goes."""
        for key in self._keys:
            link.drop(key)
        self._keys.clear()
        if not self.complete and self._written[0] < len(self._files):
            self._temporary(self._written[0]).unlink(missing_ok=True)

    def _send(self, link: BackendLink, file: int, offset: int) -> None:
        def on_reply(message: Any) -> None:
            link.drop(key)
            self._keys.discard(key)
            if isinstance(message, wire.ResultPart):
                self._parts[(file, offset)] = message.data.tobytes()
            elif isinstance(message, wire.Refused):
                self._fault = message.message

        key = link.ask(wire.Fetch(self._job_id, file, offset, MAX_PART_BYTES), on_reply)
        self._keys.add(key)

    def _write_in_order(self) -> None:
        while self._written in self._parts:
            file, offset = self._written
            data = self._parts.pop(self._written)
            with self._temporary(file).open("r+b" if offset else "wb") as stream:
                stream.seek(offset)
                stream.write(data)
            self._hash.update(data)
            end = offset + len(data)
            if end >= self._files[file].size_bytes:
                self._finish(file)
                self._written = (file + 1, 0)
            elif len(data) < MAX_PART_BYTES:
                raise DownloadError(f"The result {self._files[file].name} is shorter on the server than announced")
            else:
                self._written = (file, end)

    def _finish(self, file: int) -> None:
        if self._hash.hexdigest() != self._files[file].sha256:
            raise DownloadError(f"The result {self._files[file].name} arrived damaged")
        target = self._target(file)
        os.replace(self._temporary(file), target)
        self.paths = (*self.paths, target)
        self._hash = hashlib.sha256()
        self.complete = file + 1 == len(self._files)

    def _target(self, file: int) -> Path:
        # The name comes from the server: only its last part counts, so that it cannot lead out of the folder.
        name = Path(self._files[file].name.replace("\\", "/")).name
        return self._folder / (name or f"result.{file}")

    def _temporary(self, file: int) -> Path:
        target = self._target(file)
        return target.with_name(f".{target.name}.part")
