"""One way in for files and image sequences: probe, open, iterate frames that a thread decodes ahead.

May import its own room, `backend.types` and `backend.errors`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

from backend.errors import BadInputError, VideoError
from backend.types import Frame, VideoInfo
from backend.video.container import ProbedFile, file_frames, probe_file
from backend.video.opening import check_readable
from backend.video.prefetch import Prefetcher
from backend.video.ranges import FrameRange
from backend.video.sequence import is_sequence, probe_sequence, sequence_frames

log = logging.getLogger(__name__)

Found = TypeVar("Found")

# decoded images that may wait for the networks: enough to even out the decoder's pace, whatever the image size
_AHEAD_BYTES: Final = 96 * 2**20
_AHEAD_FRAMES: Final = (2, 12)


@dataclass(frozen=True, slots=True)
class VideoOptions:
    """How to read a video: the part wanted, images per second of an image sequence, and the slow-motion factor.

    `slow_motion` = 4 means that the file plays four times slower than life: all times are divided by it. Ranges in
    seconds count the file's own time, as a player shows it.
    """

    range: FrameRange = FrameRange()
    sequence_fps: float | None = None
    slow_motion: float = 1.0


class VideoReader:
    """An opened video. `info` describes it in life's time; `frames()` decodes; `warnings` tells what was left out."""

    def __init__(self, info: VideoInfo, options: VideoOptions, probed: ProbedFile | None) -> None:
        self.info = info
        self.options = options
        self._probed = probed
        self._warnings: list[str] = []

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of the result should know: damaged or missing parts. Complete once `frames` has ended."""
        return tuple(self._warnings)

    @property
    def expected_frames(self) -> int:
        """About how many frames `frames()` will yield: for progress only."""
        total, rate = self.info.frame_count, self.info.frame_count / max(self.info.duration_s, 1e-6)
        bounds = []
        for bound, missing in ((self.options.range.start, 0), (self.options.range.end, total)):
            seconds = bound / self.options.slow_motion if isinstance(bound, float) else 0.0
            bounds.append(missing if bound is None else round(seconds * rate) if isinstance(bound, float) else bound)
        return max(1, min(bounds[1], total) - max(bounds[0], 0))

    def frames(self, start_index: int = 0) -> Iterator[Frame]:
        """Yield the range's frames from source index `start_index` on, decoded by a thread that runs ahead.

        Raises VideoError where nothing can be decoded and BadInputError where the range holds no frame.
        """
        for frame, _ in self.studied_frames(lambda _: None, start_index):
            yield frame

    def studied_frames(self, study: Callable[[Frame], Found], start_index: int = 0) -> Iterator[tuple[Frame, Found]]:
        """As `frames`, each with what `study` says of it; that too is done ahead, in the decoder's thread, in order."""
        self._warnings.clear()
        count = 0
        studied = ((frame, study(frame)) for frame in self._decode(start_index))
        for pair in Prefetcher(studied, self._depth()):
            count += 1
            yield pair
        if count == 0 and start_index == 0:
            raise BadInputError(
                f"--range {self.options.range} holds no frame of {self.info.path.name}",
                f"The video has {self.info.frame_count} frames, {self.info.duration_s:.2f} s",
            )

    def _decode(self, start_index: int) -> Iterator[Frame]:
        if self._probed is not None:
            source = file_frames(self._probed, self.options.range, start_index, self._warn)
        else:
            source = self._sequence(start_index)
        factor = self.options.slow_motion
        for frame in source:
            yield frame if factor == 1.0 else replace(frame, time_s=frame.time_s / factor)

    def _sequence(self, start_index: int) -> Iterator[Frame]:
        rate = replace(self.info, fps=self.info.fps / self.options.slow_motion)
        for frame in sequence_frames(rate, start_index):
            if self.options.range.after(frame.index, frame.time_s):
                return
            if not self.options.range.before(frame.index, frame.time_s):
                yield frame

    def _warn(self, message: str) -> None:
        log.warning("%s: %s", self.info.path.name, message)
        self._warnings.append(message)

    def _depth(self) -> int:
        size = self.info.width * self.info.height * 3
        return max(_AHEAD_FRAMES[0], min(_AHEAD_FRAMES[1], _AHEAD_BYTES // max(size, 1)))


def open_video(path: Path, options: VideoOptions | None = None) -> VideoReader:
    """Open a video file or an image sequence.

    Raises VideoError for what cannot be read and BadInputError for options that make no sense.
    """
    options = options or VideoOptions()
    if not 0.0 < options.slow_motion < math.inf:
        raise BadInputError(
            f"The slow-motion factor {options.slow_motion:g} must be above 0", "4 means four times slower"
        )
    if options.sequence_fps is not None and not 0.0 < options.sequence_fps < math.inf:
        raise BadInputError(f"{options.sequence_fps:g} frames a second is no frame rate", "Give a number above 0")
    try:
        images = is_sequence(path) or (not path.exists() and any(mark in path.name for mark in "#%*"))
    except OSError as fault:  # a name that is too long for the disk
        raise VideoError(f"{path} cannot be opened ({fault.strerror})", "Check the path") from fault
    if images:
        info, probed = probe_sequence(path, options.sequence_fps), None
    else:
        check_readable(path)
        probed = probe_file(path)
        info = probed.info
    if min(info.width, info.height) < 16:
        raise VideoError(f"{path} is {info.width}x{info.height}: too small to see a person", "Give a larger video")
    factor = options.slow_motion
    return VideoReader(replace(info, fps=info.fps * factor, duration_s=info.duration_s / factor), options, probed)


def probe(path: Path) -> VideoInfo:
    """What a video or image sequence says about itself. Raises VideoError for what cannot be read."""
    return open_video(path).info
