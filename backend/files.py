"""Files that are written whole or not at all, hashes, sizes, and the lock of a folder. May import errors and `wire`."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from backend.errors import BadInputError, ServiceError
from blender_addon.wire.file_lock import LOCK_FILE, lock_now

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


@contextmanager
def whole_file(path: Path, sync: bool = True) -> Iterator[Path]:
    """A temporary name beside `path`, renamed over it at the end of the block; removed where the block fails.

    A file that was there before stays as it was until then. With `sync` the bytes reach the disk before the name does,
    so a power cut leaves no empty file. Raises OSError where the disk refuses.
    """
    temporary = path.with_name(f".{secrets.token_hex(4)}.{path.name}"[-250:])
    try:
        yield temporary
        if sync:
            with temporary.open("r+b") as stream:  # Windows syncs only what may be written
                os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_whole(path: Path, data: bytes, sync: bool = False) -> None:
    """Write `data` whole or not at all; with `sync` a power cut loses neither the bytes nor the name."""
    with whole_file(path, sync) as temporary:
        temporary.write_bytes(data)
    if sync:
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Have the disk keep the names in a folder; Windows keeps them by itself and opens no folders."""
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    """Hex digest of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def parse_size(text: str) -> int:
    """Bytes from "4G", "512M", "1.5GB" or a plain number. Raises BadInputError for anything else."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?\s*", text.lower())
    if match is None:
        raise BadInputError(f"{text!r} is not a size", "Write it like 4G or 512M")
    return int(float(match[1]) * _UNITS[match[2]])


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
