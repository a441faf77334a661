"""Decode one stream from where a container stands: frames with their stamps, damage and a cut-off end counted.

May import PyAV, `backend.video` and `backend.errors`.
"""

from __future__ import annotations

import heapq
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from backend.video.packets import Stamps, Timetable

log = logging.getLogger(__name__)

_MAX_BAD_PACKETS: Final = 500
# formats whose header states a duration that does not come from the packets themselves
_STATES_DURATION: Final = frozenset({"matroska,webm", "avi", "asf", "flv"})
_EARLY_SHARE: Final = 0.02
_EARLY_S: Final = 0.5


class Decoding:
    """One pass over a stream. `frames` yields (stamp, frame) in presentation order; `warnings` is complete after it."""

    def __init__(self, container: InputContainer, stream: VideoStream, timetable: Timetable, path: Path) -> None:
        self._container = container
        self._stream = stream
        self._kind = timetable.kind
        self._waits_for_key = timetable.keyed
        self._path = path
        self._bad = 0
        self._leading = 0
        self._first_key: int | None = None
        self._waiting: list[int] = []
        self._seen_to_s = 0.0

    def frames(self) -> Iterator[tuple[int | None, VideoFrame]]:
        """Decode to the end. What is damaged is left out."""
        begun = False
        for packet in self._packets():
            for frame in self._decode(packet):
                stamp = self._stamp(frame)
                if not begun and self._is_leading(stamp):
                    self._leading += 1
                    continue
                begun = True
                yield stamp, frame

    def warnings(self, from_start: bool = True) -> list[str]:
        """What was left out, each kind once with its count; what lies before a seek's key frame is no loss."""
        told = []
        if self._leading and from_start:
            told.append(
                f"the video begins within a group of images: {self._leading} frames before the first whole one "
                "were left out"
            )
        if self._bad:
            told.append(f"{self._bad} damaged packets were left out")
        early = self._ends_early()
        return [*told, early] if early else told

    def _packets(self) -> Iterator[Packet]:
        packets = self._container.demux()
        while self._bad <= _MAX_BAD_PACKETS:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.EOFError:
                return
            except av.error.FFmpegError as fault:
                self._note_fault(fault)
                continue
            self._note_time(packet)
            if packet.stream is None or packet.stream.index != self._stream.index:
                continue
            if self._waits_for_key and packet.size:
                # frames before the first key frame cannot be decoded
                if not packet.is_keyframe:
                    self._leading += not packet.is_discard
                    continue
                self._waits_for_key, self._first_key = False, packet.pts
            if packet.size and packet.dts is not None:
                heapq.heappush(self._waiting, packet.dts)
            yield packet

    def _decode(self, packet: Packet) -> list[VideoFrame]:
        try:
            return list(packet.decode())
        except av.error.EOFError:
            return []
        except av.error.FFmpegError as fault:
            self._note_fault(fault)
            return []

    def _stamp(self, frame: VideoFrame) -> int | None:
        if self._kind is Stamps.NONE:
            return None
        if self._kind is Stamps.DECODE:
            return heapq.heappop(self._waiting) if self._waiting else None
        self._waiting.clear()
        return frame.pts

    def _is_leading(self, stamp: int | None) -> bool:
        """Whether a frame is shown before the first key frame: it needs others that the file does not hold."""
        if self._kind is not Stamps.PRESENTATION or stamp is None or self._first_key is None:
            return False
        return stamp < self._first_key

    def _note_fault(self, fault: av.error.FFmpegError) -> None:
        self._bad += 1
        if self._bad == 1:
            log.info("%s: damaged data (%s)", self._path.name, fault.strerror)

    def _note_time(self, packet: Packet) -> None:
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is not None and packet.time_base is not None:
            ends_s = float((stamp + (packet.duration or 0)) * packet.time_base)
            self._seen_to_s = max(self._seen_to_s, ends_s)

    def _ends_early(self) -> str:
        size = os.stat(self._path).st_size
        entries = self._stream.index_entries if "mp4" in self._container.format.name.split(",") else ()
        beyond = sum(entry.pos + entry.size > size for entry in entries)
        if beyond:
            return (
                f"the video ends early: {beyond} of {len(entries)} frames lie behind the end of the file, "
                "the file is cut off or damaged"
            )
        stated_s = (self._container.duration or 0) / av.time_base
        if self._container.format.name not in _STATES_DURATION or not stated_s:
            return ""
        missing_s = stated_s - self._seen_to_s
        if missing_s <= max(_EARLY_S, _EARLY_SHARE * stated_s):
            return ""
        return (
            f"the video ends early: it says {stated_s:.2f} s and holds {stated_s - missing_s:.2f} s, "
            "the file is cut off or damaged"
        )
