"""`report.json` and `index.html` of a run: written whole, now and then while it runs and at its end.

May import stdlib, `backend.batch` and `backend.errors`.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, Final

from backend.batch.html_report import RunFacts, render_page
from backend.batch.records import ClipRecord, warning_words
from backend.batch.storage import Storage
from backend.errors import MarionetError

log = logging.getLogger(__name__)

REPORT: Final = "report.json"
PAGE: Final = "index.html"
_PAGE_EVERY_S: Final = 30.0


def report_entry(record: ClipRecord, storage: Storage) -> dict[str, Any]:
    """One clip for machines; `outputs` are paths or URLs, `error` a sentence or null."""
    return {
        "clip": record.source,
        "videos": list(record.videos),
        "name": record.base,
        "status": record.status,
        "outputs": [storage.address(output.name) for output in record.outputs if output.kind],
        "error": str(record.fault) if record.fault is not None else None,
        "error_code": record.fault.code if record.fault is not None else None,
        "errors": [str(fault) for fault in record.faults],
        "reused": record.reused,
        "attempts": record.attempts,
        "rig": record.rig,
        "range": record.range,
        "person": record.person,
        "figures": record.figures,
        **warning_words(record),
        "cameras": [asdict(camera) for camera in record.cameras],
        "facts": record.facts,
        "account": list(record.lines),
        "seconds": record.seconds,
        "files": [
            {"name": one.name, "kind": one.kind, "bytes": one.bytes, "sha256": one.sha256} for one in record.outputs
        ],
    }


class Reporter:
    """Writes both files. A disk that refuses is told once; the clips go on."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._last_s = time.monotonic()
        self.trouble: MarionetError | None = None

    def now_and_then(self, records: Iterable[ClipRecord], facts: RunFacts) -> None:
        """Write when the last time is long enough ago."""
        if time.monotonic() - self._last_s >= _PAGE_EVERY_S:
            self.write(records, facts)

    def write(self, records: Iterable[ClipRecord], facts: RunFacts) -> None:
        """Write both."""
        listed = list(records)
        entries = [report_entry(record, self._storage) for record in listed]
        try:
            self._storage.write(REPORT, json.dumps(entries, indent=1).encode())
            self._storage.write(PAGE, render_page(listed, facts, self._storage).encode("utf-8", "replace"))
            self.trouble = None
        except MarionetError as fault:
            if self.trouble is None:
                log.error("%s", fault)
            self.trouble = fault
        self._last_s = time.monotonic()
