"""Video files through PyAV: probe, and decode upright RGB images with true presentation times.

May import PyAV, `backend.types`, `backend.errors` and its own room.

Interlaced frames go through FFmpeg's bwdif filter, one frame out for one frame in. The filter sees the frame before and
the frame after, so what it makes of a frame depends on those two alone.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import av
from av.container import InputContainer
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from backend.errors import VideoError
from backend.types import Frame, VideoInfo
from backend.video.bounds import check_pixel_aspect, check_size
from backend.video.clock import Clock
from backend.video.decoding import Decoding
from backend.video.opening import check_readable, choose_stream, open_container, video_stream
from backend.video.orientation import orientation_of
from backend.video.packets import Timetable, read_timetable
from backend.video.pixels import ImageGrid, Uprighter, grid_of
from backend.video.ranges import FrameRange
from backend.video.seeking import SeekSource, find_start


class Deinterlacer:
    """Takes decoded frames and gives each back without its comb; frames that are not interlaced stay as they are."""

    def __init__(self, stream: VideoStream) -> None:
        self._stream = stream
        self._graph: Graph | None = None
        self._shape: tuple[int, int, str] | None = None
        self._waiting: deque[VideoFrame] = deque()

    def take(self, frame: VideoFrame) -> Iterator[tuple[VideoFrame, VideoFrame]]:
        """Pairs of a decoded frame and its image, for all that is done by now."""
        shape = (frame.width, frame.height, frame.format.name)
        if self._shape is not None and shape != self._shape:
            yield from self.flush()
        if self._graph is None:
            self._graph, self._shape = _graph(frame, self._stream), shape
        self._waiting.append(frame)
        self._graph.vpush(frame)
        yield from self._done()

    def flush(self) -> Iterator[tuple[VideoFrame, VideoFrame]]:
        """The frames that still wait for one after them."""
        if self._graph is not None:
            self._graph.vpush(None)
            yield from self._done()
        # a filter that gave less than it took must not lose frames
        yield from ((frame, frame) for frame in self._waiting)
        self._waiting.clear()
        self._graph, self._shape = None, None

    def _done(self) -> Iterator[tuple[VideoFrame, VideoFrame]]:
        while self._graph is not None and self._waiting:
            try:
                image = self._graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            yield self._waiting.popleft(), image


def _graph(frame: VideoFrame, stream: VideoStream) -> Graph:
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or stream.time_base
    )
    bwdif = graph.add("bwdif", "mode=send_frame:deint=interlaced")
    sink = graph.add("buffersink")
    source.link_to(bwdif)
    bwdif.link_to(sink)
    graph.configure()
    return graph


# frames that are decoded to see the size, the orientation and whether the video is interlaced
_PROBE_FRAMES: Final = 8
# decoding runs beside the networks: more threads than this only take turns with them, and cost half as much again
_DECODER_THREADS: Final = max(1, min(8, (os.cpu_count() or 1) // 2))
_FOCAL_KEYS: Final = (
    "com.apple.quicktime.camera.focal_length.35mm_equivalent",
    "focal_length_35mm",
    "FocalLengthIn35mmFormat",
)
Warn = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ProbedFile:
    """A file's VideoInfo and what decoding it needs: the stream, its timetable, the first frame's stamp, the grid.

    `origin` is None in a file without stamps; `warnings` are known before anything is decoded.
    """

    info: VideoInfo
    stream_index: int
    timetable: Timetable
    origin: int | None
    grid: ImageGrid
    interlaced: bool
    warnings: tuple[str, ...]


def probe_file(path: Path) -> ProbedFile:
    """Open a video and read its first frames. Raises VideoError that says what is wrong with the file."""
    check_readable(path)
    with open_container(path) as container:
        index, note = choose_stream(container, path)
        check_size(path, *_stated_size(video_stream(container, index)))
    with open_container(path) as container:
        timetable = read_timetable(container, video_stream(container, index), path.stat().st_size)
    # not a seek: raw streams have nowhere to go back to, and a clock that starts anew has two beginnings
    with open_container(path) as container:
        stream = video_stream(container, index)
        stamps, frame, interlaced = _first_frames(container, stream, timetable, path)
        origin = stamps[0]
        orientation = orientation_of(frame)
        aspect = float(stream.sample_aspect_ratio or 1)
        check_pixel_aspect(path, aspect)
        grid = grid_of(frame, orientation, aspect)
        check_size(path, grid.width, grid.height)
        info = VideoInfo(
            path=path,
            width=grid.width,
            height=grid.height,
            fps=timetable.fps,
            duration_s=timetable.span_s,
            frame_count=max(1, timetable.frame_count),
            codec=stream.codec_context.name,
            rotation_deg=-90 * orientation.quarter_turns % 360,
            mirrored=orientation.mirrored,
            variable_frame_rate=timetable.varies,
            frame_count_is_exact=timetable.complete,
            focal_35mm=_focal_35mm(container, stream),
        )
        told = [note] if note else []
        told += ["the video is interlaced and was deinterlaced"] if interlaced else []
        agrees = stamps == list(timetable.stamps[: len(stamps)])
        timetable = replace(timetable, plain=timetable.plain and agrees)
        return ProbedFile(info, index, timetable, origin, grid, interlaced, tuple(told))


def file_frames(probed: ProbedFile, wanted: FrameRange, start_index: int, warn: Warn) -> Iterator[Frame]:
    """Decode upright frames of the range from `start_index` on; damaged parts are left out and told to `warn`.

    Times are seconds from the file's first frame, index counts every frame of the file.
    """
    path = probed.info.path
    clock, uprighter = Clock(probed.timetable.clock, probed.origin), Uprighter(probed.grid)
    start = None
    if probed.origin is not None and not probed.interlaced:
        source = SeekSource(path, probed.stream_index, probed.timetable, probed.origin)
        start = find_start(source, wanted, start_index)
    with open_container(path) as container:
        stream = video_stream(container, probed.stream_index)
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = _DECODER_THREADS
        if start is not None:
            container.seek(start.stamp, stream=stream, backward=True)
        decoding = Decoding(container, stream, probed.timetable, path)
        index, combed = (start.index if start else 0), 0
        for stamp, decoded, shown in _shown(decoding, stream, probed.interlaced):
            ticks = clock.read(stamp)
            time_s = _time_s(probed, stamp, ticks, index)
            if time_s is not None:
                if wanted.after(index, time_s):
                    break
                if index >= start_index and not wanted.before(index, time_s):
                    combed += decoded.interlaced_frame and not probed.interlaced
                    yield Frame(index, time_s, uprighter.image(decoded, shown, time_s))
            index += 1
        else:
            _tell(decoding.warnings(from_start=start is None), warn)
        _tell([*clock.warnings(), *uprighter.warnings()], warn)
        if combed:
            warn(f"{combed} frames are interlaced and were not deinterlaced")


def _tell(warnings: list[str], warn: Warn) -> None:
    for warning in warnings:
        warn(warning)


def _shown(
    decoding: Decoding, stream: VideoStream, interlaced: bool
) -> Iterator[tuple[int | None, VideoFrame, VideoFrame]]:
    """Stamp, decoded frame, and the frame whose image is shown."""
    if not interlaced:
        yield from ((stamp, frame, frame) for stamp, frame in decoding.frames())
        return
    filtered, stamps = Deinterlacer(stream), []
    for stamp, frame in decoding.frames():
        stamps.append(stamp)
        yield from ((stamps.pop(0), *pair) for pair in filtered.take(frame))
    yield from ((stamps.pop(0), *pair) for pair in filtered.flush())


def _time_s(probed: ProbedFile, stamp: int | None, ticks: int | None, index: int) -> float | None:
    if probed.origin is None:
        return index / probed.info.fps
    return None if ticks is None else probed.timetable.clock.seconds(ticks)


def _first_frames(
    container: InputContainer, stream: VideoStream, timetable: Timetable, path: Path
) -> tuple[list[int | None], VideoFrame, bool]:
    """Stamps of the first frames, the very first frame, and whether any of them is interlaced."""
    stamps: list[int | None] = []
    first: VideoFrame | None = None
    interlaced = False
    for stamp, frame in Decoding(container, stream, timetable, path).frames():
        stamps.append(stamp)
        first = frame if first is None else first  # the others are let go: a large frame is tens of megabytes
        interlaced = interlaced or frame.interlaced_frame
        if len(stamps) == _PROBE_FRAMES:
            break
    if first is None:
        raise VideoError(
            f"{path}: no image can be decoded from its {stream.codec_context.name} stream",
            "The file is damaged or cut off; export it again",
        )
    return stamps, first, interlaced


def _stated_size(stream: VideoStream) -> tuple[int, int]:
    """Width and height as the header states them; an ordinary size where it does not."""
    return (stream.width or 64, stream.height or 64)


def _focal_35mm(container: InputContainer, stream: VideoStream) -> float | None:
    for metadata in (container.metadata, stream.metadata):
        for key in _FOCAL_KEYS:
            try:
                focal = float(metadata.get(key, ""))
            except ValueError:
                continue
            if 5.0 <= focal <= 1000.0:
                return focal
    return None
