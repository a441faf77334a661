"""Numbers that no `float` holds, nesting without end and other hostile values: refused, before and after a hello."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from blender_addon.wire import messages as wire
from blender_addon.wire.codec import FROM_CLIENT, decode, encode
from blender_addon.wire.errors import WireError
from tests.server.harness import Backend, Peer
from tests.server.mutations import examples

NUMBERS = ("1" + "0" * 400, "-1" + "0" * 4000, "9" * 250_000, "1e999", "-1e999", "NaN", "Infinity", "1.0" + "0" * 5000)
FIELDS = ("height_m", "start_s", "slow_motion", "max_people")


def submit_with(field: str, number: str) -> list[bytes]:
    """A `submit` whose option `field` is `number`, as text that no JSON writer would give."""
    message = wire.Submit("0" * 32, wire.Source("path", "/nowhere/v.mp4", "v.mp4"))
    frames = [bytes(frame) for frame in encode(message, "1")]
    header = json.loads(frames[1])
    header["fields"]["options"][field] = "HERE"
    return [frames[0], json.dumps(header).encode().replace(b'"HERE"', number.encode())]


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number[:6])
@pytest.mark.parametrize("field", FIELDS)
def test_the_codec_refuses_every_number_that_is_not_one(field: str, number: str) -> None:
    frames = submit_with(field, number)
    if number.startswith("1.0") and field != "max_people":
        assert decode(frames, FROM_CLIENT).message.options == wire.SolveOptions(**{field: 1.0})
        return
    with pytest.raises(WireError):
        decode(frames, FROM_CLIENT)


@pytest.mark.parametrize("admitted", [False, True])
def test_no_number_ends_the_server(backend: Backend, admitted: bool) -> None:
    with Peer(backend.info, hello=admitted) as peer:
        for number in NUMBERS[:5]:
            peer.socket.send_multipart(submit_with("height_m", number))
            reply = peer.hear()
            assert reply is not None
            assert isinstance(reply.message, wire.Refused)
            assert reply.message.code in (("malformed",) if admitted else ("hello_first", "denied"))
    with Peer(backend.info) as other:
        assert isinstance(other.ask(wire.Ping()), wire.Pong)


def test_only_a_hello_is_decoded_for_a_stranger(backend: Backend) -> None:
    """A header as long as the protocol allows is not even parsed, and says nothing about itself."""
    with Peer(backend.info, hello=False) as peer:
        for frames in examples():
            if b'"hello"' not in frames[1]:
                peer.socket.send_multipart(frames)
                reply = peer.hear()
                assert reply is not None
                assert reply.message == wire.Refused("hello_first", "Say hello first")
                break
        long = json.dumps({"kind": "hello", "id": "77", "fields": {"token": "x" * 200_000}, "arrays": []})
        peer.socket.send_multipart([frames[0], long.encode()])
        reply = peer.hear()
        assert reply is not None
        assert (reply.request, reply.message) == ("", wire.Refused("denied", "Denied"))


def test_a_bug_in_a_handler_refuses_its_message_and_ends_nothing(tmp_path: Path, monkeypatch: Any) -> None:
    """The fault is injected: a handler that raises what nobody expects."""
    from backend.server.config import ServerConfig
    from backend.server.handlers import RequestHandlers
    from backend.server.router import Arrival
    from backend.server.service import Service

    def broken(self: RequestHandlers, session: object, request: object) -> None:
        raise OverflowError("int too large to convert to float")

    service = Service(ServerConfig(tmp_path / "c.json", tmp_path / "data"), "0")
    sent: list[Any] = []
    monkeypatch.setattr(RequestHandlers, "answer", broken)
    monkeypatch.setattr(service, "_send", lambda identity, request, message: sent.append((request, message)))
    try:
        session = service._sessions.of(b"1", "", 0.0)
        session.owner = "local"
        service._handle(Arrival(b"1", -1, "", [bytes(frame) for frame in encode(wire.Ping(), "5")]))
    finally:
        service._close()
    assert sent[0] == (
        "5",
        wire.Refused("internal", "Internal error: OverflowError", "Report this with the backend's log"),
    )
