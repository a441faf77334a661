"""pytest inside Blender as a library: `.venv-bpy-4.5/bin/python tools/blender_pytest.py tests/blender`.

Ends the process as soon as pytest has reported: after a picture was rendered without a display, Blender 4.5 waits for
its own GPU thread at exit and never ends.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest


def main() -> int:
    """Run pytest with the given arguments from the repository's root."""
    os.chdir(Path(__file__).resolve().parents[1])
    sys.path.insert(0, os.getcwd())  # as `python -m pytest` does
    return int(pytest.main(sys.argv[1:]))


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
