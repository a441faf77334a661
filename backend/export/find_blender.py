"""Which Blender works: one that was named, Blender as a Python library in an environment, or an installed program.

May import stdlib and `backend.errors`.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from backend.errors import BlenderError

VARIABLE: Final = "MARIONET_BLENDER"
SCRIPT: Final = Path(__file__).with_name("inside_blender.py")
# where `blender_addon` and `skeleton_maps` lie: the checkout or site-packages
PACKAGES: Final = Path(__file__).resolve().parents[2]
_REMEDY: Final = (
    "Name one with --blender (a Blender 4.2 or later, or a Python that has the package bpy), or make an environment "
    "with `make blender-venvs`"
)
_PYTHONS: Final = ("bin/python", "Scripts/python.exe")
_INSTALLED: Final = (
    "/Applications/Blender.app/Contents/MacOS/Blender",
    "/snap/bin/blender",
    "/opt/blender*/blender",
    "C:/Program Files/Blender Foundation/Blender */blender.exe",
)


@dataclass(frozen=True, slots=True)
class Blender:
    """A Blender that can be started: `program` is Blender itself, or a Python with bpy when `is_python`."""

    program: Path
    is_python: bool

    def command(self) -> list[str]:
        """The command that starts `inside_blender.py` in it, without the user's own start-up file and add-ons."""
        if self.is_python:
            return [str(self.program), "-P", str(SCRIPT), str(PACKAGES)]
        options = ["--background", "--factory-startup", "--disable-autoexec", "--python-exit-code", "1"]
        return [str(self.program), *options, "--python", str(SCRIPT), "--", str(PACKAGES)]


def find_blender(named: str = "") -> Blender:
    """The Blender to use: `named`, else MARIONET_BLENDER, else one that is found. Raises BlenderError without any."""
    wanted = named or os.environ.get(VARIABLE, "")
    if wanted:
        return _named(wanted)
    found = next(_candidates(), None)
    if found is None:
        raise BlenderError("No Blender was found", _REMEDY)
    return found


def _named(text: str) -> Blender:
    path = Path(text).expanduser()
    if path.is_dir():
        inside = [path / name for name in (*_PYTHONS, "blender", "blender.exe", "Contents/MacOS/Blender")]
        path = next((one for one in inside if one.is_file()), path)
    elif not path.is_file() and (on_path := shutil.which(text)) is not None:
        path = Path(on_path)
    if not path.is_file():
        raise BlenderError(f"There is no Blender at {text}", _REMEDY)
    if not os.access(path, os.X_OK):
        raise BlenderError(f"{path} is not an executable program", _REMEDY)
    # not resolved: the link to the interpreter is what makes an environment one
    return Blender(path.absolute(), "python" in path.name.lower())


def _candidates() -> Iterator[Blender]:
    """Environments beside the checkout first: their versions are the tested ones."""
    for folder in sorted(PACKAGES.glob(".venv-bpy-*"), key=lambda path: (path.name != ".venv-bpy-4.5", path.name)):
        yield from (Blender(folder / name, True) for name in _PYTHONS if (folder / name).is_file())
    if importlib.util.find_spec("bpy") is not None:
        yield Blender(Path(sys.executable), True)
    if (on_path := shutil.which("blender")) is not None:
        yield Blender(Path(on_path), False)
    for pattern in _INSTALLED:
        anchor = Path(pattern).anchor
        if anchor and Path(anchor).is_dir():
            yield from (
                Blender(path, False) for path in sorted(Path(anchor).glob(pattern[len(anchor) :]), reverse=True)
            )
