"""No tracked file holds the marks of an unfinished merge."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]


def test_no_file_holds_conflict_markers():
    if not (_ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    marks = r"^(<{7}|>{7}) "
    found = subprocess.run(
        ["git", "-c", f"safe.directory={_ROOT}", "grep", "-n", "-I", "-E", marks],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 1, found.stdout + found.stderr  # 1: nothing found
