"""What the solve of a take is asked for and what it gives back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from backend.errors import BadInputError
from backend.multiview.types import Offset, OffsetSource, Take, TakeSetup
from backend.solving.request import SolveRequest
from backend.types import Array, VideoInfo
from blender_addon.motion.clip import MotionClip
from blender_addon.motion.clip_warning import ClipWarning

MOST_VIDEOS = 16
_MOST_OFFSET_S = 86_400.0


@dataclass(frozen=True, slots=True)
class CloseUp:
    """A video that shows the face or the hands of a person beside the videos of the body; its clock against the first
    video's, None: to be found.
    """

    video: Path
    offset: Offset | None = None


@dataclass(frozen=True, slots=True)
class TakeRequest:
    """Several videos of one performance. `videos` are requests of one video each, the first of which says who is solved
    and how; `output` is the clip to write.

    offsets: what is known of the clocks, against the first video (None: to be found), empty or one for each video;
    calibration: a file of cameras with their places; setup: cameras (and, with `keep_offsets`, clocks) of an earlier
    take; close_ups: videos that show a face or hands alone. With close-ups one video of the body is enough. names: of
    the videos, by which a calibration knows them, where their files are called otherwise; empty or one for each video.
    """

    videos: tuple[SolveRequest, ...]
    output: Path
    offsets: tuple[Offset | None, ...] = ()
    calibration: Path | None = None
    setup: TakeSetup | None = None
    keep_offsets: bool = False
    close_ups: tuple[CloseUp, ...] = ()
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.videos)
        if not 1 <= count <= MOST_VIDEOS or (count == 1 and not self.close_ups):
            raise BadInputError(f"A take has 2 to {MOST_VIDEOS} videos, not {count}", "Name each video of the take")
        if len(self.close_ups) > MOST_VIDEOS:
            raise BadInputError(f"A take has {MOST_VIDEOS} close-ups at most", "Leave some out")
        if self.offsets and len(self.offsets) != count:
            raise BadInputError(f"There are {len(self.offsets)} offsets for {count} videos", "Give one for each video")
        if self.calibration is not None and self.setup is not None:
            raise BadInputError("The cameras are given twice", "Use one of --calibration and --setup")
        if self.setup is not None and len(self.setup.cameras) != count:
            raise BadInputError(
                f"The set-up has {len(self.setup.cameras)} cameras, the take {count} videos",
                "Name the videos in the order of the cameras, one for each",
            )

    def each(self) -> tuple[SolveRequest, ...]:
        """One request for each video, with a checkpoint of its own beside the output."""
        stem, ending = self.output.stem, self.output.suffix
        return tuple(
            replace(video, output=self.output.with_name(f"{stem}.view{place}{ending}"))
            for place, video in enumerate(self.videos)
        )


@dataclass(frozen=True, slots=True)
class TakeResult:
    """Clips and their files, as of one video; the take and its set-up, to be saved; `frames` of all videos together.

    `infos` are the videos in order, `view_times_s` the times of their frames (fewer where the solve was stopped).
    """

    clips: tuple[MotionClip, ...]
    files: tuple[Path, ...]
    take: Take
    setup: TakeSetup
    figures: dict[str, float]
    warnings: tuple[ClipWarning, ...]
    cancelled: bool
    frames: int
    stage_s: dict[str, float]
    device: str
    infos: tuple[VideoInfo, ...]
    view_times_s: tuple[Array, ...] = ()


def parse_offsets(texts: Sequence[str], count: int) -> tuple[Offset | None, ...]:
    """Offsets from the command line: one number of seconds for each video but the first, `-` or `?` for one to find.

    Raises BadInputError.
    """
    parts = [part.strip() for text in texts for part in text.split(",")]
    if not parts:
        return ()
    if len(parts) != count - 1:
        raise BadInputError(
            f"--offset has {len(parts)} values for {count} videos",
            "Give one for each video but the first, for example --offset 1.25,? for three videos",
        )
    return (Offset(), *(_offset(part) for part in parts))


def parse_close_ups(videos: Sequence[Path], texts: Sequence[str]) -> tuple[CloseUp, ...]:
    """Close-ups from the command line, with one number of seconds for each, `-` or `?` for one to find. Raises
    BadInputError.
    """
    parts = [part.strip() for text in texts for part in text.split(",")]
    if parts and len(parts) != len(videos):
        raise BadInputError(
            f"--close-up-offset has {len(parts)} values for {len(videos)} close-ups",
            "Give one for each --close-up, for example --close-up-offset 1.25,? for two",
        )
    clocks = [_offset(part) for part in parts] or [None for _ in videos]
    return tuple(CloseUp(video, clock) for video, clock in zip(videos, clocks, strict=True))


def _offset(part: str) -> Offset | None:
    if part in {"?", "-", "auto"}:
        return None
    remedy = "Give, for example, --offset 1.25"
    try:
        start_s = float(part.removesuffix("s"))
    except ValueError as fault:
        raise BadInputError(f"{part!r} is no number of seconds", remedy) from fault
    if not abs(start_s) <= _MOST_OFFSET_S:  # NaN too
        raise BadInputError(f"{part!r} is no number of seconds within a day", remedy)
    return Offset(start_s, 1.0, 0.002, OffsetSource.GIVEN)
