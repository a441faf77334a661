"""Structured logs: one JSON object a line on standard error, and the count of refusals. stdlib only."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from typing import Any, TextIO

LOGGER = logging.getLogger("marionet.server")

# Refusals logged one by one in a second; the rest of that second is summed up in one line per code.
_SINGLE_LINES_PER_S = 20


class JsonFormatter(logging.Formatter):
    """`{"time", "level", "event", ...fields}`; a traceback goes into `traceback`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON."""
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "logger": record.name,
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def set_up_logging(stream: TextIO, level: int = logging.INFO) -> None:
    """Send every log line of this process to `stream` as JSON."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)


def log_event(name: str, level: int = logging.INFO, **fields: Any) -> None:
    """Log one event with its fields."""
    LOGGER.log(level, name, extra={"fields": fields})


class RefusalLedger:
    """Counts every refusal by code and logs it, a flood in sums: the counts in the log add up to `counts`."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._unlogged: Counter[str] = Counter()
        self._second = 0
        self._lines = 0

    def add(self, code: str, reason: str, peer: str, count: int = 1) -> None:
        """Count refusals, one or `count` of the same kind; `reason` is for the log only."""
        self.counts[code] += count
        if self._lines >= _SINGLE_LINES_PER_S:
            self._unlogged[code] += count
            return
        self._lines += 1
        log_event("refused", logging.WARNING, code=code, reason=reason[:200], peer=peer, count=count)

    def tick(self, now_s: float) -> None:
        """Once a second: write the sums of what was not logged singly."""
        if int(now_s) == self._second:
            return
        self._second, self._lines = int(now_s), 0
        self.flush()

    def flush(self) -> None:
        """Write the sums now."""
        for code, count in self._unlogged.items():
            log_event("refused", logging.WARNING, code=code, reason="more of the same", peer="", count=count)
        self._unlogged.clear()
