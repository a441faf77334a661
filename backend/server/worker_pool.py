"""The server's side of its worker processes: start, order, stop, kill, restart, memory. stdlib, psutil, zmq.

A thread per worker reads its pipe and passes every message to the server's loop through an in-process socket, so
that the loop waits in one place on every system.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import zmq

from backend.server.logs import log_event
from backend.server.worker_protocol import (
    FROM_WORKER,
    AbandonJob,
    RecordJob,
    RunJob,
    StopJob,
    read_frames,
    write_frames,
)
from blender_addon.wire.codec import decode, encode
from blender_addon.wire.errors import WireError
from blender_addon.wire.interpreter import direct_interpreter
from blender_addon.wire.messages import Worker

INBOX = "inproc://marionet-workers"
_FIRST_RESTART_S = 0.1
_LAST_RESTART_S = 30.0
_MEMORY_CHECK_S = 0.5
_HOPELESS_FAILURES = 3
# A process that computed less than this within the time limit of a stall does nothing but wait.
_ACTIVE_CPU_S = 0.25
_KILL_GRACE_S = 5.0
_PASSING = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """What came from a worker: a message, or None when its pipe closed. `generation` counts its restarts."""

    worker_id: str
    generation: int
    message: Any


class WorkerHandle:
    """One device's worker process. States: "starting", "idle", "busy", "down" (waiting to be restarted)."""

    def __init__(self, worker_id: str, device: str, command: tuple[str, ...], context: zmq.Context[Any]) -> None:
        self.worker_id = worker_id
        self.device = device
        self.state = "down"
        self.job_id = ""
        self.generation = 0
        self.failures = 0
        self.memory_bytes = 0
        self.restart_at_s = 0.0
        self._let_go_by_s: float | None = None
        self._gone_by_s: float | None = None
        self._active_s = 0.0
        self._active_cpu_s = 0.0
        self._zombies: list[subprocess.Popen[bytes]] = []
        self._command = (*command, "--worker", worker_id, "--device", device)
        self._context = context
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id, 0 when there is none."""
        return self._process.pid if self._process is not None else 0

    def describe(self) -> Worker:
        """As clients see it."""
        return Worker(self.worker_id, self.device, self.state, self.job_id, self.memory_bytes)

    def start(self) -> None:
        """Start the process; it reports `Ready` when its models are loaded. Raises OSError when it cannot be started.

        After an error the handle is down and is due again after a pause.
        """
        reports: zmq.Socket[bytes] | None = None
        try:
            reports = self._context.socket(zmq.PUSH)
            # the interpreter itself, not the launcher of a Windows environment: what is measured is the worker
            interpreter = direct_interpreter(Path(self._command[0]))
            self._process = subprocess.Popen(
                (str(interpreter.program), *self._command[1:]),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=interpreter.started_with(dict(os.environ)),
            )
        except (OSError, zmq.ZMQError) as fault:
            if reports is not None:
                reports.close(linger=0)
            self._pause()
            raise fault if isinstance(fault, OSError) else OSError(fault.errno, fault.strerror) from fault
        self.generation += 1
        self.state, self.job_id = "starting", ""
        arguments = (self._process, self.generation, reports)
        threading.Thread(target=self._listen, args=arguments, name=self.worker_id, daemon=True).start()
        log_event("worker starts", worker=self.worker_id, device=self.device, pid=self._process.pid)

    def order(self, order: RunJob) -> None:
        """Hand over a job; a process that died meanwhile is reported by its closed pipe."""
        self.state, self.job_id = "busy", order.job_id
        self.heard()
        self._send(order)

    def heard(self) -> None:
        """The process reported something."""
        self._active_s = time.monotonic()

    def rest(self) -> None:
        """The process has nothing to do."""
        self.state, self.job_id, self._let_go_by_s = "idle", "", None

    def stop_job(self, job_id: str) -> None:
        """Ask for a stop."""
        self._send(StopJob(job_id))

    def record_job(self, job_id: str) -> None:
        """Have a live job recorded from now on."""
        self._send(RecordJob(job_id))

    def abandon(self, job_id: str, let_go_by_s: float) -> None:
        """Insist on a stop; the process is ended when it does not let go in time."""
        self._let_go_by_s = let_go_by_s
        self._send(AbandonJob(job_id))

    def holds_on(self, now_s: float) -> bool:
        """Whether the process has not let go of an abandoned job in time."""
        return self._let_go_by_s is not None and now_s >= self._let_go_by_s

    def kill(self) -> None:
        """End the process at once; its closed pipe is reported like a crash."""
        if self._process is not None:
            self._process.kill()
            self._gone_by_s = self._gone_by_s or time.monotonic() + _KILL_GRACE_S

    def forsake(self, now_s: float) -> bool:
        """Give up a process that does not even end when it is killed, as one does that waits for a dead disk.

        True when it was given up: the handle is down then, and another process takes its place.
        """
        self._zombies = [process for process in self._zombies if process.poll() is None]
        if self._process is None or self._gone_by_s is None or now_s < self._gone_by_s:
            return False
        _close_quietly(self._process.stdin)
        self._zombies.append(self._process)
        self._process = None
        self.generation += 1
        self.memory_bytes, self._let_go_by_s, self._gone_by_s = 0, None, None
        self._pause()
        return True

    def stalled(self, stall_s: float, now_s: float) -> bool:
        """Whether the process has a job and has neither reported nor computed for `stall_s`."""
        return self.state == "busy" and stall_s > 0 and now_s - self._active_s > stall_s

    def reap(self) -> str:
        """After its pipe closed: wait for the process and say in words how it ended."""
        process, self._process = self._process, None
        if process is None:
            return "was not running"
        process.kill()
        try:
            code = process.wait(_KILL_GRACE_S)
        except subprocess.TimeoutExpired:
            self._zombies.append(process)
            code = -signal.SIGTERM if sys.platform == "win32" else -signal.SIGKILL
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                _close_quietly(stream)
        self.memory_bytes, self._let_go_by_s, self._gone_by_s = 0, None, None
        self._pause()
        return f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"

    def _pause(self) -> None:
        """The process is down, and is started again after a pause that grows with every failure in a row."""
        self.state = "down"
        self.failures += 1
        self.restart_at_s = time.monotonic() + min(_FIRST_RESTART_S * 2.0 ** (self.failures - 1), _LAST_RESTART_S)

    def measure(self) -> int:
        """The process's resident memory in bytes; 0 when it is not running. Marks it active when it computes."""
        try:
            process = psutil.Process(self.pid) if self._process is not None else None
            self.memory_bytes = process.memory_info().rss if process is not None else 0
            if process is not None:
                self._note_cpu(sum(process.cpu_times()[:2]))
        except psutil.Error:
            self.memory_bytes = 0
        except OSError:
            log_event("worker cannot be measured", logging.WARNING, worker=self.worker_id)
        return self.memory_bytes

    def _note_cpu(self, cpu_s: float) -> None:
        """A process that computed for a quarter of a second since it was last seen active is active."""
        if cpu_s - self._active_cpu_s >= _ACTIVE_CPU_S or cpu_s < self._active_cpu_s:
            self._active_s, self._active_cpu_s = time.monotonic(), cpu_s

    def _send(self, message: Any) -> None:
        process = self._process
        if process is None or process.stdin is None:
            return
        try:
            write_frames(process.stdin, encode(message, "0"))  # type: ignore[arg-type]
        except OSError:
            log_event("worker does not listen", logging.WARNING, worker=self.worker_id)

    def _listen(self, process: subprocess.Popen[bytes], generation: int, reports: zmq.Socket[bytes]) -> None:
        """The reader thread: everything from the pipe to the inbox, and an empty message at its end."""
        reports.setsockopt(zmq.LINGER, 0)
        label = [self.worker_id.encode(), str(generation).encode()]
        try:
            reports.connect(INBOX)
            assert process.stdout is not None
            while (frames := read_frames(process.stdout)) is not None:  # type: ignore[arg-type]
                reports.send_multipart([*label, *frames])
            reports.send_multipart(label)
        except (zmq.ZMQError, ValueError, OSError):
            process.kill()  # the server closes, or the pipe holds no messages: either way this worker is over
            _say_it_is_over(reports, label)
        finally:
            reports.close()
            _close_quietly(process.stdout)


class WorkerPool:
    """All workers of a server, one per device."""

    def __init__(self, devices: tuple[str, ...], command: tuple[str, ...], context: zmq.Context[Any]) -> None:
        self.inbox = context.socket(zmq.PULL)
        self.inbox.setsockopt(zmq.RCVHWM, 64)
        self.inbox.bind(INBOX)
        self.workers = {
            f"w{place}": WorkerHandle(f"w{place}", device, command, context) for place, device in enumerate(devices)
        }
        self._next_memory_check_s = 0.0

    def idle(self) -> WorkerHandle | None:
        """A worker that can take a job, if any."""
        return next((worker for worker in self.workers.values() if worker.state == "idle"), None)

    def having(self, job_id: str) -> WorkerHandle | None:
        """The worker that has this job, if any."""
        return next((worker for worker in self.workers.values() if worker.job_id == job_id), None)

    def abandon(self, job_id: str, grace_s: float) -> None:
        """Have the worker that has a job drop it, by force when it does not within the grace."""
        worker = self.having(job_id)
        if worker is not None:
            worker.abandon(job_id, time.monotonic() + grace_s)

    def hopeless(self) -> bool:
        """Whether every worker failed to start several times in a row."""
        return all(worker.failures >= _HOPELESS_FAILURES for worker in self.workers.values())

    def start_due(self, now_s: float) -> str:
        """Start every worker that is down and whose pause is over; why one could not be started, "" for none."""
        refused = ""
        for worker in self.workers.values():
            if worker.state == "down" and now_s >= worker.restart_at_s:
                try:
                    worker.start()
                except OSError as fault:
                    log_event("worker cannot be started", logging.ERROR, worker=worker.worker_id, reason=str(fault))
                    # what the system lacks for a moment fails no job
                    refused = "" if fault.errno in _PASSING else f"could not be started ({fault.strerror})"
        return refused

    def end_stubborn(self, now_s: float) -> None:
        """End the processes that do not let go of an abandoned job."""
        for worker in self.workers.values():
            if worker.holds_on(now_s):
                worker.kill()

    def lost(self, now_s: float) -> list[tuple[WorkerHandle, str]]:
        """Workers whose processes were killed and do not end; each has been given up and is started anew."""
        return [
            (worker, "did not end when it was stopped") for worker in self.workers.values() if worker.forsake(now_s)
        ]

    def stalled(self, stall_s: float, now_s: float) -> list[WorkerHandle]:
        """Workers that wait in vain for their input."""
        return [worker for worker in self.workers.values() if worker.stalled(stall_s, now_s)]

    def over_memory(self, limit_bytes: int, now_s: float) -> list[WorkerHandle]:
        """Workers beyond the limit; looks twice a second."""
        if now_s < self._next_memory_check_s:
            return []
        self._next_memory_check_s = now_s + _MEMORY_CHECK_S
        return [worker for worker in self.workers.values() if worker.measure() > limit_bytes]

    def receive(self) -> WorkerReport | None:
        """The next report without waiting; None when there is none. A message that is none ends its worker."""
        while True:
            try:
                name, generation, *frames = self.inbox.recv_multipart(flags=zmq.NOBLOCK)
            except zmq.Again:
                return None
            worker = self.workers[name.decode()]
            if int(generation) != worker.generation:
                continue
            try:
                message = decode(frames, FROM_WORKER).message if frames else None
            except WireError as fault:
                log_event("worker sent nonsense", logging.ERROR, worker=worker.worker_id, reason=fault.message)
                worker.kill()
                continue
            worker.heard()
            return WorkerReport(worker.worker_id, worker.generation, message)

    def stop(self) -> None:
        """End every process and wait for it."""
        for worker in self.workers.values():
            worker.kill()
            worker.reap()
        self.inbox.close(linger=0)


def _close_quietly(stream: Any) -> None:
    try:
        stream.close()
    except OSError:
        logging.getLogger(__name__).debug("a worker's pipe was closed already")


def _say_it_is_over(reports: zmq.Socket[bytes], label: list[bytes]) -> None:
    try:
        reports.send_multipart(label)
    except zmq.ZMQError:
        logging.getLogger(__name__).debug("the server's inbox is closed already")
