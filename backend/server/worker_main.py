"""A worker process: orders come on standard input, progress, chunks and endings go to standard output.

`python -m backend.server.worker_main --worker ID --device NAME`, started by the server only. It ends itself when its
standard input closes, which is what the death of the server looks like from here. One job at a time.
"""

from __future__ import annotations

import argparse
import ctypes
import faulthandler
import hashlib
import math
import os
import queue
import sys
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from backend.errors import Cancelled, MarionetError
from backend.live.request import LivePose
from backend.processes import end_with_parent
from backend.server.job_runner import JobOutcome, JobRunner, JobSink
from backend.server.logs import LOGGER, log_event, set_up_logging
from backend.server.worker_protocol import (
    TO_WORKER,
    AbandonJob,
    JobEnded,
    Ready,
    RecordJob,
    RunJob,
    StopJob,
    read_frames,
    write_frames,
)
from backend.solving.request import SolvedChunk
from backend.types import CancelToken, Progress
from blender_addon.wire.codec import decode, encode
from blender_addon.wire.messages import JobProgress, LiveFrame, MotionChunk, ResultFile

# Progress lines per second; a stage's last one always goes out.
_PROGRESS_RATE = 10.0
_MAX_CHUNK_FRAMES = 512
# a message has a bound, and a warning may quote names that clients gave
_MOST_TEXT_CHARS, _MOST_WARNINGS = 2000, 64


class Abandoned(BaseException):
    """Raised into the work when a stop took too long; no `except Exception` on the way may keep it."""


class WorkerProcess:
    """The process's threads: one listens to orders, one writes reports, the main one works.

    A thread of their own writes the reports: an abandonment, which strikes the main thread anywhere, cuts none in two.
    """

    def __init__(self, runner: JobRunner, orders: BinaryIO, reports: BinaryIO) -> None:
        self._runner = runner
        self._input = orders
        self._output = reports
        self._orders: queue.SimpleQueue[RunJob] = queue.SimpleQueue()
        self._reports: queue.SimpleQueue[tuple[Any, threading.Event]] = queue.SimpleQueue()
        self._tokens: dict[str, CancelToken] = {}
        self._records: dict[str, threading.Event] = {}
        self._current = ""
        self._current_lock = threading.Lock()

    def send(self, message: Any) -> None:
        """Report to the server; returns when it is written, so that a crash loses nothing that was sent."""
        written = threading.Event()
        self._reports.put((message, written))
        written.wait()

    def run_forever(self) -> None:
        """Warm up, say so, then carry out orders until the server goes away."""
        threading.Thread(target=self._listen, name="orders", daemon=True).start()
        threading.Thread(target=self._write, name="reports", daemon=True).start()
        started = time.monotonic()
        device = self._runner.warm_up()
        self.send(Ready(device, time.monotonic() - started))
        while True:
            order = self._orders.get()
            self.send(self._carry_out_or_abandon(order))
            self._tokens.pop(order.job_id, None)
            self._records.pop(order.job_id, None)

    def _listen(self) -> None:
        while (frames := read_frames(self._input)) is not None:
            message = decode(frames, TO_WORKER).message
            if isinstance(message, RunJob):
                self._tokens[message.job_id] = CancelToken()
                self._records[message.job_id] = threading.Event()
                self._orders.put(message)
            elif isinstance(message, StopJob) and (token := self._tokens.get(message.job_id)) is not None:
                token.cancel()
            elif isinstance(message, RecordJob) and (record := self._records.get(message.job_id)) is not None:
                record.set()
            elif isinstance(message, AbandonJob):
                self._abandon(message.job_id)
        os._exit(0)

    def _write(self) -> None:
        """A closed pipe means that the server is gone, and this process with it."""
        try:
            while True:
                message, written = self._reports.get()
                write_frames(self._output, encode(message, "0"))
                written.set()
        except OSError:
            os._exit(0)

    def _abandon(self, job_id: str) -> None:
        """Raise Abandoned in the main thread, if it still has this job."""
        with self._current_lock:
            if self._current == job_id:
                thread = ctypes.c_ulong(threading.main_thread().ident or 0)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(Abandoned))

    def _carry_out_or_abandon(self, order: RunJob) -> JobEnded:
        ended = JobEnded(order.job_id, "cancelled", "The work was dropped")
        try:
            self._current = order.job_id
            ended = self._carry_out(order)
            with self._current_lock:  # from here on nobody raises anything into this thread
                self._current = ""
        except Abandoned:
            self._current = ""
        return ended

    def _carry_out(self, order: RunJob) -> JobEnded:
        """One job, and whatever became of it: the one broad `except` of the worker."""
        sink = JobReports(self, order).sink(self._tokens[order.job_id], self._records[order.job_id])
        try:
            return _ended(order, self._runner.run(order, sink))
        except Cancelled as stop:
            return JobEnded(order.job_id, "cancelled", stop.message, stop.remedy)
        except MarionetError as fault:
            return JobEnded(order.job_id, fault.code, fault.message[:_MOST_TEXT_CHARS], fault.remedy[:_MOST_TEXT_CHARS])
        except MemoryError:
            return JobEnded(order.job_id, "memory", "The clip needs more memory than there is", "Solve a shorter range")
        except Exception as fault:  # the job's border: a bug ends this job with a reason, not the worker
            LOGGER.exception("job failed", extra={"fields": {"job_id": order.job_id}})
            message = f"Internal error: {type(fault).__name__}: {fault}"
            return JobEnded(order.job_id, "internal", message[:_MOST_TEXT_CHARS], "Report this with the backend's log")


class JobReports:
    """Turns a runner's callbacks into messages about one job."""

    def __init__(self, worker: WorkerProcess, order: RunJob) -> None:
        self._worker = worker
        self._order = order
        self._lock = threading.Lock()
        self._chunks = 0
        self._last = ("", 0.0)

    def sink(self, cancel: CancelToken, record: threading.Event) -> JobSink:
        """The callbacks, bound to this job."""
        return JobSink(self.progress, self.chunk, cancel, self.live, record)

    def live(self, pose: LivePose) -> None:
        """Send a live pose, or why there is none."""
        rates = pose.rates
        self._worker.send(
            LiveFrame(
                job_id=self._order.job_id,
                number=pose.number,
                state=pose.state.value,
                frame_index=pose.frame_index,
                time_s=pose.time_s,
                arrived_unix_s=pose.arrived_unix_s,
                confidence=pose.confidence,
                message=pose.words[:1000],
                fps=rates.fps,
                source_fps=rates.source_fps,
                latency_s=rates.latency_s,
                captured=rates.captured,
                dropped=rates.dropped,
                recorded=pose.recorded_frames,
                rotations_wxyz=pose.rotations_wxyz.astype(np.float32),
                root_m=pose.root_m.astype(np.float32),
                joints_camera_m=pose.joints_camera_m.astype(np.float32),
            )
        )

    def progress(self, progress: Progress) -> None:
        """Forward progress, thinned to what a person can see."""
        now = time.monotonic()
        stage, sent = self._last
        about = f"{progress.stage} {progress.video}"
        if about == stage and progress.done < progress.total and now - sent < 1.0 / _PROGRESS_RATE:
            return
        self._last = (about, now)
        order = self._order
        self._worker.send(
            JobProgress(
                *(order.job_id, order.attempt, progress.stage, progress.done, progress.total, progress.remaining_s),
                video=progress.video,
            )
        )

    def chunk(self, chunk: SolvedChunk) -> None:
        """Number the frames' messages and send them; a long chunk goes in several."""
        with self._lock:
            for start in range(0, len(chunk.frame_index), _MAX_CHUNK_FRAMES):
                self._worker.send(self._message(chunk, slice(start, start + _MAX_CHUNK_FRAMES)))
                self._chunks += 1

    def _message(self, chunk: SolvedChunk, part: slice) -> MotionChunk:
        return MotionChunk(
            self._order.job_id,
            self._order.attempt,
            self._chunks,
            chunk.person,
            chunk.space,
            chunk.frame_index[part].astype(np.int64),
            chunk.times_s[part].astype(np.float64),
            chunk.rotations_wxyz[part].astype(np.float32),
            chunk.root_m[part].astype(np.float32),
            chunk.joints_camera_m[part].astype(np.float32),
            chunk.confidence[part].astype(np.float32),
        )


def run_worker(runner: JobRunner) -> None:
    """Take over this process's standard streams and serve orders; does not return."""
    faulthandler.enable()
    set_up_logging(sys.stderr)
    orders, reports = _private_streams()
    end_with_parent()
    log_event("worker started", worker_pid=os.getpid())
    WorkerProcess(runner, orders, reports).run_forever()


def _private_streams() -> tuple[BinaryIO, BinaryIO]:
    """The pipes to the server, moved away from 0 and 1 so that no library's print can reach them."""
    orders, reports = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return orders, reports


def _ended(order: RunJob, outcome: JobOutcome) -> JobEnded:
    files = tuple(_result_file(path) for path in outcome.files)
    code = "cancelled" if outcome.cancelled else ""
    warnings = tuple(text[:_MOST_TEXT_CHARS] for text in outcome.warnings[:_MOST_WARNINGS])
    # no header holds NaN or infinity: a figure that could not be measured is left out
    figures = {name: value for name, value in outcome.figures.items() if math.isfinite(value)}
    return JobEnded(order.job_id, code, "", "", files, figures, warnings)


def _result_file(path: Path) -> ResultFile:
    with path.open("r+b") as stream:  # Windows syncs only what may be written
        os.fsync(stream.fileno())
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return ResultFile(path.name, path.stat().st_size, digest)


def main() -> None:
    """The product's worker: solves videos."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--worker", required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--towers", type=Path)
    parser.add_argument("--bank", type=Path)
    arguments = parser.parse_args()
    from backend.embedding.model_files import ModelFiles
    from backend.server.solve_runner import SolveRunner

    run_worker(SolveRunner(arguments.device, ModelFiles(arguments.towers, arguments.bank)))


if __name__ == "__main__":
    main()
