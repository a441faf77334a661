"""Seeded damage to messages: what a fuzzer would do, the same every time."""

from __future__ import annotations

import json
import math
import random
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from blender_addon.wire import messages as wire
from blender_addon.wire.codec import Buffer, encode

_JOB = "0123456789abcdef" * 2
_ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1e308,
    1 << 70,
    10**400,
    -(10**4000),
    math.nan,
    math.inf,
    "",
    "\0",
    "../../etc/passwd",
    "\ud800",
    "x" * 5000,
    [],
    [[[]]],
    {},
    {"kind": "hello"},
    [0] * 2000,
    "'; DROP TABLE jobs; --",
    -0.0,
    2**53,
    [1, 2, 3],
)
_NESTED: list[Any] = []
for _ in range(300):
    _NESTED = [_NESTED]
_ODD_BYTES = (
    b'{"kind":"hello","id":"1","fields":' + b"[" * 50_000,
    b'{"kind":"hello","id":"1","fields":{"token":' + b'{"a":' * 40_000 + b"1" + b"}" * 40_002,
    b'{"kind":"ping","id":"1","fields":{},"arrays":[],"more":' + b"9" * 200_000 + b"}",
    b'{"kind":"live_record","id":"1","fields":{"job_id":1e99999},"arrays":[]}',
    *(b"", b"\0", b"{", b"}", b"[" * 5000, b"null", b"\xff\xfe", b'{"kind": 1}', b"NaN", b"MRNT", b"\x80" * 300),
)


def examples() -> list[list[bytes]]:
    """One well-formed message of every kind that a client can send, but for `shutdown`."""
    source = wire.Source("path", "/nowhere/video.mp4", "video.mp4")
    data = np.arange(64, dtype=np.uint8)
    messages = [
        wire.Hello("wrong"),
        wire.Ping(),
        wire.Status(),
        wire.Submit(_JOB, source),
        wire.Submit(_JOB, wire.Source("upload", "", "v.mp4", 64, "0" * 64)),
        wire.Submit(
            _JOB,
            source,
            more_sources=(source, wire.Source("upload", "", "w.mp4", 64, "0" * 64)),
            take=wire.TakeOptions((wire.VideoOffset(2, 0.5),), ('{"format": "marionet-setup"}',)),
        ),
        wire.Submit(
            _JOB,
            source,
            more_sources=(source, source),
            take=wire.TakeOptions((), (), 1, (wire.CalibrationFile("rig.toml", ("[cam_1]", "name = 1")),)),
        ),
        wire.UploadPart(_JOB, 0, data),
        wire.UploadPart(_JOB, 0, data, 1),
        wire.LiveRecord(_JOB),
        wire.Watch(_JOB, 1, 2),
        wire.Cancel(_JOB),
        wire.ListJobs(),
        wire.Fetch(_JOB, 0, 0, 100),
        wire.Release(_JOB),
    ]
    return [[bytes(frame) for frame in encode(message, "7")] for message in messages]


def replies() -> list[list[bytes]]:
    """Well-formed messages of the server, with arrays."""
    frames, joints = 6, 24
    chunk = wire.MotionChunk(
        _JOB,
        1,
        0,
        0,
        "world",
        np.arange(frames),
        np.arange(frames) / 30.0,
        np.zeros((frames, joints, 4), np.float32),
        np.zeros((frames, 3), np.float32),
        np.zeros((frames, 17, 3), np.float32),
        np.ones(frames, np.float32),
    )
    done = wire.Done(_JOB, 1, (wire.ResultFile("clip.npz", 5, "0" * 64),), {"jitter": 0.5}, ("a warning",))
    info = wire.JobInfo(_JOB, "running", "video.mp4", 1.5, 0, 1, 3)
    messages = [chunk, done, wire.JobList((info, info)), wire.ResultPart(_JOB, 0, 0, np.arange(32, dtype=np.uint8))]
    return [[bytes(frame) for frame in encode(message, "8", "7")] for message in messages]


def mutants(seeds: list[list[bytes]], seed: int) -> Iterator[list[Buffer]]:
    """Damaged messages without end."""
    chance = random.Random(seed)
    damages = (_flip, _cut, _grow, _odd_frame, _reorder, _field, _field, _entry, _version, _header_key)
    while True:
        frames = list(chance.choice(seeds))
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            frames = chance.choice(damages)(frames, chance)
        yield frames


def _flip(frames: list[bytes], chance: random.Random) -> list[bytes]:
    place = chance.randrange(len(frames))
    data = bytearray(frames[place])
    for _ in range(chance.choice((1, 1, 4, 16)) if data else 0):
        data[chance.randrange(len(data))] = chance.randrange(256)
    return [*frames[:place], bytes(data), *frames[place + 1 :]]


def _cut(frames: list[bytes], chance: random.Random) -> list[bytes]:
    if chance.random() < 0.5:
        return frames[: chance.randrange(1, len(frames) + 1)]
    place = chance.randrange(len(frames))
    data = frames[place]
    return [*frames[:place], data[: chance.randrange(len(data) + 1)], *frames[place + 1 :]]


def _grow(frames: list[bytes], chance: random.Random) -> list[bytes]:
    if chance.random() < 0.5:
        return frames + [chance.choice(frames)] * chance.choice((1, 2, 20))
    place = chance.randrange(len(frames))
    return [*frames[:place], frames[place] + chance.randbytes(chance.randrange(64)), *frames[place + 1 :]]


def _odd_frame(frames: list[bytes], chance: random.Random) -> list[bytes]:
    place = chance.randrange(len(frames))
    return [*frames[:place], chance.choice(_ODD_BYTES), *frames[place + 1 :]]


def _reorder(frames: list[bytes], chance: random.Random) -> list[bytes]:
    return chance.sample(frames, len(frames))


def _version(frames: list[bytes], chance: random.Random) -> list[bytes]:
    return [struct.pack("<4sHH", b"MRNT", chance.randrange(4), chance.randrange(9)), *frames[1:]]


def _header(frames: list[bytes]) -> dict[str, Any]:
    try:
        header = json.loads(frames[1])
    except (IndexError, ValueError, RecursionError):
        return {}
    return header if isinstance(header, dict) else {}


def _with_header(frames: list[bytes], header: dict[str, Any]) -> list[bytes]:
    return [frames[0], json.dumps(header).encode(), *frames[2:]]


def _header_key(frames: list[bytes], chance: random.Random) -> list[bytes]:
    header = _header(frames)
    key = chance.choice(("kind", "id", "request", "fields", "arrays", "more"))
    header[key] = chance.choice((*_ODD_VALUES, _NESTED))
    if chance.random() < 0.3:
        del header[key]
    return _with_header(frames, header)


def _field(frames: list[bytes], chance: random.Random) -> list[bytes]:
    header = _header(frames)
    fields = header.get("fields")
    if not isinstance(fields, dict) or not fields:
        return frames
    target, key = fields, chance.choice(sorted(fields))
    while isinstance(target[key], dict) and target[key] and chance.random() < 0.7:
        target = target[key]
        key = chance.choice(sorted(target))
    target[key] = chance.choice((*_ODD_VALUES, _NESTED))
    if chance.random() < 0.2:
        del target[key]
    return _with_header(frames, header)


def _entry(frames: list[bytes], chance: random.Random) -> list[bytes]:
    header = _header(frames)
    entries = header.get("arrays")
    if not isinstance(entries, list) or not entries or not isinstance(entries[0], dict):
        return frames
    entry = chance.choice([item for item in entries if isinstance(item, dict)])
    key = chance.choice(("name", "dtype", "shape", "unit"))
    shapes = (
        [1 << 31, 1 << 31, 4],
        [-1],
        [0],
        [64, 1],
        [2.5],
        ["T"],
        [1 << 62] * 8,
        [True],
        [10**400],
        [math.nan, math.inf],
    )
    entry[key] = (
        chance.choice(shapes) if key == "shape" else chance.choice((*_ODD_VALUES, "float64", "uint8", "object"))
    )
    return _with_header(frames, header)
