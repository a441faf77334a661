"""Which Python can make the backend's environment: what each one is, and why one cannot serve. stdlib only.

Blender's own Python is tried first, so that nothing need be installed; then those that the platform's usual installers
leave behind.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

# The locks of the backend's packages are for these.
VERSIONS = ((3, 11), (3, 12), (3, 13))
_PROBE_S = 20.0
_PROBE = """
import importlib.util, json, struct, sys, sysconfig
missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
threads = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
bits = 8 * struct.calcsize("P")
print(json.dumps([list(sys.version_info[:2]), bits, sysconfig.get_platform(), missing, threads]))
"""
_GET_PYTHON = {
    "win32": "Install Python 3.12, 64-bit, from https://www.python.org/downloads/windows/, then press Set Up Backend",
    "darwin": "Install Python 3.12 from https://www.python.org/downloads/macos/ or with `brew install python@3.12`, "
    "then press Set Up Backend",
    "linux": "Install one with your distribution's tools (Debian and Ubuntu: `sudo apt install python3 python3-venv`; "
    "Fedora: `sudo dnf install python3.12`), then press Set Up Backend",
}


class NoPythonError(RuntimeError):
    """No Python can make the environment; the message says which were tried, and where to get one."""


@dataclass(frozen=True, slots=True)
class PythonFacts:
    """What a Python said of itself. `missing` are the standard modules that its packager left out."""

    version: tuple[int, int]
    bits: int
    platform: str
    missing: tuple[str, ...] = ()
    free_threaded: bool = False

    @property
    def fault(self) -> str:
        """Why it cannot make the environment; empty when it can."""
        name = f"Python {self.version[0]}.{self.version[1]}"
        if self.version not in VERSIONS:
            return f"is {name}; 3.11, 3.12 or 3.13 is needed"
        if self.bits != 64:
            return f"is a {self.bits}-bit {name}; a 64-bit one is needed"
        if self.platform == "win-arm64":
            return f"is {name} for ARM, for which OpenCV has no package; the 64-bit x86 Python works on ARM as well"
        if self.free_threaded:
            return f"is {name} without the global interpreter lock, for which there are no packages; use the usual one"
        if self.missing:
            return f"is {name} without the module {self.missing[0]} (Debian and Ubuntu: the package python3-venv)"
        return ""


def probe_python(python: Path) -> PythonFacts | str:
    """What a Python is, asked of itself, or in words why it cannot be started."""
    try:
        return _probe(str(python), python.stat().st_mtime_ns)
    except OSError as fault:
        return f"cannot be started ({fault.strerror or fault})"


@lru_cache(maxsize=64)
def _probe(python: str, _stamp: int) -> PythonFacts | str:
    dropped = {"PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__"}
    try:
        done = subprocess.run(
            (python, "-I", "-c", _PROBE),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_PROBE_S,
            env={key: value for key, value in os.environ.items() if key not in dropped},
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            check=False,
        )
        version, bits, platform, missing, threads = json.loads(done.stdout)
        return PythonFacts((version[0], version[1]), bits, platform, tuple(missing), threads)
    except subprocess.TimeoutExpired:
        return f"did not answer within {_PROBE_S:.0f} s"
    except OSError as fault:
        return f"cannot be started ({fault.strerror or fault})"
    except (ValueError, TypeError, IndexError):
        return f"is no working Python (exit code {done.returncode})"


def choose_python(named: Path | None, own: Path | None, platform: str = sys.platform) -> tuple[Path, PythonFacts]:
    """The Python that makes the environment: `named` alone where it is given, else `own` (Blender's) or a found one.

    Raises NoPythonError.
    """
    tried = []
    for python in [named] if named is not None else _candidates(own, platform):
        facts = probe_python(python)
        fault = facts if isinstance(facts, str) else facts.fault
        if not fault and isinstance(facts, PythonFacts):
            return python, facts
        tried.append(f"{python} {fault}")
    remedy = _GET_PYTHON.get(platform, _GET_PYTHON["linux"])
    if named is not None:
        raise NoPythonError(f"{tried[0]}. Choose another Python for Set-up, or empty the field. {remedy}")
    raise NoPythonError(f"No Python can make the backend's environment ({'; '.join(tried) or 'none found'}). {remedy}")


def _candidates(own: Path | None, platform: str) -> Iterator[Path]:
    """Blender's own Python, then those of the usual installers, newest tested version first."""
    seen = set()
    for path in (*([own] if own is not None else []), *_installed(platform)):
        if path not in seen and path.is_file():
            seen.add(path)
            yield path


def _installed(platform: str) -> Iterator[Path]:
    minors = (12, 13, 11)
    if platform == "win32":
        for root in (os.environ.get("LOCALAPPDATA", "") + r"\Programs\Python", os.environ.get("PROGRAMFILES", "")):
            yield from (Path(root, f"Python3{minor}", "python.exe") for minor in minors if root)
        names = ["python"]
    elif platform == "darwin":
        # never /usr/bin/python3: where the developer tools are missing it opens a window of its own
        for place in ("/opt/homebrew/bin", "/usr/local/bin"):
            yield from (Path(place, f"python3.{minor}") for minor in minors)
        framework = "/Library/Frameworks/Python.framework/Versions"
        yield from (Path(f"{framework}/3.{minor}/bin/python3.{minor}") for minor in minors)
        names = []
    else:
        names = [*(f"python3.{minor}" for minor in minors), "python3"]
    for name in names:
        if (found := shutil.which(name)) is not None:
            yield Path(found)
