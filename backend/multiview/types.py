"""What the solve of a take exchanges: the videos' clocks, cameras and people. numpy, `backend.types`.

A *take* is one performance recorded by several cameras. Take time is the clock of the first video. The *take frame* is
an OpenCV camera frame (x right, y down, z forward, metres): that of the first camera that is used. V views, T frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from backend.types import Array, Intrinsics, PersonTrack, PoseTrack, VideoInfo


class OffsetSource(StrEnum):
    """Where a video's offset is from."""

    REFERENCE = "reference"
    """It is the first video: its clock is the take's."""
    GIVEN = "given"
    """The user gave it."""
    SOUND = "sound"
    """The sound tracks were compared."""
    TIME_CODE = "time_code"
    """The files carry time codes."""
    MOTION = "motion"
    """The motion of the people was compared."""
    SETUP = "setup"
    """It was saved with an earlier take of the same set-up."""


class CameraSource(StrEnum):
    """Where a camera's position is from."""

    PEOPLE = "people"
    """It was calibrated from the people in the videos."""
    FILE = "file"
    """A calibration file."""
    SETUP = "setup"
    """It was saved with an earlier take of the same set-up."""


class Exclusion(StrEnum):
    """Why a video takes no part in the common solve."""

    MOVES = "camera_moves"
    """Its camera moves."""
    DOES_NOT_FIT = "camera_does_not_fit"
    """Its keypoints contradict the other views', or its calibration does."""
    NOBODY_IN_COMMON = "nobody_in_common"
    """No person in it moves like one in the other videos."""
    NO_OVERLAP = "no_overlap"
    """It shows another time."""
    SAME_VIDEO = "same_video"
    """It is the same recording as another one."""
    SAME_PLACE = "same_place"
    """It was recorded from the place of another camera: it tells nothing about depth."""


@dataclass(frozen=True, slots=True)
class Offset:
    """How the clock of a video runs against the take's: take time = `start_s` + `rate` x video time.

    `start_s` is the take time of the video's time 0: positive where this recording began later than the first.
    `rate` differs from 1 by the drift of the clock, usually by less than 1e-4. `uncertainty_s` is one sigma.
    """

    start_s: float = 0.0
    rate: float = 1.0
    uncertainty_s: float = 0.0
    source: OffsetSource = OffsetSource.REFERENCE

    def take_time_s(self, video_s: Array) -> Array:
        """Take times of times of the video."""
        return np.asarray(self.start_s + self.rate * np.asarray(video_s, np.float64))

    def video_time_s(self, take_s: Array) -> Array:
        """Times of the video of take times."""
        return np.asarray((np.asarray(take_s, np.float64) - self.start_s) / self.rate)


@dataclass(frozen=True, slots=True)
class CameraUncertainty:
    """One sigma of what was estimated: rotation in degrees, position in m, focal length as a share of itself."""

    rotation_deg: float = 0.0
    position_m: float = 0.0
    focal_share: float = 0.0


@dataclass(frozen=True, slots=True)
class CameraEstimate:
    """One camera of a take: intrinsics, and `camera_from_take` (4, 4), a rotation and a translation in m.

    `reprojection_px` is the median distance between the keypoints and the common 3D joints seen by this camera.
    """

    intrinsics: Intrinsics
    camera_from_take: Array
    source: CameraSource
    uncertainty: CameraUncertainty = CameraUncertainty()
    reprojection_px: float = float("nan")

    @property
    def rotation(self) -> Array:
        """The rotation (3, 3) from the take frame to the camera."""
        return np.asarray(self.camera_from_take[:3, :3])

    @property
    def translation_m(self) -> Array:
        """The origin of the take frame (3,) in the camera."""
        return np.asarray(self.camera_from_take[:3, 3])

    @property
    def position_m(self) -> Array:
        """Where the camera is (3,) in the take frame."""
        return -self.rotation.T @ self.translation_m


@dataclass(frozen=True, slots=True)
class CameraView:
    """One video as its own solve left it: everybody's `tracks` with their `poses` in this camera, in the same order.

    Times of the tracks are the video's own. `camera_moves` says that the background moved. `down` (3,) is the direction
    of gravity in the camera, known to `down_deg` (one sigma); None where nobody asked. `cuts_s` are the times of the
    first frames after cuts.
    """

    name: str
    info: VideoInfo
    intrinsics: Intrinsics
    tracks: tuple[PersonTrack, ...]
    poses: tuple[PoseTrack, ...]
    camera_moves: bool = False
    down: Array | None = None
    down_deg: float = 15.0
    cuts_s: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class PersonInViews:
    """One person of a take: the place of the person's track in each view's `tracks`; None where nobody matches."""

    person: int
    tracks: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class ExcludedView:
    """A view that is left out: its place among the videos, why, and a sentence for the user with a remedy."""

    view: int
    reason: Exclusion
    text: str


@dataclass(frozen=True, slots=True)
class Take:
    """What is known of a take once clocks, cameras and people are found.

    `offsets` (V) and `cameras` (V) are in the order of the videos; an excluded view has camera None. `people` are
    numbered as in the first view that is used.
    """

    videos: tuple[Path, ...]
    offsets: tuple[Offset, ...]
    cameras: tuple[CameraEstimate | None, ...]
    people: tuple[PersonInViews, ...]
    excluded: tuple[ExcludedView, ...] = ()

    @property
    def used(self) -> tuple[int, ...]:
        """Places of the views that take part."""
        return tuple(view for view, camera in enumerate(self.cameras) if camera is not None)


@dataclass(frozen=True, slots=True)
class TakeSetup:
    """Cameras and clocks to use again for the next take of the same set-up: `names`, `offsets` and `cameras` (V).

    `down` (3,) is the direction of gravity in the take frame and `floor_m` how far the floor lies along it from the
    origin; None where no take has told.
    """

    names: tuple[str, ...]
    cameras: tuple[CameraEstimate | None, ...]
    offsets: tuple[Offset, ...] = ()
    down: tuple[float, float, float] | None = None
    floor_m: float | None = None
