"""The command as it is used: real processes and videos, good clips beside broken ones, runs that are repeated."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import av
import cv2
import pytest

from tests.batch.batch_files import contents_of
from tests.batch.batch_runs import BLENDER, RIG, Finished, needs_blender

pytestmark = pytest.mark.timeout(300)
LOOKS = "clip,overlay"


@needs_blender
def test_good_and_broken_clips_in_one_go(batch, video, tmp_path: Path) -> None:
    """One command; every output opens; each broken clip says why; the page holds all of them; a second run is idle."""
    videos = video("good").parent
    video("odd name (1) ü")
    (videos / "empty.mp4").write_bytes(b"")
    (videos / "notes.mov").write_bytes(b"not a video at all" * 100)
    manifest = tmp_path / "more.json"
    rows = [
        {"clip": str(video("riggless").rename(tmp_path / "r.mp4")), "rig": "/nowhere/hero.blend", "name": "no_rig"},
        {"clip": str(videos / "gone.mp4"), "name": "gone"},
        {"clip": "r.mp4", "rig": "", "format": "bvh", "name": "body"},
    ]
    manifest.write_text(json.dumps(rows))
    words = (videos, manifest, "--rig", RIG, "--format", "clip,bvh,fbx,overlay,sheet", "--blender", BLENDER)
    done = batch(*words)
    assert done.code == 1, done.errors
    wrong = {name: entry["error"] for name, entry in done.report.items() if entry["status"] != "done"}
    assert set(wrong) == {"empty/empty", "notes/notes", "no_rig", "gone"}
    assert "0 bytes" in wrong["empty/empty"]
    assert "not a video" in wrong["notes/notes"]
    assert "/nowhere/hero.blend" in wrong["no_rig"]
    assert "There is no file" in wrong["gone"]
    good = done.report["good/good"]
    assert good["error"] is None
    assert [Path(output).name for output in good["outputs"]] == [Path(one["name"]).name for one in good["files"]]
    assert sum(len(entry["outputs"]) for entry in done.report.values()) == 5 + 5 + 1
    held = contents_of(done.out, BLENDER)
    assert len(held) == 11
    page = (done.out / "index.html").read_text(encoding="utf-8")
    assert page.index("Failed: 4") < page.index('id="clip-good')
    assert page.count("<video ") == 3
    assert 'src="http' not in page
    assert all(
        f'href="{name}"' in page
        for name in ("good/good.fbx", "odd%20name%20%281%29%20%C3%BC/odd%20name%20%281%29%20%C3%BC.bvh")
    )

    began = time.time()
    again = batch(*words)
    assert again.code == 1
    assert {entry["reused"] for entry in again.report.values() if entry["status"] == "done"} == {True}
    assert max(path.stat().st_mtime for path in done.out.glob("*/*.*")) < began


def test_a_rerun_does_what_changed_and_nothing_else(batch, video) -> None:
    first, second = video("a"), video("b")
    before = batch(first, second, "--format", LOOKS)
    assert (before.code, set(before.report)) == (0, {"a/a", "b/b"})
    (before.out / "b" / "b.overlay.mp4").unlink()
    stamps = {path: path.stat().st_mtime_ns for path in before.out.glob("a/*")}
    again = batch(first, second, "--format", LOOKS)
    assert (again.code, again.report["a/a"]["reused"], again.report["b/b"]["reused"]) == (0, True, False)
    assert "solve" not in again.report["b/b"]["seconds"]  # its motion was kept
    assert {path: path.stat().st_mtime_ns for path in before.out.glob("a/*")} == stamps
    assert (before.out / "b" / "b.overlay.mp4").is_file()

    more = batch(first, "--format", "clip,overlay,sheet")
    assert "solve" not in more.report["a/a"]["seconds"]
    assert (more.out / "a" / "a.sheet.png").is_file()


def test_files_of_others_are_left_alone(batch, video, tmp_path: Path) -> None:
    mine = tmp_path / "out" / "a" / "a.overlay.mp4"
    mine.parent.mkdir(parents=True)
    mine.write_text("weeks of work")
    done = batch(video("a"), video("b"), "--format", LOOKS)
    assert (done.code, done.report["b/b"]["status"]) == (1, "done")
    assert done.report["a/a"]["error_code"] == "output"
    assert "not made by this batch" in done.report["a/a"]["error"]
    assert mine.read_text() == "weeks of work"
    forced = batch(video("a"), video("b"), "--format", LOOKS, "--overwrite")
    assert forced.code == 0
    assert mine.stat().st_size > 1000


def test_without_blender_only_what_needs_it_fails(batch, video, tmp_path: Path) -> None:
    manifest = tmp_path / "takes.csv"
    manifest.write_text(f"clip,format\n{video('a')},fbx\n{video('b')},clip\n")
    done = batch(manifest, "--blender", "/nowhere/blender")
    assert done.code == 1
    assert done.report["a/a"]["error_code"] == "blender"
    assert "/nowhere/blender" in done.report["a/a"]["error"]
    assert "--blender" in done.report["a/a"]["error"]
    assert done.report["b/b"]["status"] == "done"


def test_an_output_in_use_fails_its_clip_alone(batch, video, tmp_path: Path) -> None:
    (tmp_path / "out" / "a" / "a.npz" / "held").mkdir(parents=True)
    done = batch(video("a"), video("b"), "--format", "clip", "--overwrite")
    assert done.code == 1
    assert (done.report["a/a"]["error_code"], done.report["b/b"]["status"]) == ("output", "done")
    assert "in use or protected" in done.report["a/a"]["error"]
    assert done.report["a/a"]["attempts"] == 2


def test_a_full_disk_is_named_and_the_rest_finishes(batch, video, tmp_path: Path) -> None:
    """Two clips on a disk of 500 kB: one of 16 frames as clip fits, a contact sheet of another does not."""
    (tmp_path / "out").mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=500k", "none", str(tmp_path / "out")], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small disk needs root")
    try:
        manifest = tmp_path / "takes.csv"
        manifest.write_text(f'clip,format\n{video("large")},"sheet,overlay"\n{video("small")},clip\n')
        done = batch(manifest)
        assert done.code == 1, done.errors
        assert "disk is full" in done.report["large/large"]["error"]
        assert done.report["small/small"]["status"] == "done"
    finally:
        subprocess.run(["umount", "-l", str(tmp_path / "out")], check=True)


def test_two_runs_at_once(start, video) -> None:
    first = start(video("a"), "--format", "clip")
    first.wait_for((first.out / ".batch" / "lock").exists)
    second = start(video("a"), "--format", "clip").finish()
    assert second.code == 6
    assert "Another batch" in second.events[-1]["message"]
    assert first.finish().code == 0


def test_a_range_a_person_or_a_clip_that_cannot_be(batch, video, tmp_path: Path) -> None:
    """Options that only the solve can judge, a damaged clip file, and one that is whole."""
    whole = tmp_path / "videos" / "solved.npz"
    manifest = tmp_path / "takes.json"
    rows = [
        {"clip": str(video("a")), "range": "9:3", "name": "range"},
        {"clip": str(video("a")), "person": "the tall one", "name": "person"},
        {"clip": str(video("a")), "quality": "superb", "name": "quality"},
        {"clip": str(whole), "name": "solved"},
        {"clip": str(tmp_path / "videos" / "torn.npz"), "name": "torn"},
    ]
    shutil.copyfile(RIG.parent / "sample_clip.npz", whole)
    (tmp_path / "videos" / "torn.npz").write_bytes(whole.read_bytes()[:5000])
    manifest.write_text(json.dumps(rows))
    done = batch(manifest, "--format", "clip")
    codes = {name: entry["error_code"] for name, entry in done.report.items()}
    assert codes == dict.fromkeys(("range", "person", "quality", "torn"), "bad_input") | {"solved": None}
    assert (done.out / "solved.npz").is_file()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--format", "dae"), 2),
        (("--name", "{klip}"), 2),
        (("--rate", "fast"), 2),
        (("--restart-blender", "0"), 2),
        (("--ray", ""), 2),
        (("--ray", "127.0.0.1:1"), 8),
    ],
)
def test_what_stops_a_run_before_it_begins(batch, video, words, code) -> None:
    if "--ray" in words:
        pytest.importorskip("ray", reason="the extra `batch` is not installed")
    done: Finished = batch(video("a"), *words)
    assert done.code == code
    assert done.events[-1]["event"] == "error"
    assert done.events[-1]["remedy"]
    assert not (done.out / "report.json").exists()


def test_an_output_folder_that_cannot_be_made(start, tmp_path: Path, video) -> None:
    (tmp_path / "file").write_text("x")
    done = start(video("a"), "--format", "clip", out="file/out").finish()
    assert done.code == 6
    assert os.path.isfile(tmp_path / "file")


def test_another_video_of_the_same_name_is_not_written_over(batch, video, tmp_path: Path) -> None:
    """Cameras number their videos alike: a second card converted into the same folder."""
    days = []
    for day in ("day1", "day2"):
        folder = tmp_path / day
        folder.mkdir()
        days.append(video("C0001").rename(folder / "C0001.mp4"))
    with days[1].open("ab") as other:
        other.write(b"\0" * 16)
    first = batch(days[0].parent, "--format", "clip")
    kept = (first.out / "C0001" / "C0001.npz").read_bytes()
    second = batch(days[1].parent, "--format", "clip")
    assert (second.code, second.report["C0001/C0001"]["error_code"]) == (1, "output")
    assert f"was made of {days[0]}" in second.report["C0001/C0001"]["error"]
    assert (first.out / "C0001" / "C0001.npz").read_bytes() == kept
    moved = days[0].rename(tmp_path / "C0001.mp4")  # the same video elsewhere is the same work
    assert batch(moved, "--format", "clip").report["C0001/C0001"]["reused"]


def test_a_solved_clip_is_drawn_over_the_images_that_it_was_solved_from(batch, video, tmp_path: Path) -> None:
    """A part of a video in slow motion: its times are not the video's own."""
    source = video("slow")
    command = [sys.executable, "-m", "backend", "solve", source, "-o", tmp_path / "slow.npz", "--range", "20:40"]
    options = ["--slow-motion", "4", "--quality", "fast", "--quiet"]
    subprocess.run([str(word) for word in [*command, *options]], check=True, cwd=Path(__file__).parents[2])
    done = batch(tmp_path / "slow.npz", "--format", "overlay,sheet")
    assert done.code == 0, done.errors
    with av.open(str(done.out / "slow" / "slow.overlay.mp4")) as overlay:
        assert len(list(overlay.decode(video=0))) == 20
    sheet = cv2.imread(str(done.out / "slow" / "slow.sheet.png"))
    rows, columns = sheet.shape[0] // 3, sheet.shape[1] // 4
    cells = [sheet[r * rows : (r + 1) * rows, c * columns : (c + 1) * columns] for r in range(3) for c in range(4)]
    assert min(float(cell.std()) for cell in cells) > 10  # no black cell
