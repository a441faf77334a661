"""Who is followed how closely, and when the detectors look again. May import backend.people.

Where only the largest person of a video is wanted, people who cannot become the largest soon are looked at eight times
a second only and bridged in between: each of them would cost as much as the one who is wanted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from backend.people.options import Choice, PeopleOptions
from backend.people.region import cover
from backend.people.tracked_person import TrackedPerson
from backend.types import Array

BYSTANDER_INTERVAL_S = 0.12  # from one look at a bystander person to the next: every fourth frame of 30 a second
# of the leader's size, now and summed over time: nobody smaller becomes the subject by place and motion
_BYSTANDER_SHARE = 0.6
_NEAR_COVER = 0.2  # of a person's box hidden by the leader's: they may exchange identities, so both are watched
_MISSING_INTERVAL_S, _EMPTY_INTERVAL_S = 0.1, 0.2
_EAGER_SEARCHES = 10  # looks in a row at every frame before an empty image is looked at less often


def bystanders(people: Sequence[TrackedPerson], options: PeopleOptions) -> frozenset[int]:
    """Places in `people` of those who need not be seen in every frame."""
    if options.selection.choice is not Choice.LARGEST:
        return frozenset()
    leader = max(range(len(people)), key=lambda number: people[number].size_sum_px, default=-1)
    if leader < 0 or people[leader].away or people[leader].is_doubtful or people[leader].track_id is None:
        return frozenset()
    first, place = people[leader], people[leader].last_box
    return frozenset(
        number
        for number, person in enumerate(people)
        if number != leader
        and not person.away
        and person.track_id is not None
        and person.size_sum_px < _BYSTANDER_SHARE * first.size_sum_px
        and person.size_px < _BYSTANDER_SHARE * first.size_px
        and cover(person.last_box, place) < _NEAR_COVER
    )


class SearchClock:
    """When the detectors should look for people: often while somebody is missing, seldom while all is well."""

    def __init__(self, options: PeopleOptions) -> None:
        self._options = options
        self._last_s = -math.inf
        self._empty = 0

    def is_due(self, people: Sequence[TrackedPerson], time_s: float) -> bool:
        """Whether the frame at `time_s` should be searched."""
        present = sum(not person.away and not person.is_doubtful for person in people)
        if present >= self._options.max_people:
            return False
        waited = time_s - self._last_s
        if not present:
            return self._empty < _EAGER_SEARCHES or waited >= _EMPTY_INTERVAL_S - 1e-6
        missing = any(p.is_doubtful or (p.away and time_s - p.last_seen_s <= self._options.remember_s) for p in people)
        return waited >= (_MISSING_INTERVAL_S if missing else self._options.search_interval_s) - 1e-6

    def searched(self, time_s: float, nobody: bool) -> None:
        """A frame was searched; `nobody` when that found no one and no one is followed."""
        self._last_s = time_s
        self._empty = self._empty + 1 if nobody else 0

    def state(self) -> Array:
        """(2,) everything as numbers."""
        return np.array([self._last_s, self._empty], np.float64)

    def restore(self, state: Array) -> None:
        """Go on from what `state` gave."""
        self._last_s, self._empty = float(state[0]), int(state[1])
