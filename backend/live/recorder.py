"""Writes what a camera sends into a Matroska file as it comes: every captured frame, without loss of quality.

Packets of a compressed source are copied as they are; raw images are compressed without loss. The file is written in
pieces of a tenth of a second: a kill keeps everything before the last piece. May import PyAV and `backend.errors`.
"""

from __future__ import annotations

import errno
import logging
import shutil
from collections import deque
from fractions import Fraction
from pathlib import Path
from threading import Lock
from typing import Any, Final

import av
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from backend.errors import OutputError

log = logging.getLogger(__name__)
_BASE: Final = Fraction(1, 1000)
_OPTIONS: Final = {"cluster_time_limit": "100", "flush_packets": "1", "reserve_index_space": "0"}
_MOST_HELD: Final = 600  # packets since the last key frame, for a recording that begins between two
_LOOK_EVERY: Final = 100
_LEAST_FREE_BYTES: Final = 256 << 20
_RAW: Final = frozenset({"rawvideo", "bitpacked", "wrapped_avframe"})


class Recorder:
    """`begin` starts the file; `packet` and `frame` are called for everything that is captured, `close` ends it.

    Safe to close from another thread than the one that writes. A disk that refuses ends the recording, not the
    capture: `fault` says why.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._file: Any = None
        self._stream: Any = None
        self._encodes = False
        self._held: deque[tuple[bytes, float, float, bool]] = deque(maxlen=_MOST_HELD)
        self._source: VideoStream | None = None
        self._last_ms = -1
        self._started_s = 0.0
        self.path: Path | None = None
        self.parts: list[Path] = []
        self.frames = 0
        self.fault = ""

    @property
    def is_recording(self) -> bool:
        """Whether frames are being written."""
        return self.path is not None and not self.fault

    def source(self, stream: VideoStream) -> None:
        """A source was opened, or opened again: what comes now is its. Another kind of video begins another file."""
        with self._lock:
            changed = self._source is not None and _kind_of(self._source) != _kind_of(stream)
            self._source, self._encodes = stream, stream.codec_context.name in _RAW
            self._held.clear()
            if changed and self._file is not None:
                self._end_file()

    def begin(self, path: Path) -> None:
        """Record from now on, or from the key frame before. Raises OutputError where the file cannot be made."""
        try:
            path.open("wb").close()
        except OSError as fault:
            raise OutputError(
                f"{path} cannot be written ({fault.strerror})", "Choose another name or folder"
            ) from fault
        with self._lock:
            self.path, self.fault = path, ""
            if not self._encodes:
                for held in self._held:
                    self._guarded(self._write, *held)

    def packet(self, packet: Packet, time_s: float, decode_s: float) -> None:
        """A compressed packet, shown at `time_s` and decoded at `decode_s` of the capture."""
        if self._encodes or not packet.size:
            return
        with self._lock:
            held = bytes(packet), time_s, decode_s, bool(packet.is_keyframe)
            if packet.is_keyframe:
                self._held.clear()
            self._held.append(held)
            if self.is_recording:
                self._guarded(self._write, *held)

    def frame(self, frame: VideoFrame, time_s: float) -> None:
        """A raw image."""
        with self._lock:
            if self._encodes and self.is_recording:
                self._guarded(self._encode, frame, time_s)

    def close(self) -> None:
        """End the file."""
        with self._lock:
            self._guarded(self._end_file)

    def _guarded(self, write: Any, *arguments: Any) -> None:
        try:
            self._check_space()
            write(*arguments)
        except (OSError, ValueError) as fault:
            self.fault = f"The recording ended: {getattr(fault, 'strerror', None) or fault}"
            log.warning("%s", self.fault)

    def _check_space(self) -> None:
        """Raise OSError before the disk is full, so that the clip still fits."""
        due = self.path is not None and self.frames % _LOOK_EVERY == 0
        if due and self.path is not None and shutil.disk_usage(self.path.parent).free < _LEAST_FREE_BYTES:
            raise OSError(errno.ENOSPC, "the disk is full")

    def _write(self, data: bytes, time_s: float, decode_s: float, key: bool) -> None:
        if self._file is None:
            if not key:
                return
            file = self._open(time_s)
            self._stream = file.add_stream_from_template(self._source)
        packet = Packet(data)
        packet.time_base = _BASE
        dts = max(round((decode_s - self._started_s) * 1000), self._last_ms + 1)
        packet.pts, packet.dts = max(round((time_s - self._started_s) * 1000), dts), dts
        packet.is_keyframe = key
        packet.stream = self._stream
        self._last_ms = dts
        self._file.mux(packet)
        self.frames += 1

    def _encode(self, frame: VideoFrame, time_s: float) -> None:
        if self._file is None:
            file = self._open(time_s)
            self._stream = _lossless_stream(file, frame)
        stamped = frame.reformat(format=self._stream.pix_fmt)
        self._last_ms = max(round((time_s - self._started_s) * 1000), self._last_ms + 1)
        stamped.pts, stamped.time_base, stamped.pict_type = self._last_ms, _BASE, 0
        for packet in self._stream.encode(stamped):
            self._file.mux(packet)
        self.frames += 1

    def _open(self, time_s: float) -> Any:
        assert self.path is not None
        path = self.path if not self.parts else self.path.with_stem(f"{self.path.stem}.{len(self.parts)}")
        self._file = av.open(str(path), "w", format="matroska", options=_OPTIONS)
        self._started_s, self._last_ms = time_s, -1
        self.parts.append(path)
        return self._file

    def _end_file(self) -> None:
        file, stream, self._file, self._stream = self._file, self._stream, None, None
        if file is None:
            return
        try:
            for packet in stream.encode(None) if self._encodes and not self.fault else ():
                file.mux(packet)
        finally:
            file.close()


def _kind_of(stream: VideoStream) -> tuple[object, ...]:
    context = stream.codec_context
    return context.name, context.width, context.height, context.extradata


def _lossless_stream(file: Any, frame: VideoFrame) -> Any:
    """A stream that compresses frames like this one without loss."""
    options = {"qp": "0", "preset": "ultrafast", "tune": "zerolatency"}
    codec = "libx264" if "libx264" in av.codecs_available else "ffv1"
    stream = file.add_stream(codec, rate=Fraction(30), options=options if codec == "libx264" else {})
    stream.width, stream.height = frame.width, frame.height
    name = frame.format.name
    stream.pix_fmt = {"yuyv422": "yuv422p", "uyvy422": "yuv422p", "nv12": "yuv420p"}.get(name, "yuv444p")
    if name in ("yuv420p", "yuv422p", "yuv444p", "gray"):
        stream.pix_fmt = name
    stream.codec_context.time_base = _BASE
    return stream
