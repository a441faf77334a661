"""Thousands of damaged clips, the same every time: each is read or refused with ClipError, in bounded memory."""

from __future__ import annotations

import io
import json
import random
import tracemalloc
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from blender_addon.motion.clip import ClipError, clip_to_bytes, read_clip
from tests.contracts.test_clip import make_clip

CLIPS = 4000
Members = dict[str, bytes]
NUMBERS: tuple[Any, ...] = (
    10**400,
    -(10**4000),
    float("nan"),
    float("inf"),
    -1,
    True,
    None,
    "x",
    [],
    {},
    [[]],
    {"a": 1},
)


def members_of(payload: bytes) -> Members:
    with zipfile.ZipFile(io.BytesIO(payload)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(members: Members, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def flip(chance: random.Random, payload: bytes) -> bytes:
    data = bytearray(payload)
    for _ in range(chance.choice((1, 1, 2, 8, 64))):
        data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data)


def cut(chance: random.Random, payload: bytes) -> bytes:
    start = chance.choice((0, 0, 0, chance.randrange(len(payload))))
    return payload[start : start + chance.randrange(len(payload))]


def directory(chance: random.Random, payload: bytes) -> bytes:
    """The archive's directory says something else: sizes, methods, flags, names."""
    data = bytearray(payload)
    start = data.index(b"PK\1\2")
    for _ in range(chance.choice((1, 2, 6))):
        data[chance.randrange(start, len(data))] = chance.randrange(256)
    return bytes(data)


def member(chance: random.Random, payload: bytes) -> bytes:
    """Damage inside a member whose checksum is right."""
    members = members_of(payload)
    name = chance.choice(sorted(members))
    deed = chance.randrange(5)
    if deed == 0:
        del members[name]
    elif deed == 1:
        members[name] = members[name][: chance.randrange(len(members[name]))]
    elif deed == 2:
        members[name] = members[chance.choice(sorted(members))]
    elif deed == 3:
        data = bytearray(members[name])
        for _ in range(chance.choice((1, 4))):
            data[chance.randrange(min(128, len(data)))] = chance.randrange(256)
        members[name] = bytes(data)
    else:
        members[name] += chance.randbytes(chance.randrange(1, 5000))
    return packed(members, chance.choice((0, 8, 8, 12, 14)))


def array(chance: random.Random, payload: bytes) -> bytes:
    """An array of another kind, shape or value."""
    members = members_of(payload)
    name = chance.choice([key for key in sorted(members) if key != "header.npy"])
    value = np.load(io.BytesIO(members[name]))
    odd: tuple[Callable[[], Any], ...] = (
        lambda: value.reshape(-1),
        lambda: value[..., :0],
        lambda: value[:1],
        lambda: np.array([print], dtype=object),
        lambda: np.zeros(3, dtype=[("a", "f4")]),
        lambda: np.zeros((), dtype="U0"),
        lambda: np.full(value.shape, np.inf) if value.dtype.kind == "f" else value[::-1],
        lambda: np.full(value.shape, np.nan) if value.dtype.kind == "f" else value[:0],
        lambda: np.full(value.shape, 1e308) if value.dtype.kind == "f" else np.array(["x" * 70_000]),
        lambda: value.astype(">f8") if value.dtype.kind == "f" else value,
        lambda: value.astype("c16") if value.dtype.kind == "f" else value,
        lambda: value.astype("M8[s]") if value.dtype.kind == "f" else value,
        lambda: np.asfortranarray(value),
    )
    members[name] = npy(chance.choice(odd)())
    return packed(members)


def shape_text(chance: random.Random, payload: bytes) -> bytes:
    """A member's header with text that numpy has to understand."""
    members = members_of(payload)
    name = chance.choice(sorted(members))
    texts = (
        "{'descr': '<f8', 'fortran_order': False, 'shape': (%s,), }" % ("9" * chance.choice((5, 12, 30, 4000))),
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (), }",
        "{'descr': '<U999999999', 'fortran_order': False, 'shape': (), }",
        "{'descr': '<f8', 'fortran_order': 1, 'shape': (2.5,), }",
        "(" * 3000,
        "-" * 5000 + "1",
        "{}",
        "\0",
    )
    text = chance.choice(texts).encode() + b"\n"
    version = chance.choice((1, 1, 1, 2, 3, 9))
    length = len(text).to_bytes(2 if version == 1 else 4, "little")
    members[name] = b"\x93NUMPY" + bytes((version, 0)) + length + text + bytes(64)
    return packed(members)


def header(chance: random.Random, payload: bytes) -> bytes:
    """The clip's own header: other types, huge numbers, nesting, text that is no JSON."""
    members = members_of(payload)
    record = json.loads(str(np.load(io.BytesIO(members["header.npy"]))))
    key = chance.choice(sorted(record))
    record[key] = chance.choice(NUMBERS)
    if chance.random() < 0.3:
        record[key] = {"a": chance.choice(NUMBERS)} if chance.random() < 0.5 else [chance.choice(NUMBERS)]
    text = json.dumps(record)
    odd = ("[" * 100_000, '{"a":' * 50_000, "null", "[]", "3", "", "{", text[: len(text) // 2], "9" * 10_000)
    members["header.npy"] = npy(np.array(chance.choice((text, text, text, chance.choice(odd)))))
    return packed(members)


def test_every_damaged_clip_is_read_or_refused() -> None:
    """4000 of them; memory stays within a few times the size of the clip."""
    payload = clip_to_bytes(make_clip())
    damages = (flip, cut, directory, member, array, shape_text, header)
    chance = random.Random(21)
    refused = dict.fromkeys((damage.__name__ for damage in damages), 0)
    longest = largest = 0
    for number in range(CLIPS):
        damage = chance.choice(damages)
        data = damage(chance, payload)
        if number % 4 == 0:  # to follow every allocation takes time
            tracemalloc.start()
        try:
            read_clip(io.BytesIO(data))
        except ClipError as fault:
            longest = max(longest, len(str(fault)))
            refused[damage.__name__] += 1
        finally:
            largest = max(largest, tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert largest < 24 << 20
    assert longest < 1000
    assert all(count > 50 for count in refused.values()), refused


@pytest.mark.parametrize("frames", [300_000_000, 5_000_000])
def test_a_small_file_that_unpacks_to_gigabytes_is_refused(frames: int) -> None:
    """A member that says what a shape of hundreds of millions of frames needs, and brings zeros for it."""
    members = members_of(clip_to_bytes(make_clip()))
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f8", "fortran_order": False, "shape": (frames, 4, 4)})
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            if name != "world_from_camera.npy":
                archive.writestr(name, data)
        with archive.open("world_from_camera.npy", "w", force_zip64=True) as target:
            target.write(head.getvalue())
            for _ in range(600 if frames < 10_000_000 else 8):
                target.write(bytes(1 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(ClipError):
            read_clip(io.BytesIO(stream.getvalue()))
        assert tracemalloc.get_traced_memory()[1] < 24 << 20
    finally:
        tracemalloc.stop()


def test_a_long_clip_is_read() -> None:
    """The bound is beyond what anybody videos: an hour at 30 frames a second is a sixth of it."""
    clip = make_clip(20_000)
    assert len(read_clip(io.BytesIO(clip_to_bytes(clip)))) == 20_000


def test_a_clip_without_a_frame_is_refused() -> None:
    members = members_of(clip_to_bytes(make_clip()))
    for name in members:
        value = np.load(io.BytesIO(members[name]))
        if value.shape[:1] == (12,):
            members[name] = npy(value[:0])
    with pytest.raises(ClipError, match="holds no frame"):
        read_clip(io.BytesIO(packed(members)))
