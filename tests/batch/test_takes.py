"""Takes in a batch: which videos belong together, what is solved when one cannot be read, what the report says."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from backend.batch.inputs import collect
from backend.batch.manifest import read_manifest
from backend.batch.planning import name_clips, with_keys
from backend.batch.records import is_of_another_video, new_record
from backend.batch.take_order import alone, take_request, usable_videos
from backend.batch.tasks import ClipTask, OutputKind, PlannedClip, SolveSettings
from backend.errors import BadInputError, VideoError
from backend.multiview.setup_file import read_setup
from blender_addon.motion.clip import read_clip
from tests.batch.batch_runs import RENDERED, Running
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
        request = take_request(order, places, output, "cpu")
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
    given = [video.gravity_camera for video in take_request(order, (0, 1), output, "cpu").videos]
    assert given == [(0.0, 1.0, 0.0), None]
    assert [video.gravity_camera for video in take_request(order, (1, 2), output, "cpu").videos] == [None, None]
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
