"""The command line, a batch and a client that ask for the same solve make the same request, whatever they ask for."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import pytest

from backend.batch.solve_order import solve_request
from backend.batch.tasks import ClipTask, SolveSettings
from backend.cli import solve as solve_command
from backend.embedding.pose_model import TEMPORAL_SHARE
from backend.errors import BadInputError
from backend.people.options import Choice, Selection
from backend.pipeline import SolveRequest
from backend.server.solve_runner import CLIP_NAME, request_of
from backend.server.take_jobs import _of_bodies
from backend.server.worker_protocol import RunJob
from backend.solving.models import pose_options
from backend.solving.option_parsing import RequestOptions, request_from_options
from backend.solving.request import SolveQuality
from backend.video import FrameRange
from blender_addon.wire.messages import SolveOptions, Source


def typed(folder: Path, *options: str) -> SolveRequest:
    """The request that a command line makes."""
    parser = argparse.ArgumentParser()
    solve_command.add_parser(parser.add_subparsers())
    words = ("solve", "shot_####.png", "-o", str(folder / CLIP_NAME), *options)
    args = parser.parse_args(words)
    return solve_command._request(args, args.video[0])


def in_batch(folder: Path, settings: SolveSettings) -> SolveRequest:
    return solve_request(ClipTask("shot_####.png", solve=settings), folder / CLIP_NAME, "cpu")


def by_wire(folder: Path, options: SolveOptions, attempt: int = 1) -> SolveRequest:
    return request_of(RunJob("0" * 32, attempt, "shot_####.png", str(folder), 0, options), "cpu")


def test_nothing_asked_for_is_the_same_everywhere(tmp_path: Path) -> None:
    expected = SolveRequest(Path("shot_####.png"), tmp_path / CLIP_NAME, device="cpu")
    assert request_from_options(expected.video, expected.output, RequestOptions(), "cpu") == expected
    assert typed(tmp_path, "--device", "cpu") == expected
    assert replace(in_batch(tmp_path, SolveSettings()), resume=False) == expected
    assert by_wire(tmp_path, SolveOptions()) == expected


@pytest.mark.parametrize("quality", SolveQuality)
def test_previews_ask_the_folding_tower_alone(tmp_path: Path, quality: SolveQuality) -> None:
    request = replace(typed(tmp_path), quality=quality)
    assert pose_options(request).temporal_share == TEMPORAL_SHARE > 0.0
    assert pose_options(request, draft=True).temporal_share == 0.0


def test_everything_asked_for_is_the_same_everywhere(tmp_path: Path) -> None:
    words = "--range 2.5s:8s --person 640,360@12 --max-people 7 --height 1.82 --fov 69 --quality fast --hands --face"
    words += " --slow-motion 4 --fps 30 --gravity 0.1,0.9,0.25 --device cpu --resume"
    common = {"person": "640,360@12", "max_people": 7, "height_m": 1.82, "fov_deg": 69.0, "quality": "fast"}
    common |= {"hands": True, "face": True, "slow_motion": 4.0}
    made = (
        typed(tmp_path, *words.split()),
        in_batch(tmp_path, SolveSettings(range="2.5s:8s", fps=30.0, gravity="0.1,0.9,0.25", **common)),
        by_wire(
            tmp_path,
            SolveOptions(start_s=2.5, end_s=8.0, sequence_fps=30.0, gravity_camera=(0.1, 0.9, 0.25), **common),
            attempt=2,
        ),
    )
    assert made[0] == made[1] == made[2]
    assert (made[0].range, made[0].quality, made[0].resume) == (FrameRange(2.5, 8.0), SolveQuality.FAST, True)
    assert made[0].gravity_camera == (0.1, 0.9, 0.25)
    assert made[0].person == Selection(Choice.CLICK, click_px=(640.0, 360.0), click_frame=12)
    assert (made[0].max_people, made[0].height_m, made[0].camera.fov_deg) == (7, 1.82, 69.0)
    assert (made[0].hands, made[0].face, made[0].slow_motion, made[0].sequence_fps) == (True, True, 4.0, 30.0)


def test_what_only_files_can_say_is_the_same_in_a_command_and_a_batch(tmp_path: Path) -> None:
    words = "--gravity 0,1,0.1 --calibration cameras.toml --camera left --towers t.safetensors --bank b --device cpu"
    settings = SolveSettings(
        gravity="0,1,0.1", calibration="cameras.toml", camera="left", towers="t.safetensors", bank="b"
    )
    command = typed(tmp_path, *words.split())
    assert command == replace(in_batch(tmp_path, settings), resume=False)
    assert command.gravity_camera == (0.0, 1.0, 0.1)
    assert (command.model.towers, command.model.bank) == (Path("t.safetensors"), Path("b"))


def test_a_point_is_counted_in_the_image_that_the_client_names(tmp_path: Path) -> None:
    seen = by_wire(tmp_path, SolveOptions(person="10,20@3", picture_width_px=640, picture_height_px=480)).person
    assert (seen.click_px, seen.click_in_px) == ((10.0, 20.0), (640, 480))
    assert by_wire(tmp_path, SolveOptions(person="10,20@3", picture_width_px=640)).person.click_in_px is None


def test_the_direction_of_a_take_is_that_of_its_first_camera(tmp_path: Path) -> None:
    videos = tuple(Source("path", f"{name}.mp4") for name in ("left", "right"))
    order = RunJob(
        "0" * 32, 1, "left.mp4", str(tmp_path), 0, SolveOptions(gravity_camera=(0.0, 1.0, 0.2)), videos=videos
    )
    made = _of_bodies(request_of(order, "cpu"), [Path(video.path) for video in order.videos])
    assert [one.video.name for one in made] == ["left.mp4", "right.mp4"]
    assert [one.gravity_camera for one in made] == [(0.0, 1.0, 0.2), None]


@pytest.mark.parametrize("wrong", [(0.0, 1.0), (0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 1.0), (0.0, 1e300, 0.0)])
def test_a_direction_of_a_client_that_is_none_is_refused(tmp_path: Path, wrong: tuple[float, ...]) -> None:
    with pytest.raises(BadInputError, match=r"direction|length of the gravity vector"):
        by_wire(tmp_path, SolveOptions(gravity_camera=wrong))


@pytest.mark.parametrize("wrong", [{"person": "nobody"}, {"quality": "splendid"}, {"gravity": "down"}, {"range": "5"}])
def test_unusable_options_are_refused_by_name(tmp_path: Path, wrong: dict[str, str]) -> None:
    with pytest.raises(BadInputError, match=next(iter(wrong.values()))):
        request_from_options(tmp_path / "a.mp4", tmp_path / "a.npz", RequestOptions(**wrong))
