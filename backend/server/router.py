"""The server's socket with its key judge and its monitor: what comes in, from whom, and what goes out.

May import zmq, `blender_addon.wire` and its own room. Handshakes that fail never reach the loop; the monitor counts
them, so that they are refusals like any other.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

from backend.errors import ServiceError
from backend.server.auth import ZAP_DOMAIN, AllowList, KeyPair, ZapHandler
from backend.server.config import BindAddress
from backend.server.connections import Connections
from backend.server.logs import RefusalLedger
from blender_addon.wire.codec import Buffer
from blender_addon.wire.transport import send, server_socket

_FAILED_HANDSHAKES = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
_EVENTS = _FAILED_HANDSHAKES | zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED
_MONITOR = "inproc://marionet-monitor"
_MONITOR_BATCH = 4096


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message as it came: the connection's identity and descriptor, the name of its key ("" on loopback), frames."""

    identity: bytes
    descriptor: int
    key_name: str
    frames: list[bytes]


class RouterSocket:
    """The ROUTER socket. `open` binds it."""

    def __init__(
        self,
        context: zmq.Context[Any],
        keys: KeyPair | None,
        allow_list: AllowList | None,
        ledger: RefusalLedger,
        connections: Connections,
    ) -> None:
        self._ledger = ledger
        self._connections = connections
        self._left: list[bytes] = []
        # The judge must stand before the first connection, or libzmq lets everyone in.
        self._judge = ZapHandler(context, allow_list, ledger) if allow_list is not None else None
        self._router = server_socket(context, keys.secret if keys else "", ZAP_DOMAIN)
        self._router.monitor(_MONITOR, _EVENTS)
        self._monitor = context.socket(zmq.PAIR)
        # Without a bound: libzmq waits for room in it, and a flood of events would hold its thread up.
        self._monitor.setsockopt(zmq.RCVHWM, 0)
        self._monitor.setsockopt(zmq.LINGER, 0)
        self._monitor.connect(_MONITOR)
        self._poller = zmq.Poller()

    def open(self, address: BindAddress) -> str:
        """Bind; the endpoint that clients on this machine use. Raises ServiceError when the address is taken."""
        if ":" in address.host:
            self._router.setsockopt(zmq.IPV6, 1)
        try:
            self._router.bind(address.endpoint if address.port else f"tcp://{address.host}:*")
        except zmq.ZMQError as fault:
            raise ServiceError(
                f"Cannot listen on {address.endpoint} ({fault.strerror})", "Choose another port, or 0 for any"
            ) from fault
        bound = self._router.getsockopt_string(zmq.LAST_ENDPOINT)
        for socket in (self._router, self._monitor, self._judge.socket if self._judge else None):
            if socket is not None:
                self._poller.register(socket, zmq.POLLIN)
        return bound.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")

    def wait(self, inbox: zmq.Socket[bytes], timeout_ms: int) -> None:
        """Wait until something happens; judge the keys, follow the connections, and close those that are too many."""
        self._poller.register(inbox, zmq.POLLIN)
        ready = dict(self._poller.poll(timeout_ms))
        if self._judge is not None and self._judge.socket in ready:
            self._judge.answer()
        if self._monitor in ready:
            self._follow_connections()
        self._close_surplus()

    def free_descriptors(self) -> None:
        """Close the connections that are too many now, not when the loop waits next."""
        self._follow_connections()
        self._close_surplus()

    def admit(self, arrival: Arrival) -> None:
        """A valid hello came: its connection stays. Events first, since its acceptance may not have been read yet."""
        self._follow_connections()
        self._connections.admit(arrival.descriptor, arrival.identity)

    def take_left(self) -> list[bytes]:
        """The identities of the clients whose connections ended since the last call."""
        left, self._left = self._left, []
        return left

    def receive(self) -> Arrival | None:
        """The next message without waiting; None when there is none."""
        try:
            identity, *frames = self._router.recv_multipart(flags=zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return None
        name = _user_id(frames[0]) if frames and self._judge is not None else ""
        descriptor = _descriptor(frames[0]) if frames else -1
        return Arrival(identity.bytes, descriptor, name, [frame.bytes for frame in frames])

    def send(self, identity: bytes, frames: list[Buffer]) -> bool | None:
        """True when queued, False when the peer's queue is full, None when the peer is gone."""
        try:
            return send(self._router, [identity, *frames])
        except zmq.ZMQError as fault:
            if fault.errno in (zmq.EHOSTUNREACH, zmq.ECONNRESET):
                return None
            raise

    def close(self) -> None:
        """Close every socket; what is queued for clients gets a moment to leave."""
        self._router.disable_monitor()
        self._monitor.close(linger=0)
        self._router.close(linger=200)
        if self._judge is not None:
            self._judge.socket.close(linger=0)

    def _close_surplus(self) -> None:
        for code, closed in self._connections.close_surplus(time.monotonic()).items():
            self._ledger.add(code, "closed by the server", "", closed)

    def _follow_connections(self) -> None:
        now_s = time.monotonic()
        for _ in range(_MONITOR_BATCH):
            try:
                event = recv_monitor_message(self._monitor, flags=zmq.NOBLOCK)
            except zmq.Again:
                return
            if event["event"] == zmq.EVENT_ACCEPTED:
                self._connections.accepted(int(event["value"]), now_s)
            elif event["event"] == zmq.EVENT_DISCONNECTED:
                identity = self._connections.gone(int(event["value"]))
                if identity:
                    self._left.append(identity)
            else:
                self._ledger.add("handshake", f"connection gave up or was not ZeroMQ: event {event['event']}", "")


def _descriptor(frame: zmq.Frame) -> int:
    """The descriptor of the connection that a frame came over; -1 for a peer of an old ZeroMQ, which tells none."""
    try:
        return int(frame.get(zmq.SRCFD))
    except zmq.ZMQError:
        return -1


def _user_id(frame: zmq.Frame) -> str:
    """The name that the key judge gave this connection; "" where there is none, whom no list has."""
    try:
        return str(frame.get("User-Id"))  # type: ignore[arg-type]  # pyzmq's stub knows the numbered properties only
    except zmq.ZMQError:
        return ""


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
