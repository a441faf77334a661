"""A recording with truth: what is read, and that the score measures the right camera, frames and joints."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backend.embedding.keypoints import H36M_NAMES
from backend.errors import BadInputError
from backend.evaluation.recording import Recording, read_recording, score_recording

JOINTS = ("lshoulder", "rshoulder", "lelbow", "relbow", "lhip", "rhip", "lknee", "rknee")
FRAMES, FPS = 12, 50.0


def turned(degrees: float) -> np.ndarray:
    """A camera that looks along the floor, turned about the vertical."""
    angle = np.radians(degrees)
    about = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1.0]])
    return np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]]) @ about


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    start = rng.normal(0.0, 0.4, (1, len(JOINTS), 3)) + np.array([0.0, 3.0, 1.0])
    way = np.linspace(0.0, 0.5, FRAMES)[:, None, None] * rng.normal(1.0, 0.3, (1, len(JOINTS), 3))
    np.save(tmp_path / "joints_world_m.npy", start + way)
    cameras = [
        {
            "file": f"cam{number}.mp4",
            "size": [640, 480],
            "K": [[500, 0, 320], [0, 500, 240], [0, 0, 1]],
            "R_camera_from_world": turned(angle).tolist(),
            "extrinsics_trusted": number == 1,
        }
        for number, angle in ((1, 0.0), (2, 90.0))
    ]
    record = {"fps": FPS, "joints": JOINTS, "cameras": cameras}
    (tmp_path / "calibration.json").write_text(json.dumps(record))
    return tmp_path


def seen_by(recording: Recording, number: int, rows: np.ndarray) -> np.ndarray:
    """What a perfect solve of some frames would say: all 17 joints in that camera, metres from somewhere else."""
    joints = np.full((len(rows), len(H36M_NAMES), 3), np.nan)
    rotation = recording.cameras[number].camera_from_world
    for place, name in enumerate(recording.joint_names):
        joints[:, H36M_NAMES.index(name)] = recording.joints_world_m[rows, place] @ rotation.T + np.array(
            [0.3, -0.1, 5.0]
        )
    return joints


def test_a_recording_is_read_as_it_was_written(folder: Path) -> None:
    recording = read_recording(folder)
    assert recording.joint_names == JOINTS
    assert recording.fps == FPS
    assert recording.joints_world_m.shape == (FRAMES, len(JOINTS), 3)
    assert [camera.trusted for camera in recording.cameras] == [True, False]
    assert [(camera.width, camera.height) for camera in recording.cameras] == [(640, 480)] * 2
    assert recording.cameras[1].video == folder / "cam2.mp4"


@pytest.mark.parametrize("gone", ["calibration.json", "joints_world_m.npy"])
def test_what_is_missing_is_named(folder: Path, gone: str) -> None:
    (folder / gone).unlink()
    with pytest.raises(BadInputError, match=gone):
        read_recording(folder)


def test_a_camera_without_a_rotation_is_refused(folder: Path) -> None:
    record = json.loads((folder / "calibration.json").read_text())
    del record["cameras"][1]["R_camera_from_world"]
    (folder / "calibration.json").write_text(json.dumps(record))
    with pytest.raises(BadInputError, match="R_camera_from_world"):
        read_recording(folder)


@pytest.mark.parametrize("number", [0, 1])
def test_the_truth_itself_has_no_error_in_its_own_camera_and_much_in_the_other(folder: Path, number: int) -> None:
    recording, rows = read_recording(folder), np.arange(FRAMES)
    told = seen_by(recording, number, rows)
    own = score_recording(recording, recording.cameras[number], rows / FPS, told)
    assert own.mpjpe_mm == pytest.approx(0.0, abs=1e-6)
    other = score_recording(recording, recording.cameras[1 - number], rows / FPS, told)
    assert other.mpjpe_mm > 100.0
    assert other.pa_mpjpe_mm == pytest.approx(0.0, abs=1e-3), "a turn is forgiven by the aligned error alone"


def test_times_and_not_rows_say_which_frame_is_meant(folder: Path) -> None:
    recording = read_recording(folder)
    rows = np.array([2, 3, 4, 9])
    told = seen_by(recording, 0, rows)
    errors = score_recording(recording, recording.cameras[0], rows / FPS + 0.003, told)
    assert errors.mpjpe_mm == pytest.approx(0.0, abs=1e-6)
    late = score_recording(recording, recording.cameras[0], (rows + 1) / FPS, told)
    assert late.mpjpe_mm > 0.1
    beyond = score_recording(recording, recording.cameras[0], (rows + 8) / FPS, told)
    assert beyond.found < errors.found, "frames after the truth's end do not count"


def test_a_known_error_is_measured_in_millimetres(folder: Path) -> None:
    recording, rows = read_recording(folder), np.arange(FRAMES)
    told = seen_by(recording, 0, rows)
    told[:, H36M_NAMES.index("lelbow"), 0] += 0.08
    errors = score_recording(recording, recording.cameras[0], rows / FPS, told)
    assert errors.mpjpe_mm == pytest.approx(80.0 / len(JOINTS), abs=1e-6)
    swapped = replace(recording, joint_names=("rshoulder", "lshoulder", *JOINTS[2:]))
    crossed = score_recording(swapped, swapped.cameras[0], rows / FPS, seen_by(recording, 0, rows))
    assert crossed.mpjpe_mm > 10.0
