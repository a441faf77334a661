"""The Blender suite's runner: repeats the run once when the process dies by a signal, never a failed test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_RUNNER = Path(__file__).resolve().parents[2] / "tools" / "blender_pytest.py"

# dies in the first run (or always), as Blender does: by a signal, before pytest can report
_DYING = """
import os, pathlib, signal
def test_it():
    mark = pathlib.Path(os.environ["MARK"])
    runs = int(mark.read_text()) + 1 if mark.exists() else 1
    mark.write_text(str(runs))
    if runs <= int(os.environ["DEATHS"]):
        os.kill(os.getpid(), signal.SIGSEGV)
"""


@pytest.mark.parametrize(("deaths", "status", "runs"), [(0, 0, 1), (1, 0, 2), (9, 139, 2)])
def test_death_by_a_signal_is_repeated_once(deaths, status, runs, tmp_path):
    (tmp_path / "test_dying.py").write_text(_DYING)
    mark = tmp_path / "runs"
    done = subprocess.run(
        [sys.executable, _RUNNER, "-p", "no:cacheprovider", tmp_path / "test_dying.py"],
        env=os.environ | {"MARK": str(mark), "DEATHS": str(deaths)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, int(mark.read_text())) == (status, runs)
    assert done.stderr.count("Blender itself died (SIGSEGV)") == min(deaths, 2)


def test_a_failed_test_is_not_repeated(tmp_path):
    (tmp_path / "test_failing.py").write_text(
        f"def test_it():\n    open({str(tmp_path / 'runs')!r}, 'a').write('x')\n    assert 0\n"
    )
    done = subprocess.run(
        [sys.executable, _RUNNER, "-p", "no:cacheprovider", tmp_path / "test_failing.py"],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert (tmp_path / "runs").read_text() == "x"
