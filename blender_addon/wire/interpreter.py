"""How to start a Python so that the started process is the interpreter itself. stdlib only.

The `python.exe` of a Windows virtual environment is a small launcher: it starts the base interpreter as its child, so
its process id, its memory and its end are not those of the program that runs. `multiprocessing` starts the base
interpreter instead and names the environment in `__PYVENV_LAUNCHER__` (Lib/multiprocessing/popen_spawn_win32.py); so
does this module.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

LAUNCHER_VARIABLE = "__PYVENV_LAUNCHER__"
# Set for a started backend, which repeats it in its connection file: whoever started it knows its own, whatever
# launcher, alias or script lies between the two processes.
LAUNCH_ID_VARIABLE = "MARIONET_LAUNCH_ID"
_CONFIG = "pyvenv.cfg"
# venv writes "executable", virtualenv "base-executable"; "home" is the folder, which both and uv write
_BASE_KEYS = ("base-executable", "executable")


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A program to start, and the environment variables that it needs beside the usual ones."""

    program: Path
    environment: dict[str, str] = field(default_factory=dict)

    def started_with(self, environment: dict[str, str]) -> dict[str, str]:
        """`environment` for this interpreter: another environment's launcher variable must not lead it astray."""
        kept = {name: value for name, value in environment.items() if name.upper() != LAUNCHER_VARIABLE}
        return {**kept, **self.environment}


def direct_interpreter(python: Path, platform: str = sys.platform) -> Interpreter:
    """The interpreter behind `python`: `python` itself, save for the launcher of a Windows virtual environment.

    Where the base interpreter cannot be found, `python` is returned: it works, with a process in between.
    """
    if platform != "win32":
        return Interpreter(python)
    config = next((path for path in (python.parent / _CONFIG, python.parent.parent / _CONFIG) if path.is_file()), None)
    base = _base_program(config, python.name) if config is not None else None
    if base is None:
        return Interpreter(python)
    return Interpreter(base, {LAUNCHER_VARIABLE: str(python)})


def _base_program(config: Path, name: str) -> Path | None:
    """The base interpreter that a pyvenv.cfg names; None when it names none that is there."""
    try:
        lines = config.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError:
        return None
    values = {
        key.strip().lower(): value.strip() for key, mark, value in (line.partition("=") for line in lines) if mark
    }
    named = [Path(values[key]) for key in _BASE_KEYS if values.get(key)]
    home = Path(values["home"]) if values.get("home") else None
    if home is not None:
        named = [home / name, *named, home / "python.exe"]
    return next((path for path in named if path.is_absolute() and path.is_file()), None)
