"""Where the intrinsics come from: a flag, a calibration file, the video's metadata, or an assumption that is told.

May import numpy, `backend.types`, `backend.errors`, `blender_addon.motion` and its own room.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from backend.camera.calibration import read_calibration
from backend.errors import BadInputError
from backend.types import Intrinsics, VideoInfo
from blender_addon.motion.input_limits import NARROWEST_FOV_DEG, WIDEST_FOV_DEG

# the field of view over the longer side of phone and action video between 1x wide (69) and portrait lenses (40)
ASSUMED_FOV_DEG: Final = 60.0
# CIPA DCG-001: 35 mm equivalents compare diagonals; the full frame's is 43.27 mm
_FULL_FRAME_DIAGONAL_MM: Final = math.hypot(36.0, 24.0)


@dataclass(frozen=True, slots=True)
class CameraOptions:
    """What the user says of the camera; at most one of the first three. `camera_name` picks one of a file's cameras.

    `focal_px` is the focal length in pixels of the upright frame, `fov_deg` the field of view over its longer side.
    """

    focal_px: float | None = None
    fov_deg: float | None = None
    calibration: Path | None = None
    camera_name: str | None = None


def choose_intrinsics(info: VideoInfo, options: CameraOptions) -> Intrinsics:
    """The camera for frames of `info`'s size; `source` and `is_assumed` of the result say where it is from.

    Raises BadInputError for values that no camera has, and for a calibration file that does not fit.
    """
    given = [value for value in (options.focal_px, options.fov_deg, options.calibration) if value is not None]
    if len(given) > 1:
        raise BadInputError("The camera is given twice", "Use one of --focal-px, --fov and --calibration")
    if options.camera_name and options.calibration is None:
        raise BadInputError(f"--camera {options.camera_name} names a camera of no file", "Give --calibration FILE too")
    longer = max(info.width, info.height)
    if options.calibration is not None:
        return read_calibration(options.calibration, info, options.camera_name)
    if options.focal_px is not None:
        if not 0.1 * longer <= options.focal_px <= 50.0 * longer:
            raise BadInputError(
                f"--focal-px {options.focal_px:g} fits no camera for {info.width}x{info.height} frames",
                f"Common values lie near {longer:g} (in pixels, not mm)",
            )
        return _centred(info, options.focal_px, "flag --focal-px")
    if options.fov_deg is not None:
        if not NARROWEST_FOV_DEG <= options.fov_deg <= WIDEST_FOV_DEG:
            raise BadInputError(
                f"A field of view of {options.fov_deg:g} degrees is out of range",
                f"Give {NARROWEST_FOV_DEG:g} to {WIDEST_FOV_DEG:g} degrees over the longer side of the image",
            )
        return _centred(info, _focal_px(longer, options.fov_deg), "flag --fov")
    if info.focal_35mm is not None:
        focal_px = info.focal_35mm / _FULL_FRAME_DIAGONAL_MM * math.hypot(info.width, info.height)
        return _centred(info, focal_px, f"metadata ({info.focal_35mm:g} mm, full-frame equivalent)")
    source = f"assumed field of view of {ASSUMED_FOV_DEG:g} degrees"
    return replace(_centred(info, _focal_px(longer, ASSUMED_FOV_DEG), source), is_assumed=True)


def _focal_px(longer_px: int, fov_deg: float) -> float:
    return longer_px / 2.0 / math.tan(math.radians(fov_deg) / 2.0)


def _centred(info: VideoInfo, focal_px: float, source: str) -> Intrinsics:
    matrix = np.array([[focal_px, 0.0, info.width / 2.0], [0.0, focal_px, info.height / 2.0], [0.0, 0.0, 1.0]])
    return Intrinsics(matrix, info.width, info.height, source)
