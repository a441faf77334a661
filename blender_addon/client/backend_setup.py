"""Plan the backend's own Python environment: the exact commands, which `setup_run` runs. stdlib only, free of bpy.

Nothing runs in Blender's process, and the same commands can be pasted into a terminal. The backend itself comes with
the extension (`backend_wheel/`); its packages come from the package index, each of the version and hash that the lock
beside the wheel names. The environment is made beside the one in use and takes its place when everything worked, so a
failed or cancelled set-up breaks nothing.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from ..wire.windows_paths import LONGEST_PATH, is_too_long
from .python_search import NoPythonError, PythonFacts, choose_python
from .setup_run import SetupPlan, SetupRun, SetupStep, clean_environment, command_line

__all__ = ["SetupPlan", "SetupRun", "SetupStep", "clean_environment", "command_line"]

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = "backend_wheel"
LOCKS = {(3, 13): "core-py313.txt"}
DEFAULT_LOCK = "core.txt"
# the deepest file of the locked packages lies this far below an environment
_DEEPEST_CHARACTERS = 150
# nothing from the current folder or PYTHONPATH; and names outside Windows' code page can be written to the log
_ALONE = ("-I", "-X", "utf8")
_ADD_SOURCE = (
    "import pathlib, sys, sysconfig; line = 'import sys; sys.path.append(' + ascii(sys.argv[1]) + ')'; "
    "pathlib.Path(sysconfig.get_path('purelib'), 'marionet_source.pth').write_text(line)"
)


class SetupError(RuntimeError):
    """The environment cannot be made as asked; the message says what to change."""


@dataclass(frozen=True, slots=True)
class BackendSource:
    """Where the backend comes from: a `wheel`, or a checkout's `folder` that is used in place; `locks` lie in a folder.

    Exactly one of `wheel` and `folder` is set.
    """

    locks: Path
    wheel: Path | None = None
    folder: Path | None = None


def environment_python(environment: Path) -> Path:
    """The Python of a virtual environment."""
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def is_checkout(folder: Path) -> bool:
    """Whether a folder holds Marionet's source."""
    return (folder / "pyproject.toml").is_file() and (folder / "backend" / "__main__.py").is_file()


def backend_source(package: str = "", root: Path = ROOT) -> BackendSource:
    """Where the backend is installed from: `package` (a wheel file or a folder with Marionet's source), or, when it is
    empty, what came with the extension.

    Raises SetupError; also for the bare name of a package, which anybody could register on the package index.
    """
    bundle = root / BUNDLE
    locks = bundle if (bundle / DEFAULT_LOCK).is_file() else root / "requirements"
    if not package.strip():
        wheel = max(bundle.glob("marionet-*.whl"), default=None)
        if wheel is not None:
            return BackendSource(bundle, wheel=wheel)
        if is_checkout(root):
            return BackendSource(root / "requirements", folder=root)
        raise SetupError(f"{bundle} holds no backend: install the extension's released zip again")
    source = Path(package.strip()).expanduser()
    if source.is_file() and source.suffix == ".whl":
        return BackendSource(locks, wheel=source.absolute())
    if source.is_dir():
        if not (source / "pyproject.toml").is_file():
            raise SetupError(f"{source} holds no pyproject.toml, so it is not Marionet's source folder")
        if not is_checkout(source) or not (source / "requirements" / DEFAULT_LOCK).is_file():
            raise SetupError(f"{source} holds no backend, or no requirements/{DEFAULT_LOCK}: it is no whole checkout")
        return BackendSource(source.absolute() / "requirements", folder=source.absolute())
    if source.name == package.strip() and source.suffix != ".whl":
        raise SetupError(
            f"{package.strip()!r} is no file and no folder. Packages are never installed by name. "
            "Empty the field: the backend comes with the extension"
        )
    raise SetupError(f"{source} does not exist. Name a folder with Marionet's source or a wheel, or empty the field")


def plan_setup(python: Path | None, environment: Path, package: str = "", root: Path = ROOT) -> SetupPlan:
    """Plan the environment. `python` makes it, None: the first that can, Blender's own before others.

    Raises SetupError when no Python can, a named file does not exist, or the folder's path is too long for Windows.
    """
    check_path_length(environment)
    source = backend_source(package, root)
    try:
        chosen, facts = choose_python(python, blender_python())
    except NoPythonError as fault:
        raise SetupError(str(fault)) from fault
    lock = _lock_for(facts, source.locks)
    inner = str(environment_python(environment))
    pip = (inner, *_ALONE, "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--no-deps")
    locked = (*pip, "--require-hashes", "--only-binary", ":all:", "--requirement", str(lock))
    if source.wheel is not None:
        backend = SetupStep("Install the backend", (*pip, "--no-index", str(source.wheel)))
    else:
        backend = SetupStep("Point to the backend's source", (inner, *_ALONE, "-c", _ADD_SOURCE, str(source.folder)))
    return SetupPlan(
        environment,
        (
            SetupStep(
                "Make an environment of its own", (str(chosen), *_ALONE, "-m", "venv", "--clear", str(environment))
            ),
            SetupStep("Download and install its packages", locked, 8.0, _packages_in(lock)),
            backend,
            SetupStep("Check it", (inner, *_ALONE, "-m", "backend", "doctor")),
        ),
    )


def made_beside(plan_for: Path) -> Path:
    """Where an environment is made before it takes its place at `plan_for`."""
    return plan_for.with_name(plan_for.name + ".new")


def check_path_length(environment: Path) -> None:
    """Raise SetupError where Windows would refuse the paths below an environment."""
    if path_is_too_long(environment):
        most = LONGEST_PATH - _DEEPEST_CHARACTERS
        raise SetupError(
            f"{environment} is {len(str(made_beside(environment)))} characters long, and Windows takes {most} here. "
            "Turn on long paths (docs/how_to/install.md), or name a Python with the backend under Backend Python"
        )


def path_is_too_long(environment: Path, long_paths: bool | None = None, platform: str = sys.platform) -> bool:
    """Whether Windows would refuse the paths below an environment; `long_paths`: None asks the system."""
    return is_too_long(made_beside(environment), _DEEPEST_CHARACTERS, long_paths, platform)


def _lock_for(facts: PythonFacts, folder: Path) -> Path:
    lock = folder / LOCKS.get(facts.version, DEFAULT_LOCK)
    if not lock.is_file():
        raise SetupError(f"{lock} is missing: install the extension's released zip again")
    return lock


def _packages_in(lock: Path) -> int:
    """How many packages a lock brings on this machine, near enough for a progress bar."""
    text = lock.read_text(encoding="utf-8")
    return len(re.findall(r"^[A-Za-z0-9_.-]+==[^;\n]*$", text, flags=re.MULTILINE))


def find_backend_python(candidates: list[Path]) -> Path | None:
    """The first Python among candidates (files, or folders of environments or checkouts) that is there.

    The backend is not run.
    """
    for candidate in candidates:
        tries = [candidate]
        if candidate.is_dir():
            tries = [environment_python(candidate), environment_python(candidate / ".venv")]
        for python in tries:
            if python.is_file():
                return python
    return None


def source_folder_of(python: Path) -> Path | None:
    """The checkout in which a Python's environment lies, links not followed; None where it lies in none."""
    return next((folder for folder in list(python.absolute().parents)[1:4] if is_checkout(folder)), None)


def blender_python() -> Path:
    """The Python that Blender brings along: able to make environments, so that nothing need be installed first."""
    return Path(sys.executable)


def plan_beside(plan_for: Path, python: Path | None, package: str = "", root: Path = ROOT) -> SetupPlan:
    """The plan that Set Up Backend runs: the environment is made beside `plan_for` and takes its place at the end."""
    check_path_length(plan_for)
    return replace(plan_setup(python, made_beside(plan_for), package, root), final=plan_for)
