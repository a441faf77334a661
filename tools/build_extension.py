"""Build the Blender extension: `python tools/build_extension.py --output-dir DIR`. Standard library and pip only.

Fetches the bundled wheels by hash (once, into the ignored folder `wheels/`), builds the backend's wheel and lays it
with the locks of its packages into the ignored folder `backend_wheel/`, builds the zip with Blender's own
`blender_ext.py`, validates it with Blender's tag list, checks the zip's list of files, and writes a static repository
index (`index.json`, `index.html`) so that the folder can be hosted and added to Blender as a repository URL.
"""

from __future__ import annotations

import argparse
import glob
import hashlib
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

REPOSITORY_ROOT = Path(__file__).resolve().parents[1]
WHEEL_LIST = REPOSITORY_ROOT / "tools" / "extension_wheels.txt"
WHEEL_PLATFORMS = ("manylinux_2_28_x86_64", "macosx_15_0_arm64", "win_amd64")
WHEEL_PYTHONS = ("3.11", "3.13")
SAMPLE_FILES = ("LICENSE.md", "demo_character.blend", "demo_clip.mp4", "sample_clip.npz")
# What Set Up Backend installs from: the backend's wheel, made here, and the locks of its packages by Python version.
BACKEND_FOLDER = "backend_wheel"
LOCKS = ("core.txt", "core-py313.txt")
WHEEL_SOURCES = ("backend", "blender_addon", "skeleton_maps")
WHEEL_FILES = ("pyproject.toml", "README.md", "LICENSE", "THIRD_PARTY.md")
CLI_VARIABLE = "BLENDER_EXTENSION_CLI"

logger = logging.getLogger("build_extension")


class BuildError(RuntimeError):
    """The extension could not be built; the message says what to do."""


@dataclass(frozen=True, slots=True)
class BlenderCli:
    """Blender's stand-alone extension tool and the tag list that belongs to it."""

    script: Path
    tags: Path

    def run(self, *arguments: str) -> str:
        """Run one command of the tool; raises BuildError with its output when it fails."""
        command = [sys.executable, str(self.script), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BuildError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout


def find_blender_cli(explicit: Path | None = None) -> BlenderCli:
    """The newest `blender_ext.py` at hand: --blender-cli, $BLENDER_EXTENSION_CLI, or one of the .venv-bpy-* folders."""
    named = explicit or (Path(os.environ[CLI_VARIABLE]) if os.environ.get(CLI_VARIABLE) else None)
    tail = "bpy/*/scripts/addons_core/bl_pkg/cli/blender_ext.py"
    places = [*sys.path, *glob.glob(str(REPOSITORY_ROOT / ".venv-bpy-*/lib/python*/site-packages"))]
    hits = [hit for place in places if place for hit in glob.glob(os.path.join(place, tail))]
    found = [named] if named else [Path(hit) for hit in hits]
    if not found:
        raise BuildError(
            "Blender's blender_ext.py was not found; make a bpy environment (see docs), or name the file with "
            f"--blender-cli or ${CLI_VARIABLE} (in a Blender it is scripts/addons_core/bl_pkg/cli/blender_ext.py)"
        )
    script = max(found, key=lambda path: [int(part) for part in re.findall(r"\d+", str(path.parts[-6:-5]))])
    tags = script.parents[3] / "modules" / "_bpy_internal" / "extensions" / "tags.py"
    if not tags.is_file():
        raise BuildError(f"{tags} is missing: without the tag list a wrong tag would pass validation")
    return BlenderCli(script, tags)


def read_manifest(root: Path) -> dict[str, object]:
    """The extension's manifest."""
    return tomllib.loads((root / "blender_manifest.toml").read_text(encoding="utf-8"))


def fetch_wheels(root: Path) -> list[Path]:
    """Make every wheel the manifest names present and of a listed hash; downloads what is missing.

    Raises BuildError when a wheel cannot be had or has another hash.
    """
    folder = root / "wheels"
    wanted = [root / str(path) for path in read_manifest(root)["wheels"]]  # type: ignore[attr-defined]
    if not all(wheel.is_file() for wheel in wanted):
        folder.mkdir(exist_ok=True)
        # another build may do the same at this moment: whoever reads the folder finds whole wheels only
        with tempfile.TemporaryDirectory(prefix=".wheels-", dir=root) as download:
            for python in WHEEL_PYTHONS:
                for platform in WHEEL_PLATFORMS:
                    _download(Path(download), python, platform)
            for wheel in sorted(Path(download).glob("*.whl")):
                os.replace(wheel, folder / wheel.name)
    hashes = set(re.findall(r"sha256:([0-9a-f]{64})", WHEEL_LIST.read_text(encoding="utf-8")))
    for wheel in wanted:
        if not wheel.is_file():
            raise BuildError(f"{wheel.name} is named in blender_manifest.toml, yet pip did not bring it")
        if hashlib.sha256(wheel.read_bytes()).hexdigest() not in hashes:
            raise BuildError(f"{wheel} has a hash that {WHEEL_LIST.name} does not list; delete it and build again")
    return wanted


def _download(folder: Path, python: str, platform: str) -> None:
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes"),
        *("--implementation", "cp", "--python-version", python, "--platform", platform),
        *("--dest", str(folder), "--requirement", str(WHEEL_LIST)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(f"{' '.join(command)} failed:\n{done.stderr}")


def build_backend_wheel(root: Path, source: Path = REPOSITORY_ROOT) -> Path:
    """Build the backend's wheel from `source` into `root`'s backend folder, with the locks; returns the wheel.

    Raises BuildError when pip cannot build it.
    """
    folder = root / BACKEND_FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with tempfile.TemporaryDirectory(prefix="marionet-wheel-") as work:
        copy = Path(work, "source")
        for name in WHEEL_SOURCES:
            shutil.copytree(source / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in WHEEL_FILES:
            shutil.copy2(source / name, copy / name)
        isolation = ["--no-build-isolation"] if _setuptools_is_new() else []
        words = ("--quiet", "--disable-pip-version-check", "--no-deps", *isolation, "--wheel-dir", str(folder))
        command = [sys.executable, "-m", "pip", "wheel", *words, str(copy)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=work)
    wheels = sorted(folder.glob("marionet-*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        raise BuildError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    for name in LOCKS:
        shutil.copy2(source / "requirements" / name, folder / name)
    return wheels[0]


def _setuptools_is_new() -> bool:
    """Whether this environment can build the wheel itself, as pyproject.toml asks."""
    try:
        return int(version("setuptools").split(".")[0]) >= 77
    except (PackageNotFoundError, ValueError):
        return False


def expected_files(root: Path, wheels: list[Path]) -> set[str]:
    """What the zip has to hold: the manifest's allowlist, spelled out from the working tree."""
    names = {"blender_manifest.toml", "__init__.py", *(f"wheels/{wheel.name}" for wheel in wheels)}
    if (root / "LICENSE").is_file():
        names.add("LICENSE")
    names |= {f"{BACKEND_FOLDER}/{path.name}" for path in (root / BACKEND_FOLDER).glob("*")}
    names |= {f"assets/{name}" for name in SAMPLE_FILES if (root / "assets" / name).is_file()}
    for folder in ("blender_addon", "skeleton_maps"):
        for path in (root / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                names.add(path.relative_to(root).as_posix())
    return names


def check_zip(archive: Path, root: Path, wheels: list[Path]) -> None:
    """Raise BuildError when the zip holds anything else than the allowlist, or lacks a part of it."""
    with zipfile.ZipFile(archive) as opened:
        names = {name for name in opened.namelist() if not name.endswith("/")}
    expected = expected_files(root, wheels)
    missing, extra = sorted(expected - names), sorted(names - expected)
    if missing or extra:
        raise BuildError(f"{archive.name}: missing {missing[:8]}, not wanted {extra[:8]}")


def build(
    root: Path, output: Path, cli: BlenderCli, *, split_platforms: bool = False, fresh_backend: bool = True
) -> list[Path]:
    """Build, validate and check the extension; returns the zips. `output` also becomes a static repository.

    `fresh_backend`: make the backend's wheel anew, instead of taking the one that lies there.
    """
    wheels = fetch_wheels(root)
    if fresh_backend:
        build_backend_wheel(root)
    output.mkdir(parents=True, exist_ok=True)
    for stale in output.glob("marionet-*.zip"):
        stale.unlink()
    arguments = ["--source-dir", str(root), "--output-dir", str(output), "--valid-tags", str(cli.tags)]
    cli.run("build", *arguments, *(["--split-platforms"] if split_platforms else []))
    archives = sorted(output.glob("marionet-*.zip"))
    if not archives:
        raise BuildError(f"blender_ext.py reported success but left no zip in {output}")
    for archive in archives:
        # `validate` alone passes with a wheel missing, so it runs on what `build` made
        cli.run("validate", "--valid-tags", str(cli.tags), str(archive))
        if not split_platforms:
            check_zip(archive, root, wheels)
    cli.run("server-generate", "--repo-dir", str(output), "--html")
    return archives


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output-dir", type=Path, required=True, help="where the zip and the repository index go")
    parser.add_argument("--split-platforms", action="store_true", help="one zip a platform, each with its own wheels")
    parser.add_argument("--blender-cli", type=Path, help="blender_ext.py to build with; found by itself otherwise")
    parser.add_argument("--wheels-only", action="store_true", help="fetch and check the wheels, build nothing")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        if options.wheels_only:
            logger.info("%d wheels present, hashes agree", len(fetch_wheels(REPOSITORY_ROOT)))
            return 0
        cli = find_blender_cli(options.blender_cli)
        for archive in build(REPOSITORY_ROOT, options.output_dir, cli, split_platforms=options.split_platforms):
            logger.info("%s (%.1f MB)", archive, archive.stat().st_size / 1e6)
    except BuildError as fault:
        logger.error("%s", fault)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
