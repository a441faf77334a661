"""The TCP connections of the server's socket: counted, bounded, and closed where nobody says hello. stdlib only.

libzmq accepts every connection and has no bound of its own: whoever can reach the port could use up the process's
descriptors before any key or token is asked for. The socket's monitor tells the descriptor of each connection, and a
message tells the descriptor that it came from; a connection is closed by shutting its descriptor down, which libzmq
takes for the peer's leaving. Descriptors are numbers that the system uses again, so the peer's address is compared
before one is shut down.
"""

from __future__ import annotations

import socket
import sys
from dataclasses import dataclass

# A connection has this long for a valid hello; a client says it with its first message.
HELLO_WITHIN_S = 10.0
MAX_CONNECTIONS = 1024
_MIN_CONNECTIONS = 16
# Descriptors that the server needs for itself: files, pipes of workers, sockets, libraries.
_RESERVED = 128
_WANTED_DESCRIPTORS = (65_536, 10_240, 4096)


@dataclass(slots=True)
class Connection:
    """One accepted connection. `identity` is that of the client that said hello over it, b"" before."""

    descriptor: int
    peer: object
    since_s: float
    identity: bytes = b""


class Connections:
    """All connections of the socket, oldest first, at most `limit` of them."""

    def __init__(self, limit: int, hello_within_s: float = HELLO_WITHIN_S) -> None:
        self.limit = limit
        self._hello_within_s = hello_within_s
        self._open: dict[int, Connection] = {}

    def __len__(self) -> int:
        return len(self._open)

    def accepted(self, descriptor: int, now_s: float) -> None:
        """A connection came in."""
        self._open.pop(descriptor, None)
        self._open[descriptor] = Connection(descriptor, _peer_of(descriptor), now_s)

    def gone(self, descriptor: int) -> bytes:
        """A connection ended; the identity of the client that it had, b"" for none."""
        connection = self._open.pop(descriptor, None)
        return connection.identity if connection is not None else b""

    def admit(self, descriptor: int, identity: bytes) -> None:
        """A valid hello came over this connection."""
        connection = self._open.get(descriptor)
        if connection is not None:
            connection.identity = identity

    def close_surplus(self, now_s: float) -> dict[str, int]:
        """Shut down what is too old without a hello and what is too many, clients that said hello last.

        The number of connections by the code of their refusal.
        """
        strangers = [connection for connection in self._open.values() if not connection.identity]
        late = [connection for connection in strangers if now_s - connection.since_s > self._hello_within_s]
        surplus = max(0, len(self._open) - len(late) - self.limit)
        waiting = strangers[len(late) :]
        victims = waiting[:surplus]
        if surplus > len(victims):
            admitted = [connection for connection in self._open.values() if connection.identity]
            victims += admitted[len(victims) - surplus :]
        for connection in (*late, *victims):
            del self._open[connection.descriptor]
            _shut_down(connection)
        counts = {"no_hello": len(late), "connections": len(victims)}
        return {code: count for code, count in counts.items() if count}


def connection_limit(descriptors: int, most: int = MAX_CONNECTIONS) -> int:
    """How many connections a process with this many descriptors takes."""
    return max(_MIN_CONNECTIONS, min(most, (descriptors - _RESERVED) // 2))


def raise_descriptor_limit() -> int:
    """Raise the process's soft limit of open descriptors as far as the system allows; the limit that holds now.

    macOS begins with 256 and most Linux systems with 1024. Windows has no such limit for sockets.
    """
    if sys.platform == "win32":
        return _WANTED_DESCRIPTORS[0]
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in _WANTED_DESCRIPTORS:
        aim = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        if aim <= soft:
            break
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (aim, hard))
        except (OSError, ValueError):
            continue  # macOS refuses more than kern.maxfilesperproc, whatever the hard limit says
        return aim
    return soft


def _peer_of(descriptor: int) -> object:
    """The address of a connection's other end; None where the descriptor is no connected socket."""
    try:
        borrowed = socket.socket(fileno=descriptor)
    except OSError:
        return None
    try:
        return borrowed.getpeername()
    except OSError:
        return None
    finally:
        borrowed.detach()


def _shut_down(connection: Connection) -> None:
    """End a connection; libzmq closes its descriptor."""
    if connection.peer is None or _peer_of(connection.descriptor) != connection.peer:
        return
    try:
        borrowed = socket.socket(fileno=connection.descriptor)
    except OSError:
        return
    try:
        borrowed.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
    finally:
        borrowed.detach()
