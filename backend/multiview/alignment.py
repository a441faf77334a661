"""Where two cameras stand to each other, roughly, and who is who in them, from the people's own 3D. numpy, scipy.

One rotation and one translation carry everybody's joints from one camera into the other; the people who fit are the
same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from backend.multiview.bundle_problem import LANDMARKS
from backend.multiview.samples import Samples, Sighting, middle_of_hips, samples_at
from backend.multiview.synchronise import ClockMatch, MotionSignal, clock_matches, correlation_at
from backend.multiview.types import Offset
from backend.types import Array

_ROUNDS = 6
_OFF_M = 0.15
_MOST_TIMES = 150
# the same person's joints lie so near each other (median), and the pelvis, whose depth one camera hardly sees
_SAME_POSE_M = 0.20
_SAME_PLACE_M = 1.2
_LEAST_STRENGTH = 0.2
_MOSTLY = 0.6
# beside somebody who moves, people who are slower than this part of it stand still: their motion is noise
_STILL = 0.3
_MOST_MATCHES, _MOST_POSES = 6, 8
_MOST_FOR_CLOCKS = 12  # fragments of a view, the longest ones: clocks are compared for every pair
KNOWN_OVERLAP_S = 1e6
"""The overlap of an alignment at a shift that was known: nothing had to be correlated."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """From the first camera to the second: rotation (3, 3), translation (3,); how far the joints are off (median, m);
    how well the motion correlates (the mean of the pairs that move), and over how long; the pairs of people (place in
    the first, place in the second), those that move first, and how many of them move; how many moving people both views
    show most of the time.
    """

    offset_s: float
    rotation: Array
    translation: Array
    off_m: float
    correlation: float
    overlap_s: float
    pairs: tuple[tuple[int, int], ...]
    score: float
    moving: int = 1
    people: int = 1


@dataclass(frozen=True, slots=True)
class Actor:
    """One person of one view: what is seen of the person, and the motion."""

    seen: Sighting
    signal: MotionSignal | None

    @property
    def length_s(self) -> float:
        """From the first to the last time at which the person is seen."""
        return float(self.seen.times_s[-1] - self.seen.times_s[0])


def rigid(first: Samples, second: Samples) -> tuple[Array, Array, float] | None:
    """Rotation (3, 3) and translation (3,) from the first camera to the second by everybody's landmarks, and how far
    these are off (median, m); None where fewer than three times show the person in both.
    """
    both = first.seen & second.seen
    if both.sum() < 3:
        return None
    from_middle, to_middle = middle_of_hips(first.landmarks_m[both]), middle_of_hips(second.landmarks_m[both])
    source = first.landmarks_m[both][:, LANDMARKS] - from_middle[:, None]
    target = second.landmarks_m[both][:, LANDMARKS] - to_middle[:, None]
    weight = np.ones(source.shape[:2])
    rotation, off = np.eye(3), weight
    for _ in range(_ROUNDS):
        spread = np.einsum("tlc,tld,tl->cd", source, target, weight)
        left, _, right = np.linalg.svd(spread)
        flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(right.T @ left.T))])
        rotation = right.T @ flip @ left.T
        off = np.linalg.norm(source @ rotation.T - target, axis=-1)
        weight = 1.0 / (1.0 + np.square(off / _OFF_M))
    return rotation, np.median(to_middle - from_middle @ rotation.T, axis=0), float(np.median(off))


def shared_times_s(
    first: Sequence[Actor], second: Sequence[Actor], offset_s: float, rate: float = 15.0, most: int = _MOST_TIMES
) -> Array:
    """Times of the first clock at which both views show somebody, `rate` a second and `most` in all."""
    begin = max(min(one.seen.times_s[0] for one in first), min(one.seen.times_s[0] for one in second) + offset_s)
    end = min(max(one.seen.times_s[-1] for one in first), max(one.seen.times_s[-1] for one in second) + offset_s)
    if end <= begin:
        return np.zeros(0)
    return np.linspace(begin, end, int(np.clip((end - begin) * rate, 5, most)))


def align(first: Sequence[Actor], second: Sequence[Actor], given_s: float | None = None) -> Alignment | None:
    """The best alignment of two views over the likeliest shifts of their clocks (or the given one) and all pairs of
    people; None where nobody moves alike.
    """
    best: Alignment | None = None
    for match in _matches(first, second, given_s):
        times_s = shared_times_s(first, second, match.start_s)
        if len(times_s) < 5:
            continue
        here = [samples_at(one.seen, Offset(), times_s) for one in first]
        there = [samples_at(one.seen, Offset(match.start_s), times_s) for one in second]
        for a, one in enumerate(here):
            for b, other in enumerate(there):
                found = rigid(one, other)
                if found is None or found[2] > _SAME_POSE_M:
                    continue
                tried = _with_everybody((first, second), (here, there), match, found[0], found[1])
                if tried.pairs and (a, b) in tried.pairs and (best is None or tried.score > best.score):
                    best = tried
    return best


def _matches(first: Sequence[Actor], second: Sequence[Actor], given_s: float | None) -> list[ClockMatch]:
    if given_s is not None:
        return [ClockMatch(given_s, 1.0, KNOWN_OVERLAP_S)]
    found: list[ClockMatch] = []
    for one in first:
        for other in second:
            if one.signal is not None and other.signal is not None:
                found += [m for m in clock_matches(one.signal, other.signal) if m.strength > _LEAST_STRENGTH]
    return sorted(found, key=lambda match: -match.strength)[:12]


def _with_everybody(
    actors: tuple[Sequence[Actor], Sequence[Actor]],
    samples: tuple[Sequence[Samples], Sequence[Samples]],
    match: ClockMatch,
    rotation: Array,
    translation: Array,
) -> Alignment:
    here, there = samples
    cost = np.full((len(here), len(there)), 1e3)
    share = np.zeros_like(cost)
    for a, one in enumerate(here):
        for b, other in enumerate(there):
            both = one.seen & other.seen
            share[a, b] = both.mean()
            if both.sum() >= 3:
                cost[a, b] = _cost(one, other, rotation, translation)
    rows, columns = linear_sum_assignment(cost)
    pairs = tuple((int(a), int(b)) for a, b in zip(rows, columns, strict=True) if cost[a, b] < 1.0)
    moved = [_moves_alike(actors[0][a], actors[1][b], match) for a, b in pairs]
    score = sum((1.0 - cost[pair]) * share[pair] for pair in pairs) * max(sum(moved), 0.0) * match.reliability
    off = float(np.mean([cost[pair] for pair in pairs])) * _SAME_POSE_M if pairs else np.inf
    active = [_active(side) for side in actors]
    moves = [active[0][a] or active[1][b] for a, b in pairs]
    moving = [alike for alike, one in zip(moved, moves, strict=True) if one]
    ordered = tuple(pairs[place] for place in np.argsort(np.logical_not(moves), kind="stable"))
    people = min(
        sum(moves and bool(one.seen.mean() > _MOSTLY) for moves, one in zip(*side, strict=True))
        for side in zip(active, samples, strict=True)
    )
    return Alignment(
        match.start_s,
        rotation,
        translation,
        off,
        float(np.mean(moving)) if moving else 0.0,
        match.overlap_s,
        ordered,
        float(score),
        len(moving),
        max(1, people),
    )


def _active(actors: Sequence[Actor]) -> list[bool]:
    """Who moves, beside those who stand and look on."""
    speeds = [0.0 if one.signal is None else one.signal.speed_m_s for one in actors]
    return [speed > 0 and speed >= _STILL * max(speeds) for speed in speeds]


def _moves_alike(first: Actor, second: Actor, match: ClockMatch) -> float:
    """How the motion of two people correlates at the shift; 1 where the shift was known."""
    if match.overlap_s == KNOWN_OVERLAP_S:
        return 1.0
    if first.signal is None or second.signal is None:
        return 0.0
    return correlation_at(first.signal, second.signal, match.start_s)


def _cost(one: Samples, other: Samples, rotation: Array, translation: Array) -> float:
    """How unlike two people are: 1 and more for different ones."""
    both = one.seen & other.seen
    from_middle, to_middle = middle_of_hips(one.landmarks_m[both]), middle_of_hips(other.landmarks_m[both])
    source = one.landmarks_m[both][:, LANDMARKS] - from_middle[:, None]
    target = other.landmarks_m[both][:, LANDMARKS] - to_middle[:, None]
    pose = float(np.median(np.linalg.norm(source @ rotation.T - target, axis=-1)))
    place = float(np.median(np.linalg.norm(from_middle @ rotation.T + translation - to_middle, axis=-1)))
    return max(pose / _SAME_POSE_M, place / _SAME_PLACE_M)


def align_parts(
    first: Sequence[Actor], second: Sequence[Actor], given_s: float | None = None
) -> list[tuple[int, int, float]]:
    """Pairs of fragments (place in the first, place in the second, how sure: seconds that they agree over, less where
    somebody else fits about as well) that show one person, at the best rotation, translation and shift of the clocks; a
    person may have several fragments in each view.
    """
    best: list[tuple[int, int, float]] = []
    best_score = 0.0
    for match in _matches(_longest(first), _longest(second), given_s)[:_MOST_MATCHES]:
        times_s = shared_times_s(first, second, match.start_s, 25.0, 2 * _MOST_TIMES)
        if len(times_s) < 5:
            continue
        step_s = float(times_s[1] - times_s[0])
        # what is shorter has too few of these times to be compared
        some, others = ([at for at, one in enumerate(side) if one.length_s >= step_s] for side in (first, second))
        here = [samples_at(first[at].seen, Offset(), times_s) for at in some]
        there = [samples_at(second[at].seen, Offset(match.start_s), times_s) for at in others]
        poses = [
            (found, here[a], there[b])
            for a, b in np.argwhere(_shared_times(here, there) >= 3)
            if (found := rigid(here[a], there[b])) is not None
        ]
        likely = [item for item in poses if item[0][2] < _SAME_POSE_M]
        likely.sort(key=lambda item: item[0][2] / np.sqrt((item[1].seen & item[2].seen).sum()))
        for (rotation, translation, _), _, _ in likely[:_MOST_POSES]:
            pairs = _many_pairs(here, there, rotation, translation, step_s)
            score = sum(weight for _, _, weight, _ in pairs) * max(match.strength, 0.0)
            if score > best_score:
                best, best_score = [(some[a], others[b], sure) for a, b, _, sure in pairs], score
    return best


def _longest(actors: Sequence[Actor]) -> list[Actor]:
    return sorted(actors, key=lambda one: -one.length_s)[:_MOST_FOR_CLOCKS]


def _shared_times(here: Sequence[Samples], there: Sequence[Samples]) -> NDArray[np.intp]:
    """At how many times each of `here` and each of `there` are seen both (A, B)."""
    if not here or not there:
        return np.zeros((len(here), len(there)), np.intp)
    one, other = (np.stack([samples.seen for samples in side]).astype(np.intp) for side in (here, there))
    return np.asarray(one @ other.T)


def _many_pairs(
    here: Sequence[Samples], there: Sequence[Samples], rotation: Array, translation: Array, step_s: float
) -> list[tuple[int, int, float, float]]:
    """Pairs of fragments that fit, the surest first; whoever is taken is not taken again at the same time. With each
    how well it fits (times seconds), and how much better than the next best.
    """
    count = _shared_times(here, there)
    fit, shared = np.zeros(count.shape), count * step_s
    for a, b in np.argwhere(count >= 3):
        fit[a, b] = max(0.0, 1.0 - _cost(here[a], there[b], rotation, translation))
    taken_here = np.zeros((len(here), len(here[0].seen)), bool)
    taken_there = np.zeros((len(there), len(there[0].seen)), bool)
    pairs = []
    for place in np.argsort(-(fit * shared), axis=None):
        a, b = (int(index) for index in np.unravel_index(place, fit.shape))
        if fit[a, b] <= 0:
            break
        rows = here[a].seen & there[b].seen
        if (taken_here[a] & rows).mean() > 0.02 or (taken_there[b] & rows).mean() > 0.02:
            continue
        taken_here[a] |= rows
        taken_there[b] |= rows
        rivals = [fit[a, k] for k in range(len(there)) if k != b and (there[k].seen & rows).sum() >= 3]
        rivals += [fit[k, b] for k in range(len(here)) if k != a and (here[k].seen & rows).sum() >= 3]
        sure = (fit[a, b] - max(rivals, default=0.0)) * shared[a, b]
        pairs.append((a, b, float(fit[a, b] * shared[a, b]), float(max(sure, 0.0))))
    return pairs
