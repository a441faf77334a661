"""The import graph of both packages: no circles, lazy and type-only imports counted; modules with a single importer."""

from __future__ import annotations

from pathlib import Path

import pytest

grimp = pytest.importorskip("grimp", reason="import-linter brings grimp: install requirements/dev.txt")


def import_graph(repository: Path, monkeypatch: pytest.MonkeyPatch) -> grimp.ImportGraph:
    monkeypatch.syspath_prepend(str(repository))
    return grimp.build_graph("backend", "blender_addon", exclude_type_checking_imports=False, cache_dir=None)


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other, directly or around a corner: what is left when leaves are taken off."""
    reaches = {start: _reachable(arrows, start) for start in arrows}
    groups = {tuple(sorted(m for m in reaches[start] if start in reaches[m])) for start in arrows}
    return sorted(list(group) for group in groups if group)


def _reachable(arrows: dict[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    waiting = list(arrows[start])
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            waiting.extend(arrows[module])
    return seen


def test_circles_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == [["b", "c"]]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_no_module_imports_itself_around_a_corner(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = import_graph(repository, monkeypatch)
    arrows = {module: set(graph.find_modules_directly_imported_by(module)) for module in graph.modules}
    assert len(arrows) > 300
    assert circles(arrows) == []


def test_lazy_and_type_only_imports_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "ring_of_two"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "lazy.py").write_text("def load():\n    from ring_of_two import typed\n    return typed\n")
    (package / "typed.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ring_of_two import lazy\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    graph = grimp.build_graph("ring_of_two", exclude_type_checking_imports=False, cache_dir=None)
    arrows = {module: set(graph.find_modules_directly_imported_by(module)) for module in graph.modules}
    assert circles(arrows) == [["ring_of_two.lazy", "ring_of_two.typed"]]


MOST_LINES = 300
# What stays apart although it would fit into its only importer: docs/decisions/standard_names.md says which and why.
MOST_THAT_FIT = 40


def test_modules_with_a_single_importer_are_counted(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that one other imports may be a part of it: printed, and those that would fit into it are bounded.

    A module that only its own package or the registration lists is told apart: that is a table.
    """
    graph = import_graph(repository, monkeypatch)
    packages = {module for module in graph.modules if graph.find_children(module)}
    importers = {module: graph.find_modules_that_directly_import(module) for module in graph.modules - packages}
    single = {module: next(iter(found)) for module, found in sorted(importers.items()) if len(found) == 1}
    tables = {*packages, "blender_addon.registration"}
    fit = 0
    for module, importer in single.items():
        is_listed = importer in tables
        lines = lines_of(repository, module) + lines_of(repository, importer)
        fit += not is_listed and lines <= MOST_LINES
        print(f"{module} <- {importer} {'(a table)' if is_listed else f'({lines} lines)'}")  # noqa: T201
    listed = sum(importer in tables for importer in single.values())
    print(  # noqa: T201 -- the numbers are what the test is run for
        f"{len(single)} of {len(importers)} modules have a single importer, {listed} of them only in a table; {fit} of "
        f"the others would make a file of at most {MOST_LINES} lines with it"
    )
    assert 0 < fit <= MOST_THAT_FIT


def lines_of(repository: Path, module: str) -> int:
    """Lines of a module's file; 0 for a package."""
    path = repository / f"{module.replace('.', '/')}.py"
    return len(path.read_text(encoding="utf-8").splitlines()) if path.is_file() else 0
