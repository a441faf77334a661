"""The set-up of a take as a JSON file, to be used again for the next take. numpy, `backend.files`, `backend.errors`."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from backend.errors import BadInputError, OutputError
from backend.files import write_whole
from backend.multiview.types import (
    CameraEstimate,
    CameraSource,
    CameraUncertainty,
    Offset,
    OffsetSource,
    TakeSetup,
)
from backend.types import Intrinsics

SETUP_VERSION = 1
_FORMAT = "marionet-setup"
_REMEDY = "Give a file that --save-setup wrote"
_MOST_PX = 1 << 20


def write_setup(setup: TakeSetup, path: Path) -> None:
    """Write a set-up whole or not at all. Raises OutputError where the disk refuses."""
    record = {
        "format": _FORMAT,
        "version": SETUP_VERSION,
        "cameras": [_camera_record(name, camera) for name, camera in zip(setup.names, setup.cameras, strict=True)],
        "offsets": [
            {"start_s": one.start_s, "rate": one.rate, "uncertainty_s": one.uncertainty_s, "source": one.source.value}
            for one in setup.offsets
        ],
        "down": None if setup.down is None else list(setup.down),
        "floor_m": setup.floor_m,
    }
    try:
        write_whole(path, (json.dumps(record, indent=1) + "\n").encode())
    except OSError as fault:
        raise OutputError(f"The set-up {path} cannot be written ({fault.strerror})", "Choose another folder") from fault


def read_setup(path: Path) -> TakeSetup:
    """Read a set-up. Raises BadInputError for a file that is none."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        _check_version(record)
        down = record.get("down")
        setup = TakeSetup(
            tuple(str(entry["name"]) for entry in record["cameras"]),
            tuple(_camera(entry) for entry in record["cameras"]),
            tuple(_offset(entry) for entry in record.get("offsets", [])),
            None if down is None else _direction(down),
            None if record.get("floor_m") is None else _number(record["floor_m"]),
        )
    except OSError as fault:
        raise BadInputError(f"The set-up {path} cannot be read ({fault.strerror})", "Check the path") from fault
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError) as fault:
        raise BadInputError(f"{path} is not the set-up of a take ({fault})", _REMEDY) from fault
    return setup


def _check_version(record: dict[str, Any]) -> None:
    if record["format"] != _FORMAT:
        raise ValueError("it is not a set-up")
    if record["version"] != SETUP_VERSION:
        raise ValueError(f"it has version {record['version']}, this program reads {SETUP_VERSION}")


def _camera_record(name: str, camera: CameraEstimate | None) -> dict[str, Any]:
    if camera is None:
        return {"name": name}
    inside = camera.intrinsics
    return {
        "name": name,
        "matrix": np.asarray(inside.matrix, np.float64).tolist(),
        "size": [inside.width, inside.height],
        "distortion": list(inside.distortion),
        "camera_from_take": np.asarray(camera.camera_from_take, np.float64).tolist(),
        "rotation_deg": camera.uncertainty.rotation_deg,
        "position_m": camera.uncertainty.position_m,
        "focal_share": camera.uncertainty.focal_share,
        "reprojection_px": camera.reprojection_px if math.isfinite(camera.reprojection_px) else None,
    }


def _camera(entry: dict[str, Any]) -> CameraEstimate | None:
    if "matrix" not in entry:
        return None
    matrix, pose = (np.array(entry[name], np.float64) for name in ("matrix", "camera_from_take"))
    if matrix.shape != (3, 3) or pose.shape != (4, 4) or not (np.isfinite(matrix).all() and np.isfinite(pose).all()):
        raise ValueError(f"camera {entry['name']} has no matrix (3, 3) and pose (4, 4)")
    if np.abs(pose[:3, :3] @ pose[:3, :3].T - np.eye(3)).max() > 1e-3 or np.linalg.det(pose[:3, :3]) < 0:
        raise ValueError(f"the pose of camera {entry['name']} is no rotation with a translation")
    width, height = (int(value) for value in entry["size"])
    if min(width, height, matrix[0, 0], matrix[1, 1]) <= 0 or max(width, height) > _MOST_PX:
        raise ValueError(f"camera {entry['name']} has no size and focal length that a camera can have")
    lens = tuple(_number(value) for value in entry.get("distortion", []))
    residual = entry.get("reprojection_px")
    return CameraEstimate(
        Intrinsics(matrix, width, height, "set-up of an earlier take", lens),
        pose,
        CameraSource.SETUP,
        CameraUncertainty(*(_number(entry.get(name, 0.0)) for name in ("rotation_deg", "position_m", "focal_share"))),
        float("nan") if residual is None else _number(residual),
    )


def _offset(entry: dict[str, Any]) -> Offset:
    rate = _number(entry["rate"])
    if not 0.5 < rate < 2.0:
        raise ValueError(f"a clock has the rate {rate}")
    return Offset(_number(entry["start_s"]), rate, _number(entry.get("uncertainty_s", 0.0)), OffsetSource.SETUP)


def _direction(values: Any) -> tuple[float, float, float]:
    x, y, z = (_number(values[place]) for place in range(3))
    if not 1e-6 < math.hypot(x, y, z) < 1e6:
        raise ValueError("down is no direction")
    return (x, y, z)


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value} is no number")
    return number
