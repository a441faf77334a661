"""Options that are text on the command line, in a batch manifest and on the wire: person, quality, direction.

May import `backend.people.options`, `backend.solving.request` and `backend.errors`.
"""

from __future__ import annotations

import re

from backend.errors import BadInputError
from backend.people.options import Choice, Selection
from backend.solving.request import SolveQuality

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


def parse_quality(text: str) -> SolveQuality:
    """Read `fast`, `balanced` or `best`. Raises BadInputError for anything else."""
    names = [quality.value for quality in SolveQuality]
    if text not in names:
        raise BadInputError(f"Unknown quality {text!r}", f"Choose from {', '.join(names)}")
    return SolveQuality(text)


def parse_direction(text: str) -> tuple[float, float, float]:
    """Read `x,y,z` in camera axes. Raises BadInputError for anything else."""
    try:
        x, y, z = (float(part) for part in text.split(","))
    except ValueError:
        raise BadInputError(f"--gravity {text!r} is not a direction", "Give x,y,z, for example 0,1,0") from None
    return (x, y, z)
