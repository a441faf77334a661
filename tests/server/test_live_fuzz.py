"""Thousands of damaged messages, and bytes that are no ZeroMQ at all, against a live server."""

from __future__ import annotations

import random
import socket
import uuid
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

from blender_addon.wire import messages as wire
from blender_addon.wire.codec import FROM_CLIENT, decode
from blender_addon.wire.errors import WireError
from tests.server.harness import Backend, Peer, running, script, wait_for
from tests.server.mutations import examples, mutants

MESSAGES = 12_000
WINDOW = 16
PUSHED = (wire.JobProgress, wire.MotionChunk, wire.Done, wire.Failed, wire.JobCancelled)
FAST = ("--rate", "1000000")


def fuzz(peer: Peer, count: int, seed: int) -> int:
    """Send damaged messages, a window at a time, and read a reply to each; the number of refusals among them."""
    waiting = refusals = 0
    for frames in islice(mutants(examples(), seed), count):
        if len(frames) > 1 and b'"shutdown"' in bytes(frames[1]):
            continue
        peer.socket.send_multipart(frames)
        waiting += 1
        while waiting >= WINDOW:
            envelope = peer.hear()
            assert envelope is not None, "a message without a reply"
            waiting -= not isinstance(envelope.message, PUSHED)
            refusals += isinstance(envelope.message, wire.Refused)
    while waiting:
        envelope = peer.hear()
        assert envelope is not None, "a message without a reply"
        waiting -= not isinstance(envelope.message, PUSHED)
        refusals += isinstance(envelope.message, wire.Refused)
    return refusals


def test_every_damaged_message_is_answered_counted_and_logged(tmp_path: Path) -> None:
    with running(tmp_path / "backend", *FAST) as backend, Peer(backend.info) as peer:
        peer.wait_until_ready()
        memory = 0
        refusals = 0
        for round_number in range(4):
            refusals += fuzz(peer, MESSAGES // 4, seed=round_number)
            memory = memory or backend.memory_bytes()
        status = peer.status()
        assert sum(status.refusals.values()) == refusals
        assert refusals > MESSAGES // 2
        assert status.memory_bytes - memory < 16 << 20
        job_id = uuid.uuid4().hex
        peer.submit(job_id, script(tmp_path, frames=5))
        assert isinstance(peer.until_end(job_id)[1], wire.Done)
        wait_for(lambda: logged(backend) == refusals, "every refusal in the log", 5.0)


def logged(backend: Backend) -> int:
    return sum(line["count"] for line in backend.log("refused"))


def test_a_strangers_damaged_messages(tmp_path: Path) -> None:
    """Without a hello: five answers a connection, then silence; every message is counted."""
    with running(tmp_path / "backend", *FAST) as backend, Peer(backend.info) as peer:
        sent = 0
        answers: list[wire.Refused] = []
        for seed in range(20):
            with Peer(backend.info, hello=False) as stranger:
                sent += send_refusable(stranger, seed, 100)
                while (envelope := stranger.hear(0.1)) is not None:
                    answers.append(envelope.message)
        wait_for(lambda: sum(peer.status().refusals.values()) >= sent, "the count")
        assert sum(peer.status().refusals.values()) == sent
        assert 0 < len(answers) <= 20 * 5
        assert {answer.code for answer in answers} <= {"denied", "hello_first", "version"}


def send_refusable(stranger: Peer, seed: int, count: int) -> int:
    for frames in islice(mutants(examples(), seed), count):
        stranger.socket.send_multipart(frames)
    return count


def test_bytes_that_are_no_zeromq(backend: Backend, peer: Peer) -> None:
    address = urlsplit(backend.info.endpoint)
    chance = random.Random(4)
    openings = (b"", b"GET / HTTP/1.1\r\n\r\n", b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48), b"\x16\x03\x01")
    before = peer.status().refusals.get("handshake", 0)
    for _ in range(300):
        with socket.create_connection((address.hostname, address.port), timeout=5) as raw:
            raw.sendall(chance.choice(openings) + chance.randbytes(chance.randrange(2000)))
    assert isinstance(peer.ask(wire.Ping()), wire.Pong)
    wait_for(lambda: peer.status().refusals.get("handshake", 0) > before, "counted handshakes")


def test_fuzz_reaches_the_handlers() -> None:
    """The mutants are not all refused by the router: otherwise the live test would test the codec again."""
    read = 0
    for frames in islice(mutants(examples(), 1), 2000):
        try:
            decode(frames, FROM_CLIENT)
            read += 1
        except WireError:
            continue
    assert 200 < read < 1500
