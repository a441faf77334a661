"""mypy checks both packages and the tools, and of the add-on nine tenths of the lines at least."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path


def test_mypy_checks_nine_tenths_of_the_addon(repository: Path) -> None:
    settings = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]
    assert settings["files"] == ["backend", "blender_addon", "tools"]
    excluded = [re.compile(pattern) for pattern in settings.get("exclude", [])]
    ignored = [one for one in settings["overrides"] if one.get("ignore_errors") or one.get("follow_imports") == "skip"]
    own = tuple(settings["files"])
    assert not [module for one in ignored for module in one["module"] if module.startswith(own)]
    checked = left_out = 0
    for path in sorted((repository / "blender_addon").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        name = path.relative_to(repository).as_posix()
        lines = len(text.splitlines())
        if any(pattern.search(name) for pattern in excluded) or "mypy: ignore-errors" in text:
            left_out += lines
        else:
            checked += lines
    assert checked > 10_000
    assert checked >= 0.9 * (checked + left_out)
