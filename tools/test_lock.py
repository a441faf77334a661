"""Print the part of requirements/dev.txt that running the tests needs, with its hashes: `python tools/test_lock.py`."""

from __future__ import annotations

import re
from pathlib import Path

DEV_LOCK = Path(__file__).resolve().parents[1] / "requirements" / "dev.txt"
TEST_PACKAGES = ("colorama", "hypothesis", "iniconfig", "packaging", "pluggy", "pygments", "pytest", "pytest-timeout",
                 "sortedcontainers")  # fmt: skip


def blocks_of(lock: Path, only: tuple[str, ...]) -> list[str]:
    """The entries of a lock for these packages, each with its hashes."""
    entries = re.split(r"\n(?=[A-Za-z0-9])", lock.read_text(encoding="utf-8"))
    return [entry.rstrip() for entry in entries if entry.partition("==")[0] in only]


if __name__ == "__main__":
    print("\n".join(blocks_of(DEV_LOCK, TEST_PACKAGES)))
