"""The part of a video to solve: `--range START:END` in frames or seconds. stdlib only, and `backend.errors`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from backend.errors import BadInputError

_CLOCK = re.compile(r"^(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:\.\d+)?)$")
_REMEDY = "Write START:END, for example 100:250 (frames), 2.5s:8s (seconds) or 0:01:05-0:01:20 (clock); END is left out"


@dataclass(frozen=True, slots=True)
class FrameRange:
    """Half open: from `start` to before `end`, each a frame index (int), seconds (float) or None for the video's end.

    Frame indices count the source's images from 0; seconds are presentation times from the first image.
    """

    start: int | float | None = None
    end: int | float | None = None

    def before(self, index: int, time_s: float) -> bool:
        """Whether an image lies before the range."""
        return _reached(self.start, index, time_s) is False

    def after(self, index: int, time_s: float) -> bool:
        """Whether an image lies behind the range, so that decoding can end."""
        return _reached(self.end, index, time_s) is True

    def __str__(self) -> str:
        return f"{_written(self.start)}:{_written(self.end)}"


def parse_range(text: str) -> FrameRange:
    """Read `START:END`; either side may be missing. Raises BadInputError for anything else and for an empty range."""
    separator = "-" if "-" in text else ":"
    start_text, found, end_text = text.strip().partition(separator)
    # 0:01:0:02 could be split in three places: clock times are joined by a dash
    if not found or separator in end_text:
        raise BadInputError(f"--range {text!r} is not a range", _REMEDY)
    start, end = _bound(start_text, text), _bound(end_text, text)
    if start is not None and end is not None and isinstance(start, float) == isinstance(end, float) and end <= start:
        raise BadInputError(f"--range {text} holds no frame: its end is not behind its start", _REMEDY)
    return FrameRange(start, end)


def _bound(text: str, whole: str) -> int | float | None:
    text = text.strip()
    if not text:
        return None
    clock = _CLOCK.match(text)
    if clock:
        return float(clock[1] or 0) * 3600.0 + float(clock[2]) * 60.0 + float(clock[3])
    try:
        bound = float(text[:-1]) if text.endswith("s") else int(text)
    except ValueError:
        bound = math.nan
    if not math.isfinite(bound):
        raise BadInputError(f"--range {whole!r}: {text!r} is neither a frame number nor seconds", _REMEDY)
    return bound


def _reached(bound: int | float | None, index: int, time_s: float) -> bool | None:
    if bound is None:
        return None
    # an image shown at 0.999999 s counts as shown at 1 s: time bases such as 1/90000 do not hold every decimal
    return time_s >= bound - 1e-6 if isinstance(bound, float) else index >= bound


def _written(bound: int | float | None) -> str:
    if bound is None:
        return ""
    return f"{bound:g}s" if isinstance(bound, float) else str(bound)
