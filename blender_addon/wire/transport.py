"""Sockets with the protocol's limits: the only part of the wire that imports zmq.

Both sides set their sockets here, so that sizes, queues and keep-alives cannot drift apart.
"""

from __future__ import annotations

from typing import Any

import zmq

from .codec import MAX_BUFFER_BYTES, Buffer
from .connection_file import ConnectionInfo

KEEP_ALIVE_S = 2.0
SESSION_LIFETIME_S = 600.0
MAX_PART_BYTES = 1_048_576

# Messages queued per peer, each way: with parts of 1 MiB a peer that does not read costs the server 32 MiB at most.
_QUEUE_MESSAGES = 32
_MAX_MESSAGE_BYTES = MAX_BUFFER_BYTES + 4096


def client_socket(context: zmq.Context[Any], info: ConnectionInfo) -> zmq.Socket[bytes]:
    """A DEALER that connects to `info`; returns at once, the connection is made in the background.

    Raises zmq.ZMQError when the endpoint or a key is malformed.
    """
    socket = context.socket(zmq.DEALER)
    try:
        _limit(socket)
        socket.setsockopt(zmq.RECONNECT_IVL, 50)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)
        if info.encrypted:
            socket.curve_serverkey = info.server_public_key.encode()
            socket.curve_publickey = info.client_public_key.encode()
            socket.curve_secretkey = info.client_secret_key.encode()
        socket.connect(info.endpoint)
    except BaseException:
        socket.close(linger=0)
        raise
    return socket


def server_socket(context: zmq.Context[Any], secret_key: str = "", zap_domain: str = "") -> zmq.Socket[bytes]:
    """A ROUTER that is not bound yet: CURVE when `secret_key` (Z85) is given, judged by the ZAP handler."""
    socket = context.socket(zmq.ROUTER)
    _limit(socket)
    # A reply to a peer that is gone or does not read must be an error here, not a silent loss.
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
    socket.setsockopt(zmq.BACKLOG, 128)
    socket.setsockopt(zmq.HANDSHAKE_IVL, 5000)
    if secret_key:
        socket.curve_server = True
        socket.curve_secretkey = secret_key.encode()
        socket.zap_domain = zap_domain.encode()
    return socket


def send(socket: zmq.Socket[bytes], frames: list[Buffer]) -> bool:
    """Queue a message without waiting; False when the queue is full. Raises zmq.ZMQError when the peer is gone."""
    try:
        socket.send_multipart(frames, flags=zmq.NOBLOCK, copy=True)
    except zmq.Again:
        return False
    return True


def receive(socket: zmq.Socket[bytes]) -> list[bytes] | None:
    """The next message's frames without waiting; None when there is none."""
    try:
        return socket.recv_multipart(flags=zmq.NOBLOCK)
    except zmq.Again:
        return None


def _limit(socket: zmq.Socket[bytes]) -> None:
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.SNDHWM, _QUEUE_MESSAGES)
    socket.setsockopt(zmq.RCVHWM, _QUEUE_MESSAGES)
    socket.setsockopt(zmq.MAXMSGSIZE, _MAX_MESSAGE_BYTES)
    socket.setsockopt(zmq.HEARTBEAT_IVL, 2000)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 10_000)
    socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
