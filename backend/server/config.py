"""What the service is told at its start, and where its files lie by default. stdlib only."""

from __future__ import annotations

import ipaddress
import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

from backend.errors import BadInputError
from backend.live.addresses import LivePermission

WORKER_COMMAND = (sys.executable, "-m", "backend.server.worker_main")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that keep one client, one clip or one crash from taking the machine.

    `max_jobs` queued and running at once; `memory_bytes` of each worker process; `rate_per_s` requests of one client
    (bursts of twice that); `keep_s` how long a result waits to be taken; below `free_disk_bytes` jobs are refused;
    a cancelled job has `cancel_grace_s` to end by itself; then its client is told, and the finished frames have
    `finish_s` to become a clip; after that the job has `abandon_grace_s` more to let go of its worker; a video that was
    uploaded to look for people waits `keep_upload_s` for its owner to want it solved. At most `max_connections` stand
    at once, fewer where the process has few descriptors.

    One client has at most `client_jobs` queued and running and announces at most `client_upload_bytes` of uploads for
    them. A worker that neither reports nor computes for `stall_s` waits for its input in vain and is ended; 0: never.
    """

    max_jobs: int = 64
    client_jobs: int = 64
    client_upload_bytes: int = 8 << 30
    max_connections: int = 1024
    stall_s: float = 120.0
    max_frames: int = 200_000
    memory_bytes: int = 4 << 30
    upload_bytes: int = 4 << 30
    upload_idle_s: float = 600.0
    keep_upload_s: float = 900.0
    rate_per_s: float = 2000.0
    keep_s: float = 7 * 86_400.0
    free_disk_bytes: int = 256 << 20
    cancel_grace_s: float = 0.15
    finish_s: float = 600.0
    abandon_grace_s: float = 2.0


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Everything `Service` needs. `worker_command` gets `--worker ID --device NAME` appended."""

    connection_file: Path
    """Where the address and the key for clients are written."""
    data_dir: Path
    """Where jobs, uploads and results are kept."""
    bind: str = "tcp://127.0.0.1:0"
    """Address to listen on, `tcp://HOST:PORT`; port 0: the system chooses."""
    devices: tuple[str, ...] = ("auto",)
    """One worker each."""
    roots: tuple[Path, ...] = ()
    """Folders whose videos clients may name by path."""
    keys_dir: Path | None = None
    """Folder with the server's keys; needed for addresses other than this machine."""
    live: tuple[LivePermission, ...] = ()
    """Cameras and streams that clients may open; empty: all on a server that only its own user reaches, else none."""
    owner_pid: int = 0
    """The server ends with this process; 0: with none."""
    limits: Limits = field(default_factory=Limits)
    """Bounds of jobs, memory, rates and times."""
    worker_command: tuple[str, ...] = WORKER_COMMAND
    """Starts a worker; gets `--worker ID --device NAME` appended."""


@dataclass(frozen=True, slots=True)
class BindAddress:
    """A TCP address to listen on; port 0 lets the system choose."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False

    @property
    def endpoint(self) -> str:
        """The address as ZeroMQ writes it."""
        return f"tcp://{self.host}:{self.port}"


def parse_bind(text: str) -> BindAddress:
    """Read `tcp://HOST:PORT`. Raises BadInputError for anything else; `*` means every address of the machine."""
    match = re.fullmatch(r"tcp://(\*|\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})", text)
    if match is None or int(match[2]) > 65_535:
        raise BadInputError(f"Cannot listen on {text!r}", "Write it as tcp://127.0.0.1:0 or tcp://0.0.0.0:5570")
    host = "0.0.0.0" if match[1] == "*" else match[1]  # noqa: S104  asked for in words, and needs keys
    return BindAddress("127.0.0.1" if host == "localhost" else host, int(match[2]))


def config_dir() -> Path:
    """Where keys are kept by default: the user's configuration folder."""
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA", Path.home() / "AppData" / "Roaming")) / "Marionet"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "Marionet"
    return Path(os.environ.get("XDG_CONFIG_HOME", Path.home() / ".config")) / "marionet"


def state_dir() -> Path:
    """Where the connection file and the jobs are kept by default: the user's state folder."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "Marionet"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "Marionet"
    return Path(os.environ.get("XDG_STATE_HOME", Path.home() / ".local" / "state")) / "marionet"
