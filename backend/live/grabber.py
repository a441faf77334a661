"""Reads a source in a thread of its own: the newest frame is there to be taken, older ones are dropped.

A source that ends or stalls is opened again, each time after a longer pause. May import PyAV, `backend.live`,
`backend.video` and `backend.types`.

Times of frames count from the start of the capture, by the source's stamps or by when images arrive.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import av
from av.video.frame import VideoFrame

from backend.live.addresses import LiveSource, SourceKind
from backend.live.cameras import ImageSettings, opening_of
from backend.live.faults import SourceFault, fault_of
from backend.live.recorder import Recorder
from backend.types import Frame
from backend.video.orientation import orientation_of
from backend.video.pixels import Uprighter, grid_of

_MOST_OFF_S: Final = 1.0
# these formats carry no times: FFmpeg counts frames and makes some up
UNTIMED_FORMATS: Final = frozenset({"mpjpeg", "mjpeg", "h264", "hevc", "jpeg_pipe", "image2pipe"})


class FrameClock:
    """One connection's stamps on the capture's time line; stamps that leap are joined to the arrival again."""

    def __init__(self, format_name: str) -> None:
        self._timed = not UNTIMED_FORMATS & set(format_name.split(","))
        self._shift_s: float | None = None

    def shift_s(self, pts: int | None, time_base: Fraction | None, arrival_s: float) -> float | None:
        """What is added to stamps in seconds to get the capture's time; None where the arrival counts."""
        if not self._timed or pts is None or time_base is None:
            return None
        own_s = float(pts * time_base)
        if self._shift_s is None or abs(own_s + self._shift_s - arrival_s) > _MOST_OFF_S:
            self._shift_s = arrival_s - own_s
        return self._shift_s


log = logging.getLogger(__name__)
_FIRST_PAUSE_S: Final = 0.25
_LAST_PAUSE_S: Final = 5.0
_OPEN_S: Final = 8.0


@dataclass(frozen=True, slots=True)
class GrabberSettings:
    """`stall_s` without an image until a source is opened anew; a stream that was never there is given up after
    `first_s`.
    """

    image: ImageSettings = ImageSettings()
    stall_s: float = 3.0
    first_s: float = 20.0


@dataclass(frozen=True, slots=True)
class Captured:
    """One captured frame: its place among all captured ones, its time in the capture, and when it arrived."""

    index: int
    time_s: float
    arrived_unix_s: float
    shown: VideoFrame


class Grabber:
    """`take` waits for the newest frame. Use as a context manager; leaving it waits for nobody."""

    def __init__(self, source: LiveSource, settings: GrabberSettings, recorder: Recorder) -> None:
        self._source, self._settings, self._recorder = source, settings, recorder
        self._ready = threading.Condition()
        self._newest: Captured | None = None
        self._generation = 0
        self._ended = False
        self._began_s = time.monotonic()
        self._heard_s = self._began_s
        self._last_s = -1.0
        self._tries = 0
        self._uprighter: Uprighter | None = None
        self.fault: SourceFault | None = None
        self.captured = self.dropped = self.connections = 0
        self.size_px = (0, 0)
        self.codec = ""

    def __enter__(self) -> Grabber:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._ready:
            self._ended, self._generation = True, self._generation + 1

    @property
    def is_up(self) -> bool:
        """Whether images are coming."""
        return self.captured > 0 and self.fault is None and self.silent_s < min(1.0, self._settings.stall_s)

    @property
    def silent_s(self) -> float:
        """Seconds since the last image, or since the start."""
        return time.monotonic() - self._heard_s

    @property
    def began_s(self) -> float:
        """`time.monotonic()` at the capture's time zero."""
        return self._began_s

    def take(self, timeout_s: float) -> tuple[Frame, Captured] | None:
        """The newest frame that was not taken yet, upright; None when none came in time.

        Raises SourceFault for a source that cannot be opened and will not come by itself.
        """
        with self._ready:
            if self._newest is None:
                self._ready.wait(timeout_s)
            taken, self._newest = self._newest, None
            fault = self.fault
        if taken is None:
            never = self.captured == 0
            if fault is not None and never and (not fault.passing or self.silent_s > self._settings.first_s):
                raise fault
            if self.silent_s > self._settings.stall_s + (_OPEN_S if never else 0.0) and fault is None:
                self._restart()
            return None
        if self._uprighter is None:
            grid = grid_of(taken.shown, orientation_of(taken.shown), 1.0)
            self._uprighter, self.size_px = Uprighter(grid), (grid.width, grid.height)
        image = self._uprighter.image(taken.shown, taken.shown, taken.time_s)
        return Frame(taken.index, taken.time_s, image), taken

    def _start(self) -> None:
        self._generation += 1
        threading.Thread(target=self._run, args=(self._generation,), name="live source", daemon=True).start()

    def _restart(self) -> None:
        """A thread that gets nothing is left to itself; another one opens the source again."""
        with self._ready:
            self.fault = SourceFault(f"{self._source.label} stopped sending images", "It is opened again", True)
            self._start()

    def _run(self, generation: int) -> None:
        pause_s = _FIRST_PAUSE_S
        while generation == self._generation:
            before = self.captured
            try:
                self._read(generation)
                fault = SourceFault(f"{self._source.label} ended", "It is opened again", True)
            except Exception as error:  # the thread's border: whatever a source does, the capture goes on or says why
                fault = fault_of(self._source, error)
            with self._ready:
                if generation != self._generation:
                    return
                self.fault = fault
                self._ready.notify_all()
            if not fault.passing and self.captured == 0:
                return
            log.info("live source: %s", fault)
            pause_s = _FIRST_PAUSE_S if self.captured > before else min(2 * pause_s, _LAST_PAUSE_S)
            time.sleep(pause_s)

    def _read(self, generation: int) -> None:
        container = self._open()
        try:
            stream = container.streams.video[0]
            stream.thread_count = 1
            clock = FrameClock(container.format.name)
            self.codec = stream.codec_context.name
            self.connections += 1
            self._recorder.source(stream)
            for packet in container.demux(stream):
                if generation != self._generation:
                    return
                self._take_packet(packet, clock)
        finally:
            container.close()

    def _open(self) -> Any:
        opening = opening_of(self._source, self._settings.image)
        last: Exception | None = None
        for options in opening.tries:
            try:
                timeout = (_OPEN_S, self._settings.stall_s)
                container = av.open(opening.file, format=opening.format, options=options, timeout=timeout)
            except (OSError, ValueError) as error:
                last = error
                if self._source.kind is SourceKind.CAMERA and fault_of(self._source, error).message.endswith(
                    ("refuses access", "not there", "program")
                ):
                    raise
                continue
            if container.streams.video:
                return container
            container.close()
            raise SourceFault(f"{self._source.label} has no video", "Choose video in the camera app", False)
        assert last is not None
        raise last

    def _take_packet(self, packet: Any, clock: FrameClock) -> None:
        arrived_unix_s, now_s = time.time(), time.monotonic() - self._began_s
        pts = packet.pts if packet.pts is not None else packet.dts
        shift_s = clock.shift_s(pts, packet.time_base, now_s)
        base = packet.time_base
        if packet.size and not packet.is_corrupt:
            at_s = now_s if shift_s is None else float(pts * base) + shift_s
            decode_s = at_s if shift_s is None or packet.dts is None else float(packet.dts * base) + shift_s
            self._recorder.packet(packet, at_s, decode_s)
        with contextlib.suppress(av.error.InvalidDataError):  # a damaged image: the next one comes
            for shown in packet.decode():
                own = shown.pts if shown.pts is not None else pts
                time_s = now_s if shift_s is None or own is None else float(own * (shown.time_base or base)) + shift_s
                time_s = max(time_s, self._last_s + 0.001)
                self._recorder.frame(shown, time_s)
                self._offer(Captured(self.captured, time_s, arrived_unix_s, shown))

    def _offer(self, frame: Captured) -> None:
        with self._ready:
            self.dropped += self._newest is not None
            self._newest = frame
            self._last_s, self._heard_s, self.fault = frame.time_s, time.monotonic(), None
            self.captured += 1
            self._ready.notify_all()
