"""Locked versions that must not fall back behind a security fix."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
# Package, first version with the fix, and what it fixes.
FIXED_IN = (("opencv-python-headless", (4, 12), "CVE-2025-53644"),)


@pytest.mark.parametrize("lock", sorted((REPOSITORY / "requirements").glob("*.txt")), ids=lambda path: path.stem)
@pytest.mark.parametrize(("package", "first", "advisory"), FIXED_IN, ids=lambda value: str(value))
def test_locks_have_the_fix(lock: Path, package: str, first: tuple[int, ...], advisory: str) -> None:
    for version in re.findall(rf"^{re.escape(package)}==([0-9.]+)", lock.read_text(encoding="utf-8"), re.MULTILINE):
        assert tuple(map(int, version.split(".")[: len(first)])) >= first, f"{lock.name}: {advisory}"


@pytest.mark.parametrize(("package", "first", "advisory"), FIXED_IN, ids=lambda value: str(value))
def test_what_is_installed_has_the_fix(package: str, first: tuple[int, ...], advisory: str) -> None:
    """The requirement of the package itself keeps an installation without a lock from an old version."""
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    least = re.search(rf'"{re.escape(package)}>=([0-9.]+)"', text)
    assert least is not None
    assert tuple(map(int, least[1].split("."))) >= first, advisory
