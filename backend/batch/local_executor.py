"""The executor of one machine: solver, Blender and preview workers in processes of their own, so that work overlaps.

May import stdlib, psutil, `backend.batch` and `backend.errors`.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Final

import psutil

from backend.batch.executor import WorkerView
from backend.batch.tasks import Fault, RunSettings, Step, StepEnded, StepProgress, StepTask
from backend.batch.worker_loop import run_worker
from backend.errors import WorkerError

log = logging.getLogger(__name__)

_CHECK_EVERY_S: Final = 1.0
_END_S: Final = 2.0
_SOLVER_BYTES: Final = 1_200_000_000
_NAMES: Final = {Step.SOLVE: "solver", Step.EXPORT: "blender", Step.PREVIEW: "preview"}


@dataclass(frozen=True, slots=True)
class WorkerCounts:
    """How many processes of each kind."""

    solvers: int
    blenders: int
    preview_workers: int

    def of(self, step: Step) -> int:
        """The number for a step."""
        return {Step.SOLVE: self.solvers, Step.EXPORT: self.blenders, Step.PREVIEW: self.preview_workers}[step]


def choose_worker_counts(gpus: int, cores: int | None = None, memory_bytes: int | None = None) -> WorkerCounts:
    """One solver a GPU; without one, a solver for every two cores (it uses two), as far as the memory goes."""
    cores = cores or os.cpu_count() or 1
    memory = psutil.virtual_memory().available if memory_bytes is None else memory_bytes
    fit = max(1, int(memory // (2 * _SOLVER_BYTES)))
    solvers = gpus or max(1, min(cores // 2, fit))
    return WorkerCounts(solvers, max(1, min(cores // 2, fit)), max(1, min(cores // 4, fit)))


class LocalExecutor:
    """An executor. Processes start with their first step and are replaced when they die."""

    def __init__(self, settings: RunSettings, workers: WorkerCounts) -> None:
        self._settings = settings
        self._hands = [
            _Worker(f"{_NAMES[step]} {place + 1}", step, settings) for step in Step for place in range(workers.of(step))
        ]
        self._next_check_s = 0.0

    def room(self, step: Step) -> int:
        """Idle processes of the kind."""
        return sum(hand.step is step and hand.order is None for hand in self._hands)

    def submit(self, order: StepTask) -> None:
        """Give a step to an idle process."""
        hand = next(hand for hand in self._hands if hand.step is order.step and hand.order is None)
        hand.give(order)

    def wait(self, timeout_s: float) -> list[StepEnded | StepProgress]:
        """Messages of all processes; the death of one is the end of its step."""
        busy = {hand.pipe: hand for hand in self._hands if hand.order is not None and hand.pipe is not None}
        events: list[StepEnded | StepProgress] = []
        for pipe in wait(list(busy), timeout_s) if busy else ():
            events += busy[pipe].hear()  # type: ignore[index]
        if not busy:
            time.sleep(min(timeout_s, 0.05))
        if time.monotonic() >= self._next_check_s:
            self._next_check_s = time.monotonic() + _CHECK_EVERY_S
            events += [event for hand in self._hands for event in hand.check()]
        return events

    def views(self) -> list[WorkerView]:
        """All processes."""
        return [hand.view() for hand in self._hands]

    def close(self) -> None:
        """End all processes and what they started."""
        for hand in self._hands:
            hand.dismiss()
        for hand in self._hands:
            hand.end()


class _Worker:
    """One worker process seen from the pool."""

    def __init__(self, name: str, step: Step, settings: RunSettings) -> None:
        self.name = name
        self.step = step
        self.order: StepTask | None = None
        self.pipe: Connection | None = None
        self._settings = settings
        self._process: Any = None
        self._given_s = self._heard_s = 0.0
        self._last: StepProgress | None = None

    def give(self, order: StepTask) -> None:
        """Begin a step, in a new process where there is none."""
        if self._process is None or not self._process.is_alive():
            self._start()
        self.order, self._last = order, None
        self._given_s = self._heard_s = time.monotonic()
        assert self.pipe is not None
        with suppress(OSError):  # a process that died meanwhile is told by its pipe
            self.pipe.send(order)

    def hear(self) -> list[StepEnded | StepProgress]:
        """The messages that wait in the pipe."""
        events: list[StepEnded | StepProgress] = []
        assert self.pipe is not None
        try:
            while self.pipe is not None and self.pipe.poll():
                events.append(self._take(self.pipe.recv()))
        except (EOFError, OSError):
            events.append(self._lost(self._how_it_ended()))
        return events

    def check(self) -> list[StepEnded]:
        """End a process that is silent for too long or needs too much memory."""
        if self.order is None or self._process is None:
            return []
        silent_s = time.monotonic() - self._heard_s
        # Blender has its own, equal bound, which tells more: it comes first
        if silent_s > self._settings.stall_s * 1.1 + 5.0:
            return [self._lost(WorkerError(f"No sign of life for {silent_s / 60:.1f} min", "Look at the clip alone"))]
        limit = self._settings.memory_bytes
        if limit and (used := _memory_of(self._process.pid)) > limit:
            text = f"It needs {used / 2**30:.1f} GiB, more than the {limit / 2**30:.1f} GiB of --memory"
            return [self._lost(WorkerError(text, "Give it a range, a lower quality, or more memory"))]
        return []

    def view(self) -> WorkerView:
        """How it stands."""
        if self.order is None:
            return WorkerView(self.name, "", "", 0, 0)
        last = self._last
        if last is None:
            return WorkerView(self.name, self.order.clip.base, "starts", 0, 0)
        return WorkerView(self.name, last.base, last.stage, last.done, last.total)

    def dismiss(self) -> None:
        """Ask an idle process to go; a busy one is ended by `end`."""
        if self.pipe is not None and self.order is None:
            with suppress(OSError):
                self.pipe.send(None)

    def end(self) -> None:
        """End the process and what it started."""
        process, self._process = self._process, None
        if process is not None:
            if self.order is None:
                process.join(_END_S)
            _kill_tree(process)
        if self.pipe is not None:
            self.pipe.close()
            self.pipe = None
        self.order = None

    def _start(self) -> None:
        self.end()
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        arguments = (self.name.replace(" ", "-"), self._settings, theirs)
        self._process = context.Process(target=run_worker, args=arguments, name=self.name)
        self._process.start()
        theirs.close()  # so that the death of the process closes the pipe

    def _take(self, message: StepEnded | StepProgress) -> StepEnded | StepProgress:
        self._heard_s = time.monotonic()
        if isinstance(message, StepProgress):
            self._last = message
        else:
            self.order = None
        return message

    def _how_it_ended(self) -> WorkerError:
        self._process.join(_END_S)
        code = self._process.exitcode
        if code is not None and code < 0:
            remedy = (
                "If memory ran out: fewer workers, or a range" if code == -9 else "Run it again; report it if it stays"
            )
            return WorkerError(f"The worker was killed (signal {-code})", remedy)
        return WorkerError(f"The worker ended by itself (exit code {code})", "Run it again; report it if it stays")

    def _lost(self, error: WorkerError) -> StepEnded:
        order = self.order
        assert order is not None
        log.warning("%s: %s", self.name, error)
        self.end()
        fault = Fault(error.code, error.message, error.remedy)
        return StepEnded(order, self.name, time.monotonic() - self._given_s, fault=fault)


def _memory_of(pid: int) -> int:
    """Resident bytes of a process and of what it started."""
    total = 0
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with suppress(psutil.Error):
                total += one.memory_info().rss
    return total


def _kill_tree(process: Any) -> None:
    children: list[psutil.Process] = []
    with suppress(psutil.Error):
        children = psutil.Process(process.pid).children(recursive=True)
    if process.is_alive():
        process.kill()
    process.join()
    process.close()
    for child in children:
        with suppress(psutil.Error):
            child.kill()
