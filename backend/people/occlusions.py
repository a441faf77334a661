"""People who overlap: two tracks on one body are told apart, swapped identities put right. numpy, backend.people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from backend.people.appearance import appearance_of
from backend.people.region import Roi, overlap
from backend.people.reidentification import PairAppearance, are_doubles, are_swapped, surprise
from backend.people.tracked_person import TrackedPerson
from backend.types import Image

_TOUCH, _APART = 0.12, 0.03
_APART_FRAMES = 4  # apart so long before the colours are compared


@dataclass(slots=True)
class _Occlusion:
    models: PairAppearance
    closest: int
    most_overlap: float
    apart: int = 0


class Occlusions:
    """Pairs of people (by their place in the tracker's list) whose boxes overlap, or just did."""

    def __init__(self) -> None:
        self._occlusions: dict[tuple[int, int], _Occlusion] = {}

    def part_doubles(
        self, people: Sequence[TrackedPerson], position: int, expected: dict[int, Roi], image: Image
    ) -> set[int]:
        """Numbers in `people` of those whose landmarks slid onto another's body in the frame at `position`."""
        lost: set[int] = set()
        seen = [number for number, person in enumerate(people) if not person.away and person.last_seen == position]
        for first, second in combinations(seen, 2):
            if lost & {first, second}:
                continue
            size = min(people[first].expected(0).size_px, people[second].expected(0).size_px)
            if are_doubles(people[first].keypoints(position), people[second].keypoints(position), size):
                odd = {n: self._surprise(people[n], position, expected.get(n), image) for n in (first, second)}
                lost.add(max(odd, key=lambda n: (odd[n], -people[n].log.sightings)))
        return lost

    @staticmethod
    def _surprise(person: TrackedPerson, position: int, expected: Roi | None, image: Image) -> float:
        look = appearance_of(image, person.keypoints(position))
        place = person.expected(0)
        return surprise(expected or place, place, person.appearance, look)

    def update(self, people: Sequence[TrackedPerson], position: int, image: Image) -> None:
        """Follow who meets whom in the frame at `position`; swap back those who came out with each other's number."""
        seen = [number for number, person in enumerate(people) if not person.away and person.last_seen == position]
        for pair in combinations(seen, 2):
            common = overlap(people[pair[0]].box(position), people[pair[1]].box(position))
            occlusion = self._occlusions.get(pair)
            if occlusion is None:
                if common > _TOUCH:
                    self._begin(pair, people, position, common)
                continue
            if common > occlusion.most_overlap:
                occlusion.most_overlap, occlusion.closest = common, position
            occlusion.apart = occlusion.apart + 1 if common < _APART else 0
            if occlusion.apart >= _APART_FRAMES:
                self._end(pair, people, position, image)

    def busy(self) -> set[int]:
        """Numbers of people whose colours should not be learnt now."""
        return {number for pair in self._occlusions for number in pair}

    def shift(self, frames: int) -> None:
        """The tracker's first `frames` frames were dropped: positions count from the frame after them."""
        for occlusion in self._occlusions.values():
            occlusion.closest = max(occlusion.closest - frames, 0)

    def forget(self, number: int) -> None:
        """A person is out of sight: nothing to compare any more."""
        self._occlusions = {pair: occlusion for pair, occlusion in self._occlusions.items() if number not in pair}

    def _begin(self, pair: tuple[int, int], people: Sequence[TrackedPerson], position: int, common: float) -> None:
        first, second = people[pair[0]].appearance, people[pair[1]].appearance
        if first is not None and second is not None:
            self._occlusions[pair] = _Occlusion(PairAppearance(first.copy(), second.copy()), position, common)

    def _end(self, pair: tuple[int, int], people: Sequence[TrackedPerson], position: int, image: Image) -> None:
        occlusion = self._occlusions.pop(pair)
        first, second = people[pair[0]], people[pair[1]]
        colours = [appearance_of(image, person.keypoints(position)) for person in (first, second)]
        if colours[0] is None or colours[1] is None:
            return
        if not are_swapped(occlusion.models, PairAppearance(colours[0], colours[1])):
            return
        first.log.exchange(second.log, occlusion.closest, position + 1)
        first.motion, second.motion = second.motion, first.motion

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Everything as arrays: whole numbers (n, 4), overlaps (n,), models (n, 2, A)."""
        occlusions = list(self._occlusions.items())
        return {
            "whole": np.array([[*pair, m.closest, m.apart] for pair, m in occlusions], np.int64).reshape(-1, 4),
            "overlap": np.array([m.most_overlap for _, m in occlusions]),
            "models": np.array([[m.models.first, m.models.second] for _, m in occlusions]),
        }

    @staticmethod
    def restored(state: dict[str, NDArray[np.generic]]) -> Occlusions:
        """The occlusions that `state` came from."""
        made = Occlusions()
        models, overlaps = state["models"].astype(np.float64), state["overlap"].astype(np.float64)
        for row, (first, second, closest, apart) in enumerate(state["whole"].astype(int).tolist()):
            pair_models = PairAppearance(models[row, 0], models[row, 1])
            made._occlusions[first, second] = _Occlusion(pair_models, closest, float(overlaps[row]), apart)
        return made
