"""One version everywhere: the extension's manifest, the Python distribution, the head of the change log."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path


def test_manifest_pyproject_and_changelog_agree(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]["version"]
    manifest = tomllib.loads((repository / "blender_manifest.toml").read_text())["version"]
    heads = re.findall(r"^## \[?(\d+\.\d+\.\d+)", (repository / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert heads, "CHANGELOG.md names no version"
    assert manifest == project
    assert heads[0] == project


def test_the_changelog_runs_backwards(repository: Path) -> None:
    heads = re.findall(r"^## \[?(\d+\.\d+\.\d+)", (repository / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    numbers = [tuple(int(part) for part in head.split(".")) for head in heads]
    assert numbers == sorted(set(numbers), reverse=True)
