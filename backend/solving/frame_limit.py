"""A bound on frames that are decoded, whatever the file's header says. stdlib and `backend.errors`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from backend.errors import BadInputError

Item = TypeVar("Item")


def too_many_frames(name: str, frames: str, limit: int) -> BadInputError:
    """The refusal of a video with more frames than allowed; `frames` says how many in words."""
    return BadInputError(f"{name} has {frames} frames, the limit is {limit}", "Solve a part of it, with a range")


def at_most(frames: Iterable[Item], limit: int, name: str, before: int = 0) -> Iterator[Item]:
    """The frames as they come; `limit` 0 is none, `before` counts frames of an earlier run.

    Raises BadInputError at the first frame beyond the limit: a header may promise fewer frames than are there.
    """
    for count, frame in enumerate(frames, start=before + 1):
        if limit and count > limit:
            raise too_many_frames(name, f"more than {limit}", limit)
        yield frame
