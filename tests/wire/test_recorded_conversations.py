"""Messages that released versions sent: today's codec reads them and writes the same bytes, additions excepted.

The recordings are of real processes: `tools/record_conversation.py` made them, one file for each released version.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from blender_addon.wire.codec import FROM_CLIENT, FROM_SERVER, VERSION_FRAME, decode, encode
from blender_addon.wire.messages import PROTOCOL_MAJOR, PROTOCOL_MINOR

RECORDINGS = sorted(Path(__file__).with_name("conversations").glob("*.json"))
SIDES = {"client": FROM_CLIENT, "server": FROM_SERVER}


def recorded(path: Path) -> list[tuple[str, str, list[bytes]]]:
    """Who spoke, the kind of the message, its frames."""
    messages = json.loads(path.read_text(encoding="utf-8"))["messages"]
    return [(one["from"], one["kind"], [base64.b64decode(frame) for frame in one["frames"]]) for one in messages]


MESSAGES = [
    pytest.param(side, frames, id=f"{path.stem} {kind}") for path in RECORDINGS for side, kind, frames in recorded(path)
]


def without_additions(today: Any, then: Any) -> Any:
    """`today` less the keys that `then` did not have, at every depth; the order of the keys is today's."""
    if isinstance(today, dict) and isinstance(then, dict):
        return {key: without_additions(value, then[key]) for key, value in today.items() if key in then}
    if isinstance(today, list) and isinstance(then, list) and len(today) == len(then):
        return [without_additions(*pair) for pair in zip(today, then, strict=True)]
    return today


def said_again(side: str, frames: Sequence[bytes]) -> list[bytes]:
    """The message, read and written by today's code, fields and arrays left out that were added since."""
    envelope = decode(frames, SIDES[side])
    again = [bytes(frame) for frame in encode(envelope.message, envelope.message_id, envelope.request)]
    header = without_additions(json.loads(again[1]), json.loads(frames[1]))
    return [again[0], json.dumps(header, separators=(",", ":")).encode(), *again[2:]]


@pytest.mark.parametrize(("side", "frames"), MESSAGES)
def test_a_message_is_written_as_it_was(side: str, frames: list[bytes]) -> None:
    again = said_again(side, frames)
    assert again[1:] == frames[1:]
    mark, major, minor = VERSION_FRAME.unpack(frames[0])
    assert VERSION_FRAME.unpack(again[0]) == (mark, PROTOCOL_MAJOR, PROTOCOL_MINOR)
    assert (major, minor) <= (PROTOCOL_MAJOR, PROTOCOL_MINOR)


def test_the_recordings_hold_every_kind_of_their_time() -> None:
    kinds = {path.stem: {kind for _, kind, _ in recorded(path)} for path in RECORDINGS}
    assert len(kinds["0.7.0"]) == 25
    assert kinds["0.9.0"] == kinds["0.7.0"] | {"list_cameras", "camera_list", "live_record", "live_frame"}
    assert kinds["0.10.0"] == kinds["0.11.0"] == kinds["0.9.0"] | {"submit of a take"}


def test_a_changed_name_value_or_order_is_noticed() -> None:
    side, frames = next((side, frames) for side, kind, frames in recorded(RECORDINGS[0]) if kind == "submit")
    assert said_again(side, frames) == [frames[0][:6] + PROTOCOL_MINOR.to_bytes(2, "little"), *frames[1:]]
    header = json.loads(frames[1])
    header["fields"]["options"] = dict(reversed(header["fields"]["options"].items()))
    turned = json.dumps(header, separators=(",", ":")).encode()
    assert said_again(side, [frames[0], turned])[1] != turned
    header["fields"]["options"]["height"] = header["fields"]["options"].pop("height_m")
    renamed = json.dumps(header, separators=(",", ":")).encode()
    assert said_again(side, [frames[0], renamed])[1] != renamed
