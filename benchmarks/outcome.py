"""How a benchmark ends, beside 0: told apart from a crash (1) and a wrong option (2). stdlib only."""

from __future__ import annotations

MISSED = 3  # it ran and printed its table, and a target was missed
CANNOT_RUN = 77  # something that it needs is not here; it has said what
