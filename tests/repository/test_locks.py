"""The lock files hold what pyproject.toml asks for, each with a hash, and never torch from the registry."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

LOCKED_EXTRAS: dict[str, tuple[str, ...]] = {"core": (), "dev": ("dev", "docs"), "train": ("train", "batch")}


def locked(path: Path) -> dict[str, list[str]]:
    """Package -> versions of one lock file (two where a marker splits them)."""
    found: dict[str, list[str]] = {}
    for name, version in re.findall(
        r"^([A-Za-z0-9_.-]+)==([^ \\]+)", path.read_text(encoding="utf-8"), flags=re.MULTILINE
    ):
        found.setdefault(canonicalize_name(name), []).append(version)
    return found


@pytest.mark.parametrize("name", sorted(LOCKED_EXTRAS))
def test_every_requirement_is_locked_within_its_bounds(repository: Path, name: str) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    wanted = list(project["dependencies"])
    allowed: dict[str, list[Requirement]] = {}
    for extra in LOCKED_EXTRAS[name]:
        wanted += project["optional-dependencies"][extra]
    versions = locked(repository / "requirements" / f"{name}.txt")
    for requirement in map(Requirement, wanted):
        allowed.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    for package, requirements in allowed.items():
        if package == "torch":
            continue
        held = versions.get(package)
        assert held, f"{package} is missing from requirements/{name}.txt: run tools/update_locks.sh"
        for one in map(Version, held):  # where a marker splits a requirement, one part of it holds
            assert any(one in part.specifier for part in requirements), f"{requirements} but {held} is locked"


def test_every_locked_package_has_a_hash(repository: Path) -> None:
    for path in (repository / "requirements").glob("*.txt"):
        blocks = re.split(r"\n(?=[A-Za-z0-9])", path.read_text())
        packages = [block for block in blocks if "==" in block.splitlines()[0] and not block.startswith("#")]
        assert packages, path
        for block in packages:
            assert "--hash=sha256:" in block, f"{path.name}: {block.splitlines()[0]} has no hash"


def test_only_the_cpu_lock_holds_torch(repository: Path) -> None:
    for path in (repository / "requirements").glob("*.txt"):
        held = locked(path)
        assert not [name for name in held if name.startswith("nvidia")], path
        assert held.get("torch", ["none"])[0].endswith("+cpu" if path.name == "torch-cpu.txt" else "none"), path


def test_locks_agree_with_each_other(repository: Path) -> None:
    """One environment takes core, dev and train: a package must have one version in all three."""
    merged: dict[str, set[tuple[str, ...]]] = {}
    for name in LOCKED_EXTRAS:
        for package, versions in locked(repository / "requirements" / f"{name}.txt").items():
            merged.setdefault(package, set()).add(tuple(versions))
    assert {package: versions for package, versions in merged.items() if len(versions) > 1} == {}


def test_pyzmq_is_the_same_in_blender_and_in_the_backend(repository: Path) -> None:
    manifest = (repository / "blender_manifest.toml").read_text()
    bundled = set(re.findall(r"pyzmq-([0-9.]+)-", manifest))
    assert bundled == set(locked(repository / "requirements" / "core.txt")["pyzmq"])
