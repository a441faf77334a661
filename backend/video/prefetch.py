"""Work ahead: run an iterator in a thread through a bounded queue. stdlib and the cancel token of `backend.types`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from queue import Empty, Full, Queue
from threading import Event, Thread
from time import monotonic
from typing import Generic, TypeVar

from backend.types import CancelToken

Item = TypeVar("Item")

_POLL_S = 0.1
# a thread that waits for a disk which does not answer cannot be ended: after this long it is left to itself
_PATIENCE_S = 5.0


class _End:
    """The last message of the producer: its error, if it failed."""

    def __init__(self, fault: BaseException | None) -> None:
        self.fault = fault


class Prefetcher(Generic[Item]):
    """Iterate over `items` with a thread that stays at most `depth` items ahead; memory is bounded by the queue.

    An error of the producer is raised to the consumer in its place in the order. `close` (or leaving the iteration
    by any way) ends the thread and closes the producer, even while it waits for room. Once `cancel` is set, the
    iteration also ends where the producer has given nothing for some seconds.
    """

    def __init__(self, items: Iterable[Item], depth: int, cancel: CancelToken | None = None) -> None:
        self._cancel = cancel
        self._items = items
        self._queue: Queue[Item | _End] = Queue(maxsize=max(1, depth))
        self._stop = Event()
        self._thread = Thread(target=self._produce, name="prefetch", daemon=True)

    def __iter__(self) -> Iterator[Item]:
        self._thread.start()
        try:
            while True:
                item = self._next()
                if isinstance(item, _End):
                    if item.fault is not None:
                        raise item.fault
                    return
                yield item
        finally:
            self.close()

    def _next(self) -> Item | _End:
        waits_since: float | None = None
        while True:
            try:
                return self._queue.get(timeout=_POLL_S)
            except Empty:
                if self._cancel is None or not self._cancel.cancelled:
                    continue
                waits_since = monotonic() if waits_since is None else waits_since
                if monotonic() - waits_since > _PATIENCE_S:
                    return _End(None)

    def close(self) -> None:
        """End the thread and wait for it, unless it does not answer. Safe to call twice."""
        self._stop.set()
        until = monotonic() + _PATIENCE_S
        while self._thread.is_alive() and monotonic() < until:
            try:
                self._queue.get_nowait()
            except Empty:
                self._thread.join(_POLL_S / 10)

    def _produce(self) -> None:
        fault: BaseException | None = None
        iterator = iter(self._items)
        try:
            for item in iterator:
                if not self._put(item):
                    break
        except BaseException as error:  # handed to the consumer, which raises it
            fault = error
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()
        self._put(_End(fault))

    def _put(self, item: Item | _End) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=_POLL_S)
            except Full:
                continue
            return True
        return False
