"""A request that is not carried out: one exception with a stable code. stdlib only. Codes: docs/wire_protocol.md."""

from __future__ import annotations


class RequestRefused(Exception):
    """Turned into a `refused` message, counted and logged."""

    def __init__(self, code: str, message: str, remedy: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.remedy = remedy
        self.retry_after_s = retry_after_s
