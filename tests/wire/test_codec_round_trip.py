"""What is encoded comes back: every number in its place, every field with its type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blender_addon.wire import messages as wire
from blender_addon.wire.codec import FROM_CLIENT, FROM_SERVER, Registry, decode, encode


def over_the_wire(message: Any, registry: Registry) -> Any:
    frames: Sequence[bytes] = [bytes(frame) for frame in encode(message, "7", "3")]
    envelope = decode(frames, registry)
    assert (envelope.message_id, envelope.request) == ("7", "3")
    return envelope.message


def assert_same(mine: Any, theirs: Any) -> None:
    assert type(theirs) is type(mine)
    for field in fields(mine):
        sent, came = getattr(mine, field.name), getattr(theirs, field.name)
        if isinstance(sent, np.ndarray):
            assert came.shape == sent.shape, field.name
            np.testing.assert_array_equal(came, sent, err_msg=field.name)
        else:
            assert came == sent, field.name


def chunk(frames: int, joints: int, seed: int) -> wire.MotionChunk:
    rng = np.random.default_rng(seed)
    rotations = rng.normal(size=(frames, joints, 4)).astype(np.float32)
    rotations[: frames // 3] = np.nan  # the person was lost there
    return wire.MotionChunk(
        job_id="0" * 32,
        attempt=2,
        index=5,
        person=1,
        space="camera",
        frame_index=np.arange(frames) * 3 + 100,
        times_s=np.cumsum(rng.uniform(0.01, 0.05, frames)),
        rotations_wxyz=rotations,
        root_m=rng.normal(size=(frames, 3)).astype(np.float32),
        joints_camera_m=rng.normal(size=(frames, 17, 3)).astype(np.float32),
        confidence=rng.uniform(size=frames).astype(np.float32),
    )


@given(frames=st.integers(0, 40), joints=st.integers(1, 30), seed=st.integers(0, 1000))
@settings(max_examples=60)
def test_motion_comes_back_number_by_number(frames: int, joints: int, seed: int) -> None:
    sent = chunk(frames, joints, seed)
    assert_same(sent, over_the_wire(sent, FROM_SERVER))


@given(data=st.binary(max_size=5000), offset=st.integers(0, 2**40))
def test_uploaded_bytes_come_back_in_order(data: bytes, offset: int) -> None:
    sent = wire.UploadPart("a" * 32, offset, np.frombuffer(data, np.uint8))
    assert bytes(over_the_wire(sent, FROM_CLIENT).data) == data


@pytest.mark.parametrize(
    ("message", "registry"),
    [
        (wire.Hello("secret", "Blender 4.5"), FROM_CLIENT),
        (
            wire.Submit(
                "b" * 32,
                wire.Source("path", "/videos/tänzer ü.mp4", "tänzer ü.mp4"),
                wire.SolveOptions(start_s=1.5, end_s=8.0, person="640,360@12", height_m=1.82, quality="fast"),
            ),
            FROM_CLIENT,
        ),
        (wire.Watch("c" * 32, attempt=1, next_chunk=4), FROM_CLIENT),
        (wire.JobProgress("d" * 32, 1, "people", 3, 250, 12.5, "w0"), FROM_SERVER),
        (
            wire.Done(
                "e" * 32, 1, (wire.ResultFile("clip.npz", 123, "f" * 64),), {"jerk_m_s3": 61.5}, ("lens assumed",)
            ),
            FROM_SERVER,
        ),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_fields_come_back_with_their_types(message: Any, registry: Registry) -> None:
    assert_same(message, over_the_wire(message, registry))


def test_arrays_that_are_not_contiguous_are_sent_as_they_read() -> None:
    sent = chunk(12, 24, 0)
    turned = sent.rotations_wxyz[::-1]
    flipped = wire.MotionChunk(
        **{field.name: getattr(sent, field.name) for field in fields(sent)} | {"rotations_wxyz": turned}
    )
    np.testing.assert_array_equal(over_the_wire(flipped, FROM_SERVER).rotations_wxyz, turned)
