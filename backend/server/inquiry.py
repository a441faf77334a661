"""How a running server is, asked over its own protocol: for the command line and for monitoring. zmq and `wire`."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any

import zmq

from backend.errors import ServiceError
from blender_addon.wire import messages as wire
from blender_addon.wire.codec import FROM_SERVER, decode, encode
from blender_addon.wire.connection_file import ConnectionFileError, ConnectionInfo, read_connection_file
from blender_addon.wire.errors import WireError
from blender_addon.wire.transport import client_socket

PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class ServerReport:
    """What a server says of itself, and this client's jobs there, oldest first."""

    endpoint: str
    pid: int
    welcome: wire.Welcome
    status: wire.ServerStatus
    jobs: tuple[wire.JobInfo, ...]

    def as_record(self) -> dict[str, Any]:
        """The report for JSON."""
        status = self.status
        return {
            "endpoint": self.endpoint,
            "pid": self.pid,
            "version": self.welcome.server_version,
            "protocol": f"{self.welcome.protocol_major}.{self.welcome.protocol_minor}",
            "capabilities": list(self.welcome.capabilities),
            "uptime_s": status.uptime_s,
            "memory_bytes": status.memory_bytes,
            "workers": [asdict(worker) for worker in status.workers],
            "busy_workers": sum(worker.state == "busy" for worker in status.workers),
            "queued": status.jobs.get("queued", 0),
            "max_jobs": self.welcome.max_jobs,
            "jobs_by_state": status.jobs,
            "refusals": status.refusals,
            "jobs": [asdict(job) for job in self.jobs],
        }


def ask_server(connection_file: Path, patience_s: float = PATIENCE_S) -> ServerReport:
    """Ask a running server how it is.

    Raises ServiceError where there is no connection file, nobody answers in time, or the server does not let us in.
    """
    try:
        info = read_connection_file(connection_file)
    except ConnectionFileError as fault:
        raise ServiceError(str(fault), "Name another with --connection-file") from fault
    context: zmq.Context[Any] = zmq.Context()
    socket = _connected(context, info)
    try:
        ids, deadline_s = count(1), time.monotonic() + patience_s
        welcome = _ask(socket, wire.Hello(info.token, "status"), str(next(ids)), deadline_s, info)
        status = _ask(socket, wire.Status(), str(next(ids)), deadline_s, info)
        jobs = _ask(socket, wire.ListJobs(), str(next(ids)), deadline_s, info)
    finally:
        socket.close(linger=0)
        context.term()
    return ServerReport(info.endpoint, info.pid, welcome, status, jobs.jobs)


def _connected(context: zmq.Context[Any], info: ConnectionInfo) -> zmq.Socket[bytes]:
    try:
        return client_socket(context, info)
    except zmq.ZMQError as fault:
        context.term()
        raise ServiceError(f"{info.endpoint} cannot be connected to ({fault})", "Check the connection file") from fault


def _ask(socket: zmq.Socket[bytes], request: Any, request_id: str, deadline_s: float, info: ConnectionInfo) -> Any:
    """The reply to a request. Raises ServiceError for a refusal, nonsense or silence."""
    socket.send_multipart(encode(request, request_id))
    while (left_s := deadline_s - time.monotonic()) > 0 and socket.poll(int(left_s * 1000) + 1):
        try:
            envelope = decode(socket.recv_multipart(), FROM_SERVER)
        except WireError as fault:
            raise ServiceError(f"{info.endpoint} sent what cannot be read: {fault.message}", fault.remedy) from fault
        if isinstance(envelope.message, wire.Refused):
            refusal = envelope.message
            raise ServiceError(
                f"{info.endpoint} refuses: {refusal.message}", refusal.remedy or "Check the key or token"
            )
        if envelope.request == request_id:
            return envelope.message
    raise ServiceError(
        f"The server at {info.endpoint} does not answer", "Start it with `serve`, or see its log for why it ended"
    )
