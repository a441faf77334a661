"""What a worker makes of a take's order and leaves behind, without the solve."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from backend.multiview.take_request import TakeResult
from backend.multiview.types import Offset, Take, TakeSetup
from backend.server.take_jobs import _ShownNames, _write_setup
from backend.server.worker_protocol import RunJob
from blender_addon.wire import messages as wire
from tests.multiview.test_setup_file import _setup

NAMES = ("left.mp4", "right.mp4", "face.mp4")


def _order(folder: Path) -> RunJob:
    videos = tuple(wire.Source("upload", str(folder / f"upload.{place}.mp4"), name) for place, name in enumerate(NAMES))
    known = wire.TakeOptions(close_ups=1)
    return RunJob("a" * 32, 1, videos[0].path, str(folder), 100, wire.SolveOptions(), videos=videos, take=known)


def test_a_video_behind_a_link_is_named_as_the_user_named_it(tmp_path: Path) -> None:
    order = _order(tmp_path)
    linked = (*order.videos[:2], wire.Source("path", "/disk/0001.mp4", "face.mp4"))
    told = _ShownNames(replace(order, videos=linked)).in_text("0001.mp4 is left out: upload.1.mp4 shows another time")
    assert told == "face.mp4 is left out: right.mp4 shows another time"


def test_the_set_up_of_a_take_with_a_close_up_names_the_cameras_alone(tmp_path: Path) -> None:
    order = _order(tmp_path)
    cameras = (_setup().cameras[0],) * 2
    setup = TakeSetup(("upload.0.mp4", "upload.1.mp4"), cameras, (Offset(), Offset()))
    take = Take((Path("upload.0.mp4"), Path("upload.1.mp4")), setup.offsets, cameras, ())
    result = TakeResult((), (), take, setup, {}, (), False, 0, {}, "cpu", ())
    (written,) = _write_setup(result, _ShownNames(order), tmp_path / "setup.json")
    assert [camera["name"] for camera in json.loads(written.read_text())["cameras"]] == ["left.mp4", "right.mp4"]
