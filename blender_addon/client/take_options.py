"""What is known of a take before it is submitted, as the wire takes it. May import stdlib and `wire`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..wire import messages as wire
from ..wire.records import MAX_SETUP_CHARS
from ..wire.schema import MAX_TEXT_CHARS

CAPABILITY = "take"
SETUP_NAME = "setup.json"


def take_options(offsets_s: Sequence[float | None] = (), setup: Path | None = None) -> wire.TakeOptions:
    """The options of a take: for each video but the first its offset against the first in seconds (None: to be found),
    and the `setup.json` of an earlier take. Raises OSError when it cannot be read, ValueError when it is none.
    """
    known = tuple(wire.VideoOffset(place, value) for place, value in enumerate(offsets_s, 1) if value is not None)
    return wire.TakeOptions(known, () if setup is None else setup_texts(setup))


def setup_texts(path: Path) -> tuple[str, ...]:
    """The text of a set-up file in pieces that fit the wire. Raises OSError, ValueError."""
    text = path.read_text(encoding="utf-8")
    if not text.lstrip().startswith("{") or len(text) > MAX_SETUP_CHARS:
        raise ValueError(f"{path.name} is not the set-up of a take. Choose a {SETUP_NAME} that a take has left")
    return tuple(text[start : start + MAX_TEXT_CHARS] for start in range(0, len(text), MAX_TEXT_CHARS))
