"""Who is who after people crossed or hugged: fragments of tracks are joined to people by what all views show.

One camera follows people by where they are in the image, and where they cover each other it may go on with the wrong
one. Another camera sees them apart. Each track is cut where people are near each other (`fragments`); a rotation and a
translation that carry one view's people to another's say which fragments show one person. numpy only.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from backend.multiview.alignment import Actor, align_parts
from backend.multiview.chain import FEWEST_FRAMES, Known
from backend.multiview.find_take import FoundTake, find_take
from backend.multiview.fragments import Fragment, as_view, fragments_of, joined_view
from backend.multiview.samples import sighting
from backend.multiview.synchronise import grid_step_s, motion_signal
from backend.multiview.types import CameraSource, CameraView

# how much the tracker's word that two neighbouring fragments are one person counts beside the views' (in seconds)
_TRACKER_S = 0.1
_SCRAP = 0.3


@dataclass(frozen=True, slots=True)
class _Link:
    """Two fragments that show one person, and how sure that is."""

    first: int
    second: int
    weight: float


def find_take_and_people(
    views: Sequence[CameraView], known: Sequence[Known], source: CameraSource
) -> tuple[list[CameraView], FoundTake]:
    """The take, and its views with their people told apart. Views that turn out to have nothing in common keep the
    tracks as they were: what one shows says nothing of the other.
    """
    apart = with_people_told_apart(views, known)
    found = find_take(apart, known, source=source)
    if len(found.take.used) > 1 or all(one is view for one, view in zip(apart, views, strict=True)):
        return apart, found
    return list(views), find_take(views, known, source=source)


def with_people_told_apart(views: Sequence[CameraView], known: Sequence[Known]) -> list[CameraView]:
    """The views with their tracks cut and joined so that each follows one person; as they are where nobody meets.

    A view's people are ordered by the first view in which they are.
    """
    fragments = [one for place, view in enumerate(views) for one in fragments_of(view, place)]
    whole = sum(len(view.tracks) for view in views)
    if len(fragments) <= whole or all(len(view.tracks) < 2 for view in views):
        return list(views)
    links = _between_views(views, fragments, known)
    if not links:
        return list(views)
    groups = _grouped(fragments, links + _by_tracker(fragments))
    return [_rejoined(view, place, groups) for place, view in enumerate(views)]


def _rejoined(view: CameraView, place: int, groups: Sequence[Sequence[Fragment]]) -> CameraView:
    own = [some for group in groups if (some := [one for one in group if one.view == place])]
    order = sorted(own, key=lambda some: max(some, key=lambda one: len(one.rows)).track)
    longest = max((_frames(some) for some in own), default=0)
    return joined_view(view, [some for some in order if not _is_scrap(view, some, longest)])


def _frames(fragments: Sequence[Fragment]) -> int:
    return sum(len(one.rows) for one in fragments)


def _is_scrap(view: CameraView, fragments: Sequence[Fragment], longest: int) -> bool:
    """Whether these are cuttings of other people's tracks that nobody could be found for, and not a person."""
    shown = [int((track.presence > 0).sum()) for track in view.tracks]
    return _frames(fragments) < _SCRAP * longest and all(2 * len(one.rows) < shown[one.track] for one in fragments)


def _between_views(views: Sequence[CameraView], fragments: Sequence[Fragment], known: Sequence[Known]) -> list[_Link]:
    step_s = grid_step_s(tuple(views))
    actors: dict[int, list[tuple[int, Actor]]] = {}
    for place, view in enumerate(views):
        own = [number for number, one in enumerate(fragments) if one.view == place]
        parts = as_view(view, [fragments[number] for number in own])
        actors[place] = [
            (number, Actor(sighting(parts, at), motion_signal(parts, at, step_s)))
            for at, number in enumerate(own)
            if len(fragments[number].rows) >= FEWEST_FRAMES
        ]
    links: list[_Link] = []
    for first, second in itertools.combinations(range(len(views)), 2):
        if views[first].camera_moves or views[second].camera_moves or not actors[first] or not actors[second]:
            continue
        here, there = ([actor for _, actor in actors[place]] for place in (first, second))
        for a, b, weight in align_parts(here, there, _given_s(known, first, second)):
            links.append(_Link(actors[first][a][0], actors[second][b][0], weight))
    return links


def _given_s(known: Sequence[Known], first: int, second: int) -> float | None:
    """The offset of the second view against the first, where both are known."""
    one = known[first].offset if first else known[0].offset
    other = known[second].offset
    if other is None or (first and one is None):
        return None
    return other.start_s - (one.start_s if one is not None else 0.0)


def _by_tracker(fragments: Sequence[Fragment]) -> list[_Link]:
    """Neighbouring fragments of one track are one person where nothing speaks against it."""
    found = []
    for at, one in enumerate(fragments[:-1]):
        following = fragments[at + 1]
        if (one.view, one.track) == (following.view, following.track):
            found.append(_Link(at, at + 1, _TRACKER_S))
    return found


def _grouped(fragments: Sequence[Fragment], links: Sequence[_Link]) -> list[list[Fragment]]:
    """People as groups of fragments: the surest links first, never two fragments of one view at one time."""
    groups = [{number} for number in range(len(fragments))]
    of = list(range(len(fragments)))
    for link in sorted(links, key=lambda one: -one.weight):
        first, second = of[link.first], of[link.second]
        if first == second or any(fragments[a].overlaps(fragments[b]) for a in groups[first] for b in groups[second]):
            continue
        for number in groups[second]:
            of[number] = first
        groups[first] |= groups[second]
        groups[second] = set()
    return [[fragments[number] for number in sorted(group)] for group in groups if group]
