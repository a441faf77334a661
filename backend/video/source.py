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
from backend.types import CancelToken, Frame, VideoInfo
from backend.video.bounds import check_size
from backend.video.container import ProbedFile, file_frames, probe_file
from backend.video.opening import check_regular
from backend.video.prefetch import Prefetcher
from backend.video.ranges import FrameRange
from backend.video.sequence import ProbedSequence, is_sequence, probe_sequence, sequence_frames

log = logging.getLogger(__name__)

Found = TypeVar("Found")

# decoded images that may wait for the networks: enough to even out the decoder's pace, whatever the image size
_AHEAD_BYTES: Final = 96 * 2**20
_AHEAD_FRAMES: Final = (2, 12)


@dataclass(frozen=True, slots=True)
class VideoOptions:
    """How to read a video: the part wanted, images per second of an image sequence, and the slow-motion factor.

    `slow_motion` = 4 means that the file plays four times slower than life: all times are divided by it. Ranges in
    seconds count the file's own time, as a player shows it. More frames than `most_frames` are refused, whatever the
    file says of itself (0: no limit).
    """

    range: FrameRange = FrameRange()
    sequence_fps: float | None = None
    slow_motion: float = 1.0
    most_frames: int = 0

    def __post_init__(self) -> None:
        if not 0.0 < self.slow_motion < math.inf:
            raise BadInputError(
                f"The slow-motion factor {self.slow_motion:g} must be above 0", "4 means four times slower"
            )
        if self.sequence_fps is not None and not 0.0 < self.sequence_fps < math.inf:
            raise BadInputError(f"{self.sequence_fps:g} frames a second is not a frame rate", "Give a number above 0")


class VideoReader:
    """An opened video. `info` describes it in life's time; `frames()` decodes; `warnings` tells what was left out."""

    def __init__(self, options: VideoOptions, probed: ProbedFile | ProbedSequence) -> None:
        info, factor = probed.info, options.slow_motion
        self.info = replace(info, fps=info.fps * factor, duration_s=info.duration_s / factor)
        self.options = options
        self._probed = probed
        self._known = probed.series.warnings if isinstance(probed, ProbedSequence) else probed.warnings
        self._warnings: list[str] = list(self._known)
        self._refuse_early()

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

        Raises VideoError where nothing can be decoded and BadInputError where the range holds no frame, or more
        frames than the limit.
        """
        for frame, _ in self.studied_frames(lambda _: None, start_index):
            yield frame

    def studied_frames(
        self, study: Callable[[Frame], Found], start_index: int = 0, cancel: CancelToken | None = None
    ) -> Iterator[tuple[Frame, Found]]:
        """As `frames`, each with what `study` says of it; that too is done ahead, in the decoder's thread, in order.

        After a cancel the iteration also ends where the decoder gives no sign of life.
        """
        self._warnings[:] = self._known
        count, limit = 0, self.options.most_frames
        studied = ((frame, study(frame)) for frame in self._decode(start_index))
        for pair in Prefetcher(studied, self._depth(), cancel):
            count += 1
            if limit and count > limit:
                raise self._too_long(f"more than {limit}")
            yield pair
        if count == 0 and start_index == 0 and not (cancel is not None and cancel.cancelled):
            raise self._no_frame()

    def _refuse_early(self) -> None:
        """Raise BadInputError for what would be refused after the decoding anyway, where that is sure."""
        if not self.info.frame_count_is_exact:
            return
        start = self.options.range.start
        if start is not None and not isinstance(start, float) and start >= self.info.frame_count:
            raise self._no_frame()
        bounded = isinstance(start, float) or isinstance(self.options.range.end, float)
        if self.options.most_frames and self.expected_frames > self.options.most_frames and not bounded:
            raise self._too_long(str(self.expected_frames))

    def _no_frame(self) -> BadInputError:
        return BadInputError(
            f"--range {self.options.range} holds no frame of {self.info.path.name}",
            f"The video has {self.info.frame_count} frames, {self.info.duration_s:.2f} s",
        )

    def _too_long(self, frames: str) -> BadInputError:
        return BadInputError(
            f"{self.info.path.name} has {frames} frames, the limit is {self.options.most_frames}",
            "Solve it in parts with a range",
        )

    def _decode(self, start_index: int) -> Iterator[Frame]:
        if isinstance(self._probed, ProbedSequence):
            source = self._sequence(self._probed, start_index)
        else:
            source = file_frames(self._probed, self.options.range, start_index, self._warn)
        factor = self.options.slow_motion
        for frame in source:
            yield frame if factor == 1.0 else replace(frame, time_s=frame.time_s / factor)

    def _sequence(self, probed: ProbedSequence, start_index: int) -> Iterator[Frame]:
        for frame in sequence_frames(probed, probed.info.fps, start_index):
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
    probed: ProbedFile | ProbedSequence
    try:
        # a pattern names files that are there, so it need not be there itself
        if not (any(mark in path.name for mark in "#%*") and not path.exists()):
            check_regular(path)
        images = is_sequence(path) or not path.exists()
    except (OSError, ValueError) as fault:  # a name that is too long for the disk, or holds a zero byte
        raise VideoError(f"{path} cannot be opened ({fault})", "Check the path") from fault
    if images:
        probed = probe_sequence(path, options.sequence_fps)
    elif options.sequence_fps is not None:
        raise BadInputError(
            f"--fps {options.sequence_fps:g} is for image sequences: {path.name} is a video with a rate of its own",
            "Leave --fps out; --slow-motion N says that a video plays N times slower than life",
        )
    else:
        probed = probe_file(path)
    check_size(path, probed.info.width, probed.info.height)
    return VideoReader(options, probed)


def probe(path: Path) -> VideoInfo:
    """What a video or image sequence says about itself. Raises VideoError for what cannot be read."""
    return open_video(path).info
