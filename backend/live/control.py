"""How a running live capture is told to stop or to record, from any thread. stdlib and `backend.types`."""

from __future__ import annotations

from threading import Event

from backend.types import CancelToken


class LiveControl:
    """`stop` ends the capture; `record` starts a recording that lasts until the end."""

    def __init__(self, cancel: CancelToken | None = None) -> None:
        self._cancel = cancel or CancelToken()
        self._record = Event()

    def stop(self) -> None:
        """End the capture within a second; what was recorded is kept."""
        self._cancel.cancel()

    def record(self) -> None:
        """Record from now on."""
        self._record.set()

    @property
    def stopping(self) -> bool:
        """Whether the capture is to end."""
        return self._cancel.cancelled

    def take_record(self) -> bool:
        """Whether a recording was asked for since the last call."""
        asked = self._record.is_set()
        self._record.clear()
        return asked
