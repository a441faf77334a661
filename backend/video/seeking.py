"""Find the key frame before the first wanted frame, so that what lies before it need not be decoded.

Only where it leads to the very frames that decoding everything gives; `None` says that everything is to be decoded.
May import PyAV, `backend.video`.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av

from backend.video.decoding import Decoding
from backend.video.opening import open_container, video_stream
from backend.video.packets import PacketStamp, Timetable, is_plain, stamp_of
from backend.video.ranges import FrameRange

_REORDER: Final = 32
# frames before the wanted one at which a key frame is looked for, one after the other
_STEPS_BACK: Final = (0, 40, 300)
# decoding this many frames costs less than finding out how not to
_WORTH_FRAMES: Final = 250


@dataclass(frozen=True, slots=True)
class SeekSource:
    """The stream to look in; `origin` is the stamp of its first frame."""

    path: Path
    stream_index: int
    timetable: Timetable
    origin: int


@dataclass(frozen=True, slots=True)
class SeekPoint:
    """Where to move a fresh container, and the index of the frame that is decoded first there."""

    stamp: int
    index: int


def find_start(source: SeekSource, wanted: FrameRange, start_index: int) -> SeekPoint | None:
    """The key frame from which to decode. Reads packets up to the start, so that indices stay exact at uneven rates."""
    if not source.timetable.plain or (start_index < _WORTH_FRAMES and wanted.start in (None, 0, 0.0)):
        return None
    stamps = _stamps_before(source, wanted, start_index)
    if stamps is None:
        return None
    seconds = source.timetable.clock.seconds
    inside = (
        index
        for index, stamp in enumerate(stamps)
        if index >= start_index and not wanted.before(index, seconds(stamp - source.origin))
    )
    first = next(inside, len(stamps) - 1)
    if first < _WORTH_FRAMES:
        return None
    for back in _STEPS_BACK:
        point = _landing(source, stamps, first, back)
        if point is not None:
            return point if point.index > 0 else None
    return None


def _stamps_before(source: SeekSource, wanted: FrameRange, start_index: int) -> list[int] | None:
    """Sorted stamps of the shown frames up to a little behind the start; None where the way there is not plain."""
    packets: list[PacketStamp] = []
    shown, after = 0, 0
    clock = source.timetable.clock
    try:
        with open_container(source.path) as container:
            for packet in container.demux(video_stream(container, source.stream_index)):
                if packet.size == 0:
                    continue
                stamp = stamp_of(packet)
                packets.append(stamp)
                if stamp.pts is None:
                    return None
                if stamp.hidden:
                    continue
                time_s = clock.seconds(stamp.pts - source.origin)
                after += int(shown >= start_index and not wanted.before(shown, time_s))
                shown += 1
                if after > _REORDER:
                    break
    except av.error.FFmpegError:
        return None
    if not is_plain(packets, clock):
        return None
    return sorted(packet.pts for packet in packets if packet.pts is not None and not packet.hidden)


def _landing(source: SeekSource, stamps: list[int], first: int, back: int) -> SeekPoint | None:
    """Where a seek to `back` frames before `first` comes out, if a key frame at or before `first` is decoded there."""
    target = stamps[max(first - back, 0)]
    with open_container(source.path) as container:
        stream = video_stream(container, source.stream_index)
        try:
            container.seek(target, stream=stream, backward=True)
            # a transport stream is entered anywhere; decoding begins at the next key frame
            key = next((p for p in container.demux(stream) if p.size and p.is_keyframe), None)
        except av.error.FFmpegError:
            return None
        if key is None or key.pts is None or key.pts > stamps[first]:
            return None
        index = bisect_left(stamps, key.pts)
        if index == len(stamps) or stamps[index] != key.pts:
            return None
        container.seek(target, stream=stream, backward=True)
        decoding = Decoding(container, stream, source.timetable, source.path)
        landed = next((stamp for stamp, _ in decoding.frames()), None)
        return SeekPoint(target, index) if landed == key.pts else None
