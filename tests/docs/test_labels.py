"""Labels of the interface that the how-to pages quote in bold or in italics are in the code.

Bold text is a label, except at the beginning of a paragraph or list item, where it may introduce a topic: there it is
a label where it is written as one, several words in title case. So is it in italics, where one word is emphasis; a
colon joins a setting and its choice.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs" / "how_to").glob("*.md"))
BLENDERS_OWN = {"Install from Disk", "Allow Online Access", "File", "Import"}
OBJECTS = {"Marionet Cameras"}  # what the extension names in the scene
SIDE = re.compile(r"^(L|R|Left|Right) ")  # a label of a side and a part is put together where it is drawn
_SMALL_WORDS = {
    "a",
    "and",
    "at",
    "by",
    "for",
    "from",
    "in",
    "into",
    "of",
    "on",
    "or",
    "over",
    "the",
    "this",
    "to",
    "with",
}
_KEYWORDS = {"name", "text", "heading", "confirm_text"}
_ATTRIBUTES = {"bl_label", "bl_category"}


@cache
def labels() -> frozenset[str]:
    """Every label that panels, operators, properties and preferences show."""
    found: set[str] = set()
    for folder in ("ui", "properties"):
        for path in (ROOT / "blender_addon" / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                found |= _labels_of(node)
    return frozenset(found)


def _labels_of(node: ast.AST) -> set[str]:
    if isinstance(node, ast.keyword) and node.arg in _KEYWORDS:
        return _texts([node.value])
    if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id in _ATTRIBUTES for t in node.targets):
        return _texts([node.value])
    if isinstance(node, ast.Tuple) and len(node.elts) == 3:  # an item of an enumeration: identifier, label, tooltip
        return _texts([node.elts[1]])
    return set()


def _texts(nodes: list[ast.expr]) -> set[str]:
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def quoted_labels(text: str) -> list[str]:
    """The labels that a page quotes in bold."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    found = []
    for line in text.splitlines():
        for match in re.finditer(r"\*\*([^*`]+)\*\*", line):
            begins = re.fullmatch(r"\s*(?:[-*]|\d+\.)?\s*", line[: match.start()]) is not None
            if match[1][0].isupper() and (not begins or _is_title(match[1])):
                found.append(match[1])
    return found


def quoted_in_italics(text: str) -> list[str]:
    """The labels of several words, and settings with their choices, that a page quotes in italics."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    found = []
    for match in re.finditer(r"(?<![*\w])\*([A-Z][^*`\n>]+)\*(?!\*)", text):
        setting, colon, choice = match[1].partition(": ")
        if _is_title(match[1]) or (colon and choice[:1].isupper()):
            found += [part for part in (setting, choice) if part]
    return found


def _is_title(text: str) -> bool:
    words = text.split()
    return len(words) > 1 and all(word[0].isupper() for word in words if word not in _SMALL_WORDS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_quoted_labels_are_in_the_code(page: Path) -> None:
    known = labels() | BLENDERS_OWN
    assert [label for label in quoted_labels(page.read_text(encoding="utf-8")) if label not in known] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_labels_in_italics_are_in_the_code(page: Path) -> None:
    known = labels() | BLENDERS_OWN | OBJECTS
    quoted = quoted_in_italics(page.read_text(encoding="utf-8"))
    assert [label for label in quoted if label not in known and not SIDE.match(label)] == []


def test_translated_labels_are_in_the_code() -> None:
    tree = ast.parse((ROOT / "blender_addon" / "ui" / "translations.py").read_text(encoding="utf-8"))
    keys = [key for node in ast.walk(tree) if isinstance(node, ast.Dict) for key in node.keys]
    pairs = [ast.literal_eval(key) for key in keys if isinstance(key, ast.Tuple)]
    assert len(pairs) > 30
    said = {"Finding people"}  # by the search itself
    assert [text for _context, text in pairs if text not in labels() | said] == []


def test_labels_are_found_in_pages_and_code() -> None:
    assert sum(len(quoted_labels(page.read_text(encoding="utf-8"))) for page in PAGES) > 15
    assert {"Bake", "Start Capture", "World Space", "Custom Scale", "Connect", "A Server", "Set Up"} <= labels()
    page = "1. **Feet** stay. Click **No Such Button**.\n- **Find Nobody Here**: a list.\n- **Twist bones** share.\n"
    assert quoted_labels(page) == ["No Such Button", "Find Nobody Here"]
    page = "*One* word, *Two Words*, *Root: Object*, *and this*, *this is said*, **Not Bold**.\n"
    assert quoted_in_italics(page) == ["Two Words", "Root", "Object"]
    assert sum(len(quoted_in_italics(page.read_text(encoding="utf-8"))) for page in PAGES) > 30
