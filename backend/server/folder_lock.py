"""One server per data folder: an operating-system lock that dies with its holder. stdlib only."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from backend.errors import ServiceError


class FolderLock:
    """Held from construction to `release`. Raises ServiceError when another process holds it."""

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._stream = (folder / "lock").open("a+b")
        except OSError as fault:
            raise ServiceError(
                f"The data folder {folder} cannot be used ({fault.strerror})", "Choose another with --data-dir"
            ) from fault
        try:
            _lock(self._stream.fileno())
        except OSError as fault:
            self._stream.close()
            raise ServiceError(
                f"Another backend uses the data folder {folder}", "Stop it first, or choose another with --data-dir"
            ) from fault

    def release(self) -> None:
        """Let the folder go."""
        self._stream.close()


def _lock(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
