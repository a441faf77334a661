"""The frozen dataclasses that the pipeline's stages exchange. numpy only.

Frames of reference: image pixels of the upright frame (x right, y down, pixel centres at .5); camera is OpenCV
(x right, y down, z forward); world is Z up in metres with the floor at z = 0. T frames, K keypoints, J joints.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import numpy as np
from numpy.typing import NDArray

from backend.errors import Cancelled

Array = NDArray[np.floating]
Float32Array = NDArray[np.float32]
Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What the container says. `frame_count` and `duration_s` may be estimates, unless `frame_count_is_exact`.

    Width and height are upright. A stored image is mirrored left to right where `mirrored`, then turned by
    `rotation_deg` counter-clockwise. `fps` follows from the median step between frames.
    """

    path: Path
    width: int
    height: int
    fps: float
    duration_s: float
    frame_count: int
    codec: str
    rotation_deg: int
    variable_frame_rate: bool
    focal_35mm: float | None = None
    mirrored: bool = False
    frame_count_is_exact: bool = False


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded image: index in the source, presentation time, RGB (H, W, 3) uint8, upright."""

    index: int
    time_s: float
    image: Image


@dataclass(frozen=True, slots=True)
class Intrinsics:
    """A camera: `matrix` K (3, 3) in px for frames of `width` x `height`, `distortion` as OpenCV counts it.

    `source` tells the user where the values are from; `is_assumed` says that nobody knew them.
    """

    matrix: Array
    width: int
    height: int
    source: str
    distortion: tuple[float, ...] = ()
    is_assumed: bool = False


@dataclass(frozen=True, slots=True)
class SceneEdges:
    """Straight edges of the scene, people left out: `rays` (S, 2, 3) unit directions in the camera through both ends
    of each segment, `length` (S,) in parts of the frame's longer side, `frames` that they were collected from.
    """

    rays: Array
    length: Array
    frames: int


@dataclass(frozen=True, slots=True)
class CameraTravel:
    """Where a camera that travels is, `position_m` (N, 3), in the source frames `frame_index` (N,), in the axes that
    everything it sees is told in; `features_m` (P, 3) are points of the background.
    """

    frame_index: NDArray[np.intp]
    position_m: Array
    features_m: Array = field(default_factory=lambda: np.zeros((0, 3)))

    def at(self, frames: NDArray[np.intp]) -> Array:
        """Positions (T, 3) in the given frames; a frame that is missing takes the last one before it."""
        rows = np.searchsorted(self.frame_index, frames, side="right") - 1
        return self.position_m[np.clip(rows, 0, len(self.frame_index) - 1)]

    def scaled(self, scale: float) -> CameraTravel:
        """The same path at another scale."""
        return CameraTravel(self.frame_index, self.position_m * scale, self.features_m * scale)


@dataclass(frozen=True, slots=True)
class Detection:
    """A person's box (x0, y0, x1, y1) in px with a score 0..1; hip and body-top points (2,) px where known."""

    box_px: tuple[float, float, float, float]
    score: float
    hip_px: tuple[float, float] | None = None
    top_px: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class PersonTrack:
    """One person over time, as the landmark network saw them; K = 33 BlazePose landmarks.

    frame_index (T,) every source frame from first to last of the track, times_s (T,);
    keypoints_px (T, K, 2); keypoint_depth (T, K) the network's z, scaled like pixels, relative to the hips;
    visibility (T, K) 0..1; world_m (T, K, 3) the network's own hip-centred 3D guess, axes along the camera;
    presence (T,) 0..1 (0 and NaN keypoints where the person was lost); box_px (T, 4).
    """

    track_id: int
    frame_index: NDArray[np.intp]
    times_s: Array
    keypoints_px: Array
    keypoint_depth: Array
    visibility: Array
    world_m: Array
    presence: Array
    box_px: Array


@dataclass(frozen=True, slots=True)
class PoseTrack:
    """Solved poses of one track in the camera: what `embedding` hands to `world`.

    rotations_wxyz (T, J, 4) local, joint 0 the root orientation in the camera; root_camera_m (T, 3) pelvis;
    joints_camera_m (T, 17, 3); confidence, score, margin (T,); gravity_camera (3,) unit vector pointing down, in
    the camera, as the poses suggest it; height_m and bone_scales (J,) the body shape; gravity_spread_deg how far that
    direction wanders over the clip.
    """

    rotations_wxyz: Array
    root_camera_m: Array
    joints_camera_m: Array
    confidence: Array
    score: Array
    margin: Array
    gravity_camera: Array
    height_m: float
    bone_scales: Array
    gravity_spread_deg: float = 0.0


@dataclass(frozen=True, slots=True)
class Progress:
    """Where long work stands: stage name, done and total in that stage's unit, estimated seconds left or None.

    `video` is the video of a take that the stage is about, counted from 1; 0: all of them, or the only one.
    """

    stage: str
    done: int
    total: int
    remaining_s: float | None = None
    video: int = 0


ProgressCallback = Callable[[Progress], None]


def arrays_below(arrays: dict[str, NDArray[np.generic]], prefix: str) -> dict[str, NDArray[np.generic]]:
    """The arrays whose names start with `prefix`, by what follows it: the part of a checkpoint that is one object's."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


class CancelToken:
    """Set from any thread; long work asks it between frames."""

    def __init__(self) -> None:
        self._event = Event()

    def cancel(self) -> None:
        """Ask the work to stop."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """Whether a stop was asked for."""
        return self._event.is_set()

    def raise_if_cancelled(self) -> None:
        """Raise Cancelled once a stop was asked for."""
        if self.cancelled:
            raise Cancelled("Stopped at the user's request", "Finished frames are kept; use --resume to go on")
