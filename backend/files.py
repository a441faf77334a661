"""One server per data folder and per connection file: operating-system locks that die with their holder."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from backend.errors import ServiceError
from blender_addon.wire.file_lock import LOCK_FILE, lock_now


class FolderLock:
    """Held from construction to `release`. Raises ServiceError when another process holds it."""

    def __init__(self, folder: Path) -> None:
        self._stream = _hold(
            folder / LOCK_FILE,
            (f"The data folder {folder} cannot be used", "Choose another with --data-dir"),
            (f"Another backend uses the data folder {folder}", "Stop it first, or choose another with --data-dir"),
        )

    def release(self) -> None:
        """Let the folder go."""
        self._stream.close()


class ConnectionFileLock:
    """The right to write a connection file; held like a folder's."""

    def __init__(self, path: Path) -> None:
        self._stream = _hold(
            path.with_name(f".{path.name}.lock"),
            (f"The connection file {path} cannot be written", "Choose another with --connection-file"),
            (
                f"Another backend is reached by the connection file {path}",
                "Stop it first, or choose another with --connection-file",
            ),
        )

    def release(self) -> None:
        """Let the file go."""
        self._stream.close()


def _hold(path: Path, unusable: tuple[str, str], taken: tuple[str, str]) -> BinaryIO:
    """An open and locked file. Raises ServiceError, its words and remedy as given, when it cannot be had."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        stream = path.open("a+b")
    except OSError as fault:
        raise ServiceError(f"{unusable[0]} ({fault.strerror})", unusable[1]) from fault
    try:
        lock_now(stream.fileno())
    except OSError as fault:
        stream.close()
        raise ServiceError(*taken) from fault
    return stream
