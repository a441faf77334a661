"""One connection to a backend: hello, keep-alive, requests and their replies, without ever waiting.

May import stdlib, zmq and `wire`.
"""

from __future__ import annotations

import time
from itertools import count
from typing import Any, Literal

import zmq

from ..wire import messages as wire
from ..wire.codec import FROM_SERVER, Envelope, decode, encode
from ..wire.connection_file import ConnectionInfo
from ..wire.errors import WireError
from ..wire.transport import KEEP_ALIVE_S, client_socket, receive, send

ConnectionState = Literal["connecting", "open", "refused", "silent", "closed"]

# Silence after which the backend is held to be gone; it answers a keep-alive within milliseconds.
SILENCE_S = 4.0 * KEEP_ALIVE_S


class Connection:
    """States: "connecting" (hello is on its way), "open", "refused" (the server does not want us), "silent", "closed".

    Requests sent before the server's welcome wait for it. `refusal` holds the words of a refused hello.
    """

    def __init__(self, info: ConnectionInfo, client_name: str) -> None:
        self.info = info
        self.state: ConnectionState = "connecting"
        self.welcome: wire.Welcome | None = None
        self.welcomes = 0
        self.refusal: wire.Refused | None = None
        self._client_name = client_name
        self._ids = count(1)
        self._send_queue: list[tuple[str, Any]] = []
        self._hello_id = ""
        self._heard_s = self._pinged_s = time.monotonic()
        self._context: zmq.Context[Any] = zmq.Context()
        try:
            self._socket = client_socket(self._context, info)
        except BaseException:
            self._context.term()
            raise
        self._say_hello()

    def request(self, message: Any) -> str:
        """Send a request as soon as possible; its id, which every reply to it names."""
        request_id = str(next(self._ids))
        self._send_queue.append((request_id, message))
        self._flush()
        return request_id

    def poll(self, budget_s: float) -> list[Envelope]:
        """What has come in, within a time budget; keeps the connection alive. Call it often."""
        if self.state == "closed":
            return []
        deadline = time.perf_counter() + budget_s
        arrivals = []
        while (frames := receive(self._socket)) is not None:
            self._heard_s = time.monotonic()
            envelope = self._read(frames)
            if envelope is not None:
                arrivals.append(envelope)
            if time.perf_counter() >= deadline:
                break
        self._keep_alive()
        self._flush()
        return arrivals

    def close(self, linger_s: float = 0.1) -> None:
        """Leave; what was sent gets `linger_s` at most to go out."""
        if self.state != "closed":
            self.state = "closed"
            self._socket.close(linger=int(linger_s * 1000))
            self._context.term()

    def _read(self, frames: list[bytes]) -> Envelope | None:
        """An arrival for the caller; None for what concerns the connection itself."""
        try:
            envelope = decode(frames, FROM_SERVER)
        except WireError as fault:
            if self.state == "connecting":
                self._refused(wire.Refused(fault.code, fault.message, fault.remedy))
            return None
        message = envelope.message
        if isinstance(message, wire.Pong):
            return None
        if isinstance(message, wire.Welcome):
            self._welcomed(message)
            return None
        if isinstance(message, wire.Refused):
            if message.code == "hello_first":
                self._say_hello()
                return None
            if self.state == "connecting" and envelope.request in ("", self._hello_id):
                self._refused(message)
                return None
        return envelope

    def _welcomed(self, welcome: wire.Welcome) -> None:
        self.welcome, self.state, self.refusal = welcome, "open", None
        self.welcomes += 1

    def _refused(self, refusal: wire.Refused) -> None:
        self.state, self.refusal = "refused", refusal

    def _say_hello(self) -> None:
        self.state = "connecting"
        self._hello_id = str(next(self._ids))
        send(self._socket, encode(wire.Hello(self.info.token, self._client_name), self._hello_id))

    def _keep_alive(self) -> None:
        now = time.monotonic()
        quiet = now - self._heard_s
        if now - self._pinged_s > 2.0 * SILENCE_S:
            # We were away ourselves, say in a long bake: the silence is ours, so the server gets a fresh chance.
            self._heard_s = now
        elif quiet > SILENCE_S and self.state in ("open", "connecting"):
            self.state = "silent"
        if self.state == "open" and quiet > KEEP_ALIVE_S and now - self._pinged_s > KEEP_ALIVE_S:
            send(self._socket, encode(wire.Ping(), str(next(self._ids))))
        if now - self._pinged_s > KEEP_ALIVE_S:
            self._pinged_s = now

    def _flush(self) -> None:
        while self._send_queue and self.state == "open":
            request_id, message = self._send_queue[0]
            if not send(self._socket, encode(message, request_id)):
                return
            self._send_queue.pop(0)
