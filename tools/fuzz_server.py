"""A million damaged messages, and thousands of idle connections, against a real server on this machine.

    python tools/fuzz_server.py messages [--count 1000000] [--seed 1]
    python tools/fuzz_server.py connections [--count 2000] [--descriptors 1024] [--seconds 20]

Starts a server of its own with paced workers on a loopback port, says how much its memory grew, and ends with 1 where
it died, does not answer, or grew by more than 10 MB. The messages are the test suite's (`tests/server/mutations.py`):
damage to the bytes, to the structure and to the values, with huge integers, NaN and deep nesting. One in ten comes from
a client that has not said hello.
"""

from __future__ import annotations

import argparse
import socket
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from blender_addon.wire import messages as wire  # noqa: E402
from blender_addon.wire.codec import Buffer  # noqa: E402
from tests.server.harness import Backend, Peer, running, script  # noqa: E402
from tests.server.mutations import examples, mutants  # noqa: E402

MOST_GROWTH_BYTES = 10_000_000
WINDOW = 64
PUSHED = (wire.JobProgress, wire.MotionChunk, wire.Done, wire.Failed, wire.JobCancelled)
# Damage that was seen before memory is measured: buffers, pools and caches have their size by then.
WARM_UP = 20_000


def messages(seed: int) -> Iterator[list[Buffer]]:
    """Damaged messages without end, none of which asks the server to stop."""
    for frames in mutants(examples(), seed):
        if len(frames) < 2 or b"shutdown" not in bytes(frames[1]):
            yield frames


def send_all(peer: Peer, frames: Iterator[list[Buffer]], count: int) -> int:
    """Send `count` messages and read a reply to each; how many were refused. Raises AssertionError at a silence."""
    waiting = refused = 0
    for message in islice(frames, count):
        peer.socket.send_multipart(message)
        waiting += 1
        while waiting >= WINDOW:
            waiting, refused = _hear(peer, waiting, refused)
    while waiting:
        waiting, refused = _hear(peer, waiting, refused)
    return refused


def _hear(peer: Peer, waiting: int, refused: int) -> tuple[int, int]:
    envelope = peer.hear()
    assert envelope is not None, "a message without a reply"
    answer = envelope.message
    return waiting - (not isinstance(answer, PUSHED)), refused + isinstance(answer, wire.Refused)


def fuzz(backend: Backend, count: int, seed: int) -> int:
    """Send `count` messages, a tenth of them without a hello; how many of the others were refused."""
    frames, refused, step = messages(seed), 0, 10_000
    with Peer(backend.info) as peer:
        for sent in range(0, count, step):
            part = min(step, count - sent)
            refused += send_all(peer, frames, part - part // 10)
            with Peer(backend.info, hello=False) as stranger:
                for message in islice(frames, part // 10):
                    stranger.socket.send_multipart(message)
                stranger.socket.close(linger=2000)
            if sent % 100_000 == 0:
                print(f"{sent + part} messages, {backend.memory_bytes() / 1e6:.1f} MB", flush=True)
    return refused


def run_messages(arguments: argparse.Namespace, folder: Path) -> float:
    """The growth of the server's memory in MB."""
    with running(folder / "backend", "--rate", "1000000000") as backend:
        with Peer(backend.info) as peer:
            peer.wait_until_ready()
        fuzz(backend, min(WARM_UP, arguments.count), arguments.seed + 1)
        before, begun = backend.memory_bytes(), time.monotonic()
        refused = fuzz(backend, arguments.count, arguments.seed)
        check_alive(backend, folder)
        grown = (backend.memory_bytes() - before) / 1e6
        seconds = time.monotonic() - begun
        print(f"{arguments.count} messages in {seconds:.0f} s, {refused} refused, alive and answering")
    return grown


def run_connections(arguments: argparse.Namespace, folder: Path) -> float:
    """The growth of the server's memory in MB while `count` silent connections are kept up."""
    options = ("--descriptors", str(arguments.descriptors))
    with running(folder / "backend", *options) as backend:
        with Peer(backend.info) as peer:
            peer.wait_until_ready()
            check_alive(backend, folder)
            before, most = backend.memory_bytes(), 0
            idle: list[socket.socket] = []
            until = time.monotonic() + arguments.seconds
            while time.monotonic() < until:
                top_up(idle, arguments.count, backend)
                most = max(most, backend.memory_bytes())
                check_alive(backend, folder)
                time.sleep(0.5)
            descriptors = backend.family()[0].num_fds()
            for raw in idle:
                raw.close()
            check_alive(backend, folder)
            refusals = peer.status().refusals
        print(f"{arguments.count} idle connections, {descriptors} descriptors of {arguments.descriptors}, {refusals}")
    return (most - before) / 1e6


def top_up(idle: list[socket.socket], count: int, backend: Backend) -> None:
    """Drop the connections that the server closed and make new ones, up to `count`."""
    address = urlsplit(backend.info.endpoint)
    alive = [raw for raw in idle if not _is_closed(raw)]
    idle[:] = alive
    while len(idle) < count:
        try:
            idle.append(socket.create_connection((address.hostname, address.port), timeout=0.5))
        except OSError:
            return


def _is_closed(raw: socket.socket) -> bool:
    raw.setblocking(False)
    try:
        while raw.recv(4096):
            pass
    except BlockingIOError:
        return False
    except OSError:
        pass
    raw.close()
    return True


def check_alive(backend: Backend, folder: Path) -> None:
    """A new client gets in and a job is done. Raises AssertionError."""
    with Peer(backend.info) as peer:
        job_id = uuid.uuid4().hex
        peer.submit(job_id, script(folder, frames=5))
        assert isinstance(peer.until_end(job_id)[1], wire.Done)
        peer.ask(wire.Release(job_id))


def main() -> int:
    """Run one of the two attacks; 0 where the server stood it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("attack", choices=("messages", "connections"))
    parser.add_argument("--count", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--descriptors", type=int, default=1024)
    parser.add_argument("--seconds", type=float, default=20.0)
    arguments = parser.parse_args()
    arguments.count = arguments.count or (1_000_000 if arguments.attack == "messages" else 2000)
    with tempfile.TemporaryDirectory() as folder:
        attack = run_messages if arguments.attack == "messages" else run_connections
        grown = attack(arguments, Path(folder))
    print(f"memory grew by {grown:.1f} MB, {MOST_GROWTH_BYTES / 1e6:.0f} MB are allowed")
    return int(grown > MOST_GROWTH_BYTES / 1e6)


if __name__ == "__main__":
    sys.exit(main())
