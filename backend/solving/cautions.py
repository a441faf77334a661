"""Parts of the body that a video never shows, so that their pose is a guess.

May import numpy and `backend.types`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from backend.types import PersonTrack

# indices of the BlazePose landmarks that show a part; an earlier part speaks for the later ones that hang on it
_PARTS: Final = (
    ("legs", "legs", (25, 26), ("lower_legs",)),
    ("lower_legs", "lower legs and feet", (27, 28), ()),
    ("upper_body", "upper body", (11, 12), ("arms", "head")),
    ("arms", "arms", (13, 14, 15, 16), ()),
    ("head", "head", tuple(range(11)), ()),
)
_VISIBLE: Final = 0.5
_NEVER: Final = 0.05
_SELDOM: Final = 0.75


@dataclass(frozen=True, slots=True)
class PartlySeen:
    """Names of the parts that are seen in no frame or hardly any, for the clip's header, and sentences for the user."""

    never: tuple[str, ...]
    warnings: tuple[str, ...]


def find_unseen(track: PersonTrack, width: int, height: int) -> PartlySeen:
    """Which parts of the body lie outside the images of `width` x `height` px, or are hidden, most of the time."""
    rows = np.flatnonzero(track.presence > 0)
    if not len(rows):
        return PartlySeen((), ())
    points = track.keypoints_px[rows]
    with np.errstate(invalid="ignore"):
        inside = (points >= 0).all(axis=-1) & (points[..., 0] < width) & (points[..., 1] < height)
        visible = inside & (track.visibility[rows] > _VISIBLE)
    never: list[str] = []
    told: list[str] = []
    spoken: set[str] = set()
    for name, words, landmarks, others in _PARTS:
        # a head from behind hides its landmarks, and is seen all the same
        seen = (inside if name == "head" else visible)[:, list(landmarks)].any(axis=1)
        share = float(seen.mean())
        if name in spoken or share >= _SELDOM:
            continue
        spoken |= set(others)
        verb = "is" if name in ("upper_body", "head") else "are"
        if share < _NEVER:
            never.append(name)
            told.append(f"the {words} {verb} never seen: their pose is a guess")
        else:
            told.append(f"the {words} {verb} not seen in {100 * (1 - share):.0f} % of the frames: a guess there")
    return PartlySeen(tuple(never), tuple(told))
