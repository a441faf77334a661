"""Replies that wait for room in a client's queue: in order, bounded, so that a burst loses nothing. stdlib only."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from blender_addon.wire.codec import Buffer

MAX_WAITING = 256
MAX_WAITING_BYTES = 8 << 20

# True when queued, False when the peer's queue is full, None when the peer is gone.
RawSender = Callable[[bytes, list[Buffer]], bool | None]


class SendQueue:
    """Sends to connections. News may be told to come again later; a reply is kept until its client reads."""

    def __init__(self, send: RawSender) -> None:
        self._send = send
        self._waiting: dict[bytes, deque[list[Buffer]]] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def news(self, identity: bytes, frames: list[Buffer]) -> bool | None:
        """Send now or not at all; never ahead of a reply that waits."""
        return False if identity in self._waiting else self._send(identity, frames)

    def reply(self, identity: bytes, frames: list[Buffer]) -> bool | None:
        """Send, or keep; False only when more waits for this client than is kept."""
        outcome = self.news(identity, frames)
        if outcome is not False:
            return outcome
        queue = self._waiting.setdefault(identity, deque())
        size = sum(len(frame) for message in queue for frame in message)
        if len(queue) >= MAX_WAITING or size > MAX_WAITING_BYTES:
            return False
        queue.append(frames)
        return True

    def flush(self) -> None:
        """Send what waits, as far as there is room; what waits for a peer that is gone is dropped."""
        for identity, queue in list(self._waiting.items()):
            while queue and self._send(identity, queue[0]) is not False:
                queue.popleft()
            if not queue:
                del self._waiting[identity]
