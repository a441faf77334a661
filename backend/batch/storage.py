"""Where results lie: a local folder, or anything that fsspec reaches. Every file appears whole or not at all.

May import stdlib, `backend.errors`, and fsspec (late, for URLs only). Names are POSIX paths below the root.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Protocol

from backend.errors import BadInputError, MarionetError, OutputError
from backend.files import write_whole

STATE: Final = ".batch"
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Storage(Protocol):
    """The files of one batch."""

    def address(self, name: str) -> str:
        """The path or URL under which a program opens the file."""
        ...

    def put(self, local: Path, name: str) -> None:
        """Move a finished local file to its name, over an earlier one. Raises OutputError."""
        ...

    def get(self, name: str, local: Path) -> None:
        """Copy a file to a local one. Raises OutputError where it cannot be read."""
        ...

    def read(self, name: str) -> bytes | None:
        """A file's content; None where there is none."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Write a file whole. Raises OutputError."""
        ...

    def size(self, name: str) -> int | None:
        """A file's size in bytes; None where there is none."""
        ...

    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder, not below it."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file or folder if it is there."""
        ...

    def scratch(self) -> Path:
        """A local folder for work, on the root's own disk where that is local."""
        ...


def open_storage(root: str) -> Storage:
    """The storage at a path or URL. Raises BadInputError for a URL without fsspec or of an unknown kind."""
    scheme, mark, rest = root.partition("://")
    if not mark:
        return LocalStorage(Path(root))
    return LocalStorage(Path(rest)) if scheme == "file" else UrlStorage(root)


class LocalStorage:
    """A folder of this machine or of a network share."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def address(self, name: str) -> str:
        """The file's absolute path."""
        return str(self.root.absolute() / name)

    def put(self, local: Path, name: str) -> None:
        """Move a local file to its name."""
        target = self.root / name
        with _named(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            if local.stat().st_dev == target.parent.stat().st_dev:
                os.replace(local, target)
                return
            partial = target.with_name(_temporary())
            try:
                shutil.copyfile(local, partial)
                os.replace(partial, target)
            finally:
                partial.unlink(missing_ok=True)
            local.unlink()

    def get(self, name: str, local: Path) -> None:
        """Copy a file to a local one."""
        with _named(local):
            shutil.copyfile(self.root / name, local)

    def read(self, name: str) -> bytes | None:
        """A file's content, None where there is none."""
        try:
            return (self.root / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as fault:
            raise OutputError(
                f"{self.root / name} cannot be read ({fault.strerror})", "Check its permissions"
            ) from fault

    def write(self, name: str, data: bytes) -> None:
        """Write a file whole."""
        target = self.root / name
        with _named(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            write_whole(target, data)

    def size(self, name: str) -> int | None:
        """A file's size, None where there is none."""
        try:
            return (self.root / name).stat().st_size
        except OSError:
            return None

    def names(self, folder: str) -> list[str]:
        """The folder's files."""
        place = self.root / folder
        return sorted(path.name for path in place.iterdir() if path.is_file()) if place.is_dir() else []

    def remove(self, name: str) -> None:
        """Remove a file or folder."""
        path = self.root / name
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def scratch(self) -> Path:
        """`.batch/work` below the root."""
        return self.root / STATE / "work"


class UrlStorage:
    """An fsspec URL: object stores, file shares, memory."""

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/")
        self._fs, self._base = _file_system(self.root)

    def address(self, name: str) -> str:
        """The file's URL."""
        return f"{self.root}/{name}"

    def put(self, local: Path, name: str) -> None:
        """Upload a local file, then rename it to its name."""
        with _reached(self.address(name)):
            partial = self._make_room(name)
            self._fs.put_file(str(local), partial)
            self._settle(partial, name)
            local.unlink()

    def get(self, name: str, local: Path) -> None:
        """Download a file."""
        with _reached(self.address(name)):
            self._fs.get_file(self._path(name), str(local))

    def read(self, name: str) -> bytes | None:
        """A file's content, None where there is none."""
        with _reached(self.address(name)):
            try:
                return bytes(self._fs.cat_file(self._path(name)))
            except FileNotFoundError:
                return None

    def write(self, name: str, data: bytes) -> None:
        """Write a file whole."""
        with _reached(self.address(name)):
            partial = self._make_room(name)
            self._fs.pipe_file(partial, data)
            self._settle(partial, name)

    def size(self, name: str) -> int | None:
        """A file's size, None where there is none."""
        try:
            return int(self._fs.info(self._path(name))["size"])
        except FileNotFoundError:
            return None

    def names(self, folder: str) -> list[str]:
        """The folder's files."""
        try:
            found = self._fs.ls(self._path(folder), detail=True)
        except FileNotFoundError:
            return []
        return sorted(one["name"].rstrip("/").rpartition("/")[2] for one in found if one["type"] == "file")

    def remove(self, name: str) -> None:
        """Remove a file or folder."""
        with suppress(OSError):
            self._fs.rm(self._path(name), recursive=True)

    def scratch(self) -> Path:
        """A folder of this machine, its own for each URL."""
        mark = hashlib.sha256(self.root.encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"marionet-batch-{mark}"

    def _path(self, name: str) -> str:
        return f"{self._base}/{name}"

    def _make_room(self, name: str) -> str:
        folder = self._path(name).rpartition("/")[0]
        self._fs.makedirs(folder, exist_ok=True)
        return f"{folder}/{_temporary()}"

    def _settle(self, partial: str, name: str) -> None:
        target = self._path(name)
        if self._fs.exists(target):  # not every file system moves over a file
            self._fs.rm_file(target)
        self._fs.mv(partial, target)


def _temporary() -> str:
    """A name for a file on its way; the final name may be as long as the disk takes."""
    return f".{secrets.token_hex(8)}.tmp"


def is_full_disk(fault: OSError) -> bool:
    """Whether the disk, or the user's share of it, is used up."""
    return fault.errno in _FULL


@contextmanager
def _named(target: object) -> Iterator[None]:
    """Turn what the system says about a file into an OutputError that says what to do."""
    try:
        yield
    except OSError as fault:
        raise output_error(target, fault) from fault


@contextmanager
def _reached(target: str) -> Iterator[None]:
    """As `_named`; a remote file system's package has errors of its own besides."""
    try:
        with _named(target):
            yield
    except OutputError:
        raise
    except Exception as fault:
        text = f"{target} cannot be reached ({type(fault).__name__}: {fault})"
        raise OutputError(text, "Check the network and the access to it, and run again") from fault


def output_error(target: object, fault: OSError) -> OutputError:
    """The named error for a file that could not be written."""
    reason = fault.strerror or str(fault) or type(fault).__name__
    if is_full_disk(fault):
        return OutputError(f"The disk is full: {target} cannot be written ({reason})", "Free some space and run again")
    if isinstance(fault, PermissionError | IsADirectoryError | FileExistsError | NotADirectoryError):
        return OutputError(
            f"{target} is in use or protected ({reason})",
            "Close it in other programs, check its permissions, run again",
        )
    return OutputError(f"{target} cannot be written ({reason})", "Check the folder and its space")


def named_full_disk(fault: MarionetError, target: object) -> MarionetError:
    """The fault of a stage, said in the batch's words where its cause is a disk without room."""
    cause = fault.__cause__
    return output_error(target, cause) if isinstance(cause, OSError) and is_full_disk(cause) else fault


def _file_system(root: str) -> tuple[Any, str]:
    try:
        import fsspec
    except ModuleNotFoundError as fault:
        raise BadInputError(f"{root} is a URL, which needs the package fsspec", "pip install fsspec") from fault
    try:
        system, base = fsspec.core.url_to_fs(root)
    except (ValueError, ImportError) as fault:
        raise BadInputError(
            f"{root} cannot be reached ({fault})", "Install the file system's package for fsspec"
        ) from fault
    return system, str(base).rstrip("/")
