"""Make the backend's own Python environment, step by step, with a log and a cancel. stdlib only, free of bpy.

Nothing runs in Blender's process: each step is a child with its output in a log file, polled from a timer. The same
commands can be pasted into a terminal.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

PACKAGE = "marionet"
_TAIL_BYTES = 16_384
_STOP_S = 0.5


class SetupError(RuntimeError):
    """The environment cannot be made as asked; the message says what to change."""


@dataclass(frozen=True, slots=True)
class SetupStep:
    """One command of the set-up, with a title for people."""

    title: str
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SetupPlan:
    """What will run: `environment` is the folder to make, `steps` the exact commands, in order."""

    environment: Path
    steps: tuple[SetupStep, ...]

    def as_text(self) -> str:
        """The commands as lines for a terminal."""
        return "\n".join(command_line(step.command) for step in self.steps)


def command_line(command: tuple[str, ...]) -> str:
    """A command as this platform's terminal takes it."""
    return subprocess.list2cmdline(command) if os.name == "nt" else shlex.join(command)


def environment_python(environment: Path) -> Path:
    """The Python of a virtual environment."""
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def plan_setup(python: Path, environment: Path, package: str = PACKAGE) -> SetupPlan:
    """Plan the environment: `python` makes it, `package` is a folder with pyproject.toml, a wheel or a package name.

    Raises SetupError when Python is missing or a named file does not exist.
    """
    if shutil.which(str(python)) is None:
        raise SetupError(f"There is no Python at {python}. Name one of version 3.11 or later in the preferences")
    source = Path(package).expanduser()
    looks_like_path = source.is_absolute() or os.sep in package or package.endswith(".whl")
    if looks_like_path and not source.exists():
        raise SetupError(f"{source} does not exist. Name a folder with Marionet's source, a wheel, or a package name")
    if source.is_dir() and not (source / "pyproject.toml").is_file():
        raise SetupError(f"{source} holds no pyproject.toml, so it is not Marionet's source folder")
    inner = str(environment_python(environment))
    wanted = str(source) if looks_like_path else package
    return SetupPlan(
        environment,
        (
            SetupStep("Make an environment of its own", (str(python), "-m", "venv", "--clear", str(environment))),
            SetupStep("Install the backend", (inner, "-m", "pip", "install", "--no-input", wanted)),
            SetupStep("Check it", (inner, "-m", "backend", "doctor")),
        ),
    )


def find_backend_python(candidates: list[Path]) -> Path | None:
    """The first Python among candidates (files or environment folders) that exists; the backend is not run."""
    for candidate in candidates:
        python = environment_python(candidate) if candidate.is_dir() else candidate
        if python.is_file():
            return python
    return None


@dataclass(slots=True)
class SetupRun:
    """A set-up at work. `state` is "running", "done", "failed" or "cancelled"; call `poll` from a timer."""

    plan: SetupPlan
    log_path: Path
    state: str = "running"
    step: int = 0
    message: str = ""
    _child: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _log: BinaryIO | None = field(default=None, repr=False)

    def poll(self) -> str:
        """Look at the running step, start the next one when it has ended; returns `state`, never waits."""
        if self.state != "running":
            return self.state
        if self._child is None:
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
        shutil.rmtree(self.plan.environment, ignore_errors=True)

    def title(self) -> str:
        """The running step for people, with its place."""
        step = min(self.step, len(self.plan.steps) - 1)
        return f"{step + 1} of {len(self.plan.steps)}: {self.plan.steps[step].title}"

    def log_tail(self, lines: int = 6) -> list[str]:
        """The last lines of the log."""
        if not self.log_path.is_file():
            return []
        with self.log_path.open("rb") as stream:
            stream.seek(max(self.log_path.stat().st_size - _TAIL_BYTES, 0))
            text = stream.read().decode("utf-8", "replace")
        return [line for line in text.replace("\r", "\n").split("\n") if line.strip()][-lines:]

    def _start_step(self) -> None:
        step = self.plan.steps[self.step]
        try:
            if self._log is None:
                self.log_path.parent.mkdir(parents=True, exist_ok=True)
                self._log = self.log_path.open("wb")
            self._log.write(f"\n$ {command_line(step.command)}\n".encode())
            self._log.flush()
            self._child = subprocess.Popen(
                step.command,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=clean_environment(),
                start_new_session=os.name != "nt",
            )
        except OSError as fault:
            self._finish("failed", f"{step.title}: {fault}")

    def _step_ended(self, code: int) -> None:
        step = self.plan.steps[self.step]
        self._child = None
        if code != 0:
            self._finish("failed", f"{step.title}: the command ended with {code}; the log {self.log_path} says why")
        elif self.step + 1 == len(self.plan.steps):
            self._finish("done", f"The backend is ready in {self.plan.environment}")
        else:
            self.step += 1
            self._start_step()

    def _finish(self, state: str, message: str) -> None:
        self.state, self.message, self._child = state, message, None
        if self._log is not None:
            self._log.close()
            self._log = None


def clean_environment() -> dict[str, str]:
    """The environment for a child Python: without Blender's own Python paths, which would shadow its packages."""
    dropped = {"PYTHONHOME", "PYTHONPATH", "PYTHONNOUSERSITE", "VIRTUAL_ENV"}
    return {key: value for key, value in os.environ.items() if key not in dropped} | {"PYTHONUNBUFFERED": "1"}


def blender_python() -> Path:
    """The Python that Blender brings along: able to make environments, so that nothing need be installed first."""
    return Path(sys.executable)


def _stop(child: subprocess.Popen[bytes]) -> None:
    try:
        if os.name == "nt":
            child.terminate()
        else:
            os.killpg(child.pid, signal.SIGTERM)  # pip's own children too
        child.wait(timeout=_STOP_S)
    except ProcessLookupError:
        pass
    except subprocess.TimeoutExpired:
        if os.name == "nt":
            child.kill()
        else:
            os.killpg(child.pid, signal.SIGKILL)
        child.wait(timeout=_STOP_S)
