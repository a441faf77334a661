"""Cameras in a clip's header: written and read again, absent from clips of one video, refused when damaged."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from blender_addon.motion.clip import ClipError, clip_to_bytes, read_clip
from blender_addon.motion.clip_cameras import ClipCamera, cameras_from_record

EYE = tuple(tuple(float(row == column) for column in range(4)) for row in range(4))
CAMERA = ClipCamera(
    "right.mp4",
    1920,
    1080,
    29.97,
    1.25,
    1.0001,
    ((1500.0, 0.0, 960.0), (0.0, 1500.0, 540.0), (0.0, 0.0, 1.0)),
    (0.1, 0.0, 0.0, 0.0),
    EYE,
    0.9,
    0.05,
    0.02,
    2.5,
    "people",
)


def _sample(repository: Path) -> Path:
    return repository / "assets" / "sample_clip.npz"


def test_cameras_come_back(repository: Path) -> None:
    clip = read_clip(_sample(repository))
    left_out = replace(CAMERA, used=False, reason="its camera moves")
    clip = replace(clip, header=replace(clip.header, cameras=(CAMERA, left_out)))
    again = read_clip(io.BytesIO(clip_to_bytes(clip)))
    assert again.header.cameras == (CAMERA, left_out)
    assert again.header.cameras[0].clip_time_s(np.array([2.0]))[0] == pytest.approx(3.2502)
    assert again.header.cameras[0].intrinsics.shape == (3, 3)


def test_a_clip_of_one_video_is_written_as_ever(repository: Path) -> None:
    data = clip_to_bytes(read_clip(_sample(repository)))
    with np.load(io.BytesIO(data)) as members:
        assert "cameras" not in json.loads(str(members["header"]))
    assert read_clip(io.BytesIO(data)).header.cameras == ()


@pytest.mark.parametrize(
    "record",
    [
        "text",
        [7],
        [{"source": "a"}],
        [{"matrix": [[1, 2], [3, 4]]}],
        [{"source": 5}],
        [{"start_s": float("nan")}],
        [{"world_from_camera": [[1, 0, 0, 0]] * 3}],
        [{"distortion": [0.0] * 40}],
        [{}] * 100,
    ],
)
def test_damage_is_refused(record: object) -> None:
    with pytest.raises(ValueError, match="camera"):
        cameras_from_record(record)


def test_the_reader_names_the_fault(repository: Path) -> None:
    clip = read_clip(_sample(repository))
    clip = replace(clip, header=replace(clip.header, cameras=(replace(CAMERA, start_s=float("inf")),)))
    with pytest.raises(ClipError, match="start_s"):
        read_clip(io.BytesIO(clip_to_bytes(clip)))
