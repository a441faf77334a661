"""What a solve is asked for and what it gives back. Stage options, `backend.types`, `blender_addon.motion.clip`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.camera import CameraOptions
from backend.embedding.model_files import SHIPPED, ModelFiles
from backend.errors import BadInputError
from backend.people.options import Quality, Selection
from backend.types import Array
from backend.video import FrameRange, VideoOptions
from blender_addon.motion.clip import MotionClip
from blender_addon.motion.smoothing import PRESETS

HEIGHT_RANGE_M = (0.5, 2.6)


class SolveQuality(Enum):
    """Speed against accuracy: which landmark network sees the video and how far the pose inference goes."""

    FAST = "fast"
    BALANCED = "balanced"
    BEST = "best"

    @property
    def landmark_network(self) -> Quality:
        """The landmark network of this quality."""
        return Quality.FULL if self is SolveQuality.FAST else Quality.HEAVY


@dataclass(frozen=True, slots=True)
class SolveRequest:
    """One video to solve into `output` (`.npz`; several people become `name.0.npz`, `name.1.npz`).

    `height_m` is the person's height (None: 1.70 m is assumed and said so); `gravity_camera` (x, y, z) the direction
    down in the camera, where known; `model` the towers and the bank; `smoothing` a preset's name; `resume` goes on from
    what an interrupted run of the same request left there; `max_frames` refuses longer videos (0: no limit).
    """

    video: Path
    output: Path
    range: FrameRange = FrameRange()
    person: Selection = field(default_factory=Selection)
    max_people: int = 4
    height_m: float | None = None
    camera: CameraOptions = CameraOptions()
    gravity_camera: tuple[float, float, float] | None = None
    quality: SolveQuality = SolveQuality.BEST
    model: ModelFiles = SHIPPED
    device: str = "auto"
    smoothing: str = "off"
    slow_motion: float = 1.0
    sequence_fps: float | None = None
    resume: bool = False
    max_frames: int = 0

    def __post_init__(self) -> None:
        low, high = HEIGHT_RANGE_M
        if self.height_m is not None and not low <= self.height_m <= high:
            raise BadInputError(f"A height of {self.height_m:g} m is no person's", f"Give metres from {low} to {high}")
        if self.smoothing not in PRESETS:
            raise BadInputError(f"There is no smoothing preset {self.smoothing!r}", f"Choose from {', '.join(PRESETS)}")
        if self.gravity_camera is not None and not 0.5 < float(np.linalg.norm(self.gravity_camera)) < 20.0:
            raise BadInputError("The gravity direction has no length", "Give x,y,z in the camera, for example 0,1,0")

    @property
    def video_options(self) -> VideoOptions:
        """How the video is to be read."""
        return VideoOptions(self.range, self.sequence_fps, self.slow_motion, self.max_frames)


@dataclass(frozen=True, slots=True)
class SolvedChunk:
    """A preview: frames of one person solved by themselves while the video is still being tracked.

    frame_index (T,), times_s (T,), rotations_wxyz (T, J, 4) with the root orientation in the camera,
    root_camera_m (T, 3), joints_camera_m (T, 17, 3), confidence (T,).
    """

    person: int
    frame_index: NDArray[np.intp]
    times_s: Array
    rotations_wxyz: Array
    root_camera_m: Array
    joints_camera_m: Array
    confidence: Array


@dataclass(frozen=True, slots=True)
class SolveResult:
    """Clips and the files they were written to, figures of the first clip, warnings, and where the time went.

    `cancelled` says that the run stopped early and the clips hold what was done by then. `stage_s` is seconds by
    stage; `waited_s` the part of "watch" in which the networks waited for the decoder.
    """

    clips: tuple[MotionClip, ...]
    files: tuple[Path, ...]
    figures: dict[str, float]
    warnings: tuple[str, ...]
    cancelled: bool
    frames: int
    stage_s: dict[str, float]
    device: str


ChunkCallback = Callable[[SolvedChunk], None]
