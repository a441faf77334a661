"""Whatever happens to the output, the names and the process: a command ends in words, quietly or with its work done."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from backend.cli.output import cancel_on_interrupt
from backend.errors import OutputError
from backend.solving.outputs import check_output

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "assets" / "demo_clip.mp4"
QUICK = ("--quality", "fast", "--device", "cpu", "--range", ":8")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes and signals as on POSIX")


def run(*words: object, folder: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "backend", *map(str, words)],
        cwd=folder,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        timeout=120,
    )


def test_characters_that_the_terminal_lacks_end_nothing(tmp_path: Path) -> None:
    name = "跳舞"
    shutil.copyfile(DEMO, tmp_path / f"{name}.mp4")
    words = ("solve", f"{name}.mp4", "-o", f"{name}.npz", "--overlay", f"{name}.look.mp4", *QUICK)
    done = run(*words, folder=tmp_path, PYTHONIOENCODING="cp1252")
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr
    assert (tmp_path / f"{name}.look.mp4").stat().st_size > 1000
    listed = run("tracks", f"{name}.mp4", "--sheet", f"{name}.png", *QUICK, folder=tmp_path, PYTHONIOENCODING="ascii")
    assert (listed.returncode, b"wrote" in listed.stdout) == (0, True), listed.stderr


def test_a_name_that_is_no_utf8_is_solved(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    shutil.copyfile(DEMO, tmp_path / f"{name}.mp4")
    done = run("solve", f"{name}.mp4", "-o", f"{name}.npz", *QUICK, folder=tmp_path)
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr
    assert (tmp_path / f"{name}.npz").is_file()


def test_a_reader_that_has_seen_enough_ends_it_quietly(tmp_path: Path) -> None:
    command = f"{sys.executable} -m backend solve {DEMO} -o a.npz --json {' '.join(QUICK)} 2>told | head -1"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, check=False, timeout=120
    )
    assert done.stdout.startswith(b'{"event"')
    assert (tmp_path / "told").read_bytes() == b""


def test_closed_streams_are_no_reason_to_fail(tmp_path: Path) -> None:
    command = f"{sys.executable} -m backend solve {DEMO} -o a.npz {' '.join(QUICK)} >&- 2>&-"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=environment, check=False, timeout=120)
    assert done.returncode == 0
    assert (tmp_path / "a.npz").is_file()


def test_names_at_the_limit_work_or_are_refused_before_the_work(tmp_path: Path) -> None:
    longest = "y" * 243
    check_output(tmp_path / f"{longest}.npz")
    with pytest.raises(OutputError, match="File name too long"):
        check_output(tmp_path / f"{longest}y.npz")
    done = run("solve", DEMO, "-o", f"{longest}.npz", *QUICK, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / f"{longest}.npz").is_file()


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p.mp4")
    began = time.monotonic()
    done = run("solve", "p.mp4", "-o", "a.npz", folder=tmp_path)
    assert (done.returncode, b"is a pipe" in done.stderr) == (3, True), done.stderr
    assert time.monotonic() - began < 30.0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("solve", DEMO, "-o", "a.npz", "--person", "100,100@9999"), b"outside the video"),
        (("solve", DEMO, "-o", "a.npz", "--fps", "50"), b"--fps 50 is for image sequences"),
        (("solve", DEMO, "-o", "a.npz", "--no-preview"), b"--no-preview"),
        (("batch", DEMO, "-o", "out", "--format", "clip", "--fps", "50"), b"--fps is for image sequences"),
        (("batch", DEMO, "-o", "out", "--format", "clip", "--memory", "1K"), b"less than any worker needs"),
        (("batch", DEMO, "-o", "out", "--format", "clip", "--armature", "Rig"), b"Give --rig FILE too"),
        (("batch", DEMO, "-o", "out", "--format", "clip", "--rig", "a.blend"), b"--rig is not used"),
    ],
)
def test_options_that_nothing_uses_are_refused(tmp_path: Path, words: tuple[object, ...], said: bytes) -> None:
    done = run(*words, folder=tmp_path)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr


def test_a_click_outside_the_range_is_refused(tmp_path: Path) -> None:
    done = run("solve", DEMO, "-o", "a.npz", "--person", "100,100@40", *QUICK, folder=tmp_path)
    assert (done.returncode, b"outside the part that is read, frames 0 to 7" in done.stderr) == (2, True), done.stderr


def test_a_termination_ends_work_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.cli.output._FINISH_S", 0.3)
    with cancel_on_interrupt() as cancel:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            time.sleep(10.0)
    assert cancel.cancelled


_DEAF = """
import signal, time, os
import backend.cli.output as output
output._FINISH_S = output._LEAVE_S = 0.3
with output.cancel_on_interrupt():
    print("ready", flush=True)
    while True:
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            pass
"""


def test_a_termination_ends_even_what_takes_no_notice() -> None:
    deaf = subprocess.Popen([sys.executable, "-c", _DEAF], cwd=ROOT, stdout=subprocess.PIPE)
    assert deaf.stdout is not None
    assert deaf.stdout.readline() == b"ready\n"
    deaf.terminate()
    assert deaf.wait(10.0) == 130
    deaf.stdout.close()
