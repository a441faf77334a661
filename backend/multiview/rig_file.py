"""Calibrated cameras with their places from the JSON of this project; other formats have readers of their own.

May import `backend.camera`, numpy and its own room.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from backend.errors import BadInputError
from backend.multiview.types import KnownCamera
from backend.types import Array, Intrinsics

_REMEDY = (
    'Give JSON with "cameras", each with "file", "size", "K" and, for its place, "R_camera_from_world" and '
    '"t_camera_from_world_m"'
)


def read_rig(path: Path, videos: Sequence[Path]) -> tuple[KnownCamera | None, ...]:
    """The cameras of a file for each of the videos: by the video's name, else by order where there are as many.

    Raises BadInputError for a file that is none or lacks a camera.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        cameras = [_camera(place, entry) for place, entry in enumerate(record["cameras"])]
    except OSError as fault:
        raise BadInputError(f"The calibration {path} cannot be read ({fault.strerror})", "Check the path") from fault
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as fault:
        raise BadInputError(f"{path} is not a calibration of several cameras ({fault})", _REMEDY) from fault
    by_name = {Path(camera.name).stem: camera for camera in cameras}
    found = [by_name.get(video.stem) for video in videos]
    if all(camera is not None for camera in found):
        return tuple(found)
    if len(cameras) == len(videos):
        return tuple(cameras)
    missing = ", ".join(video.name for video, camera in zip(videos, found, strict=True) if camera is None)
    raise BadInputError(
        f"{path} has no camera for {missing}", f"It has {', '.join(by_name)}: name the cameras like the videos"
    )


def _camera(place: int, entry: Mapping[str, Any]) -> KnownCamera:
    name = str(entry.get("file") or entry.get("name") or f"camera {place}")
    matrix = _array(entry["K"], (3, 3))
    width, height = (int(value) for value in entry["size"])
    if min(width, height, matrix[0, 0], matrix[1, 1]) <= 0:
        raise ValueError(f"camera {name} has no positive size and focal length")
    lens = entry.get("distortion", entry.get("distortion_k1k2p1p2", ()))
    distortion = tuple(float(value) for value in lens)
    if len(distortion) not in {0, 4, 5, 8, 12, 14} or not np.isfinite(distortion).all():
        raise ValueError(f"camera {name} has {len(distortion)} distortion coefficients")
    pose: Array | None = None
    if "R_camera_from_world" in entry:
        pose = np.eye(4)
        pose[:3, :3] = _array(entry["R_camera_from_world"], (3, 3))
        pose[:3, 3] = _array(entry["t_camera_from_world_m"], (3,))
        if np.abs(pose[:3, :3] @ pose[:3, :3].T - np.eye(3)).max() > 1e-3 or np.linalg.det(pose[:3, :3]) < 0:
            raise ValueError(f"R_camera_from_world of camera {name} is no rotation")
    return KnownCamera(name, Intrinsics(matrix, width, height, "calibration file", distortion), pose)


def _array(value: Any, shape: tuple[int, ...]) -> Array:
    array = np.array(value, np.float64)
    if array.shape != shape or not np.isfinite(array).all():
        raise ValueError(f"{str(value)[:40]} has not the shape {shape}")
    return array
