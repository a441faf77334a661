"""Replies wait in order for room, news do not overtake them, and what waits is bounded."""

from __future__ import annotations

from backend.server.router import MAX_WAITING, SendQueue
from blender_addon.wire.codec import Buffer


class Peer:
    """A queue with room for `room` messages; None: gone."""

    def __init__(self, room: int | None) -> None:
        self.room = room
        self.got: list[bytes] = []

    def send(self, identity: bytes, frames: list[Buffer]) -> bool | None:
        if self.room is None:
            return None
        if len(self.got) >= self.room:
            return False
        self.got.append(bytes(frames[0]))
        return True


def test_replies_wait_in_order_and_news_do_not_overtake() -> None:
    peer = Peer(1)
    queue = SendQueue(peer.send)
    assert all(queue.reply(b"a", [name]) for name in (b"1", b"2", b"3"))
    assert queue.news(b"a", [b"news"]) is False
    peer.room = 2
    queue.flush()
    assert peer.got == [b"1", b"2"]
    assert queue
    peer.room = 9
    queue.flush()
    assert not queue
    assert queue.news(b"a", [b"news"]) is True
    assert peer.got == [b"1", b"2", b"3", b"news"]


def test_what_waits_is_bounded_in_number_and_bytes() -> None:
    queue = SendQueue(Peer(0).send)
    assert [queue.reply(b"a", [b"x"]) for _ in range(MAX_WAITING + 1)] == [True] * MAX_WAITING + [False]
    assert [queue.reply(b"b", [bytes(1 << 20)]) for _ in range(10)].count(True) == 9


def test_what_waits_for_a_peer_that_is_gone_is_dropped() -> None:
    peer = Peer(0)
    queue = SendQueue(peer.send)
    queue.reply(b"a", [b"1"])
    peer.room = None
    queue.flush()
    assert not queue
    assert queue.reply(b"a", [b"2"]) is None
