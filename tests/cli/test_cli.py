"""The command line's frame: help, lazy commands, progress text, events, interrupts, doctor."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from backend.cli import COMMANDS, main
from backend.cli.doctor import findings
from backend.cli.output import Terminal, cancel_on_interrupt, clock_text, progress_line
from backend.types import Progress

REPOSITORY = Path(__file__).resolve().parents[2]


def test_every_command_is_there_and_has_help(capsys):
    for command in COMMANDS:
        with pytest.raises(SystemExit) as ended:
            main([command.name, "--help"])
        assert ended.value.code == 0
        assert "usage" in capsys.readouterr().out


def test_help_lists_commands_and_no_command_prints_it(capsys):
    assert main([]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert all(f"{command.name} {command.summary}" in out for command in COMMANDS)


def test_unknown_command_is_an_argument_error(capsys):
    assert main(["dance"]) == 2
    assert "dance" in capsys.readouterr().err
    assert main(["solve", "a.mp4", "-o", "a.npz", "--quality", "silly", "--json"]) == 2
    event = json.loads(capsys.readouterr().out)
    assert (event["event"], event["code"]) == ("error", "bad_input")
    assert "silly" in event["message"]


def test_words_that_begin_with_a_minus_and_verbose_anywhere(capsys, tmp_path):
    missing = str(tmp_path / "a.mp4")
    for option, value in (("--gravity", "-0.05,0.99,0.1"), ("--range", "-8s")):
        assert main(["solve", missing, "-o", str(tmp_path / "a.npz"), option, value]) == 3  # read, and no video there
        assert "There is no file" in capsys.readouterr().err
    assert main(["tracks", missing, "--verbose"]) == 3


def test_starting_does_not_import_heavy_packages():
    heavy = {"torch", "cv2", "av", "onnxruntime", "scipy", "matplotlib", "zmq"}
    code = f"import sys, backend.cli as c; c._build_parser(None); print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_missing_package_breaks_its_command_only(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    for name in [
        n for n in sys.modules if n.startswith(("backend.cli.tracks", "backend.video", "backend.visualization"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    assert main(["tracks", "a.mp4"]) == 2
    assert "needs the package 'av'" in capsys.readouterr().err


def test_errors_become_text_or_events_with_their_exit_code(capsys, tmp_path):
    missing = str(tmp_path / "nowhere.mp4")
    assert main(["tracks", missing]) == 3
    captured = capsys.readouterr()
    assert "no file" in captured.err
    assert not captured.out
    assert main(["tracks", missing, "--json"]) == 3
    event = json.loads(capsys.readouterr().out)
    assert event["event"] == "error"
    assert event["code"] == "video"
    assert event["exit_code"] == 3
    assert event["remedy"]


def test_progress_line_shows_share_and_estimate():
    line = progress_line(Progress("people", 30, 120, 65.0))
    assert line.startswith("people   [#######-----")
    assert "30/120" in line
    assert "25%" in line
    assert "1:05 left" in line
    assert clock_text(7384.2) == "2:03:04"


def test_progress_without_a_terminal_names_each_stage_once(capsys):
    terminal = Terminal()
    for done in range(5):
        terminal.progress(Progress("people", done, 5))
    terminal.progress(Progress("poses", 0, 1))
    assert capsys.readouterr().err == "people ...\nposes ...\n"


def test_json_progress_is_thinned_but_ends_complete(capsys):
    terminal = Terminal(as_json=True)
    for done in range(1, 1001):
        terminal.progress(Progress("people", done, 1000, 1.0))
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(events) < 20
    assert events[-1] == {"event": "progress", "stage": "people", "done": 1000, "total": 1000, "remaining_s": 1.0}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_sets_the_token_and_a_second_one_ends(number):
    before = signal.getsignal(number)
    with cancel_on_interrupt() as token:
        signal.raise_signal(number)
        assert token.cancelled
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_doctor_finds_this_machine_able(capsys):
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "decoder hevc" in out
    assert "network pose_heavy" in out
    assert "this machine can solve" in out


def test_doctor_names_a_damaged_network_with_its_remedy(capsys, monkeypatch, tmp_path: Path):
    monkeypatch.setattr("backend.networks.weights_file.WEIGHTS_DIRECTORY", tmp_path)
    assert main(["doctor", "--json"]) == 5
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    faults = [event for event in events if event["state"] == "fault"]
    assert {fault["subject"] for fault in faults} >= {"network pose_heavy", "network pose_detector"}
    assert all(fault["remedy"] for fault in faults)


def test_findings_are_complete_enough_to_report_a_bug():
    subjects = {finding.subject for finding in findings()}
    assert {"python", "package onnxruntime", "decoder av1", "device auto", "blender for batch", "disk"} <= subjects


def test_doctor_warns_of_a_blender_that_is_not_there_and_can_solve_all_the_same(capsys, monkeypatch, tmp_path: Path):
    monkeypatch.setenv("MARIONET_BLENDER", str(tmp_path / "gone"))
    assert main(["doctor", "--json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (blender,) = [event for event in events if event.get("subject") == "blender for batch"]
    assert blender["state"] == "warning"
    assert str(tmp_path / "gone") in blender["found"]
    assert "MARIONET_BLENDER" in blender["remedy"]


def test_tracks_lists_people_with_a_sheet(capsys, tmp_path: Path, repository: Path):
    sheet = tmp_path / "people.png"
    video = str(repository / "assets" / "demo_clip.mp4")
    assert main(["tracks", video, "--range", "80:90", "--quality", "fast", "--sheet", str(sheet), "--json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    people = [event for event in events if event["event"] == "track"]
    assert [person["person"] for person in people] == [0]
    assert people[0]["frames"] == 10
    assert 150 < people[0]["height_px"] < 400
    assert sheet.stat().st_size > 5000


def test_tracks_of_a_take_lists_each_video_and_says_what_has_nothing_in_common(
    capsys, tmp_path: Path, repository: Path
):
    """Eight frames are too few to find the same person: the second video is named, and each has its sheet."""
    sheet, video = tmp_path / "people.png", str(repository / "assets" / "demo_clip.mp4")
    words = ("--range", "80:88", "--quality", "fast", "--sheet", str(sheet), "--json")
    assert main(["tracks", video, video, *words]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    people = [(event["video"], event["person"]) for event in events if event["event"] == "track"]
    assert people == [(1, 0), (2, 0)]
    assert any("video 2 (demo_clip.mp4) is left out" in event.get("message", "") for event in events)
    assert not [event for event in events if event["event"] == "same"]
    assert {event["video"] for event in events if event["event"] == "progress"} >= {1, 2}
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["people.0.png", "people.1.png"]
    assert main(["tracks", video, "--offset", "1.0", "--json"]) == 2
    assert "for several videos" in capsys.readouterr().out


def test_a_name_outside_the_pipes_characters_does_not_end_the_command(tmp_path: Path):
    """As on Windows, where a pipe has the code page's characters: solve, plot and the lines that name them."""
    folder = tmp_path / "Renée Øst 日本"
    folder.mkdir()
    video = folder / "歩く.mp4"
    video.write_bytes((REPOSITORY / "assets" / "demo_clip.mp4").read_bytes())
    words = (
        "solve",
        video,
        "-o",
        folder / "歩く.npz",
        "--quality",
        "fast",
        "--range",
        "0:8",
        "--plot",
        folder / "図.png",
    )
    done = subprocess.run(
        (sys.executable, "-m", "backend", *map(str, words)),
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONIOENCODING": "cp1252", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "図.png").is_file()
    assert rb"\u6b69\u304f.npz" in done.stdout
    done = subprocess.run(
        (sys.executable, "-m", "backend", "solve", str(folder / "無い.mp4"), "-o", str(folder / "x.npz")),
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONIOENCODING": "cp1252"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 3
    assert b"Traceback" not in done.stderr
