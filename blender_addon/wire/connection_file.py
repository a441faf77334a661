"""The file that tells a client where a backend listens and how to get in. stdlib only.

A JSON object, readable by its owner alone: `endpoint` and `token`, and for a server on the network the CURVE keys.
The server writes it when its socket listens and removes it when it stops.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

FORMAT = "marionet-connection"
FORMAT_VERSION = 1
_MAX_FILE_BYTES = 65_536


class ConnectionFileError(ValueError):
    """A connection file that is missing, foreign or readable by others; the message says what to do."""


@dataclass(frozen=True, slots=True)
class ConnectionInfo:
    """How to reach a backend. Keys are Z85 text of 40 characters, empty on loopback; `pid` is 0 for a remote one.

    `launch_id` repeats what the program that started the backend gave it; empty when nobody did.
    """

    endpoint: str
    token: str = field(default="", repr=False)
    server_public_key: str = ""
    client_public_key: str = ""
    client_secret_key: str = field(default="", repr=False)
    pid: int = 0
    server_version: str = ""
    launch_id: str = ""

    @property
    def encrypted(self) -> bool:
        """Whether the connection uses CURVE."""
        return bool(self.server_public_key)


def write_connection_file(info: ConnectionInfo, path: Path) -> None:
    """Write `info` whole or not at all, readable by the owner only. Raises OSError when the disk refuses."""
    record = {"format": FORMAT, "version": FORMAT_VERSION, **asdict(info)}
    write_private_file(path, json.dumps(record, indent=2) + "\n")


def write_private_file(path: Path, text: str) -> None:
    """Write a file that only its owner can read (mode 0600), whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mkstemp makes it 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())  # a key that a power cut empties lets nobody in any more
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_connection_file(path: Path) -> ConnectionInfo:
    """Read a connection file. Raises ConnectionFileError in words when it cannot be used."""
    try:
        check_private(path)
        text = path.read_bytes()[:_MAX_FILE_BYTES].decode("utf-8")
        record = json.loads(text)
    except FileNotFoundError as fault:
        raise ConnectionFileError(f"There is no connection file at {path}; start the backend first") from fault
    except (OSError, ValueError) as fault:
        if isinstance(fault, ConnectionFileError):
            raise
        raise ConnectionFileError(
            f"Cannot read the connection file {path} ({fault}); start the backend again"
        ) from fault
    return _info_from_record(record, path)


def check_private(path: Path) -> None:
    """Raise ConnectionFileError when others may read `path` (POSIX; on Windows the folder's rights decide)."""
    if os.name != "posix":
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise ConnectionFileError(f"{path} can be read by other users (mode {mode:o}); run: chmod 600 '{path}'")


def _info_from_record(record: object, path: Path) -> ConnectionInfo:
    if not isinstance(record, dict) or not isinstance(record.get("endpoint"), str):
        raise ConnectionFileError(f"{path} is not a Marionet connection file: it has no endpoint")
    if record.get("version", FORMAT_VERSION) != FORMAT_VERSION:
        raise ConnectionFileError(
            f"{path} has connection file version {record.get('version')}, this program reads {FORMAT_VERSION}; "
            "update Marionet on this side"
        )
    keys = ("server_public_key", "client_public_key", "client_secret_key")
    texts = ("endpoint", "token", *keys, "server_version", "launch_id")
    values = {name: record[name] for name in texts if isinstance(record.get(name), str)}
    pid = record.get("pid")
    return ConnectionInfo(**values, pid=pid if isinstance(pid, int) else 0)
