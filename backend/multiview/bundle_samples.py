"""What a bundle adjustment gets from the sightings of the views: moments, evidence, where it starts. numpy only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from backend.multiview.bundle_problem import BONES, LANDMARKS, ViewEvidence, seen_well
from backend.multiview.chain import Chained
from backend.multiview.samples import Samples, middle_of_hips, samples_at, sighting
from backend.multiview.types import CameraView, Offset
from backend.types import Array

# where people cover each other, keypoints may be anybody's
_APART, _ENOUGH_APART = 0.3, 20
_NEAREST_M = 0.1


def shared_samples(
    views: Sequence[CameraView],
    links: Sequence[Chained],
    offsets: Sequence[Offset],
    people: Sequence[int],
    frames: int,
) -> tuple[list[Samples], NDArray[np.intp]]:
    """What every view says of the people at shared moments, and whose moments these are."""
    parts: list[list[Samples]] = [[] for _ in links]
    person: list[NDArray[np.intp]] = []
    blank = None
    for one in people:
        sights = [sighting(views[link.view], link.people[one]) if one in link.people else None for link in links]
        here = [(sight, offset) for sight, offset in zip(sights, offsets, strict=True) if sight is not None]
        begin = sorted(float(offset.take_time_s(sight.times_s[:1])[0]) for sight, offset in here)
        end = sorted(float(offset.take_time_s(sight.times_s[-1:])[0]) for sight, offset in here)
        times_s = np.linspace(begin[0], end[-1], 4 * frames // max(1, len(people)))
        found = [
            samples_at(sight, offset, times_s) if sight is not None else None
            for sight, offset in zip(sights, offsets, strict=True)
        ]
        rows = _spread(_shared([sample for sample in found if sample is not None]), frames // max(1, len(people)))
        blank = next(sample for sample in found if sample is not None)
        for place, sample in enumerate(found):
            parts[place].append(_rows(sample, rows) if sample is not None else _nothing(_rows(blank, rows)))
        person.append(np.full(len(rows), one))
    if not person:
        return [], np.zeros(0, np.intp)
    names = Samples.__dataclass_fields__
    whole = [Samples(*(np.concatenate([getattr(part, name) for part in own]) for name in names)) for own in parts]
    return whole, np.concatenate(person)


def _shared(samples: Sequence[Samples]) -> NDArray[np.intp]:
    """The times at which two views show the person, apart from others where there are enough such times."""
    apart = np.flatnonzero(np.sum([sample.seen & (sample.apart > _APART) for sample in samples], axis=0) >= 2)
    if len(apart) >= _ENOUGH_APART:
        return apart
    return np.flatnonzero(np.sum([sample.seen for sample in samples], axis=0) >= 2)


def _spread(rows: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """At most `count` of the rows, evenly spread."""
    return rows[np.unique(np.linspace(0, len(rows) - 1, count).astype(int))] if len(rows) else rows


def _rows(sample: Samples, rows: NDArray[np.intp]) -> Samples:
    return Samples(*(getattr(sample, name)[rows] for name in Samples.__dataclass_fields__))


def _nothing(sample: Samples) -> Samples:
    return Samples(*(np.zeros_like(getattr(sample, name)) for name in Samples.__dataclass_fields__))


def evidence_of(sample: Samples) -> ViewEvidence:
    """What a view says of the adjusted landmarks at the moments."""
    middle = np.where(sample.seen[:, None], middle_of_hips(sample.landmarks_m), [0.0, 0.0, 1.0])
    return ViewEvidence(
        sample.points[:, LANDMARKS],
        sample.velocity[:, LANDMARKS],
        sample.weight[:, LANDMARKS],
        sample.landmarks_m[:, LANDMARKS] - middle[:, None],
        middle / np.linalg.norm(middle, axis=1, keepdims=True),
        np.maximum(middle[:, 2], 0.3),
        sample.seen,
    )


def own_misses_m(sample: Samples) -> float:
    """The median distance of a view's keypoints from its own poses, in m at their depth."""
    landmarks = sample.landmarks_m[:, LANDMARKS]
    depth = np.maximum(landmarks[..., 2:], _NEAREST_M)
    off = np.linalg.norm(sample.points[:, LANDMARKS] - landmarks[..., :2] / depth, axis=-1) * depth[..., 0]
    shown = seen_well(sample.weight[:, LANDMARKS] * sample.seen[:, None])
    return float(np.median(off[shown])) if shown.any() else float("nan")


def common_points(samples: Sequence[Samples], rotations: Array, translations: Array) -> Array:
    """The views' own landmarks (F, L, 3) in the take frame, averaged."""
    total, count = np.zeros((len(samples[0].seen), len(LANDMARKS), 3)), np.zeros(len(samples[0].seen))
    for sample, rotation, translation in zip(samples, rotations, translations, strict=True):
        points = (sample.landmarks_m[:, LANDMARKS] - translation) @ rotation
        total += points * sample.seen[:, None, None]
        count += sample.seen
    return total / np.maximum(count, 1)[:, None, None]


def bone_lengths(samples: Sequence[Samples], person: NDArray[np.intp], people: Sequence[int]) -> Array:
    """Log bone lengths (P, B) of each person, as the views' own solves have them on average."""
    out = []
    for one in people:
        if not (person == one).any():
            continue
        logs = []
        for sample in samples:
            rows = sample.seen & (person == one)
            if rows.any():
                points = sample.landmarks_m[rows][:, LANDMARKS]
                length = np.linalg.norm(points[:, BONES[:, 0]] - points[:, BONES[:, 1]], axis=-1)
                logs.append(np.log(np.maximum(length, 1e-3)).mean(axis=0))
        out.append(np.mean(logs, axis=0))
    return np.array(out)
