"""Requests of takes and the command line: what is refused, and with which words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from backend.cli import main
from backend.errors import BadInputError
from backend.multiview.rig_file import read_rig
from backend.multiview.take_request import TakeRequest, parse_offsets
from backend.multiview.types import Offset, OffsetSource, TakeSetup
from backend.solving.request import SolveRequest


def _videos(count: int) -> tuple[SolveRequest, ...]:
    return tuple(SolveRequest(Path(f"{place}.mp4"), Path("take.npz")) for place in range(count))


def test_each_video_has_a_checkpoint_of_its_own() -> None:
    each = TakeRequest(_videos(3), Path("out/take.npz")).each()
    assert len({one.output for one in each}) == 3
    assert {one.output.parent for one in each} == {Path("out")}


@pytest.mark.parametrize("count", [1, 17])
def test_a_take_has_two_to_sixteen_videos(count: int) -> None:
    with pytest.raises(BadInputError, match="A take has 2 to 16 videos"):
        TakeRequest(_videos(count), Path("take.npz"))


def test_offsets_cameras_and_set_ups_are_one_for_each() -> None:
    with pytest.raises(BadInputError, match="1 offsets for 2 videos"):
        TakeRequest(_videos(2), Path("take.npz"), offsets=(None,))
    with pytest.raises(BadInputError, match="3 cameras for 2 videos"):
        TakeRequest(_videos(2), Path("take.npz"), cameras=(None, None, None))
    with pytest.raises(BadInputError, match="The set-up has 1 cameras, the take 2 videos"):
        TakeRequest(_videos(2), Path("take.npz"), setup=TakeSetup(("a",), (None,)))


def test_offsets_of_the_command_line() -> None:
    assert parse_offsets([], 3) == ()
    given = parse_offsets(["1.25,?"], 3)
    assert given == (Offset(), Offset(1.25, 1.0, 0.002, OffsetSource.GIVEN), None)
    assert parse_offsets(["-0.5s"], 2)[1] == Offset(-0.5, 1.0, 0.002, OffsetSource.GIVEN)
    with pytest.raises(BadInputError, match="2 values for 2 videos"):
        parse_offsets(["1,2"], 2)
    with pytest.raises(BadInputError, match="no number of seconds"):
        parse_offsets(["soon"], 2)


def test_options_of_takes_need_several_videos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["solve", "one.mp4", "-o", str(tmp_path / "take.npz"), "--offset", "1"])
    assert code == 2
    assert "--offset is for several videos" in capsys.readouterr().err


def test_a_missing_video_of_a_take_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["solve", str(tmp_path / "a.mp4"), str(tmp_path / "b.mp4"), "-o", str(tmp_path / "take.npz")])
    assert code == 3
    assert "a.mp4" in capsys.readouterr().err


def _rig(tmp_path: Path, **change: object) -> Path:
    camera = {
        "file": "left.mp4",
        "size": [1920, 1080],
        "K": [[1500.0, 0, 960], [0, 1500.0, 540], [0, 0, 1.0]],
        "distortion_k1k2p1p2": [0.1, 0.0, 0.0, 0.0],
        "R_camera_from_world": np.eye(3).tolist(),
        "t_camera_from_world_m": [0.0, 0.0, 3.0],
    }
    path = tmp_path / "rig.json"
    other = camera | {"file": "right.mp4", "t_camera_from_world_m": [1.0, 0.0, 3.0]}
    path.write_text(json.dumps({"cameras": [camera | change, other]}), encoding="utf-8")
    return path


def test_calibrated_cameras_go_by_name_or_by_order(tmp_path: Path) -> None:
    by_name = read_rig(_rig(tmp_path), [Path("right.mp4"), Path("left.mp4")])
    assert [camera.name for camera in by_name if camera] == ["right.mp4", "left.mp4"]
    by_order = read_rig(_rig(tmp_path), [Path("a.mp4"), Path("b.mp4")])
    first = by_order[0]
    assert first is not None
    assert first.camera_from_rig is not None
    assert first.camera_from_rig[2, 3] == 3.0
    with pytest.raises(BadInputError, match=r"no camera for a\.mp4"):
        read_rig(_rig(tmp_path), [Path("a.mp4"), Path("left.mp4"), Path("right.mp4")])


@pytest.mark.parametrize(
    "change",
    [{"K": [[1.0]]}, {"size": [0, 5]}, {"R_camera_from_world": (-np.eye(3)).tolist()}, {"distortion_k1k2p1p2": [1.0]}],
)
def test_calibrations_that_are_none_are_refused(tmp_path: Path, change: dict[str, object]) -> None:
    with pytest.raises(BadInputError, match="is not a calibration of several cameras"):
        read_rig(_rig(tmp_path, **change), [Path("left.mp4"), Path("right.mp4")])
