"""A real recording with several calibrated cameras and 3D truth: its files, and the error of clips against it.

A recording is a folder with `calibration.json` (fps, joints, cameras: file, K, R_camera_from_world,
extrinsics_trusted) and `joints_world_m.npy` (T, J, 3).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backend.embedding.keypoints import H36M_NAMES
from backend.errors import BadInputError
from backend.evaluation.metrics import PoseErrors, pose_errors
from backend.types import Array


@dataclass(frozen=True, slots=True)
class RecordingCamera:
    """One camera: its video, K (3, 3) in px, rotation (3, 3), the world's origin (3,) m in the camera (NaN where the
    file does not say), and whether MPJPE may be measured with it.
    """

    video: Path
    matrix: Array
    camera_from_world: Array
    world_origin_m: Array
    width: int
    height: int
    trusted: bool


@dataclass(frozen=True, slots=True)
class Recording:
    """joints_world_m (T, J, 3) with their Human3.6M names, frames per second, and the cameras."""

    name: str
    joints_world_m: Array
    joint_names: tuple[str, ...]
    fps: float
    cameras: tuple[RecordingCamera, ...]


def read_recording(folder: Path) -> Recording:
    """Read a recording. Raises BadInputError that names what is missing."""
    try:
        record = json.loads((folder / "calibration.json").read_text(encoding="utf-8"))
        joints = np.load(folder / "joints_world_m.npy", allow_pickle=False).astype(np.float64)
        cameras = tuple(
            RecordingCamera(
                folder / camera["file"],
                np.array(camera["K"], np.float64),
                np.array(camera["R_camera_from_world"], np.float64),
                np.array(camera.get("t_camera_from_world_m", [np.nan] * 3), np.float64),
                int(camera["size"][0]),
                int(camera["size"][1]),
                bool(camera["extrinsics_trusted"]),
            )
            for camera in record["cameras"]
        )
        return Recording(folder.name, joints, tuple(record["joints"]), float(record["fps"]), cameras)
    except (OSError, KeyError, ValueError) as fault:
        raise BadInputError(
            f"{folder} is not a recording with ground truth ({fault})",
            "It needs calibration.json and joints_world_m.npy",
        ) from fault


def score_recording(
    recording: Recording, camera: RecordingCamera, times_s: Array, joints_camera_m: Array
) -> PoseErrors:
    """Errors of solved joints (T, 17, 3) in that camera, on the recording's joints, relative to the mid-hip.

    An untrusted camera has no valid MPJPE: only its similarity-aligned error may be quoted.
    """
    names = recording.joint_names
    pick = [H36M_NAMES.index(name) for name in names]
    frame = np.rint(times_s * recording.fps).astype(int)
    keep = (frame >= 0) & (frame < len(recording.joints_world_m))
    predicted = np.full((len(recording.joints_world_m), len(names), 3), np.nan)
    predicted[frame[keep]] = joints_camera_m[keep][:, pick]
    truth = recording.joints_world_m @ camera.camera_from_world.T
    hips = [names.index("lhip"), names.index("rhip")]
    return pose_errors(
        predicted - predicted[:, hips].mean(1, keepdims=True), truth - truth[:, hips].mean(1, keepdims=True)
    )
