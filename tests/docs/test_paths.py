"""Files that the documentation names are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PLACES = r"(?:backend|blender_addon|skeleton_maps|tests|tools|benchmarks|requirements|docs|assets|\.github|\.ci)"
NAMED = re.compile(rf"`({PLACES}/[A-Za-z0-9_./*-]*)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_named_files_exist(page: Path) -> None:
    named = set(NAMED.findall(page.read_text(encoding="utf-8")))
    patterns = {name: name.rstrip("/").replace("NAME", "*") for name in named}  # NAME is a placeholder
    missing = [name for name in sorted(named) if not list(ROOT.glob(patterns[name]))]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_modules_that_are_named_without_their_folder_exist(page: Path) -> None:
    if page.name == "CHANGELOG.md":
        pytest.skip("it names what was there")
    known = {path.name for folder in ("backend", "blender_addon", "tools", "tests", "benchmarks") for path in
             (ROOT / folder).rglob("*.py")}  # fmt: skip
    named = set(re.findall(r"`([a-z0-9_]+\.py)`", page.read_text(encoding="utf-8")))
    assert sorted(named - known) == []


def test_the_pages_name_files_at_all() -> None:
    assert sum(len(NAMED.findall(page.read_text(encoding="utf-8"))) for page in PAGES) > 40


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_inside_the_repository_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    local = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert [link for link in local if not (page.parent / link).exists()] == []
