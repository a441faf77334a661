"""The interface of executors: an executor takes tasks, runs them and reports how they end.

May import stdlib and `backend.batch.tasks`. Implementations: `local_executor.LocalExecutor` on this machine,
`ray_executor.RayExecutor` on a cluster.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from backend.batch.tasks import Step, StepEnded, StepProgress, StepTask


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker as it is shown: its name, what it is at ("" when idle), and how far."""

    name: str
    base: str
    stage: str
    done: int
    total: int


class Executor(Protocol):
    """Carries out steps somewhere; every submitted step comes back exactly once from `wait`."""

    def room(self, step: Step) -> int:
        """How many more steps of this kind can begin now."""
        ...

    def submit(self, order: StepTask) -> None:
        """Begin a step; `room` must have said yes."""
        ...

    def wait(self, timeout_s: float) -> list[StepEnded | StepProgress]:
        """What happened, waiting at most so long for the first."""
        ...

    def views(self) -> list[WorkerView]:
        """All workers as they stand."""
        ...

    def close(self) -> None:
        """End all workers at once."""
        ...
