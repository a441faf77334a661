"""What a video stream's packets say, read without decoding: stamps in presentation order, the usual step, the count.

May import PyAV, numpy and its own room.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from itertools import pairwise
from typing import Final

import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from backend.video.clock import Clock, ClockSettings

# about two minutes of video, or as much of the file: enough for the rate, and most short takes are read whole
_MOST_PACKETS: Final = 3000
_MOST_BYTES: Final = 48 * 2**20
_RATE_PACKETS: Final = 300
_FALLBACK_FPS: Final = 25.0
# of the median step: telecine shows frames for two and for three fields in turn
_NEAR: Final = 0.55


class Stamps(Enum):
    """Where a frame's time is from: its own stamp, the order of decode stamps, or its number alone."""

    PRESENTATION = "presentation"
    DECODE = "decode"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class PacketStamp:
    """The stamps of one packet, in ticks, and whether it opens a group of images or is hidden by an edit list."""

    pts: int | None
    dts: int | None
    key: bool
    hidden: bool
    damaged: bool


@dataclass(frozen=True, slots=True)
class Timetable:
    """What the first packets tell.

    `keyed`: a key frame is among the first packets, so those before it can be left out.
    `stamps` are those of shown frames in presentation order; `fps` follows from the median step; `frame_count` and
    `span_s` cover the whole file: exact where `complete`, else estimated. `plain` says that a frame's place in
    `stamps` is its index, so that a part can be found without decoding what is before it.
    """

    kind: Stamps
    clock: ClockSettings
    stamps: tuple[int, ...]
    fps: float
    varies: bool
    frame_count: int
    span_s: float
    complete: bool
    plain: bool
    keyed: bool


def read_timetable(container: InputContainer, stream: VideoStream, file_bytes: int) -> Timetable:
    """Read the first packets of a freshly opened container."""
    packets: list[PacketStamp] = []
    read_bytes, complete = 0, True
    for packet in container.demux(stream):
        if packet.size == 0:
            continue
        packets.append(stamp_of(packet))
        read_bytes = max(read_bytes, (packet.pos or 0) + packet.size)
        if len(packets) >= _MOST_PACKETS or read_bytes > _MOST_BYTES:
            complete = False
            break
    kind = _kind(container, stream, packets)
    clock = clock_of(container, stream, packets, kind)
    stamps = in_order(packets, kind, clock)
    fps = _frames_per_second(stream, stamps[:_RATE_PACKETS], clock)
    count = len(packets) if kind is Stamps.NONE else len(stamps)
    if not complete:
        share = len(stamps) / max(len(packets), 1) if kind is not Stamps.NONE else 1.0
        beyond = stream.frames or round(len(packets) * max(1.0, file_bytes / max(read_bytes, 1)))
        count = max(count, round(beyond * share) if not stream.frames else beyond)
    return Timetable(
        kind=kind,
        clock=clock,
        stamps=tuple(stamps),
        fps=fps,
        varies=_varies(stamps[:_RATE_PACKETS]),
        frame_count=count,
        span_s=_span_s(stamps, clock) if complete and stamps else count / fps,
        complete=complete,
        plain=kind is Stamps.PRESENTATION and is_plain(packets, clock),
        keyed=any(packet.key for packet in packets[:_RATE_PACKETS]),
    )


def stamp_of(packet: Packet) -> PacketStamp:
    """The stamps of a packet."""
    return PacketStamp(packet.pts, packet.dts, packet.is_keyframe, packet.is_discard, packet.is_corrupt)


def in_order(packets: Sequence[PacketStamp], kind: Stamps, clock: ClockSettings) -> list[int]:
    """Stamps of shown frames in presentation order. Frames are put in order between two restarts of the clock."""
    ordered: list[int] = []
    part: list[int] = []
    before: int | None = None
    for packet in packets:
        sent = packet.dts if packet.dts is not None else (packet.pts if packet.key else None)
        if before is not None and sent is not None and clock.restarts(before, sent):
            ordered += sorted(part)
            part = []
        before = sent if sent is not None else before
        shown = packet.dts if kind is Stamps.DECODE else packet.pts
        if shown is not None and not packet.hidden:
            part.append(shown)
    return ordered + sorted(part)


def is_plain(packets: Sequence[PacketStamp], clock: ClockSettings) -> bool:
    """Whether every frame has a stamp of its own on one clock, from a key frame on."""
    shown = [packet.pts for packet in packets if not packet.hidden and packet.pts is not None]
    sent = [packet.dts for packet in packets if packet.dts is not None]
    return (
        bool(packets)
        and packets[0].key
        and all(packet.pts is not None and not packet.damaged for packet in packets)
        and len(set(shown)) == len(shown)
        and all(after > before and not clock.restarts(before, after) for before, after in pairwise(sent))
    )


def clock_of(
    container: InputContainer, stream: VideoStream, packets: Sequence[PacketStamp], kind: Stamps
) -> ClockSettings:
    """The stream's clock, its step as the packets show it."""
    base = Fraction(stream.time_base) if stream.time_base else Fraction(1, 1000)
    rate = float(stream.average_rate or stream.guessed_rate or _FALLBACK_FPS)
    wraps = container.format.name == "mpegts"
    guess = ClockSettings(base, max(1, round(1.0 / (rate * float(base)))), wraps)
    steps = _near_median(np.diff(in_order(packets, kind, guess)[:_RATE_PACKETS]))
    return ClockSettings(base, max(1, round(float(steps.mean()))), wraps) if len(steps) else guess


def _kind(container: InputContainer, stream: VideoStream, packets: Sequence[PacketStamp]) -> Stamps:
    """AVI holds no presentation stamps, and those that FFmpeg makes up are wrong once frames are reordered."""
    reordered_avi = container.format.name == "avi" and stream.codec_context.has_b_frames
    with_pts = sum(packet.pts is not None for packet in packets)
    with_dts = sum(packet.dts is not None for packet in packets)
    if with_pts * 2 >= len(packets) and with_pts and not reordered_avi:
        return Stamps.PRESENTATION
    return Stamps.DECODE if with_dts * 2 >= len(packets) and with_dts else Stamps.NONE


def _near_median(steps: np.ndarray) -> np.ndarray:
    """The steps about as long as the median one: jitter and alternating steps stay, pauses and repeats go."""
    ahead = steps[steps > 0]
    if not len(ahead):
        return ahead
    median = float(np.median(ahead))
    return np.asarray(ahead[np.abs(ahead - median) <= max(1.0, _NEAR * median)])


def _frames_per_second(stream: VideoStream, stamps: Sequence[int], clock: ClockSettings) -> float:
    """The container's rate where the stamps bear it out, else the rate of the median step."""
    rate = stream.average_rate or stream.guessed_rate or stream.base_rate
    stated = float(rate) if rate else 0.0
    steps = _near_median(np.diff(stamps))
    if not len(steps):
        return stated if 0.0 < stated < 1000.0 else _FALLBACK_FPS
    shown = len(steps) / float(int(steps.sum()) * clock.time_base)
    return stated if abs(stated - shown) <= (2.0 / float(steps.sum()) + 1e-4) * shown else shown


def _varies(stamps: Sequence[int]) -> bool:
    """Whether steps between stamps differ by more than rounding to the time base explains."""
    steps = np.diff(stamps)
    return len(steps) > 1 and bool(steps.max() - steps.min() > max(1.0, 0.02 * float(np.median(steps))))


def _span_s(stamps: Sequence[int], clock: ClockSettings) -> float:
    reader = Clock(clock, None)
    ticks = [tick for tick in map(reader.read, stamps) if tick is not None]
    return clock.seconds(ticks[-1] + clock.step_ticks)
