"""The link to a backend, local or remote: brings it up, connects, notices its death, connects again.

May import stdlib, zmq and `wire`. A link serves any number of jobs; `tick` it from a timer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Literal

import zmq

from ..wire import messages as wire
from ..wire.codec import Envelope
from ..wire.connection_file import ConnectionFileError, ConnectionInfo, read_connection_file
from .backend_process import BackendProcess
from .connection import Connection

LinkState = Literal["starting", "connecting", "open", "refused", "lost", "dead", "closed"]

# A request without a first reply is sent again: each of them may be carried out twice without harm.
RESEND_S = 5.0
_RECONNECT_S = 0.5
_SHUTDOWN_LINGER_S = 2.0
_MAX_RESTARTS = 2
_EARLY_DEATH_S = 3.0

Handler = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """What the status light shows."""

    state: LinkState
    words: str = ""
    remedy: str = ""
    log_lines: tuple[str, ...] = ()
    server_version: str = ""
    devices: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()


@dataclass(slots=True)
class _Ask:
    """A request under way: who hears its replies, and when it was last sent ("" id: not yet)."""

    message: Any
    handler: Handler
    request_id: str
    sent_s: float
    answered: bool = False


class BackendLink:
    """Give it a process to look after, or the connection file of a backend that runs elsewhere.

    `epoch` counts the connections that came up: a job that sees it change follows its work again by id.
    """

    def __init__(self, process: BackendProcess | None, connection_file: Path | None, client_name: str) -> None:
        if (process is None) == (connection_file is None):
            raise ValueError("a link has either a process or a connection file")
        self.process = process
        self.epoch = 0
        self._file = connection_file
        self._client_name = client_name
        self._connection: Connection | None = None
        self._welcomes = 0
        self._asks: dict[int, _Ask] = {}
        self._keys = count(1)
        self._retry_at_s = 0.0
        self._restarts = 0
        self._status = LinkStatus("starting" if process else "connecting")

    @property
    def status(self) -> LinkStatus:
        """How the link is, in words."""
        return self._status

    @property
    def is_open(self) -> bool:
        """Whether requests go through."""
        return self._status.state == "open"

    def ask(self, message: Any, handler: Handler) -> int:
        """Send a request; `handler` gets every message that answers it, in `tick`. The key drops it again."""
        key = next(self._keys)
        self._asks[key] = _Ask(message, handler, "", 0.0)
        return key

    def drop(self, key: int) -> None:
        """Stop listening to a request's replies."""
        self._asks.pop(key, None)

    def tick(self, budget_s: float) -> LinkStatus:
        """Do what can be done now without waiting, within a time budget."""
        if self._status.state == "closed":
            return self._status
        deadline = time.perf_counter() + budget_s
        if self._connection is None:
            self._bring_up()
        if self._connection is not None:
            self._send_asks(self._connection)
            for envelope in self._connection.poll(max(0.0, deadline - time.perf_counter())):
                self._hand_out(envelope)
            self._look_at(self._connection)
        return self._status

    def close(self, stop_backend: bool = True) -> None:
        """Leave; the local backend is stopped unless it is to stay."""
        stopped = self.process if stop_backend else None
        told = stopped is not None and self._connection is not None and self._connection.state == "open"
        if told and self._connection is not None:
            self._connection.request(wire.Shutdown())
        self._disconnect(_SHUTDOWN_LINGER_S if told else 0.1)
        self._asks.clear()
        self._status = LinkStatus("closed")
        if stopped is not None:
            stopped.stop(told=told)

    def _bring_up(self) -> None:
        """One step towards a connection: start the process, or wait for it, or read the file, or wait to retry."""
        if time.monotonic() < self._retry_at_s:
            return
        try:
            info = self._find_backend()
            if info is not None:
                self._connection = Connection(info, self._client_name)
                self._welcomes = 0
                self._status = LinkStatus("connecting", f"Connecting to {info.endpoint}")
        except (OSError, ConnectionFileError, zmq.ZMQError) as fault:
            self._status = LinkStatus("lost", str(fault), "Check the backend's settings in the preferences")
            self._retry_at_s = time.monotonic() + _RECONNECT_S

    def _find_backend(self) -> ConnectionInfo | None:
        if self.process is None:
            assert self._file is not None
            return read_connection_file(self._file)
        if self.process.state == "absent":
            self.process.start()
            self._status = LinkStatus("starting", "Starting the backend")
        info = self.process.poll()
        if self.process.state == "dead":
            self._on_death(self.process)
        return info

    def _on_death(self, process: BackendProcess) -> None:
        """Say how the backend ended; start it again unless it keeps dying."""
        words = f"The backend ended unexpectedly (exit code {process.exit_code})"
        early = time.monotonic() - process.started_s < _EARLY_DEATH_S
        if early or self._restarts >= _MAX_RESTARTS:
            log = process.last_log_lines()
            self._status = LinkStatus("dead", words, _remedy_for(log), log)
            return
        self._restarts += 1
        self._status = LinkStatus("starting", words + "; starting it again", "", process.last_log_lines())
        process.start()

    def restart(self) -> None:
        """The user asks for another try after "dead"."""
        self._disconnect()
        self._restarts = 0
        if self.process is not None and self.process.state in ("dead", "stopped"):
            self.process.start()
        self._status = LinkStatus("starting" if self.process else "connecting")

    def _send_asks(self, connection: Connection) -> None:
        now = time.monotonic()
        if connection.state != "open":
            return
        for ask in self._asks.values():
            if not ask.answered and (not ask.request_id or now - ask.sent_s > RESEND_S):
                ask.request_id, ask.sent_s = connection.request(ask.message), now

    def _hand_out(self, envelope: Envelope) -> None:
        for ask in list(self._asks.values()):
            if ask.request_id and ask.request_id == envelope.request:
                ask.answered = True
                ask.handler(envelope.message)
                return

    def _look_at(self, connection: Connection) -> None:
        """Follow the connection's state; a lost one is given up and made anew."""
        if connection.welcomes != self._welcomes:
            self._came_up(connection)
        if self.process is not None and self.process.poll() is None and self.process.state == "dead":
            self._disconnect()
            self._on_death(self.process)
        elif connection.state == "silent":
            self._disconnect()
            self._status = LinkStatus("lost", "The backend does not answer", "Trying again")
            self._retry_at_s = time.monotonic() + _RECONNECT_S
        elif connection.state == "refused" and connection.refusal is not None:
            refusal = connection.refusal
            self._disconnect()
            self._status = LinkStatus("refused", refusal.message, refusal.remedy)
            self._retry_at_s = time.monotonic() + 4.0 * _RECONNECT_S

    def _came_up(self, connection: Connection) -> None:
        self._welcomes = connection.welcomes
        self.epoch += 1
        self._forget_request_ids()
        welcome = connection.welcome or wire.Welcome("", 0, 0, (), (), 0, 0)
        self._status = LinkStatus(
            "open", "Connected", "", (), welcome.server_version, welcome.devices, welcome.capabilities
        )

    def _disconnect(self, linger_s: float = 0.1) -> None:
        if self._connection is not None:
            self._connection.close(linger_s)
            self._connection = None
        self._forget_request_ids()

    def _forget_request_ids(self) -> None:
        """Ids count per connection: an old one must not match a new reply. Unanswered requests go out again."""
        for ask in self._asks.values():
            ask.request_id = ""


def _remedy_for(log: tuple[str, ...]) -> str:
    """What to do about a backend that does not stay, from the end of its log."""
    text = "\n".join(log)
    if "No module named 'backend'" in text or "No module named backend" in text:
        return (
            "This Python has no Marionet backend. Press Set Up Backend in the preferences, "
            "or choose the Python of a checkout under Backend Python"
        )
    if "No module named" in text:
        return "A package of the backend is missing. Press Set Up Backend in the preferences"
    if "No Python at" in text:
        return "The Python that made the backend's environment is gone. Press Set Up Backend in the preferences"
    return "See the log lines; run the backend's doctor"
