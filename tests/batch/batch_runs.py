"""Real `batch` processes, and the Blender that they use where this machine has one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
RENDERED = ROOT / "assets" / "demo_clip.mp4"
RIG = ROOT / "assets" / "demo_character.blend"
BLENDER = ROOT / ".venv-bpy-4.5" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
# sixteen frames with the smaller network: what a batch does around a solve is tested here, not the solve
QUICK = ("--quality", "fast", "--device", "cpu", "--range", "0:16", "--height", "1.7")

# what is tested is what Ctrl-C does to a process group, and Windows sends no other process a SIGINT
needs_signals = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for another process group")
needs_blender = pytest.mark.skipif(not BLENDER.is_file(), reason="no .venv-bpy-4.5: make blender-venvs")


@dataclass
class Finished:
    """A batch that ended."""

    code: int
    events: list[dict[str, Any]]
    errors: str
    out: Path

    @property
    def report(self) -> dict[str, dict[str, Any]]:
        """The report's entries by the clip's name."""
        entries = json.loads((self.out / "report.json").read_text())
        return {entry["name"]: entry for entry in entries}


class Running:
    """A batch in a process group of its own."""

    def __init__(self, out: Path | str, words: tuple[object, ...]) -> None:
        self.out = Path(str(out).rpartition("://")[2])
        command = [sys.executable, "-m", "backend", "batch", *map(str, words), "-o", str(out), "--json"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def wait_for(self, condition: Callable[[], bool], patience_s: float = 120.0) -> None:
        """Wait until something is so, while the batch runs."""
        until = time.monotonic() + patience_s
        while not condition():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < until, "it did not come to that"
            time.sleep(0.02)

    def interrupt(self) -> None:
        """Ctrl-C, which reaches the whole group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def kill(self) -> None:
        """As the power does: the batch itself, at once."""
        self.process.kill()
        self.process.communicate()

    def kill_after(self, seconds: float) -> None:
        """Kill it, unless it is done by then."""
        try:
            self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def finish(self, timeout_s: float = 300.0) -> Finished:
        """Wait for the end."""
        told, errors = self.process.communicate(timeout=timeout_s)
        events = [json.loads(line) for line in told.splitlines()]
        return Finished(self.process.returncode, events, errors, self.out)
