"""The cameras of a clip that was solved from several videos, as its header stores them. numpy only.

An older reader ignores the key; a clip of one video has none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
MOST_CAMERAS = 64
_MOST_TEXT = 4096


@dataclass(frozen=True, slots=True)
class ClipCamera:
    """One video of a take. Time of the clip = `start_s` + `rate` x time of this video.

    `matrix` K in px (3 rows), `distortion` as OpenCV counts it; `world_from_camera` (4 rows) in m, OpenCV camera axes;
    one sigma of rotation, position and focal length (as a share); `reprojection_px` the median distance of keypoints.
    A video that takes no part has `used` False, `reason` says why, and its camera's place means nothing.
    """

    source: str
    width: int
    height: int
    fps: float
    start_s: float
    rate: float
    matrix: tuple[tuple[float, ...], ...]
    distortion: tuple[float, ...]
    world_from_camera: tuple[tuple[float, ...], ...]
    rotation_deg: float = 0.0
    position_m: float = 0.0
    focal_share: float = 0.0
    reprojection_px: float = 0.0
    calibrated_from: str = ""
    used: bool = True
    reason: str = ""

    @property
    def intrinsics(self) -> Array:
        """K (3, 3) in px of the upright frame."""
        return np.array(self.matrix, np.float64)

    @property
    def pose(self) -> Array:
        """`world_from_camera` (4, 4)."""
        return np.array(self.world_from_camera, np.float64)

    def clip_time_s(self, video_s: Array) -> Array:
        """Times of the clip at times of this video."""
        return np.asarray(self.start_s + self.rate * np.asarray(video_s, np.float64))


def cameras_from_record(record: Any) -> tuple[ClipCamera, ...]:
    """The cameras of a header's JSON. Raises ValueError for anything else."""
    if not isinstance(record, Sequence) or isinstance(record, str) or len(record) > MOST_CAMERAS:
        raise ValueError(f"cameras is {str(record)[:50]!r}")
    return tuple(_camera(entry) for entry in record)


def _camera(entry: Any) -> ClipCamera:
    if not isinstance(entry, Mapping):
        raise ValueError(f"a camera is {str(entry)[:50]!r}")  # noqa: TRY004  a file's fault, not the caller's
    values: dict[str, Any] = {}
    for name in ClipCamera.__dataclass_fields__:
        if name not in entry:
            continue
        value = entry[name]
        if name in ("source", "calibrated_from", "reason"):
            values[name] = _text(name, value)
        elif name == "used":
            values[name] = bool(value)
        elif name in ("width", "height"):
            values[name] = int(_number(name, value))
        elif name == "matrix":
            values[name] = _rows(name, value, 3)
        elif name == "world_from_camera":
            values[name] = _rows(name, value, 4)
        elif name == "distortion":
            values[name] = _row(name, value, range(15))
        else:
            values[name] = _number(name, value)
    try:
        return ClipCamera(**values)
    except TypeError as fault:
        raise ValueError(f"a camera lacks values ({fault})") from fault


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > _MOST_TEXT:
        raise ValueError(f"{name} of a camera is {str(value)[:50]!r}")
    return value


def _number(name: str, value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value) or abs(value) > 1e12:
        raise ValueError(f"{name} of a camera is {str(value)[:50]!r}")
    return float(value)


def _row(name: str, value: Any, lengths: Sequence[int]) -> tuple[float, ...]:
    if not isinstance(value, list | tuple) or len(value) not in lengths:
        raise ValueError(f"{name} of a camera is {str(value)[:50]!r}")
    return tuple(_number(name, item) for item in value)


def _rows(name: str, value: Any, size: int) -> tuple[tuple[float, ...], ...]:
    if not isinstance(value, list | tuple) or len(value) != size:
        raise ValueError(f"{name} of a camera is {str(value)[:50]!r}")
    return tuple(_row(name, row, (size,)) for row in value)
