"""Floods of connections against a server with few descriptors: it lives, answers clients, and lets strangers go."""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import zmq

from backend.server.connections import Connections, connection_limit, raise_descriptor_limit
from backend.server.job_store import JobStore
from backend.server.upload_cache import UploadCache
from blender_addon.wire import messages as wire
from tests.server.harness import Backend, Peer, running, script, wait_for
from tests.server.test_lasting import done_job

pytestmark = pytest.mark.skipif(os.name != "posix", reason="descriptors are limited on POSIX systems only")


@contextmanager
def silent(backend: Backend, count: int) -> Iterator[list[socket.socket]]:
    """`count` TCP connections that say nothing."""
    address = urlsplit(backend.info.endpoint)
    with ExitStack() as stack:
        opened = []
        for _ in range(count):
            try:
                raw = socket.create_connection((address.hostname, address.port), timeout=0.5)
            except OSError:
                continue
            opened.append(stack.enter_context(raw))
        yield opened


def is_closed(raw: socket.socket) -> bool:
    """Whether the other end ended the connection."""
    raw.setblocking(False)
    try:
        while True:
            if raw.recv(4096) == b"":
                return True
    except BlockingIOError:
        return False
    except OSError:
        return True


def solves(peer: Peer, video: Path) -> bool:
    job_id = uuid.uuid4().hex
    reply = peer.submit(job_id, video)
    assert not isinstance(reply, wire.Refused), reply
    return isinstance(peer.until_end(job_id)[1], wire.Done)


@pytest.mark.parametrize("descriptors", [160, 300])
def test_more_silent_connections_than_descriptors(tmp_path: Path, descriptors: int) -> None:
    """Clients who were there, clients who come, and a new worker process all get what they need meanwhile."""
    video = script(tmp_path, frames=5)
    options = ("--descriptors", str(descriptors))
    with running(tmp_path / "backend", *options) as backend, Peer(backend.info) as early:
        early.wait_until_ready()
        with silent(backend, 2 * descriptors):
            assert solves(early, video)
            with Peer(backend.info) as late:
                assert solves(late, video)
            worker = backend.worker_pid()
            os.kill(worker, 9)
            wait_for(lambda: backend.worker_pid() != worker, "a new worker")
            early.wait_until_ready()
            assert solves(early, video)
            assert backend.family()[0].num_fds() < descriptors - 20
            assert early.status().refusals["connections"] >= descriptors
        assert solves(early, video)


def test_a_connection_without_a_hello_is_closed(tmp_path: Path) -> None:
    """ZeroMQ's own handshake is no hello; who has said one may be silent as long as they like."""
    with running(tmp_path / "backend") as backend, Peer(backend.info) as quiet:
        with silent(backend, 3) as opened, Peer(backend.info, hello=False) as stranger:
            stranger.say(wire.ListJobs())
            assert stranger.hear() is not None
            watch = stranger.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
            assert watch.poll(15_000), "the stranger's connection was never closed"
            stranger.socket.disable_monitor()
            watch.close()
            wait_for(lambda: all(is_closed(raw) for raw in opened), "the end of silent connections", 8.0)
        stray = len(quiet.stray)
        assert isinstance(quiet.ask(wire.ListJobs()), wire.JobList)
        assert len(quiet.stray) == stray
        assert quiet.status().refusals["no_hello"] >= 1


def test_the_session_ends_with_its_connection(tmp_path: Path) -> None:
    """A client with a routing id of its own leaves; who takes that id on has to say hello."""
    with running(tmp_path / "backend") as backend:
        first, second = (Peer(backend.info, hello=False) for _ in range(2))
        with first, second:
            for peer in (first, second):
                peer.socket.disconnect(backend.info.endpoint)
                peer.socket.setsockopt(zmq.ROUTING_ID, b"anna")
            first.socket.connect(backend.info.endpoint)
            assert isinstance(first.ask(wire.Hello(backend.info.token)), wire.Welcome)
            first.close()
            time.sleep(0.3)
            second.socket.connect(backend.info.endpoint)
            assert second.ask(wire.ListJobs()) == wire.Refused("hello_first", "Say hello first")


def test_strangers_go_first_and_clients_last() -> None:
    with ExitStack() as stack:
        pairs = [socket.socketpair() for _ in range(6)]
        for pair in pairs:
            for end in pair:
                stack.enter_context(end)
        connections = Connections(limit=3, hello_within_s=10.0)
        for place, (ours, _) in enumerate(pairs):
            connections.accepted(ours.fileno(), float(place))
        connections.admit(pairs[0][0].fileno(), b"anna")
        connections.admit(pairs[4][0].fileno(), b"ben")
        assert connections.close_surplus(6.0) == {"connections": 3}
        assert [is_closed(theirs) for _, theirs in pairs] == [False, True, True, True, False, False]
        assert connections.close_surplus(16.0) == {"no_hello": 1}
        assert connections.gone(pairs[4][0].fileno()) == b"ben"
        assert len(connections) == 1


def test_a_number_that_the_system_gave_to_another_is_not_shut_down() -> None:
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        client = stack.enter_context(socket.create_connection(server.getsockname()))
        accepted = server.accept()[0]
        connections = Connections(limit=1, hello_within_s=0.0)
        connections.accepted(accepted.fileno(), 0.0)
        number = accepted.fileno()
        accepted.close()
        other, far = (stack.enter_context(end) for end in socket.socketpair())
        if other.fileno() != number:
            other = stack.enter_context(socket.socket(fileno=os.dup2(other.detach(), number)))
        connections.close_surplus(1.0)
        far.sendall(b"still here")
        assert other.recv(10) == b"still here"
        client.close()


def test_limits_leave_descriptors_for_the_server() -> None:
    assert connection_limit(1024) == 448
    assert connection_limit(1 << 20) == 1024
    assert connection_limit(64) == 16
    import resource

    assert raise_descriptor_limit() == resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 1024


def test_a_job_is_kept_although_a_flood_took_every_descriptor(tmp_path: Path) -> None:
    """The store has descriptors freed and goes on, from the record to the result."""
    import resource

    store = JobStore(tmp_path / "jobs", UploadCache(tmp_path / "uploads", 0.0, 0))
    flood: list[int] = []
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    freed = []

    def take_all() -> None:
        with suppress(OSError):
            while True:
                flood.append(os.open(os.devnull, os.O_RDONLY))

    def free() -> None:
        take_all()
        freed.append(len(flood))
        for _ in range(3):
            os.close(flood.pop())

    store.free_descriptors = free
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        take_all()
        record = done_job(store, time.time())
        read = store.read_result(record.job_id, "clip.npz", 0, 4)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in flood:
            os.close(descriptor)
    assert freed
    assert read == b"clip"
    assert store.load() == [record]
