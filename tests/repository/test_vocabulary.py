"""The retired words of docs/glossary.md occur in no code, page, message or label."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RETIRED = [
    "film",
    "films",
    "footage",
    "picture",
    "pictures",
    "glance",
    "glances",
    "glimpse",
    "glimpses",
    "lent",
    "lender",
    "lenders",
    "premises",
    "overseer",
    "deliveries",
    "outbox",
    "roster",
    "journal",
    "journals",
    "conductor",
    "crew",
    "looker",
    "lookers",
]  # door, gate and desk are retired as names of modules, and are things in a room too
# Names that users, files or the protocol depend on. They stay as they are.
KEPT = re.compile(
    r"--films?\b|--pictures?\b|--lookers\b"  # options of 0.7.0
    r"|args\.films?\b|args\.pictures?\b"
    r"|\"(?:film|pictures)\"(?=: base64|: \[base64|\]\))"  # keys of the thumbnail cache of a batch folder
    r"|event\(\"picture\""  # an event of `--json`
    r"|picture_(?:width|height)_px"  # fields of the wire protocol
)
WORD = re.compile(rf"\b(?:{'|'.join(RETIRED)})\b", re.IGNORECASE)
ENDINGS = (".py", ".md", ".toml", ".yml", ".sh", "Makefile")
# The glossary lists the words, this test does, and what was released under old names stays in the history.
EXEMPT = ("docs/glossary.md", "tests/repository/test_vocabulary.py", "CHANGELOG.md", "LICENSE")


def _files() -> list[str]:
    listed = subprocess.run(
        ("git", "ls-files"), cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return [name for name in listed if name.endswith(ENDINGS) and not name.startswith(EXEMPT)]


def retired_words(text: str) -> list[tuple[int, str]]:
    """Line numbers and retired words of a text, names that stay left out."""
    return [
        (number, found.group())
        for number, line in enumerate(text.splitlines(), 1)
        for found in WORD.finditer(KEPT.sub("", line).replace("_", " "))
    ]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")
def test_no_retired_word_is_used() -> None:
    found = [
        f"{name}:{number}: {word}"
        for name in _files()
        if (ROOT / name).is_file()
        for number, word in retired_words((ROOT / name).read_text(encoding="utf-8"))
    ]
    assert not found, "docs/glossary.md has the standard term:\n" + "\n".join(found)


def test_the_glossary_lists_every_retired_word() -> None:
    page = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").split("## Retired words")[1].lower()
    for word in RETIRED:
        assert re.search(rf"\b{word.rstrip('s')}s?\b", page) or word.rstrip("s") in page, word


def test_a_retired_word_is_found_and_a_kept_name_is_not() -> None:
    assert retired_words("a film of two_pictures\n--films 3") == [(1, "film"), (1, "pictures")]
