"""Calibration files: JSON with K, TOML of Pose2Sim, Caliscope, anipose and FreeMoCap, OpenCV's YAML and XML.

Where a file says where the cameras stand, the position is read too, as `camera_from_rig`: OpenCV's convention (x right,
y down, z forward), a rotation vector or matrix and a translation, in metres or in millimetres.

May import numpy, OpenCV, `backend.types` and `backend.errors`.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from backend.errors import BadInputError
from backend.types import Array, Intrinsics, VideoInfo

_REMEDY = 'Give JSON with "K" (3x3, px) and "size" [width, height], a pose2sim .toml, or OpenCV .yml with camera_matrix'

_RENAME = "Name the videos like the cameras: "
_CHOOSE = "Choose with --camera one of: "

# Cameras of one performance do not stand this far apart in metres: the file is in millimetres.
_LARGEST_RIG_M = 60.0
_ROTATIONS = ("rotation", "R_camera_from_world", "R", "rvec", "rotation_vector", "rotation_matrix")
_TRANSLATIONS = ("translation", "t_camera_from_world_m", "t", "T", "tvec", "translation_vector")
_COUNTS = (0, 4, 5, 8, 12, 14)  # of distortion coefficients, as OpenCV knows them
# of a file that is something else, whatever it holds
_FAULTS = (ValueError, KeyError, TypeError, AttributeError, IndexError, ArithmeticError, RecursionError, SystemError)


@dataclass(frozen=True, slots=True)
class CalibratedCamera:
    """One camera of a file: `name` as the file calls it, K (3, 3) in px for `size` (width, height), distortion.

    `camera_from_rig` (4, 4), metres, from a frame that all cameras of the file share; None where the file has none.
    """

    name: str
    matrix: Array
    size: tuple[int, int] | None
    distortion: tuple[float, ...] = ()
    camera_from_rig: Array | None = None


def read_calibration(path: Path, info: VideoInfo, camera_name: str | None = None) -> Intrinsics:
    """The intrinsics of the camera called `camera_name`, or like the video, or the only one, at the video's size.

    Raises BadInputError for an unreadable file, an unknown camera, or an image shape that does not fit.
    """
    camera = _pick(read_cameras(path), path, info.path.name, camera_name)
    return _at_size_of(camera, path, info)


def read_rig(
    path: Path, infos: Sequence[VideoInfo], names: Sequence[str] = ()
) -> list[tuple[CalibratedCamera, Intrinsics]]:
    """The camera of each video, by its name or, where the file has as many cameras as there are videos, by its place.

    `path` is a file, or a folder with one OpenCV file a camera or one TOML file of all; `names` are those of the videos
    where their files are called otherwise. Raises BadInputError as `read_calibration` does.
    """
    cameras = read_cameras(path)
    videos = [Path(name) for name in names or [info.path.name for info in infos]]
    known = {camera.name for camera in cameras} | {Path(camera.name).stem for camera in cameras}
    by_name = any(known & {video.name, video.stem} for video in videos)
    if not by_name and len(cameras) != len(infos):
        raise BadInputError(
            f"{path} has {len(cameras)} cameras and none has the name of a video; there are {len(infos)} videos",
            _RENAME + ", ".join(camera.name for camera in cameras),
        )
    rig = []
    for place, info in enumerate(infos):
        camera = _pick(cameras, path, videos[place].name, None, _RENAME) if by_name else cameras[place]
        rig.append((camera, _at_size_of(camera, path, info)))
    return rig


def read_cameras(path: Path) -> list[CalibratedCamera]:
    """Every camera of a file, or of the files of a folder, positions in metres. Raises BadInputError."""
    if path.is_dir():
        # what macOS leaves beside files on other disks begins with a dot
        files = sorted(one for one in path.iterdir() if one.is_file() and not one.name.startswith("."))
        of_one = [one for one in files if one.suffix.lower() in (".yml", ".yaml", ".xml", ".json")]
        of_all = [one for one in files if one.suffix.lower() == ".toml"]
        cameras = [camera for one in of_one or of_all for camera in _read_cameras(one)]
        if not cameras:
            raise BadInputError(f"The folder {path} has no calibration file", _REMEDY)
        return _in_metres(cameras)
    return _in_metres(_read_cameras(path))


def _in_metres(cameras: list[CalibratedCamera]) -> list[CalibratedCamera]:
    """The cameras with positions in metres: files in millimetres are told by how far apart the cameras stand."""
    poses = [camera.camera_from_rig for camera in cameras if camera.camera_from_rig is not None]
    places = np.array([-pose[:3, :3].T @ pose[:3, 3] for pose in poses])
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1).max() if len(poses) > 1 else 0.0
    if apart <= _LARGEST_RIG_M:
        return cameras
    return [replace(camera, camera_from_rig=_divided(camera.camera_from_rig, 1000.0)) for camera in cameras]


def _divided(pose: Array | None, units: float) -> Array | None:
    if pose is None:
        return None
    scaled = pose.copy()
    scaled[:3, 3] /= units
    return scaled


def _at_size_of(camera: CalibratedCamera, path: Path, info: VideoInfo) -> Intrinsics:
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
            return _from_json(json.loads(path.read_text(encoding="utf-8-sig")))
        if suffix == ".toml":
            return _from_toml(tomllib.loads(path.read_text(encoding="utf-8-sig")))
        return [_from_opencv(path)]
    except (*_FAULTS, cv2.error) as fault:
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
    nested = record.get("cameras")  # Caliscope's
    found = nested if isinstance(nested, dict) else record
    sections = {key: value for key, value in found.items() if isinstance(value, dict) and "matrix" in value}
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
    lens = next((value for key, value in entry.items() if key.startswith(("distortion", "dist_coeffs"))), ())
    size = None if size is None else (int(size[0]), int(size[1]))
    if size is not None and min(size) < 1:
        raise ValueError(f"camera {name} is calibrated for images of {size[0]}x{size[1]}")
    coefficients = _coefficients(name, () if lens is None else lens)
    return CalibratedCamera(name, matrix, size, coefficients, _position(name, entry))


def _position(name: str, entry: Mapping[str, Any]) -> Array | None:
    """The camera's pose from a rotation (vector or matrix) and a translation; None where the entry has none."""
    if "extrinsics" in entry:
        rows = np.asarray(entry["extrinsics"], np.float64).reshape(-1, 4)
        return _pose(name, rows[:3, :3], rows[:3, 3])
    turn = next((entry[key] for key in _ROTATIONS if entry.get(key) is not None), None)
    shift = next((entry[key] for key in _TRANSLATIONS if entry.get(key) is not None), None)
    if turn is None or shift is None:
        return None
    return _pose(name, np.asarray(turn, np.float64), np.asarray(shift, np.float64))


def _pose(name: str, turn: Array, shift: Array) -> Array:
    rotation = turn if turn.shape == (3, 3) else cv2.Rodrigues(turn.reshape(3))[0]
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, shift.reshape(3)
    if not np.isfinite(pose).all() or np.abs(rotation @ rotation.T - np.eye(3)).max() > 0.01:
        raise ValueError(f"the position of camera {name} is no rotation with a translation")
    if np.linalg.det(rotation) < 0:
        raise ValueError(f"the rotation of camera {name} is mirrored")
    return pose


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
        nodes = {key: storage.getNode(key) for key in (*_ROTATIONS, *_TRANSLATIONS)}
        parts = {key: node.mat() for key, node in nodes.items() if node.isMap()}
    finally:
        storage.release()
    size = (width, height) if width and height else None
    coefficients = _coefficients(path.stem, () if lens is None else lens)
    position = _position(path.stem, parts)
    return CalibratedCamera(path.stem, np.asarray(matrix, dtype=np.float64), size, coefficients, position)


def _pick(
    cameras: list[CalibratedCamera], path: Path, video: str, name: str | None, remedy: str = _CHOOSE
) -> CalibratedCamera:
    wanted = {name} if name else {video, Path(video).stem}
    for camera in cameras:
        if camera.name in wanted or Path(camera.name).stem in wanted:
            return camera
    if len(cameras) == 1 and name is None:
        return cameras[0]
    names = ", ".join(camera.name for camera in cameras)
    raise BadInputError(f"{path} has no camera {name or Path(video).stem}", remedy + names)
