"""A set-up at work: its commands one after the other, each a child process, with a log, progress and a cancel. stdlib.

Nothing here waits: `SetupRun.poll` is called from a timer.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from ..wire.interpreter import direct_interpreter
from .setup_faults import explain

_TAIL_BYTES = 16_384
_OUTPUT_BYTES = 262_144
_STOP_S = 0.5
_SWAP_S = 20.0


@dataclass(frozen=True, slots=True)
class SetupStep:
    """One command of the set-up, with a title for people.

    `share` is its part of the whole in time; `packages` is how many packages it collects, for its progress.
    """

    title: str
    command: tuple[str, ...]
    share: float = 1.0
    packages: int = 0


@dataclass(frozen=True, slots=True)
class SetupPlan:
    """What will run: `environment` is the folder to make, `steps` the exact commands, in order.

    `final` is where the finished environment goes; None where it is made in its place.
    """

    environment: Path
    steps: tuple[SetupStep, ...]
    final: Path | None = None

    def as_text(self) -> str:
        """The commands as lines for a terminal."""
        return "\n".join(command_line(step.command) for step in self.steps)


def command_line(command: tuple[str, ...]) -> str:
    """A command as this platform's terminal takes it."""
    return subprocess.list2cmdline(command) if os.name == "nt" else shlex.join(command)


@dataclass(slots=True)
class SetupRun:
    """A set-up at work. `state` is "running", "done", "failed" or "cancelled"; call `poll` from a timer.

    `remedy` says what to do where it failed.
    """

    plan: SetupPlan
    log_path: Path
    state: str = "running"
    step: int = 0
    message: str = ""
    remedy: str = ""
    _child: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _log: BinaryIO | None = field(default=None, repr=False)
    _step_start: int = 0
    _swap_by_s: float = 0.0

    def poll(self) -> str:
        """Look at the running step, start the next one when it has ended; returns `state`, never waits."""
        if self.state != "running":
            return self.state
        if self._swap_by_s:
            self._swap()
        elif self._child is None:
            self._start_step()
        else:
            code = self._child.poll()
            if code is not None:
                self._step_ended(code)
        return self.state

    def cancel(self) -> None:
        """Stop the running step and its children; the half-made environment is removed."""
        if self.state != "running":
            return
        if self._child is not None:
            _stop(self._child)
        self._finish("cancelled", "Set-up stopped; the half-made environment was removed")

    def title(self) -> str:
        """The running step for people, with its place."""
        step = min(self.step, len(self.plan.steps) - 1)
        return f"{step + 1} of {len(self.plan.steps)}: {self.plan.steps[step].title}"

    def progress(self) -> float:
        """How much is done, 0 to 1, by the share of each step and the packages that were collected."""
        if self.state == "done":
            return 1.0
        steps = self.plan.steps
        done = sum(step.share for step in steps[: self.step])
        if self.step < len(steps) and steps[self.step].packages:
            collected = self._output().count("Collecting ")
            done += steps[self.step].share * min(collected / (steps[self.step].packages + 1), 1.0)
        return float(done / sum(step.share for step in steps))

    def log_tail(self, lines: int = 6) -> list[str]:
        """The last lines of the log."""
        text = self._read(_TAIL_BYTES)
        return [line for line in text.replace("\r", "\n").split("\n") if line.strip()][-lines:]

    def _output(self) -> str:
        """What the running step has said, the end of it where it is long."""
        size = self.log_path.stat().st_size if self.log_path.is_file() else 0
        return self._read(min(_OUTPUT_BYTES, max(size - self._step_start, 0)))

    def _read(self, most_bytes: int) -> str:
        try:
            with self.log_path.open("rb") as stream:
                stream.seek(max(self.log_path.stat().st_size - most_bytes, 0))
                return stream.read().decode("utf-8", "replace")
        except OSError:
            return ""

    def _start_step(self) -> None:
        step = self.plan.steps[self.step]
        try:
            if self._log is None:
                self.log_path.parent.mkdir(parents=True, exist_ok=True)
                self.plan.environment.parent.mkdir(parents=True, exist_ok=True)
                self._log = self.log_path.open("wb")
            self._log.write(f"\n$ {command_line(step.command)}\n".encode())
            self._log.flush()
            self._step_start = self._log.tell()
            interpreter = direct_interpreter(Path(step.command[0]))
            self._child = subprocess.Popen(
                (str(interpreter.program), *step.command[1:]),
                stdout=self._log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=interpreter.started_with(clean_environment()),
                cwd=self.plan.environment.parent,  # Blender's current folder is anybody's
                start_new_session=os.name != "nt",
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError as fault:
            self._fail(step, *explain(str(fault), 1))

    def _step_ended(self, code: int) -> None:
        step = self.plan.steps[self.step]
        self._child = None
        if code != 0:
            self._fail(step, *explain(self._output(), code))
        elif self.step + 1 < len(self.plan.steps):
            self.step += 1
            self._start_step()
        elif self.plan.final is None:
            self._finish("done", f"The backend is ready in {self.plan.environment}")
        else:
            self._swap_by_s = time.monotonic() + _SWAP_S
            self._swap()

    def _swap(self) -> None:
        """Put the finished environment in its place; a virus scanner or a backend that ends may hold it for a while."""
        final = self.plan.final
        assert final is not None
        old = final.with_name(final.name + ".old")
        try:
            shutil.rmtree(old, ignore_errors=True)
            if final.exists():
                os.replace(final, old)
            try:
                os.replace(self.plan.environment, final)
            except OSError:
                if old.exists():
                    os.replace(old, final)
                raise
        except OSError as fault:
            if time.monotonic() > self._swap_by_s:
                words, remedy = (
                    f"the new environment cannot take the place of {final} ({fault})",
                    ("Close other Blenders that use the backend, then try again"),
                )
                self._fail(SetupStep("Put it in its place", ()), words, remedy)
            return
        shutil.rmtree(old, ignore_errors=True)
        self._finish("done", f"The backend is ready in {final}")

    def _fail(self, step: SetupStep, words: str, remedy: str) -> None:
        self.remedy = remedy
        end = f". {remedy}" if remedy else ""
        self._finish("failed", f"{step.title}: {words}{end}. The log is {self.log_path}")

    def _finish(self, state: str, message: str) -> None:
        self.state, self.message, self._child, self._swap_by_s = state, message, None, 0.0
        if self._log is not None:
            self._log.close()
            self._log = None
        if state != "done":
            _remove(self.plan.environment)


def clean_environment() -> dict[str, str]:
    """The environment for a child Python: without Blender's own Python paths, which would shadow its packages."""
    dropped = {"PYTHONHOME", "PYTHONPATH", "PYTHONNOUSERSITE", "VIRTUAL_ENV"}
    kept = {key: value for key, value in os.environ.items() if key not in dropped}
    return kept | {"PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1", "PYTHONSAFEPATH": "1"}


def _remove(folder: Path) -> None:
    """Remove a folder; Windows lets go of a killed process's files a moment later."""
    for _ in range(10):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.05)


def _stop(child: subprocess.Popen[bytes]) -> None:
    """End a step and what it started: pip and ensurepip have children of their own."""
    if sys.platform == "win32":
        command = ("taskkill", "/F", "/T", "/PID", str(child.pid))
        with suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=5.0, check=False)
        child.kill()
        with suppress(OSError, subprocess.TimeoutExpired):
            child.wait(timeout=_STOP_S)
        return
    try:
        os.killpg(child.pid, signal.SIGTERM)
        child.wait(timeout=_STOP_S)
    except ProcessLookupError:
        pass
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait(timeout=_STOP_S)
