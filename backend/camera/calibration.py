"""Calibration files: JSON with K, pose2sim's TOML, OpenCV's YAML and XML.

May import numpy, OpenCV, `backend.types` and `backend.errors`.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from backend.errors import BadInputError
from backend.types import Array, Intrinsics, VideoInfo

_REMEDY = 'Give JSON with "K" (3x3, px) and "size" [width, height], a pose2sim .toml, or OpenCV .yml with camera_matrix'

_COUNTS = (0, 4, 5, 8, 12, 14)  # of distortion coefficients, as OpenCV knows them


@dataclass(frozen=True, slots=True)
class CalibratedCamera:
    """One camera of a file: `name` as the file calls it, K (3, 3) in px for `size` (width, height), distortion."""

    name: str
    matrix: Array
    size: tuple[int, int] | None
    distortion: tuple[float, ...] = ()


def read_calibration(path: Path, info: VideoInfo, camera_name: str | None = None) -> Intrinsics:
    """The intrinsics of the camera called `camera_name`, or like the video, or the only one, at the video's size.

    Raises BadInputError for an unreadable file, an unknown camera, or an image shape that does not fit.
    """
    cameras = _read_cameras(path)
    camera = _pick(cameras, path, info, camera_name)
    width, height = camera.size or (info.width, info.height)
    scale = info.width / width
    if abs(info.height / height - scale) > 0.02 * scale:
        raise BadInputError(
            f"{path}: camera {camera.name} is calibrated for {width}x{height}, the upright video is "
            f"{info.width}x{info.height}",
            "Calibrate with the same image shape, upright as the video is shown",
        )
    matrix = np.asarray(camera.matrix, dtype=np.float64).copy()
    matrix[:2] *= scale
    if not (matrix[0, 0] > 0 and matrix[1, 1] > 0 and np.isfinite(matrix).all()):
        raise BadInputError(f"{path}: camera {camera.name} has no positive focal length", _REMEDY)
    return Intrinsics(matrix, info.width, info.height, f"calibration {path.name}, {camera.name}", camera.distortion)


def _read_cameras(path: Path) -> list[CalibratedCamera]:
    if not path.is_file():
        raise BadInputError(f"There is no calibration file {path}", "Check the path")
    suffix = path.suffix.lower()
    try:
        if suffix == ".json":
            return _from_json(json.loads(path.read_text(encoding="utf-8")))
        if suffix == ".toml":
            return _from_toml(tomllib.loads(path.read_text(encoding="utf-8")))
        return [_from_opencv(path)]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, SystemError, cv2.error) as fault:
        raise BadInputError(f"{path} is not a camera calibration ({fault})", _REMEDY) from fault


def _from_json(record: Any) -> list[CalibratedCamera]:
    entries: Iterable[tuple[str, Mapping[str, Any]]]
    if isinstance(record, list):
        entries = [("camera", {"K": record})]
    elif isinstance(record.get("cameras"), list):
        entries = [(str(c.get("name") or c.get("file") or f"camera {i}"), c) for i, c in enumerate(record["cameras"])]
    elif isinstance(record.get("cameras"), dict):
        entries = list(record["cameras"].items())
    else:
        entries = [(str(record.get("name", "camera")), record)]
    return [_camera(name, entry) for name, entry in entries]


def _from_toml(record: Mapping[str, Any]) -> list[CalibratedCamera]:
    sections = {key: value for key, value in record.items() if isinstance(value, dict) and "matrix" in value}
    if not sections:
        raise ValueError("no camera section with a matrix")
    return [_camera(str(value.get("name", key)), value) for key, value in sections.items()]


def _camera(name: str, entry: Mapping[str, Any]) -> CalibratedCamera:
    key = next((key for key in ("K", "matrix", "camera_matrix", "intrinsics") if key in entry), None)
    if key is None:
        raise ValueError(f"camera {name} has no K")
    matrix = np.asarray(entry[key], dtype=np.float64)
    if matrix.shape != (3, 3):
        raise ValueError(f"K of camera {name} has shape {matrix.shape}, expected (3, 3)")
    size = entry.get("size") or entry.get("image_size")
    if size is None and "width" in entry and "height" in entry:
        size = (entry["width"], entry["height"])
    lens = entry.get("distortion", entry.get("distortions", entry.get("dist_coeffs", ())))
    size = None if size is None else (int(size[0]), int(size[1]))
    if size is not None and min(size) < 1:
        raise ValueError(f"camera {name} is calibrated for images of {size[0]}x{size[1]}")
    return CalibratedCamera(name, matrix, size, _coefficients(name, () if lens is None else lens))


def _coefficients(name: str, lens: Any) -> tuple[float, ...]:
    """Distortion k1, k2, p1, p2, k3 and so on as OpenCV takes it: less than four are filled up with zeros."""
    values = [float(value) for value in np.ravel(np.asarray(lens, dtype=np.float64))]
    values += [0.0] * (4 - len(values)) if values else []
    if len(values) not in _COUNTS or not np.isfinite(values).all():
        raise ValueError(f"camera {name} has {len(values)} distortion coefficients, or some that are not numbers")
    return tuple(values)


def _from_opencv(path: Path) -> CalibratedCamera:
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_READ)
    try:
        matrix = storage.getNode("camera_matrix").mat()
        if matrix is None or matrix.shape != (3, 3):
            raise ValueError("no camera_matrix of 3x3")
        lens = storage.getNode("distortion_coefficients").mat()
        width, height = (int(storage.getNode(key).real()) for key in ("image_width", "image_height"))
    finally:
        storage.release()
    size = (width, height) if width and height else None
    return CalibratedCamera(
        path.stem, np.asarray(matrix, dtype=np.float64), size, _coefficients(path.stem, () if lens is None else lens)
    )


def _pick(cameras: list[CalibratedCamera], path: Path, info: VideoInfo, name: str | None) -> CalibratedCamera:
    wanted = {name} if name else {info.path.name, info.path.stem}
    for camera in cameras:
        if camera.name in wanted or Path(camera.name).stem in wanted:
            return camera
    if len(cameras) == 1 and name is None:
        return cameras[0]
    names = ", ".join(camera.name for camera in cameras)
    raise BadInputError(f"{path} has no camera {name or info.path.stem}", f"Choose with --camera one of: {names}")
