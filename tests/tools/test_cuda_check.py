"""The script that measures a CUDA device, on what every machine has."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools import cuda_check
from tools.cuda_check import CANNOT_RUN, Part, Report, run_part

ROOT = Path(__file__).resolve().parents[2]


def report(tmp_path: Path, seconds: float) -> Report:
    return Report(tmp_path / "table.md", time.monotonic() + seconds)


def test_a_machine_without_the_device_is_told(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    done = subprocess.run(
        (sys.executable, "tools/cuda_check.py", "--output", str(tmp_path / "t.md")),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == CANNOT_RUN
    assert "CANNOT RUN" in done.stdout
    assert not (tmp_path / "t.md").exists()


def test_rows_are_kept_as_they_come_and_failures_counted(tmp_path: Path) -> None:
    kept = report(tmp_path, 60.0)
    run_part(kept, Part("good", ("-c", "print('a 1'); print('b 2'); print('a 3')"), "a"))
    assert not kept.failed
    assert "| good | a 1; a 3 (" in kept.path.read_text(encoding="utf-8")
    run_part(kept, Part("bad", ("-c", "import sys; print('x'); sys.exit('broken')")))
    assert kept.failed
    assert "failed (1): x broken" in kept.path.read_text(encoding="utf-8")


def test_without_time_nothing_is_begun_and_a_part_that_takes_longer_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = report(tmp_path, 5.0)
    run_part(late, Part("late", ("-c", "print('never')")))
    assert "not run: no time was left" in late.path.read_text(encoding="utf-8")
    assert not late.failed
    monkeypatch.setattr(cuda_check, "_LEAST_S", 0.5)
    slow = report(tmp_path, 2.0)
    run_part(slow, Part("slow", ("-c", "import time; time.sleep(60)")))
    assert "cut off after" in slow.path.read_text(encoding="utf-8")
    assert slow.failed
