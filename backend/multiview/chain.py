"""Which views belong together: each is joined to one that moves like it, by clock, people and rough place. numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backend.multiview.alignment import KNOWN_OVERLAP_S, Actor, Alignment, align
from backend.multiview.samples import sighting
from backend.multiview.synchronise import drifting_offset, grid_step_s, motion_signal
from backend.multiview.types import CameraView, Offset, OffsetSource, PersonInViews
from backend.types import Array

FEWEST_FRAMES = 5
# over a few seconds the motion of different people correlates by up to 0.36, of the same by 0.46 and more; over less,
# chance does more
_LEAST_CORRELATION = 0.35
_BY_CHANCE_S = 0.5
_HINTS = (OffsetSource.SOUND, OffsetSource.TIME_CODE)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a view's camera and clock beforehand; None where nothing is."""

    offset: Offset | None = None
    camera_from_rig: Array | None = None


@dataclass(frozen=True, slots=True)
class Chained:
    """One view that moves like the others: its clock, its rough pose from the take frame, and who is who: place among
    the first view's people -> place among its own. `lead`: by how much its motion correlates better than it must.
    """

    view: int
    offset: Offset
    rotation: Array
    translation: Array
    people: dict[int, int]
    lead: float = 0.0


def actors_of(view: CameraView, step_s: float) -> list[tuple[int, Actor]]:
    """Everybody of a view who is solved in some frames, with the place among its tracks."""
    found = []
    for place, poses in enumerate(view.poses):
        if np.isfinite(poses.rotations_wxyz).all(axis=(1, 2)).sum() >= FEWEST_FRAMES:
            found.append((place, Actor(sighting(view, place), motion_signal(view, place, step_s))))
    return found


def chain(
    views: Sequence[CameraView], usable: Sequence[int], known: Sequence[Known]
) -> tuple[list[Chained], dict[int, str]]:
    """Views joined to the first usable one that shows somebody, best matches first; and why others are not: a sentence
    for each.
    """
    step_s = grid_step_s(tuple(views))
    actors = {view: actors_of(views[view], step_s) for view in usable}
    first = next((view for view in usable if actors[view]), usable[0])
    start = known[first].offset or Offset()
    joined = [Chained(first, start, np.eye(3), np.zeros(3), {place: place for place, _ in actors[first]})]
    left = [view for view in usable if view != first and actors[view]]
    reasons = {view: "nobody in it is solved" for view in usable if view != first and not actors[view]}
    while left and actors[first]:
        tried = [(link, view, _link(actors, known, link, view)) for view in left for link in joined]
        good = [(link, view, found) for link, view, found in tried if found is not None]
        if not good:
            break
        link, view, found = max(good, key=lambda item: item[2].score)
        joined.append(_joined(actors, known, link, view, found))
        left.remove(view)
    return joined, reasons | dict.fromkeys(left, "nobody in it moves like anybody in the other videos")


def _link(
    actors: dict[int, list[tuple[int, Actor]]], known: Sequence[Known], link: Chained, view: int
) -> Alignment | None:
    """How a view lies to one that is joined, at the known offset or at whatever shift their motion agrees.

    What sound or time code say is a hint: where the motion contradicts it, the motion counts.
    """
    given = known[view].offset
    here, there = [one for _, one in actors[link.view]], [one for _, one in actors[view]]
    if given is not None:
        # both clocks in the take's: what is given is the offset to the take, what is asked is that to the linked view
        found = align(here, there, (given.start_s - link.offset.start_s) / link.offset.rate)
        if found is not None or given.source not in _HINTS:
            return found
    found = align(here, there)
    if found is None or found.correlation < _least_correlation(found):
        return None
    return found


def _least_correlation(found: Alignment) -> float:
    """Chance seldom lets several people move alike, and stand as the others do, at one and the same shift; and where
    both videos show several people, one of whom alone fits, they hardly show the same moment.
    """
    by_chance = _LEAST_CORRELATION + _BY_CHANCE_S / found.overlap_s
    return float(by_chance * np.sqrt(max(found.people, found.moving)) / max(found.moving, 1))


def _joined(
    actors: dict[int, list[tuple[int, Actor]]], known: Sequence[Known], link: Chained, view: int, found: Alignment
) -> Chained:
    to_first = {own: first for first, own in link.people.items()}
    people: dict[int, int] = {}
    for a, b in found.pairs:
        place = actors[link.view][a][0]
        if place in to_first:
            people[to_first[place]] = actors[view][b][0]
    offset = known[view].offset
    by_motion = found.overlap_s < KNOWN_OVERLAP_S
    if offset is None or by_motion:
        a, b = found.pairs[0]
        one, other = actors[link.view][a][1].signal, actors[view][b][1].signal
        local = Offset(found.offset_s)
        if one is not None and other is not None:
            local = drifting_offset(one, other, found.offset_s)
        rate = link.offset.rate * local.rate
        start = link.offset.start_s + link.offset.rate * local.start_s
        offset = Offset(start, rate, local.uncertainty_s, OffsetSource.MOTION)
    rotation = found.rotation @ link.rotation
    translation = found.rotation @ link.translation + found.translation
    return Chained(view, offset, rotation, translation, people, max(0.0, found.correlation - _least_correlation(found)))


def people_in_views(links: Sequence[Chained], views: int) -> tuple[PersonInViews, ...]:
    """Everybody of the first view, with the places of their tracks in all `views` views."""
    by_view = {link.view: link.people for link in links}
    return tuple(
        PersonInViews(person, tuple(by_view.get(view, {}).get(person) for view in range(views)))
        for person in sorted(links[0].people)
    )
