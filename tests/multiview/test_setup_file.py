"""Set-ups are read as they were written, and damaged ones are refused in words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from backend.errors import BadInputError, OutputError
from backend.multiview.setup_file import read_setup, write_setup
from backend.multiview.types import CameraEstimate, CameraSource, CameraUncertainty, Offset, OffsetSource, TakeSetup
from backend.types import Intrinsics


def _setup() -> TakeSetup:
    pose = np.eye(4)
    pose[:3, 3] = 0.5, -0.25, 2.0
    inside = Intrinsics(np.array([[900.0, 0, 500], [0, 900.0, 400], [0, 0, 1.0]]), 1000, 800, "x", (0.1, 0, 0, 0))
    camera = CameraEstimate(inside, pose, CameraSource.PEOPLE, CameraUncertainty(1.0, 0.1, 0.05), 3.5)
    return TakeSetup(
        ("a.mp4", "b.mp4", "c.mp4"),
        (camera, None, camera),
        (Offset(), Offset(), Offset(1.25, 1.0001, 0.004, OffsetSource.SOUND)),
        (0.0, 1.0, 0.0),
        1.5,
    )


def test_a_set_up_comes_back(tmp_path: Path) -> None:
    write_setup(_setup(), tmp_path / "room.json")
    again = read_setup(tmp_path / "room.json")
    first, written = again.cameras[0], _setup().cameras[0]
    assert first is not None
    assert written is not None
    assert again.names == _setup().names
    assert again.cameras[1] is None
    assert np.array_equal(first.camera_from_take, written.camera_from_take)
    assert np.array_equal(first.intrinsics.matrix, written.intrinsics.matrix)
    assert (first.intrinsics.distortion, first.uncertainty) == (written.intrinsics.distortion, written.uncertainty)
    assert first.source is CameraSource.SETUP
    assert again.offsets[2] == Offset(1.25, 1.0001, 0.004, OffsetSource.SETUP)
    assert (again.down, again.floor_m) == ((0.0, 1.0, 0.0), 1.5)


_CAMERA = {"name": "a", "matrix": np.eye(3).tolist(), "size": [1000, 800], "camera_from_take": np.eye(4).tolist()}


def test_nesting_without_end_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "room.json").write_text("[" * 100_000)
    with pytest.raises(BadInputError, match="not the set-up of a take"):
        read_setup(tmp_path / "room.json")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format", "other"),
        ("version", 99),
        ("cameras", [{"name": "a", "matrix": [[1, 2], [3, 4]], "camera_from_take": [], "size": [4, 4]}]),
        ("cameras", 7),
        ("offsets", [{"start_s": 0.0, "rate": -3.0}]),
        ("offsets", [{"start_s": float("nan"), "rate": 1.0}]),
        ("down", [1.0]),
        ("down", [0.0, 0.0, 0.0]),
        ("floor_m", 10**400),
        ("cameras", [_CAMERA | {"size": [float("inf"), 800]}]),
        ("cameras", [_CAMERA | {"size": [10**400, 10**400]}]),
        ("cameras", [_CAMERA | {"matrix": [[10**400, 0, 0], [0, 1, 0], [0, 0, 1]]}]),
    ],
)
def test_damage_is_refused_in_words(tmp_path: Path, key: str, value: object) -> None:
    path = tmp_path / "room.json"
    write_setup(_setup(), path)
    record = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(record | {key: value}), encoding="utf-8")
    with pytest.raises(BadInputError, match="is not the set-up of a take") as caught:
        read_setup(path)
    assert caught.value.remedy


def test_a_mirrored_pose_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "room.json"
    write_setup(_setup(), path)
    record = json.loads(path.read_text(encoding="utf-8"))
    record["cameras"][0]["camera_from_take"][0][0] = -1.0
    path.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(BadInputError, match="no rotation"):
        read_setup(path)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="cannot be read"):
        read_setup(tmp_path / "none.json")
    with pytest.raises(OutputError, match="cannot be written"):
        write_setup(_setup(), tmp_path / "nowhere" / "room.json")
