"""What the stages after watching share. May import its own room, `backend.types` and `backend.video`."""

from __future__ import annotations

from dataclasses import dataclass

from backend.solving.models import SolveModels
from backend.solving.request import SolveRequest
from backend.solving.stage_clock import StageClock
from backend.solving.video_pass import TrackedVideo
from backend.types import Intrinsics, ProgressCallback
from backend.video import VideoReader


@dataclass(frozen=True, slots=True)
class SolveJob:
    """A video that was watched, with its camera (px), the networks, and who hears of time and progress.

    `cautions` say what was stopped early.
    """

    request: SolveRequest
    reader: VideoReader
    tracked: TrackedVideo
    intrinsics: Intrinsics
    models: SolveModels
    clock: StageClock
    progress: ProgressCallback
    cautions: tuple[str, ...] = ()
