"""A worker process of the pool: one step at a time from its pipe, progress and endings back through it.

May import `backend.batch` and what its steps rest on. It ends with the process that started it.
"""

from __future__ import annotations

import faulthandler
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Final

from backend.batch.steps import Bench, carry_out
from backend.batch.tasks import Fault, RunSettings, StepEnded, StepProgress, StepTask
from backend.errors import MarionetError
from backend.processes import end_with_parent
from backend.types import Progress

log = logging.getLogger(__name__)

_PROGRESS_EVERY_S: Final = 0.3
_OWNER_CHECK_S: Final = 0.5


def run_worker(name: str, settings: RunSettings, pipe: Connection) -> None:
    """Serve orders until the pipe closes. The pool starts this in a process of its own."""
    faulthandler.enable()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the scheduler decides what ends
    _die_with_owner()
    bench = Bench(settings, name)
    lock = threading.Lock()

    def send(message: StepEnded | StepProgress) -> None:
        with lock:
            pipe.send(message)

    try:
        while (order := pipe.recv()) is not None:
            send(do_step(order, bench, name, thinned(order, name, send)))
    except (EOFError, OSError):
        log.info("the batch is gone")
    finally:
        bench.close()


def do_step(order: StepTask, bench: Bench, worker: str, progress: Callable[[Progress], None]) -> StepEnded:
    """One step and whatever became of it: the border where a bug ends its clip and nothing else."""
    began = time.monotonic()

    def ended(fault: Fault) -> StepEnded:
        return StepEnded(order, worker, time.monotonic() - began, fault=fault)

    try:
        outcome = carry_out(order, bench, progress)
        return StepEnded(order, worker, time.monotonic() - began, outcome)
    except MarionetError as fault:
        return ended(Fault(fault.code, fault.message, fault.remedy))
    except MemoryError:
        return ended(Fault("memory", "The clip needs more memory than there is", "Give a range, or fewer workers"))
    except Exception as fault:
        log.exception("%s of %s failed", order.step.value, order.clip.base)
        message = f"Internal error: {type(fault).__name__}: {fault}"
        return ended(Fault("internal", message[:2000], "Report this with the output of --verbose"))


def thinned(order: StepTask, worker: str, send: Callable[[StepProgress], None]) -> Callable[[Progress], None]:
    """A progress callback that sends what a person can see, and every new stage."""
    last_stage, last_s = "", 0.0

    def progress(now: Progress) -> None:
        nonlocal last_stage, last_s
        clock = time.monotonic()
        stage = f"video {now.video} {now.stage}" if now.video else now.stage
        if stage == last_stage and clock - last_s < _PROGRESS_EVERY_S:
            return
        last_stage, last_s = stage, clock
        send(StepProgress(worker, order.step, order.clip.base, stage, now.done, now.total))

    return progress


def _die_with_owner() -> None:
    """End this process when the batch is killed: by the kernel on Linux, by looking now and then elsewhere."""
    end_with_parent()
    threading.Thread(target=_watch_owner, name="owner", daemon=True).start()


def _watch_owner() -> None:
    owner = multiprocessing.parent_process()
    while owner is not None and owner.is_alive():
        time.sleep(_OWNER_CHECK_S)
    os._exit(1)
