"""What a solve is asked for and what it gives back. Stage options, `backend.types`, `blender_addon.motion.clip`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from backend.camera import CameraOptions
from backend.embedding.model_files import SHIPPED, ModelFiles
from backend.errors import BadInputError
from backend.people.options import Quality, Selection
from backend.types import Array
from backend.video import FrameRange, VideoOptions
from blender_addon.motion.clip import MotionClip
from blender_addon.motion.clip_warning import ClipWarning
from blender_addon.motion.input_limits import LONGEST_DOWN, SHORTEST_BODY_M, SHORTEST_DOWN, TALLEST_BODY_M
from blender_addon.motion.smoothing import PRESETS

HEIGHT_RANGE_M = (SHORTEST_BODY_M, TALLEST_BODY_M)


def check_gravity(direction: tuple[float, float, float] | None) -> None:
    """Raise BadInputError where the direction down, if one is given, has no length to speak of or is not a number."""
    if direction is not None and not SHORTEST_DOWN < math.hypot(*direction) < LONGEST_DOWN:
        raise BadInputError(
            f"The length of the gravity vector must be between {SHORTEST_DOWN:g} and {LONGEST_DOWN:g}",
            "Give x,y,z, for example 0,1,0",
        )


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
    """One video to solve. Raises BadInputError for values that cannot be used."""

    video: Path
    """Video file, folder of images, or pattern of an image sequence."""
    output: Path
    """The clip to write, `.npz`; several people become `name.0.npz`, `name.1.npz`."""
    range: FrameRange = FrameRange()
    """The part of the video to solve."""
    person: Selection = field(default_factory=Selection)
    """Who is solved."""
    max_people: int = 4
    """How many people are followed at once."""
    height_m: float | None = None
    """Body height in metres; None: 1.70 m is assumed, and the clip says so."""
    camera: CameraOptions = CameraOptions()
    """What is known of the camera."""
    gravity_camera: tuple[float, float, float] | None = None
    """Direction down (x, y, z) in the camera; None to estimate it."""
    quality: SolveQuality = SolveQuality.BEST
    """Accuracy against speed."""
    model: ModelFiles = SHIPPED
    """The towers and the bank."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:1`."""
    smoothing: str = "off"
    """Name of a smoothing preset."""
    hands: bool = False
    """Solve the fingers too, and the wrists by the palms."""
    face: bool = False
    """Solve the expression of the face too."""
    slow_motion: float = 1.0
    """How many times slower than life the video plays."""
    sequence_fps: float | None = None
    """Frames per second of an image sequence."""
    resume: bool = False
    """Go on from what an interrupted run of the same request left at `output`."""
    max_frames: int = 0
    """Refuse longer videos; 0: no limit."""

    def __post_init__(self) -> None:
        low, high = HEIGHT_RANGE_M
        if self.height_m is not None and not low <= self.height_m <= high:
            raise BadInputError(
                f"A body height of {self.height_m:g} m is out of range", f"Give a height between {low} and {high} m"
            )
        if self.smoothing not in PRESETS:
            raise BadInputError(f"Unknown smoothing preset {self.smoothing!r}", f"Choose from {', '.join(PRESETS)}")
        check_gravity(self.gravity_camera)

    @property
    def video_options(self) -> VideoOptions:
        """How the video is to be read."""
        return VideoOptions(self.range, self.sequence_fps, self.slow_motion, self.max_frames)


@dataclass(frozen=True, slots=True)
class SolvedChunk:
    """A preview: frames of one person solved by themselves while the video is still being tracked.

    frame_index (T,), times_s (T,), rotations_wxyz (T, J, 4) and root_m (T, 3) in `space`, joints_camera_m (T, 17, 3),
    confidence (T,).
    """

    person: int
    space: Literal["camera", "world"]
    frame_index: NDArray[np.integer]
    times_s: Array
    rotations_wxyz: Array
    root_m: Array
    joints_camera_m: Array
    confidence: Array


@dataclass(frozen=True, slots=True)
class SolveResult:
    """Clips and the files they were written to, figures of the first clip, warnings, and where the time went.

    `cancelled` says that the run stopped early and the clips hold what was done by then. `stage_s` is seconds by
    stage; "wait for decoder" and "previews" are parts of "watch".
    """

    clips: tuple[MotionClip, ...]
    files: tuple[Path, ...]
    figures: dict[str, float]
    warnings: tuple[ClipWarning, ...]
    cancelled: bool
    frames: int
    stage_s: dict[str, float]
    device: str


ChunkCallback = Callable[[SolvedChunk], None]
