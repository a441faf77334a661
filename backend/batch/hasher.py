"""Hashes clips one after the other beside the run. stdlib, `backend.batch.planning`.

A thread that ends with the program, unlike an executor's: a stop does not wait until the video of an hour is read.
"""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future

from backend.batch.planning import with_keys
from backend.batch.tasks import PlannedClip


class Hasher:
    """Gives clips their keys in the order in which they come."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[tuple[PlannedClip, Future[PlannedClip]]] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="hash", daemon=True).start()

    def submit(self, clip: PlannedClip) -> Future[PlannedClip]:
        """The clip with its keys, some time; the future raises what `with_keys` raises."""
        future: Future[PlannedClip] = Future()
        self._waiting.put((clip, future))
        return future

    def _work(self) -> None:
        while True:
            clip, future = self._waiting.get()
            try:
                future.set_result(with_keys(clip))
            except Exception as fault:  # whoever asked decides what it means
                future.set_exception(fault)
