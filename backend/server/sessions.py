"""Who is connected: one session per ROUTER identity, its owner, its rate, and when it was last heard. stdlib only."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from backend.server.errors import RequestRefused

MAX_SESSIONS = 1024
# Refusals sent to a connection that has not said a valid hello; after these it gets silence.
MAX_DENIALS = 5
LOCAL_OWNER = "local"


@dataclass(slots=True)
class Session:
    """One connection. `owner` is "" until its hello is accepted; `key_name` is the CURVE client, "" on loopback."""

    identity: bytes
    key_name: str
    owner: str = ""
    denials: int = 0
    heard_s: float = 0.0
    allowance: float = 0.0
    allowance_s: float = 0.0

    def spend(self, rate_per_s: float, now_s: float) -> None:
        """Count one request against the rate. Raises RequestRefused when there were too many."""
        burst = 2.0 * rate_per_s
        gained = (now_s - self.allowance_s) * rate_per_s
        self.allowance = min(burst, self.allowance + gained) if self.allowance_s else burst
        self.allowance_s = now_s
        if self.allowance < 1.0:
            raise RequestRefused("too_fast", f"More than {rate_per_s:g} requests a second", "Send fewer", 1.0)
        self.allowance -= 1.0


class Sessions:
    """All sessions, least recently heard first; bounded, so that connections cannot eat memory."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._sessions.values()))

    def of(self, identity: bytes, key_name: str, now_s: float) -> Session:
        """The connection's session, made when it is new."""
        session = self._sessions.get(identity)
        if session is None:
            session = self._sessions[identity] = Session(identity, key_name)
        self._sessions.move_to_end(identity)
        session.heard_s = now_s
        if len(self._sessions) > MAX_SESSIONS:
            self._drop_one()
        return session

    def touch(self, identity: bytes, now_s: float) -> None:
        """News went out to the connection: it lives, even when its client only listens."""
        session = self._sessions.get(identity)
        if session is not None:
            session.heard_s = now_s
            self._sessions.move_to_end(identity)

    def known(self, identity: bytes) -> bool:
        """Whether the connection has a session that said hello."""
        session = self._sessions.get(identity)
        return session is not None and bool(session.owner)

    def drop(self, identity: bytes) -> None:
        """Forget a connection."""
        self._sessions.pop(identity, None)

    def expire(self, lifetime_s: float, now_s: float) -> None:
        """Forget connections that said nothing for `lifetime_s`."""
        while self._sessions:
            oldest = next(iter(self._sessions.values()))
            if now_s - oldest.heard_s <= lifetime_s:
                return
            self.drop(oldest.identity)

    def _drop_one(self) -> None:
        """Strangers go first: a flood of connections does not push out who is in."""
        stranger = next((session for session in self._sessions.values() if not session.owner), None)
        victim = stranger or next(iter(self._sessions.values()))
        self.drop(victim.identity)
