"""One server per data folder: an operating-system lock that dies with its holder."""

from __future__ import annotations

from pathlib import Path

from backend.errors import ServiceError
from blender_addon.wire.file_lock import LOCK_FILE, lock_now


class FolderLock:
    """Held from construction to `release`. Raises ServiceError when another process holds it."""

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._stream = (folder / LOCK_FILE).open("a+b")
        except OSError as fault:
            raise ServiceError(
                f"The data folder {folder} cannot be used ({fault.strerror})", "Choose another with --data-dir"
            ) from fault
        try:
            lock_now(self._stream.fileno())
        except OSError as fault:
            self._stream.close()
            raise ServiceError(
                f"Another backend uses the data folder {folder}", "Stop it first, or choose another with --data-dir"
            ) from fault

    def release(self) -> None:
        """Let the folder go."""
        self._stream.close()
