"""The server's log in a file that does not grow without end. stdlib and its own room.

The server's process and its workers all write to the same open file. A log that has become too large is copied aside
and emptied, so that nobody has to open it again; lines that come in that moment may be lost, others are not.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import threading
from pathlib import Path

from backend.errors import ServiceError
from backend.server.logs import log_event

MAX_LOG_BYTES = 8 << 20
KEPT_LOGS = 4
_LOOK_S = 1.0


class LogFile:
    """Standard error and output of this process and its children go to `path` from construction on."""

    def __init__(self, path: Path, most_bytes: int = MAX_LOG_BYTES, kept: int = KEPT_LOGS) -> None:
        self.path = path
        self._most_bytes = most_bytes
        self._kept = kept
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as fault:
            raise ServiceError(
                f"The log {path} cannot be written ({fault.strerror})", "Choose another with --log-file"
            ) from fault
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        os.close(descriptor)

    def watch(self) -> None:
        """Keep the log small for as long as this process lives."""
        threading.Thread(target=self._watch, name="log", daemon=True).start()

    def rotate_if_large(self) -> bool:
        """Copy a log that is too large to `NAME.1` and empty it; older ones move up, the oldest goes.

        Raises OSError where the disk refuses; the log then grows on.
        """
        if self.path.stat().st_size <= self._most_bytes:
            return False
        places = [self.path.with_name(f"{self.path.name}.{number}") for number in range(1, self._kept + 1)]
        for older, newer in zip(reversed(places), reversed(places[:-1]), strict=False):
            if newer.exists():
                os.replace(newer, older)
        try:
            shutil.copyfile(self.path, places[0])
            places[0].chmod(0o600)
        finally:
            os.truncate(self.path, 0)  # a full disk must not keep the log from being emptied
        return True

    def _watch(self) -> None:
        pause = threading.Event()
        while not pause.wait(_LOOK_S):
            try:
                self.rotate_if_large()
            except OSError as fault:
                log_event("log cannot be rotated", logging.ERROR, reason=str(fault))
                pause.wait(60.0)
