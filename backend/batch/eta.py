"""How far a run is: clips done, frames a second, an estimate of what is left. stdlib and `backend.batch` only."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from backend.batch.executor import WorkerView
from backend.batch.records import DONE, FAILED, STOPPED, ClipRecord

OVER = (DONE, FAILED, STOPPED)


@dataclass(frozen=True, slots=True)
class Overall:
    """Counts of clips; `share` 0 to 1 of the whole, `remaining_s` None as long as nothing tells."""

    total: int
    done: int
    reused: int
    failed: int
    share: float
    elapsed_s: float
    remaining_s: float | None


class Estimate:
    """Tells how long a run will still take, from the clips of this run that are over and how far the others are.

    `weights` is what each clip's work is thought to be worth, such as its file's size.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._weights = dict(weights)
        self._began_s = time.monotonic()

    def overall(self, records: Mapping[str, ClipRecord], views: list[WorkerView]) -> Overall:
        """Where the run stands."""
        over = {base: record for base, record in records.items() if record.status in OVER}
        free = sum(self._weight(base) for base, record in over.items() if record.reused or record.status == STOPPED)
        partly = {view.base: view.done / view.total for view in views if view.total > 0 and view.base not in over}
        worked = sum(self._weight(base) for base in over) - free
        worked += sum(self._weight(base) * min(1.0, share) * 0.9 for base, share in partly.items())
        whole = sum(self._weight(base) for base in records) - free
        elapsed = time.monotonic() - self._began_s
        share = 1.0 if whole <= 0 else min(1.0, worked / whole)
        known = share > 0.01 and elapsed > 2.0
        failed = sum(record.status == FAILED for record in over.values())
        return Overall(
            total=len(records),
            done=sum(record.status == DONE for record in over.values()),
            reused=sum(record.reused for record in over.values()),
            failed=failed,
            share=share,
            elapsed_s=elapsed,
            remaining_s=elapsed * (1.0 - share) / share if known else None,
        )

    def _weight(self, base: str) -> float:
        return max(1.0, self._weights.get(base, 1.0))
