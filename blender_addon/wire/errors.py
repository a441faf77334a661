"""What the wire refuses. stdlib only.

Every refusal carries a stable `code`, a message in words and a remedy; docs/wire_protocol.md lists the codes.
"""

from __future__ import annotations


class WireError(ValueError):
    """A message that cannot be accepted."""

    code = "malformed"

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class VersionError(WireError):
    """The other side speaks a protocol version that this side does not."""

    code = "version"


class OversizeError(WireError):
    """A frame, field or array beyond the protocol's limits."""

    code = "too_large"


class UnknownKindError(WireError):
    """A message kind that this side does not know."""

    code = "unknown_kind"
