"""Real backends and real clients for the tests of the service: processes, sockets, files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import pytest
import zmq

from blender_addon.wire import messages as wire
from blender_addon.wire.codec import FROM_SERVER, Envelope, decode, encode
from blender_addon.wire.connection_file import ConnectionInfo, read_connection_file
from blender_addon.wire.transport import client_socket

REPOSITORY = Path(__file__).resolve().parents[2]
PACED_BACKEND = Path(__file__).with_name("paced_backend.py")
PATIENCE_S = 30.0


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}


def wait_for(condition: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> Any:
    """Poll until `condition` is true; its value."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"waited {patience_s} s for {what}")


def kill_hard(pid: int) -> None:
    """End a process without a word, as `kill -9` does, on every system."""
    psutil.Process(pid).kill()


def kill_family(process: subprocess.Popen[Any]) -> None:
    """End a process and everything below it at once, and wait for it."""
    family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for one in family:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    process.wait()


def load_factor() -> float:
    """How much longer things take than on an idle machine, 1 or more."""
    return max(psutil.getloadavg()[0] / (os.cpu_count() or 1), 1.0)


def link_file(link: Path, target: Path) -> None:
    """A symbolic link; on Windows, where those are for developers, the test is skipped with that reason."""
    try:
        link.symlink_to(target)
    except OSError as fault:
        pytest.skip(f"this system makes no symbolic links ({fault})")


def script(folder: Path, name: str = "video.json", **values: Any) -> Path:
    """A paced job's video."""
    path = folder / name
    path.write_text(json.dumps(values))
    return path


class Backend:
    """A backend in a process of its own, over a folder that outlives it."""

    def __init__(self, folder: Path, *options: str, program: tuple[str, ...] = (str(PACED_BACKEND),)) -> None:
        self.folder = folder
        self.connection_file = folder / "connection.json"
        self.log_file = folder / "backend.log"
        self._options = options
        self._program = program
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Backend:
        self.folder.mkdir(exist_ok=True, parents=True)
        paths = ("--connection-file", str(self.connection_file), "--data-dir", str(self.folder / "data"))
        with self.log_file.open("ab") as log:
            command = (sys.executable, *self._program, *paths, *self._options)
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment(), cwd=REPOSITORY)
        pid = self.process.pid
        wait_for(lambda: self._info_of(pid) or self.process.poll() is not None, "the connection file")  # type: ignore[union-attr]
        assert self.process.poll() is None, self.log_file.read_text()
        return self

    def _info_of(self, pid: int) -> bool:
        return self.connection_file.exists() and read_connection_file(self.connection_file).pid == pid

    @property
    def info(self) -> ConnectionInfo:
        return read_connection_file(self.connection_file)

    def family(self) -> list[psutil.Process]:
        """The server and everything below it."""
        assert self.process is not None
        server = psutil.Process(self.process.pid)
        return [server, *server.children(recursive=True)]

    def worker_pid(self) -> int:
        """The process id of the one worker."""

        def find() -> int:
            children = self.family()[1:]
            return children[0].pid if children else 0

        return wait_for(find, "a worker")

    def memory_bytes(self) -> int:
        return self.family()[0].memory_info().rss

    def kill(self) -> list[psutil.Process]:
        """kill -9 of the server; the processes that it had."""
        family = self.family()
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        return family

    def stop(self) -> int:
        """A graceful stop; the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)

    def log(self, event: str = "") -> list[dict[str, Any]]:
        """The structured lines of the log, of one event or all."""
        lines = []
        for text in self.log_file.read_text().splitlines():
            if text.startswith("{"):
                line = json.loads(text)
                if not event or line["event"] == event:
                    lines.append(line)
        return lines

    def job_folders(self) -> list[Path]:
        return sorted((self.folder / "data" / "jobs").iterdir())


@contextmanager
def running(folder: Path, *options: str) -> Iterator[Backend]:
    """A backend for the length of a block; it must stop gracefully and leave nobody behind."""
    backend = Backend(folder, *options).start()
    try:
        yield backend
    finally:
        if backend.process is not None and backend.process.poll() is None:
            family = backend.family()
            code = backend.stop()
            _gone, alive = psutil.wait_procs(family, timeout=5)
            for process in alive:
                process.kill()
            assert not alive
            assert code == 0


class Peer:
    """A client that says exactly what it is told to, and waits for answers."""

    def __init__(self, info: ConnectionInfo, hello: bool = True) -> None:
        self._context: zmq.Context[Any] = zmq.Context()
        self._ids = count(1)
        self.socket = client_socket(self._context, info)
        self.stray: list[Envelope] = []
        if hello:
            assert isinstance(self.ask(wire.Hello(info.token, "test")), wire.Welcome)

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close(linger=0)
        self._context.term()

    def say(self, message: Any) -> str:
        request_id = str(next(self._ids))
        self.socket.send_multipart(encode(message, request_id))
        return request_id

    def hear(self, patience_s: float = PATIENCE_S) -> Envelope | None:
        """The next message, None after `patience_s` of silence."""
        if not self.socket.poll(int(patience_s * 1000)):
            return None
        return decode(self.socket.recv_multipart(), FROM_SERVER)

    def ask(self, message: Any, patience_s: float = PATIENCE_S) -> Any:
        """The first reply that names this request; other messages are kept in `stray`."""
        request_id = self.say(message)
        while True:
            envelope = self.hear(patience_s)
            assert envelope is not None, f"no reply to {message}"
            if envelope.request == request_id:
                return envelope.message
            self.stray.append(envelope)

    def submit(self, job_id: str, video: Path) -> Any:
        return self.ask(wire.Submit(job_id, wire.Source("path", str(video), video.name)))

    def until_end(self, job_id: str, patience_s: float = PATIENCE_S) -> tuple[list[wire.MotionChunk], Any]:
        """A submitted or watched job's chunks in order, and its ending."""
        chunks = []
        queue, self.stray = self.stray, []
        while True:
            envelope = queue.pop(0) if queue else self.hear(patience_s)
            assert envelope is not None, f"silence about job {job_id}"
            message = envelope.message
            if getattr(message, "job_id", None) != job_id:
                self.stray.append(envelope)
            elif isinstance(message, wire.MotionChunk):
                chunks.append(message)
            elif isinstance(message, wire.Done | wire.Failed | wire.JobCancelled):
                self.stray.extend(queue)
                return chunks, message

    def status(self) -> wire.ServerStatus:
        return self.ask(wire.Status())

    def wait_until_ready(self) -> None:
        """Until every worker is up."""
        wait_for(lambda: all(worker.state in ("idle", "busy") for worker in self.status().workers), "ready workers")
