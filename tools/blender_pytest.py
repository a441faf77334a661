"""pytest inside Blender as a library: `.venv-bpy-4.5/bin/python tools/blender_pytest.py tests/blender`.

The tests run in a child process, which ends as soon as pytest has reported: after an image was rendered without a
display, Blender 4.5 waits for its own GPU thread at exit and never ends. Where Blender itself dies by a signal (seen
once in Blender 4.2: a segmentation fault inside its own glTF importer), the whole run is repeated once, loudly; a
failed test is never repeated.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[1]
_INSIDE = "--inside-blender"
_RUNS = 2


def main(arguments: list[str]) -> int:
    """Run pytest with these arguments from the repository's root; its exit code, or 128 + the signal that killed it."""
    status = 0
    for run in range(1, _RUNS + 1):
        status = subprocess.call([sys.executable, __file__, _INSIDE, *arguments], cwd=_ROOT)
        if status >= 0:
            return status
        name = signal.Signals(-status).name
        sys.stderr.write(f"\n=== Blender itself died ({name}) in run {run} of {_RUNS}; its stack is above\n\n")
        sys.stderr.flush()
        if -status in {signal.SIGINT, signal.SIGTERM, signal.SIGKILL}:
            break
    return 128 - status


def _inside(arguments: list[str]) -> None:
    sys.path.insert(0, os.getcwd())  # as `python -m pytest` does
    status = int(pytest.main(arguments))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    if sys.argv[1:2] == [_INSIDE]:
        _inside(sys.argv[2:])
    sys.exit(main(sys.argv[1:]))
