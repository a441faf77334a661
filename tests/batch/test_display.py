"""What `batch` shows: a block drawn again and again on a terminal, lines in a log. Real runs of clips solved before."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.batch.batch_runs import ROOT

pty = pytest.importorskip("pty", reason="there are no pseudo-terminals on this system")
SOLVED = ROOT / "assets" / "sample_clip.npz"
REDRAWN = re.compile(r"\x1b\[(\d+)F\x1b\[0J")


@pytest.fixture
def shoot(tmp_path: Path) -> Path:
    folder = tmp_path / "shoot"
    folder.mkdir()
    for name in ("first", "second"):
        (folder / f"{name}.npz").write_bytes(SOLVED.read_bytes())
    (folder / "torn.mp4").write_bytes(b"")
    return folder


def command(shoot: Path, *words: str) -> list[str]:
    formats = ("--format", "clip,sheet", "-o", str(shoot.parent / "out"))
    return [sys.executable, "-m", "backend", "batch", str(shoot), *formats, *words]


def on_a_terminal(words: list[str]) -> tuple[int, str, str]:
    """Exit code, standard output, and all that reached the terminal behind standard error."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=theirs, text=True) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # how Linux says that the other side is closed
                break
            if not part:
                break
            shown += part
        assert process.stdout is not None
        out = process.stdout.read()
    os.close(ours)
    return process.returncode, out, shown.decode()


def test_a_terminal_gets_a_block_that_is_drawn_again_and_taken_away(shoot: Path) -> None:
    code, out, shown = on_a_terminal(command(shoot))
    assert code == 1
    blocks = re.findall(r"\[[#-]{24}\] +\d/3 clips", shown)
    assert len(blocks) >= 2
    assert "solver 1" in shown
    assert "preview 1" in shown
    drawn_again = {int(lines) for lines in REDRAWN.findall(shown)}
    assert len(drawn_again) == 1, "every block is as high as the one that it replaces"
    assert drawn_again.pop() >= 4
    last = REDRAWN.split(shown)[-1]
    assert not re.search(r"\[[#-]{24}\]", last), "no bar is left on the screen"
    assert re.search(r"3 clips: 2 done, 1 failed in ", last + out)
    assert "failed: torn/torn: " in last + out


def test_a_log_gets_lines_without_control_marks(shoot: Path) -> None:
    done = subprocess.run(command(shoot), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "\x1b" not in done.stderr + done.stdout
    told = [line for line in done.stderr.splitlines() if line.startswith("done ")]
    assert {line.split()[1] for line in told} == {"first/first", "second/second"}
    assert "failed  torn/torn: " in done.stderr


def test_quiet_leaves_the_account_and_no_progress(shoot: Path) -> None:
    done = subprocess.run(command(shoot, "--quiet"), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == ""
    assert done.stdout.startswith("3 clips: 2 done, 1 failed in ")
    entries = json.loads((shoot.parent / "out" / "report.json").read_text())
    assert {entry["name"]: entry["status"] for entry in entries} == {
        "first/first": "done",
        "second/second": "done",
        "torn/torn": "failed",
    }
