"""The local backend's process: started, watched, stopped; its last words kept. stdlib and `wire` only.

The process writes its log to a file and ends by itself when this program is gone. It is known by the launch id that it
repeats in its connection file: a Windows environment's `python.exe`, a store alias or a script may stand between.

Each local backend has a folder of its own: two Blenders share a profile, and one backend holds one folder. The backend
locks `service/lock` in it for as long as it lives (`backend.files`).
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from ..wire.connection_file import ConnectionFileError, ConnectionInfo, read_connection_file
from ..wire.file_lock import LOCK_FILE, lock_now
from ..wire.interpreter import LAUNCH_ID_VARIABLE, direct_interpreter

_MOST = 32


def free_state_dir(first: Path) -> Path:
    """`first`, or where another backend works in it, the first of `first-2`, `first-3`, ... in which none does.

    With all of them taken it is `first`: the backend then says who holds it.
    """
    others = (first.with_name(f"{first.name}-{number}") for number in range(2, _MOST + 1))
    return next((folder for folder in (first, *others) if not _is_held(folder / "service" / LOCK_FILE)), first)


def _is_held(lock: Path) -> bool:
    """Whether a living process holds the lock; a file that a dead one left is free."""
    try:
        with lock.open("r+b") as stream:
            lock_now(stream.fileno())  # closing the file lets it go again
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


_MAX_LOG_BYTES = 4 << 20
_TAIL_BYTES = 65_536
_KILL_AFTER_S = 5.0
# Where being told is the only graceful end, a slow machine gets longer for it.
_KILL_TOLD_AFTER_S = 20.0
# Windows has no polite signal for a process without a console: SIGTERM ends it in the middle of a write
_TERMINATE_IS_KILL = sys.platform == "win32"
_KILL = signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """How to start the backend: a Python with its packages, the folder that holds `backend`, and where state lies.

    `options` are further arguments of `python -m backend serve`. `stay` lets the backend outlive this program.
    """

    python: Path
    folder: Path
    state_dir: Path
    options: tuple[str, ...] = ()
    stay: bool = False
    environment: dict[str, str] = field(default_factory=dict)
    module: tuple[str, ...] = ("-m", "backend", "serve")

    @property
    def connection_file(self) -> Path:
        """Where the backend says how to reach it."""
        return self.state_dir / "connection.json"

    @property
    def log_file(self) -> Path:
        """Where the backend's log goes."""
        return self.state_dir / "backend.log"

    def command(self) -> list[str]:
        """The exact command, as the preferences show it."""
        owner = ["--stay"] if self.stay else ["--owner-pid", str(os.getpid())]
        return [
            str(self.python),
            *self.module,
            *("--connection-file", str(self.connection_file)),
            *("--data-dir", str(self.state_dir / "service")),
            *owner,
            *self.options,
        ]


ProcessState = Literal["absent", "starting", "listening", "dead", "stopping", "stopped"]


class BackendProcess:
    """States: "absent", "starting", "listening", "dead" (ended unasked), "stopping", "stopped"."""

    def __init__(self, plan: LaunchPlan) -> None:
        self.plan = plan
        self.state: ProcessState = "absent"
        self.exit_code: int | None = None
        self.started_s = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._launch_id = ""
        self._server_pid = 0
        self._stop_asked_s = 0.0
        self._kill_after_s = _KILL_AFTER_S

    @property
    def pid(self) -> int:
        """The backend's process id, 0 when there is none; until it listens, that of the program that was started."""
        return self._server_pid or (self._process.pid if self._process is not None else 0)

    def start(self) -> None:
        """Start the process; returns at once. Raises OSError in words when it cannot be started.

        Where the backend of another Blender works in the plan's state folder, `plan` gets one beside it.
        """
        if self.state in ("starting", "listening", "stopping"):
            return
        plan = self.plan = replace(self.plan, state_dir=free_state_dir(self.plan.state_dir))
        plan.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        plan.connection_file.unlink(missing_ok=True)
        self._make_room_for_log()
        self._launch_id, self._server_pid = secrets.token_hex(16), 0
        interpreter = direct_interpreter(plan.python)
        extra = {"MARIONET_LOG_FILE": str(plan.log_file), **plan.environment, LAUNCH_ID_VARIABLE: self._launch_id}
        with plan.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [str(interpreter.program), *plan.command()[1:]],
                cwd=plan.folder,
                # a backend that knows the variable keeps its log small while it runs
                env=interpreter.started_with(_clean_environment(extra)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0) if sys.platform == "win32" else 0,
            )
        self.state, self.exit_code, self.started_s = "starting", None, time.monotonic()

    def poll(self) -> ConnectionInfo | None:
        """Look after the process without waiting; how to reach it once it listens, else None."""
        if self._process is None:
            return None
        code = self._process.poll()
        if code is not None and self.state == "starting" and self._folder_is_taken():
            self.state = "dead"
            self.start()  # another Blender's backend was quicker to lock the folder
            return None
        if code is not None:
            self.exit_code = code
            self.state = "stopped" if self.state in ("stopping", "stopped") else "dead"
            return None
        if self.state == "stopping":
            if time.monotonic() - self._stop_asked_s > self._kill_after_s:
                self._end(self._process, _KILL)
            return None
        try:
            info = read_connection_file(self.plan.connection_file)
        except ConnectionFileError:
            return None
        if not self._is_ours(info, self._process.pid):
            return None
        self.state, self._server_pid = "listening", info.pid
        return info

    def _is_ours(self, info: ConnectionInfo, started_pid: int) -> bool:
        """Whether a connection file is from the backend that was started here, not from another that wrote there.

        A backend of 0.7 or earlier names no launch id: its process id must be the started one.
        """
        return info.launch_id == self._launch_id if info.launch_id else info.pid == started_pid

    def _folder_is_taken(self) -> bool:
        return free_state_dir(self.plan.state_dir) != self.plan.state_dir

    def ask_to_stop(self, told: bool = False) -> None:
        """Begin a graceful stop; `poll` ends it by force after a while.

        `told`: a client sent the `shutdown` message. On Windows nothing else is graceful, so nothing is added to it.
        """
        if self._process is not None and self.state in ("starting", "listening"):
            self.state, self._stop_asked_s = "stopping", time.monotonic()
            if told and _TERMINATE_IS_KILL:
                self._kill_after_s = _KILL_TOLD_AFTER_S
            else:
                self._end(self._process, signal.SIGTERM)

    def stop(self, told: bool = False) -> None:
        """Stop and wait: for the end of this program, where there are no more ticks. `told` as in `ask_to_stop`."""
        self.ask_to_stop(told)
        if self._process is None:
            return
        try:
            self.exit_code = self._process.wait(self._kill_after_s)
        except subprocess.TimeoutExpired:
            self._end(self._process, _KILL)
            self.exit_code = self._process.wait()
        self.state = "stopped"

    def _end(self, process: subprocess.Popen[bytes], number: signal.Signals) -> None:
        """Send a signal to the started program, and to the backend where that is another process."""
        process.send_signal(number)
        if self._server_pid not in (0, process.pid):
            with suppress(OSError):
                os.kill(self._server_pid, number)

    def last_log_lines(self, count: int = 12) -> tuple[str, ...]:
        """The end of the backend's log."""
        try:
            with self.plan.log_file.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
                text = log.read().decode("utf-8", errors="replace")
        except OSError:
            return ()
        return tuple(deque(text.splitlines(), maxlen=count))

    def _make_room_for_log(self) -> None:
        log = self.plan.log_file
        if log.exists() and log.stat().st_size > _MAX_LOG_BYTES:
            os.replace(log, log.with_suffix(".old.log"))


def _clean_environment(extra: dict[str, str]) -> dict[str, str]:
    """Blender's own Python settings would lead the backend's Python astray."""
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONHOME", "PYTHONPATH")}
    return {**kept, "PYTHONUNBUFFERED": "1", **extra}
