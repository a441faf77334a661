"""How a person is named in text: `--person` and the wire's option. `backend.people.options`, `backend.errors`."""

from __future__ import annotations

import re

from backend.errors import BadInputError
from backend.people.options import Choice, Selection

_CLICK = re.compile(r"^(-?\d+(?:\.\d+)?),(-?\d+(?:\.\d+)?)(?:@(\d+))?$")
_WORDS = {
    "largest": Choice.LARGEST,
    "longest": Choice.LONGEST,
    "moving": Choice.MOST_MOVING,
    "most_moving": Choice.MOST_MOVING,
    "all": Choice.ALL,
}


def parse_person(text: str) -> Selection:
    """Read `largest`, `longest`, `moving`, `all`, a track's number, or `X,Y@FRAME` in pixels.

    Raises BadInputError for anything else.
    """
    word = text.strip().lower()
    if word in _WORDS:
        return Selection(_WORDS[word])
    if word.isdigit():
        return Selection(Choice.INDEX, index=int(word))
    click = _CLICK.match(word)
    if click:
        return Selection(Choice.CLICK, click_px=(float(click[1]), float(click[2])), click_frame=int(click[3] or 0))
    raise BadInputError(
        f"--person {text!r}: unknown person", "Use largest, longest, moving, all, a number from `tracks`, or X,Y@FRAME"
    )
