"""What the server and its worker processes say to each other, and how it crosses a pipe. No pickle.

The messages are dataclasses in the wire's codec, over the worker's standard input and output, each message as a
count of frames, their lengths and their bytes. May import `blender_addon.wire` and stdlib.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import BinaryIO, ClassVar

from blender_addon.wire.codec import Buffer, Registry
from blender_addon.wire.messages import (
    JobProgress,
    LiveFrame,
    MotionChunk,
    ResultFile,
    SolveOptions,
    Source,
    TakeOptions,
)

_COUNT = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class RunJob:
    """To the worker: solve `source` into `output_dir`, which exists and is empty or holds an earlier attempt's work.

    `task` is the submit's: "solve", or "people" for who is in the video. `live` is the source of a live capture; its
    kind is empty in every other job. `videos` are all sources of a take with the paths that the worker reads, the first
    of which is `source`; empty in every other job.
    """

    kind: ClassVar[str] = "run_job"
    job_id: str
    attempt: int
    source: str
    output_dir: str
    max_frames: int
    options: SolveOptions
    task: str = "solve"
    live: Source = Source("")
    videos: tuple[Source, ...] = ()
    take: TakeOptions = TakeOptions()


@dataclass(frozen=True, slots=True)
class StopJob:
    """To the worker: stop this job and keep what is finished."""

    kind: ClassVar[str] = "stop_job"
    job_id: str


@dataclass(frozen=True, slots=True)
class RecordJob:
    """To the worker: record this live job from now on."""

    kind: ClassVar[str] = "record_job"
    job_id: str


@dataclass(frozen=True, slots=True)
class AbandonJob:
    """To the worker: the stop took too long, drop everything; nobody waits for this job's files any more."""

    kind: ClassVar[str] = "abandon_job"
    job_id: str


@dataclass(frozen=True, slots=True)
class Ready:
    """From the worker: models are loaded, `device` is what it computes on."""

    kind: ClassVar[str] = "ready"
    device: str
    warm_up_s: float


@dataclass(frozen=True, slots=True)
class JobEnded:
    """From the worker: the job is over; `code` is "" for success, "cancelled", or an error's code."""

    kind: ClassVar[str] = "job_ended"
    job_id: str
    code: str = ""
    message: str = ""
    remedy: str = ""
    files: tuple[ResultFile, ...] = ()
    figures: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


TO_WORKER: Registry = {message.kind: message for message in (RunJob, StopJob, RecordJob, AbandonJob)}
FROM_WORKER: Registry = {message.kind: message for message in (Ready, JobEnded, JobProgress, MotionChunk, LiveFrame)}


def pack_frames(frames: list[Buffer]) -> bytes:
    """One byte string of a message's frames."""
    lengths = [_COUNT.pack(len(frame)) for frame in frames]
    return b"".join([_COUNT.pack(len(frames)), *lengths, *frames])


def unpack_frames(data: bytes) -> list[Buffer]:
    """The frames in what `pack_frames` made. Raises ValueError when they are cut short."""
    view = memoryview(data)
    try:
        (count,) = _COUNT.unpack_from(view)
        lengths = struct.unpack_from(f"<{count}I", view, _COUNT.size)
    except struct.error as fault:
        raise ValueError("a packed message is cut short") from fault
    start = _COUNT.size * (count + 1)
    frames: list[Buffer] = []
    for length in lengths:
        frames.append(view[start : start + length])
        start += length
    if start != len(data):
        raise ValueError("a packed message is cut short")
    return frames


def write_frames(stream: BinaryIO, frames: list[Buffer]) -> None:
    """Write one message to a pipe and flush it. Raises OSError when the other end is gone."""
    packed = pack_frames(frames)
    stream.write(_COUNT.pack(len(packed)) + packed)
    stream.flush()


def read_frames(stream: BinaryIO) -> list[Buffer] | None:
    """Wait for the next message; None when the other end is gone."""
    size = stream.read(_COUNT.size)
    if len(size) < _COUNT.size:
        return None
    (length,) = _COUNT.unpack(size)
    data = stream.read(length)
    return unpack_frames(data) if len(data) == length else None
