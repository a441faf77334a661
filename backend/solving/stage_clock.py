"""Wall-clock time by stage. The standard library alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class StageClock:
    """Adds up wall-clock seconds by stage."""

    stage_s: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time that the block takes to a stage, also where it raises."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.add(name, time.monotonic() - begun)

    def add(self, name: str, spent_s: float) -> None:
        """Seconds more of a stage."""
        self.stage_s[name] = self.stage_s.get(name, 0.0) + spent_s
