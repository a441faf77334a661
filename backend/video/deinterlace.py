"""Interlaced frames made whole: FFmpeg's bwdif filter, one frame out for one frame in. PyAV.

The filter sees the frame before and the frame after, so what it makes of a frame depends on those two alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import av
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.stream import VideoStream


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
