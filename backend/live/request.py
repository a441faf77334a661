"""What a live capture is asked for and what it tells while it runs. Stage options and `backend.types` only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import numpy as np

from backend.camera import CameraOptions
from backend.errors import BadInputError
from backend.live.addresses import LiveSource
from backend.live.calibration import CalibrationSettings
from backend.live.cameras import ImageSettings
from backend.live.smoothing import SmoothSettings
from backend.solving.request import HEIGHT_RANGE_M, SolveQuality, check_gravity
from backend.types import Array

_RATES = (1.0, 240.0)
_SIZES_PX = (64, 8192)


class LiveState(Enum):
    """What a live capture is doing."""

    OPENING = "opening"
    """The source has not given an image yet."""
    SEARCHING = "searching"
    """Nobody has been seen yet."""
    CALIBRATING = "calibrating"
    """The person is asked to stand still."""
    LIVE = "live"
    """Poses are solved, in the calibrated world."""
    NO_PERSON = "no_person"
    """The person is out of sight."""
    STALLED = "stalled"
    """The source gives no images; it is opened again."""


@dataclass(frozen=True, slots=True)
class LiveRequest:
    """One live capture. Raises BadInputError for values that cannot be used."""

    source: LiveSource
    folder: Path
    """Where the poses, the clip and the recording are written; it exists."""
    record: bool = False
    """Record from the first image on; `LiveControl.record` starts later."""
    recording: Path | None = None
    """The recording's file, `.mkv`; None: `recording.mkv` in the folder."""
    image: ImageSettings = ImageSettings()
    quality: SolveQuality = SolveQuality.FAST
    height_m: float | None = None
    camera: CameraOptions = CameraOptions()
    calibration: CalibrationSettings = CalibrationSettings()
    smoothing: SmoothSettings | None = field(default_factory=SmoothSettings)
    """None: poses as they are solved."""
    stall_s: float = 3.0
    """Seconds without an image until the source is opened again."""
    max_people: int = 3

    def __post_init__(self) -> None:
        low, high = HEIGHT_RANGE_M
        if self.height_m is not None and not low <= self.height_m <= high:
            raise BadInputError(f"A body height of {self.height_m:g} m is out of range", f"Give {low} to {high} m")
        image = self.image
        if image.fps is not None and not _RATES[0] <= image.fps <= _RATES[1]:
            raise BadInputError(f"{image.fps:g} frames a second are out of range", "Give 1 to 240")
        if (image.width_px is None) != (image.height_px is None):
            raise BadInputError("Half of an image size is given", "Give width and height, for example 640x480")
        sides = [side for side in (image.width_px, image.height_px) if side is not None]
        if any(not _SIZES_PX[0] <= side <= _SIZES_PX[1] for side in sides):
            raise BadInputError(f"An image of {'x'.join(map(str, sides))} pixels is out of range", "Give 64 to 8192")
        if not 0.5 <= self.stall_s <= 60.0:
            raise BadInputError(f"A time limit of {self.stall_s:g} s is out of range", "Give 0.5 to 60 s")
        check_gravity(self.calibration.gravity_camera)


@dataclass(frozen=True, slots=True)
class LiveRates:
    """How fast it goes: `fps` poses and `source_fps` images a second; `latency_s` from the arrival of an image to its
    pose; `captured` and `dropped` images so far.
    """

    fps: float = 0.0
    source_fps: float = 0.0
    latency_s: float = 0.0
    captured: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class LivePose:
    """One frame, or a word on why there is none: motion is NaN then.

    `time_s` since the start of the capture; `arrived_unix_s` when the image came. rotations_wxyz (J, 4) local, joint 0
    in the world; root_m (3,) in the world (Z up, floor at z = 0); joints_camera_m (17, 3); confidence 0 to 1.
    """

    number: int
    state: LiveState
    frame_index: int
    time_s: float
    arrived_unix_s: float
    rotations_wxyz: Array
    root_m: Array
    joints_camera_m: Array
    confidence: float
    words: str = ""
    rates: LiveRates = LiveRates()
    recorded_frames: int = -1
    """-1 while nothing is recorded."""

    @property
    def has_pose(self) -> bool:
        """Whether there is a person."""
        return bool(np.isfinite(self.root_m).all())


LiveCallback = Callable[[LivePose], None]


@dataclass(frozen=True, slots=True)
class LiveResult:
    """What is left: the clip (None where nobody was seen), recordings in order, counts and warnings."""

    clip: Path | None
    recordings: tuple[Path, ...]
    poses: int
    captured: int
    dropped: int
    recorded: int
    warnings: tuple[str, ...] = ()
