"""The sets of points: what their sources say of them, and no count of one written out in the code."""

from __future__ import annotations

import io
import re
import tokenize
from pathlib import Path

import numpy as np
import pytest

from backend.keypoint_layouts import BLAZEPOSE, CANONICAL_BODY, FACE, HAND, HUMAN36M, KeypointLayout
from blender_addon.motion.body import canonical_body

LAYOUTS = (BLAZEPOSE, HUMAN36M, CANONICAL_BODY, HAND, FACE)
# a count of a layout beside the size of a point: 17, 3) or 33, 2) or 24, 4)
WRITTEN_OUT = re.compile(r"(?<![\w.])(?:17 , [23]|33 , [23]|24 , [2346]|478 , [23]|21 , [23]) [,)]")


def test_counts_are_those_of_the_sources() -> None:
    assert [layout.count for layout in LAYOUTS] == [33, 17, 24, 21, 478]
    body = canonical_body()
    assert body.subsets["blazepose33"] == BLAZEPOSE.names
    assert body.subsets["h36m17"] == HUMAN36M.names
    assert body.joint_names == CANONICAL_BODY.names
    np.testing.assert_array_equal(body.parents, CANONICAL_BODY.parents)
    np.testing.assert_array_equal(body.mirror, CANONICAL_BODY.mirror)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_sides_are_exchanged_by_name_and_twice_is_once_too_often(layout: KeypointLayout) -> None:
    np.testing.assert_array_equal(layout.mirror[layout.mirror], np.arange(layout.count))
    assert len(set(layout.names)) == layout.count
    for left, right in layout.pairs:
        other = layout.names[left].replace("left", "right", 1) if "left" in layout.names[left] else None
        assert layout.names[right] == (other or "r" + layout.names[left].removeprefix("l"))


@pytest.mark.parametrize("layout", [HUMAN36M, CANONICAL_BODY, HAND], ids=lambda layout: layout.name)
def test_parents_form_one_tree(layout: KeypointLayout) -> None:
    assert len(layout.parents) == layout.count
    assert layout.parents[0] == -1
    assert all(0 <= parent < place for place, parent in enumerate(layout.parents) if place)
    for left, right in layout.pairs:
        assert layout.mirror[layout.parents[left]] == layout.parents[right]


def test_an_unknown_point_is_named() -> None:
    assert BLAZEPOSE.index("left_hip") == 23
    with pytest.raises(KeyError, match="BlazePose has no point 'tail'"):
        BLAZEPOSE.index("tail")


def counts_written_out(source: str) -> list[int]:
    """Line numbers where a layout's count stands as a number beside the size of a point, text left out."""
    kept = {tokenize.NUMBER, tokenize.OP, tokenize.NAME}
    rows: dict[int, list[str]] = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in kept:
            rows.setdefault(token.start[0], []).append(token.string)
    return [row for row, words in rows.items() if WRITTEN_OUT.search(" ".join(words))]


def test_a_count_written_out_is_found() -> None:
    assert counts_written_out("a = zeros((n, 17, 3))\n# (33, 2)\nb = '(24, 4)'\nc = d.reshape(-1, 24, 2, 3)\n") == [
        1,
        4,
    ]
    assert counts_written_out("PAIRS = ((11, 12), (23, 24), (24, 26))\nx = f(a, 21)\n") == []


def test_no_count_is_written_out(repository: Path) -> None:
    found = [
        f"{path.relative_to(repository)}:{row}"
        for folder in ("backend", "benchmarks", "tools")
        for path in sorted((repository / folder).rglob("*.py"))
        if path.name != "keypoint_layouts.py"
        for row in counts_written_out(path.read_text(encoding="utf-8"))
    ]
    assert not found, "take the count from backend/keypoint_layouts.py:\n" + "\n".join(found)
