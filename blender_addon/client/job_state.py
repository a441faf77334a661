"""What a capture is asked for and where it stands. May import stdlib and `wire`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..wire import messages as wire

CaptureState = Literal[
    "preparing", "submitting", "uploading", "queued", "running", "finishing", "fetching", "done", "failed", "cancelled"
]
ENDS: tuple[CaptureState, ...] = ("done", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class JobRequest:
    """What to capture. `upload` sends the video's bytes to a backend that cannot read `video` itself.

    `task` is the submit's: "solve", or "people" for who is in the video.
    """

    video: Path
    result_dir: Path
    options: wire.SolveOptions = wire.SolveOptions()
    upload: bool = False
    task: str = "solve"
    source: wire.Source | None = None
    """What is submitted instead of the path of `video`: a live source."""
    more_videos: tuple[Path, ...] = ()
    """The further videos of a take, whose first is `video`, close-ups last; `upload` holds for all."""
    take: wire.TakeOptions = wire.TakeOptions()
    """What is known of the take: see `take_options`."""

    @property
    def videos(self) -> tuple[Path, ...]:
        """All videos in order."""
        return (self.video, *self.more_videos)

    @property
    def bodies(self) -> tuple[Path, ...]:
        """The videos of the body: all but the close-ups."""
        return self.videos[: len(self.videos) - self.take.close_ups]


@dataclass(frozen=True, slots=True)
class JobSnapshot:
    """Where a capture stands. `total` 0 means unknown; `words` say it to the user; `paths` are there when it is done.

    `frames_kept` counts the finished frames of a cancelled capture. `video` is the video of a take that the stage is
    about, counted from 1; 0: all of them, or the only one.
    """

    state: CaptureState
    stage: str = ""
    done: int = 0
    total: int = 0
    remaining_s: float | None = None
    code: str = ""
    words: str = ""
    remedy: str = ""
    log_lines: tuple[str, ...] = ()
    paths: tuple[Path, ...] = ()
    figures: tuple[tuple[str, float], ...] = ()
    warnings: tuple[str, ...] = ()
    frames_kept: int = 0
    worker: str = ""
    video: int = 0

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ENDS

    @property
    def stopped(self) -> bool:
        """Whether a user who asked for a stop has it, also while the backend finishes what was kept."""
        return self.over or self.state == "finishing"
