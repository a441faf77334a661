"""What `live --record` leaves behind: the full solve of each recording, and the live poses where one clip holds all."""

from __future__ import annotations

import argparse
import shutil
from itertools import islice, pairwise
from pathlib import Path

import av
import pytest
from PIL import Image

from backend.cli.live import _finish, _full_request, add_parser, run
from backend.cli.output import Terminal
from backend.errors import BadInputError
from backend.live.addresses import parse_source
from backend.live.request import LiveRequest, LiveResult
from backend.solving.request import SolveQuality
from blender_addon.motion.clip import read_clip

_DEMO = Path(__file__).resolve().parents[2] / "assets" / "demo_clip.mp4"
_FRAMES = 12


def _arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    return parser.parse_args(["live", *words])


def _pieces(paths: list[Path], empty: int | None) -> None:
    """Consecutive pieces of the demo clip, as a source leaves them that changed its kind of video; the one at `empty`
    is black.
    """
    with av.open(str(_DEMO)) as video:
        images = [frame.to_image() for frame in islice(video.decode(video=0), _FRAMES * len(paths))]
    edges = range(0, len(images) + 1, _FRAMES)
    if empty is not None:
        black = [Image.new("RGB", images[0].size)] * _FRAMES
        images[empty * _FRAMES : (empty + 1) * _FRAMES] = black
    for path, (first, end) in zip(paths, pairwise(edges), strict=True):
        with av.open(str(path), "w") as file:
            stream = file.add_stream("mpeg4", rate=30)
            stream.width, stream.height, stream.bit_rate = *images[0].size, 4_000_000
            for image in images[first:end]:
                file.mux(stream.encode(av.VideoFrame.from_image(image)))
            file.mux(stream.encode(None))


def _finished(folder: Path, names: list[str], empty: int | None = None) -> None:
    recordings = [folder / name for name in names]
    _pieces(recordings, empty)
    live, aside = folder / "live.npz", folder / "take.mkv.live"
    aside.mkdir()
    shutil.copy(Path(__file__), live)  # any bytes: what the live poses were can be told from what a solve writes
    args = _arguments("--record", str(recordings[0]))
    request = LiveRequest(parse_source("http://host/video"), aside, record=True, recording=recordings[0])
    _finish(args, request, LiveResult(live, tuple(recordings), 24, 24, 0, 24), Terminal(as_json=True))
    assert not aside.exists()


def test_the_full_solve_takes_the_place_of_the_live_poses(tmp_path: Path) -> None:
    _finished(tmp_path, ["take.mkv"])
    assert len(read_clip(tmp_path / "take.npz")) == _FRAMES


def test_each_recording_is_solved_and_the_live_poses_of_all_stay(tmp_path: Path) -> None:
    _finished(tmp_path, ["take.mkv", "take.1.mkv"])
    assert (tmp_path / "take.npz").read_bytes() == Path(__file__).read_bytes()
    for name in ("take_solved.npz", "take.1_solved.npz"):
        assert len(read_clip(tmp_path / name)) == _FRAMES


def test_a_recording_in_which_nobody_is_seen_costs_the_others_nothing(tmp_path: Path) -> None:
    _finished(tmp_path, ["take.mkv", "take.1.mkv"], empty=0)
    assert not (tmp_path / "take_solved.npz").exists()
    assert len(read_clip(tmp_path / "take.1_solved.npz")) == _FRAMES


@pytest.mark.parametrize("detail", ["--hands", "--face"])
def test_details_without_a_recording_are_refused(detail: str) -> None:
    with pytest.raises(BadInputError, match="recording"):
        run(_arguments("--source", "http://127.0.0.1:1/video", detail))


def test_the_recording_is_solved_as_the_command_asks(tmp_path: Path) -> None:
    args = _arguments("--hands", "--device", "cpu", "--towers", "mine.safetensors", "--quality", "fast")
    live = LiveRequest(parse_source("http://host/video"), tmp_path, height_m=1.82)
    request = _full_request(args, live, tmp_path / "take.mkv", tmp_path / "take.npz")
    assert (request.hands, request.face, request.device, request.height_m) == (True, False, "cpu", 1.82)
    assert request.model.towers == Path("mine.safetensors")
    assert request.quality is SolveQuality.BEST  # `--quality` is that of the live poses
