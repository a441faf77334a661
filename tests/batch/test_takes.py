"""Takes in a batch: which videos belong together, what is solved when one cannot be read, what the report says."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backend.batch.inputs import collect
from backend.batch.manifest import read_manifest
from backend.batch.planning import name_clips, with_keys
from backend.batch.records import is_of_another_video, new_record
from backend.batch.take_folders import take_of_folder
from backend.batch.take_order import UsableVideos, alone, take_request, usable_videos
from backend.batch.tasks import ClipTask, OutputKind, PlannedClip, SolveSettings
from backend.errors import BadInputError, VideoError
from backend.multiview.setup_file import read_setup
from blender_addon.motion.clip import read_clip
from tests.batch.batch_runs import RENDERED, Running
from tests.multiview.test_real_close_up import written
from tests.multiview.test_real_take import FIRST_FRAME, _trimmed

TEMPLATE = ClipTask("", kinds=(OutputKind.CLIP,))


@pytest.fixture
def shoot(tmp_path: Path) -> Path:
    """Two takes in folders, a video alone in a folder, one beside the folders."""
    for name in ("day1/take2/cam10.mp4", "day1/take2/cam9.mp4", "day1/take1/left.mp4", "day1/take1/right.mov"):
        path = tmp_path / "shoot" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    (tmp_path / "shoot" / "day1" / "take1" / ".hidden.mp4").touch()
    (tmp_path / "shoot" / "solo").mkdir()
    (tmp_path / "shoot" / "solo" / "walk.mp4").touch()
    (tmp_path / "shoot" / "alone.mp4").touch()
    return tmp_path / "shoot"


def names(order: ClipTask) -> list[str]:
    return [Path(video).name for video in order.videos]


def test_videos_that_lie_together_are_a_take_where_takes_are_asked_for(shoot: Path) -> None:
    orders = collect([str(shoot)], TEMPLATE, "out", takes=True)
    found = {clip.base: names(clip.order) for clip in name_clips(orders)}
    assert found == {
        "day1/take1/take1": ["left.mp4", "right.mov"],
        "day1/take2/take2": ["cam9.mp4", "cam10.mp4"],
        "solo/walk/walk": ["walk.mp4"],
        "alone/alone": ["alone.mp4"],
    }
    assert len(collect([str(shoot)], TEMPLATE, "out")) == 6
    (one,) = name_clips(collect([str(shoot / "day1" / "take2")], TEMPLATE, "out", takes=True))
    assert (one.base, names(one.order)) == ("take2/take2", ["cam9.mp4", "cam10.mp4"])
    both = name_clips(collect([str(shoot / "day?")], TEMPLATE, "out", takes=True))
    assert [clip.base for clip in both] == ["day1/take1/take1", "day1/take2/take2"]
    pattern = name_clips(collect([str(shoot / "day1" / "*" / "cam*.mp4")], TEMPLATE, "out", takes=True))
    assert {clip.base: names(clip.order) for clip in pattern} == {"take2/take2": ["cam9.mp4", "cam10.mp4"]}
    words = [str(shoot / "day1" / "take2" / name) for name in ("cam10.mp4", "cam9.mp4")]
    (named,) = name_clips(collect([*words, words[0]], TEMPLATE, "out", takes=True))
    assert (named.base, names(named.order)) == ("take2/take2", ["cam9.mp4", "cam10.mp4"])


def test_a_folder_with_too_many_videos_is_told(tmp_path: Path) -> None:
    for number in range(17):
        (tmp_path / "crowd" / f"{number}.mp4").parent.mkdir(exist_ok=True)
        (tmp_path / "crowd" / f"{number}.mp4").touch()
    (order,) = collect([str(tmp_path / "crowd")], TEMPLATE, "out", takes=True)
    assert order.trouble is not None
    assert "crowd names 17" in order.trouble.message


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    order = take_of_folder(tmp_path / "gone", TEMPLATE)
    assert order.trouble is not None
    assert f"{tmp_path / 'gone'} cannot be read" in order.trouble.message


def test_a_manifest_names_takes(shoot: Path) -> None:
    rows = [
        {"videos": ["day1/take1/left.mp4", "day1/take1/right.mov"], "offset": [1.25], "setup": "room.json"},
        {"videos": "day1/take2", "name": "second", "calibration": "rig.toml"},
        {"videos": ["a.mp4", "b.mp4", "c.mp4"], "offset": [0.5, None]},
        {"videos": ["alone.mp4"]},
        {"videos": ["a.mp4", "b.mp4"], "clip": "a.mp4"},
    ]
    path = shoot / "takes.json"
    path.write_text(json.dumps(rows))
    first, second, third, lonely, both = read_manifest(path, TEMPLATE)
    assert names(first) == ["left.mp4", "right.mov"]
    assert (first.solve.offset, first.solve.setup) == ("1.25", str(shoot / "room.json"))
    assert (second.name, names(second), second.word) == ("second", ["cam9.mp4", "cam10.mp4"], "take2")
    assert second.solve.calibration == str(shoot / "rig.toml")
    assert third.solve.offset == "0.5,?"
    assert lonely.trouble is not None
    assert "2 to 16 videos" in lonely.trouble.message
    assert both.trouble is not None
    assert "a clip and videos" in both.trouble.message
    table = shoot / "takes.csv"
    table.write_text('videos,offsets,range\nday1/take1/left.mp4|day1/take1/right.mov,"?",0:50\n')
    (row,) = read_manifest(table, TEMPLATE)
    assert (names(row), row.solve.offset, row.solve.range) == (["left.mp4", "right.mov"], "?", "0:50")


def test_close_ups_and_a_calibration_in_a_folder_are_known_by_their_names(shoot: Path) -> None:
    first, second = shoot / "day1" / "take1", shoot / "day1" / "take2"
    for path in (first / "FaceCloseUp.mp4", second / "close-up 2.mov", shoot / "solo" / "hands.close_up.mp4"):
        path.touch()
    calibrations = [first / name for name in ("Calib_scene.toml", "._Calib_scene.toml", "notes.toml")]
    for path in (*calibrations, second / "calibration" / "cam9.yml"):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    orders = collect([str(shoot)], TEMPLATE, "out", takes=True)
    found = {clip.base: clip.order for clip in name_clips(orders)}
    assert set(found) == {"day1/take1/take1", "day1/take2/take2", "solo/solo", "alone/alone"}
    one, two, solo = (found[base] for base in ("day1/take1/take1", "day1/take2/take2", "solo/solo"))
    assert [names(order) for order in (one, two, solo)] == [
        ["left.mp4", "right.mov"],
        ["cam9.mp4", "cam10.mp4"],
        ["walk.mp4"],
    ]
    close = [[Path(video).name for video in order.close_ups] for order in (one, two, solo)]
    assert close == [["FaceCloseUp.mp4"], ["close-up 2.mov"], ["hands.close_up.mp4"]]
    assert [order.is_take for order in (one, two, solo)] == [True] * 3
    assert [order.solve.calibration for order in (one, two, solo)] == [
        str(first / "Calib_scene.toml"),
        str(second / "calibration"),
        "",
    ]
    given = replace(TEMPLATE, solve=SolveSettings(calibration="/all/rig.toml"))
    assert {order.solve.calibration for order in collect([str(first)], given, "out", takes=True)} == {"/all/rig.toml"}
    (first / "calib2.json").touch()
    (told,) = collect([str(first)], TEMPLATE, "out", takes=True)
    assert told.trouble is not None
    assert "has 2 calibration files: Calib_scene.toml, calib2.json" in told.trouble.message


def test_a_manifest_names_close_ups(shoot: Path) -> None:
    rows = [
        {"clip": "day1/take1/left.mp4", "close_ups": ["face.mp4", "hands.mp4"], "close_up_offset": [0.5, None]},
        {"videos": ["day1/take1/left.mp4", "day1/take1/right.mov"], "close_up": "face.mp4", "offset": [1.25]},
        {"videos": "day1/take2", "close_ups": "face.mp4", "calibration": "rig.toml"},
        {"clip": "alone.mp4", "close_up_offset": 1.0},
    ]
    (shoot / "takes.json").write_text(json.dumps(rows))
    (shoot / "day1" / "take2" / "calib.toml").touch()
    one, two, three, lonely = read_manifest(shoot / "takes.json", TEMPLATE)
    assert (names(one), one.close_ups) == (["left.mp4"], (str(shoot / "face.mp4"), str(shoot / "hands.mp4")))
    assert one.solve.close_up_offset == "0.5,?"
    assert (names(two), two.close_ups, two.solve.offset) == (
        ["left.mp4", "right.mov"],
        (str(shoot / "face.mp4"),),
        "1.25",
    )
    assert three.solve.calibration == str(shoot / "rig.toml"), "the row comes before the folder"
    assert lonely.trouble is not None
    assert "no close-ups" in lonely.trouble.message
    (shoot / "takes.csv").write_text("clip,close_ups,close_up_offsets\na.mp4,face.mp4|hands.mp4,?\n")
    (row,) = read_manifest(shoot / "takes.csv", TEMPLATE)
    assert len(row.close_ups) == 2
    with pytest.raises(BadInputError, match="1 values for 2 close-ups"):
        take_request(row, UsableVideos((0,), (), (0, 1)), shoot / "clip.npz", "cpu")


def test_a_close_up_that_a_manifest_names_is_not_a_camera_of_the_folder_that_it_names(shoot: Path) -> None:
    (shoot / "day1" / "take2" / "face.mp4").touch()
    table = shoot / "takes.csv"
    table.write_text("videos,close_ups\nday1/take2,day1/../day1/take2/face.mp4\n")
    (row,) = read_manifest(table, TEMPLATE)
    assert (names(row), len(row.close_ups)) == (["cam9.mp4", "cam10.mp4"], 1)


def test_close_ups_that_can_be_read_are_asked_for_with_their_clocks(tmp_path: Path) -> None:
    order = ClipTask(
        "/v/a.mp4",
        more_videos=("/v/b.mp4",),
        close_ups=("/v/face.mp4", "/v/hands.mp4"),
        solve=SolveSettings(offset="1.5", close_up_offset="2.0,?"),
    )

    def clocks(places: tuple[int, ...], close_ups: tuple[int, ...], task: ClipTask = order) -> list[float | None]:
        request = take_request(task, UsableVideos(places, (), close_ups), tmp_path / "clip.npz", "cpu")
        assert [one.video.name for one in request.close_ups] == [
            ("face.mp4", "hands.mp4")[place] for place in close_ups
        ]
        return [None if one.offset is None else one.offset.start_s for one in request.close_ups]

    assert clocks((0, 1), (0, 1)) == [2.0, None]
    assert clocks((0,), (1,)) == [None]
    assert clocks((1,), (0,)) == [0.5], "against the first video that can be read"
    assert clocks((1,), (0,), replace(order, solve=SolveSettings(close_up_offset="2.0,?"))) == [None]


def test_a_close_up_is_part_of_a_take_s_key(shoot: Path) -> None:
    body, close = shoot / "day1" / "take1" / "left.mp4", shoot / "face.mp4"
    alone_key = with_keys(PlannedClip(ClipTask(str(body)), "a/a")).solve_key
    close.write_bytes(b"a face")
    order = ClipTask(str(body), close_ups=(str(close),))
    key = with_keys(PlannedClip(order, "a/a")).solve_key
    assert key != alone_key
    close.write_bytes(b"another face")
    changed = with_keys(PlannedClip(order, "a/a")).solve_key
    assert changed != key
    given = replace(order, solve=SolveSettings(close_up_offset="1.0"))
    assert with_keys(PlannedClip(given, "a/a")).solve_key != changed
    close.unlink()
    assert with_keys(PlannedClip(order, "a/a")).solve_key not in (key, changed)


def test_a_take_s_key_follows_every_video_and_what_is_known_of_it(shoot: Path) -> None:
    (order,) = collect([str(shoot / "day1" / "take1")], TEMPLATE, "out", takes=True)
    key = with_keys(PlannedClip(order, "a/a")).solve_key
    assert with_keys(PlannedClip(order, "a/a")).solve_key == key
    given = replace(order, solve=replace(order.solve, offset="1.0"))
    assert with_keys(PlannedClip(given, "a/a")).solve_key != key
    right = Path(order.more_videos[0])
    right.write_bytes(b"another take of the right camera")
    changed = with_keys(PlannedClip(order, "a/a")).solve_key
    assert changed != key
    right.unlink()
    assert with_keys(PlannedClip(order, "a/a")).solve_key not in (key, changed)
    Path(order.source).unlink()
    with pytest.raises(VideoError, match=r"left\.mp4"):
        with_keys(PlannedClip(order, "a/a"))


def test_settings_of_takes_leave_the_keys_of_single_videos_alone(shoot: Path) -> None:
    plain = ClipTask(str(shoot / "day1" / "take1" / "left.mp4"), kinds=(OutputKind.CLIP,))
    with_setup = replace(plain, solve=SolveSettings(setup="/nowhere/room.json"))
    assert with_keys(PlannedClip(plain, "a/a")).solve_key == with_keys(PlannedClip(with_setup, "a/a")).solve_key


def test_what_is_known_is_told_of_the_videos_that_are_left(tmp_path: Path) -> None:
    order = ClipTask("/v/a.mp4", more_videos=("/v/b.mp4", "/v/c.mp4"), solve=SolveSettings(offset="1.5,2.25"))
    output = tmp_path / "clip.npz"

    def starts(*places: int) -> list[float | None]:
        request = take_request(order, UsableVideos(places), output, "cpu")
        assert [video.video.name for video in request.videos] == [f"{'abc'[place]}.mp4" for place in places]
        return [None if offset is None else offset.start_s for offset in request.offsets]

    assert starts(0, 1, 2) == [0.0, 1.5, 2.25]
    assert starts(0, 2) == [0.0, 2.25]
    assert starts(1, 2) == [0.0, 0.75]
    order = replace(order, solve=SolveSettings(offset="?,2.0"))
    assert starts(1, 2) == []
    order = replace(order, solve=SolveSettings(offset="2.0"))
    with pytest.raises(BadInputError, match="1 values for 3 videos"):
        starts(0, 1, 2)


def test_a_row_with_one_clip_has_nothing_that_is_for_several(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("clip;offset;setup\na.mp4;1.25;\nb.mp4;;room.json\nc.mp4;;\n")
    offset, setup, plain = read_manifest(tmp_path / "list.csv", TEMPLATE)
    assert offset.trouble is not None
    assert "offset is for several videos" in offset.trouble.message
    assert setup.trouble is not None
    assert "setup is for several videos" in setup.trouble.message
    assert plain.trouble is None


def test_a_take_that_got_another_first_video_is_the_same_take() -> None:
    """Its results are replaced; those of a take without a common video are not."""

    def planned(key: str, *videos: str) -> PlannedClip:
        return PlannedClip(ClipTask(videos[0], more_videos=videos[1:]), "a/a", key, key)

    record = new_record(planned("one", "/v/b.mp4", "/v/c.mp4"), "done")
    assert not is_of_another_video(record, planned("two", "/v/a.mp4", "/v/b.mp4", "/v/c.mp4"))
    assert is_of_another_video(record, planned("two", "/w/b.mp4", "/w/c.mp4"))
    assert not is_of_another_video(record, planned("one", "/w/b.mp4", "/w/c.mp4"))


def test_what_is_told_of_the_first_camera_is_not_told_of_the_next(tmp_path: Path) -> None:
    """A first video that cannot be read takes its gravity with it, and the numbers of its people."""
    left, right = tmp_path / "left.mp4", tmp_path / "right.mp4"
    left.write_bytes(b"not a video" * 50)
    shutil.copy(RENDERED, right)
    order = ClipTask(str(left), more_videos=(str(right), str(right)), solve=SolveSettings(gravity="0,1,0"))
    output = tmp_path / "clip.npz"
    given = [video.gravity_camera for video in take_request(order, UsableVideos((0, 1)), output, "cpu").videos]
    assert given == [(0.0, 1.0, 0.0), None]
    second = take_request(order, UsableVideos((1, 2)), output, "cpu").videos
    assert [video.gravity_camera for video in second] == [None, None]
    assert (alone(order, 0).solve.gravity, alone(order, 1).solve.gravity) == ("0,1,0", "")
    assert usable_videos(order, output, "cpu").places == (1, 2)
    for person in ("1", "400,300@0"):
        chosen = replace(order, solve=SolveSettings(person=person))
        with pytest.raises(BadInputError, match=rf"--person {person} is about the first video.*left\.mp4"):
            usable_videos(chosen, output, "cpu")
        readable = replace(chosen, source=str(right), more_videos=(str(left), str(right)))
        assert usable_videos(readable, output, "cpu").places == (0, 2)


@pytest.mark.timeout(300)
def test_broken_videos_are_named_and_the_rest_is_solved(batch, tmp_path: Path) -> None:
    """A take with one whole video of two, one with none, and one whose two videos have nothing in common."""
    shoot = tmp_path / "shoot"
    for name in ("half", "none", "same"):
        (shoot / name).mkdir(parents=True)
    for name in ("half/a.mp4", "none/a.mp4", "none/b.mp4"):
        (shoot / name).write_bytes(b"not a video" * 50)
    for name in ("half/b.mp4", "same/a.mp4", "same/b.mp4"):
        shutil.copyfile(RENDERED, shoot / name)
    words = (shoot, "--takes", "--format", "clip,sheet", "--save-setup")
    done = batch(*words)
    assert done.code == 1, done.errors
    half, none, same = (done.report[f"{name}/{name}"] for name in ("half", "none", "same"))
    assert (half["status"], same["status"]) == ("done", "done"), done.errors
    assert [Path(video).name for video in half["videos"]] == ["a.mp4", "b.mp4"]
    (told,) = [text for text in half["warnings"] if "left out" in text]
    assert told.startswith("video 1 (a.mp4) is left out: ")
    assert "not a video" in told
    assert none["status"] == "failed"
    assert none["error_code"] == "video"
    assert "a.mp4" in none["error"]
    assert [(Path(row["video"]).name, row["used"]) for row in same["cameras"]] == [("a.mp4", True), ("b.mp4", False)]
    assert any("video 2 (b.mp4) is left out" in text for text in same["warnings"])
    made = {Path(output).name for output in same["outputs"]}
    assert made == {"same.npz", "same.sheet.png"}, "one camera makes no set-up"
    page = (done.out / "index.html").read_text(encoding="utf-8")
    assert '<table class="cameras">' in page
    assert any(event["event"] == "progress" for event in done.events)
    again = batch(*words)
    assert {entry["reused"] for entry in again.report.values() if entry["status"] == "done"} == {True}


@pytest.mark.timeout(300)
def test_a_close_up_that_cannot_be_read_or_shows_nothing_is_named(batch, tmp_path: Path) -> None:
    shoot = tmp_path / "shoot"
    shoot.mkdir()
    shutil.copyfile(RENDERED, shoot / "body.mp4")
    written(shoot / "dark_closeup.mp4", [np.full((120, 160, 3), 40, np.uint8)] * 12, 25)
    (shoot / "hands_closeup.mp4").write_bytes(b"not a video" * 50)
    done = batch(shoot, "--takes", "--format", "clip", "--range", "0:12", "--quality", "fast")
    assert done.code == 0, done.errors
    entry = done.report["shoot/shoot"]
    assert [Path(video).name for video in entry["videos"]] == ["body.mp4", "dark_closeup.mp4", "hands_closeup.mp4"]
    dark, broken = sorted(text for text in entry["warnings"] if "closeup.mp4 is left out" in text)
    assert "neither a hand nor a face was found in it" in dark
    assert broken.startswith("hands_closeup.mp4 is left out: ")


def test_options_of_takes_without_one_are_refused(batch, video) -> None:
    done = batch(video("a"), "--save-setup", "--format", "clip")
    assert done.code == 2
    assert "there is none" in done.events[-1]["message"]


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_take_of_two_cameras_and_the_next_one_with_its_set_up(shared: Path, tmp_path: Path) -> None:
    folder = shared / "real" / "balancing"
    for take, later in (("one", 0), ("two", 30)):
        (tmp_path / "shoot" / take).mkdir(parents=True)
        for name, begin in FIRST_FRAME.items():
            video = tmp_path / "shoot" / take / f"{name}.mp4"
            _trimmed(folder / f"{name}.mp4", video, begin + later, begin + later + 75)
    words = ("--takes", "--format", "clip,overlay", "--device", "cpu")
    done = Running(tmp_path / "out", (tmp_path / "shoot" / "one", *words, "--save-setup")).finish(900)
    assert done.code == 0, done.report
    (entry,) = done.report.values()
    first, second = entry["cameras"]
    assert first["used"]
    assert second["used"]
    assert abs(second["start_s"] - 17 / 60) < 0.012
    assert 0 < second["reprojection_px"] < 30
    setup = done.out / "one" / "one.setup.json"
    assert {path.name for path in setup.parent.iterdir()} == {
        *("one.npz", "one.overlay.mp4", "one.1.overlay.mp4", "one.setup.json")
    }
    assert [camera is not None for camera in read_setup(setup).cameras] == [True, True]
    after = Running(tmp_path / "next", (tmp_path / "shoot" / "two", *words, "--setup", setup)).finish(900)
    assert after.code == 0, after.report
    clip = read_clip(after.out / "two" / "two.npz")
    assert [camera.calibrated_from for camera in clip.header.cameras] == ["setup", "setup"]
