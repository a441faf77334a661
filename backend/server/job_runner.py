"""The seam between the service and what it computes: a runner takes an order, a sink takes what comes of it.

May import stdlib, numpy and `backend.types`. The product's runner is `solve_runner.SolveRunner`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Protocol

from backend.live.request import LivePose
from backend.server.worker_protocol import RunJob
from backend.solving.request import SolvedChunk
from backend.types import CancelToken, ProgressCallback


@dataclass(frozen=True, slots=True)
class JobSink:
    """Where a runner reports: both callbacks may be called from any thread; `cancel` is asked between frames."""

    progress: ProgressCallback
    chunk: Callable[[SolvedChunk], None]
    cancel: CancelToken
    live: Callable[[LivePose], None] = lambda pose: None
    record: Event = field(default_factory=Event)
    """Set when a live job is to be recorded from now on."""


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """What a runner leaves: files in the order's output folder, figures, and whether it stopped early as asked."""

    files: tuple[Path, ...]
    figures: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    cancelled: bool = False


class JobRunner(Protocol):
    """One worker process has one runner, which keeps its models between jobs."""

    def warm_up(self) -> str:
        """Load what every job needs; the name of the device it computes on."""
        ...

    def run(self, order: RunJob, sink: JobSink) -> JobOutcome:
        """Carry out one order. Raises MarionetError for what a user can mend, Cancelled when nothing was finished."""
        ...
