"""Tracks cut where people come near each other in the image, since a tracker may go on with the other one; and joined.

numpy only. A fragment is a track with the frames between two such places, with its poses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from backend.embedding.keypoints import HIPS
from backend.multiview.overlap import still_there
from backend.multiview.resample import longest_gap_s
from backend.multiview.types import CameraView
from backend.types import Array, PersonTrack, PoseTrack

# people nearer than this, in heights of the larger one, may be confused; a longer meeting is cut into pieces
_NEAR = 0.35
_PIECE_S = 0.6
_LEAST_S = 0.25
_STAYS_S = 0.5  # somebody who is lost counts as there for so long


@dataclass(frozen=True, slots=True)
class Fragment:
    """Rows (n,) of a view's track with this place; times_s (2,) of the first and the last on the video's clock."""

    view: int
    track: int
    rows: NDArray[np.intp]
    times_s: tuple[float, float]

    def overlaps(self, other: Fragment) -> bool:
        """Whether both show somebody in one view at one time: they are different people."""
        if self.view != other.view:
            return False
        begin, end = max(self.times_s[0], other.times_s[0]), min(self.times_s[1], other.times_s[1])
        return end - begin > 0.05


def fragments_of(view: CameraView, place: int) -> list[Fragment]:
    """The fragments of everybody in a view, whose place among the views this is."""
    cuts: list[list[float]] = [[] for _ in view.tracks]
    for first in range(len(view.tracks)):
        for second in range(first + 1, len(view.tracks)):
            for begin_s, end_s in _meetings(view.tracks[first], view.tracks[second]):
                pieces = int(np.ceil((end_s - begin_s) / _PIECE_S))
                both = np.linspace(begin_s, end_s, pieces + 1) if pieces > 1 else [(begin_s + end_s) / 2]
                cuts[first] += [float(cut) for cut in both]
                cuts[second] += [float(cut) for cut in both]
    found = []
    for track, own in enumerate(cuts):
        several = len(view.tracks) > 1
        # after a cut of the video a tracker may go on with anybody
        found += _cut(view.tracks[track], place, track, sorted([*own, *(view.cuts_s if several else ())]), several)
    return found


def _shown(track: PersonTrack) -> NDArray[np.bool_]:
    return np.asarray((track.presence > 0) & np.isfinite(track.keypoints_px).all(axis=(1, 2)))


def _meetings(first: PersonTrack, second: PersonTrack) -> list[tuple[float, float]]:
    """The first and the last time of each stay of two tracks near each other. Somebody who is lost there is still there
    for a while, and the track of the other may go on with either.
    """
    shown = [np.asarray(track.times_s, np.float64)[_shown(track)] for track in (first, second)]
    times_s = np.union1d(*shown)
    if not len(shown[0]) or not len(shown[1]) or len(times_s) < 2:
        return []
    (here, size), (there, other) = (_standing(track, times_s) for track in (first, second))
    apart = np.linalg.norm(here - there, axis=-1) / np.maximum(np.maximum(size, other), 1.0)
    near = np.nan_to_num(apart, nan=np.inf) < _NEAR
    edges = np.flatnonzero(np.diff(np.concatenate([[False], near, [False]]).astype(int)))
    return [(float(times_s[begin]), float(times_s[end - 1])) for begin, end in edges.reshape(-1, 2)]


def _standing(track: PersonTrack, times_s: Array) -> tuple[Array, Array]:
    """The middle of the hips (T, 2) and the size (T,) of a person in px at other times; NaN where the person is
    away (`still_there`).
    """
    rows = _shown(track)
    own_s, points = np.asarray(track.times_s, np.float64)[rows], track.keypoints_px[rows]
    middle, size = points[:, HIPS].mean(axis=1), np.ptp(points, axis=1).max(axis=1)
    known = still_there(own_s, times_s, _STAYS_S)
    at = np.stack([np.interp(times_s, own_s, values) for values in (middle[:, 0], middle[:, 1], size)], axis=1)
    at[~known] = np.nan
    return at[:, :2], at[:, 2]


def _cut(track: PersonTrack, view: int, place: int, cuts_s: Sequence[float], at_gaps: bool) -> list[Fragment]:
    rows = np.flatnonzero(_shown(track))
    if not len(rows):
        return []
    times_s, gap_s = np.asarray(track.times_s)[rows], longest_gap_s(track.times_s)
    breaks = np.searchsorted(times_s, cuts_s)
    gaps = np.flatnonzero(np.diff(times_s) > gap_s) + 1 if at_gaps else np.zeros(0, int)
    places = np.unique(np.concatenate([breaks, gaps, [0, len(rows)]])).astype(int)
    kept: list[tuple[int, int]] = []
    for begin, end in pairwise(places):
        short = times_s[end - 1] - times_s[begin] < _LEAST_S
        if short and kept and times_s[begin] - times_s[kept[-1][1] - 1] < gap_s:
            kept[-1] = (kept[-1][0], int(end))
        else:
            kept.append((int(begin), int(end)))
    return [
        Fragment(view, place, rows[begin:end], (float(times_s[begin]), float(times_s[end - 1]))) for begin, end in kept
    ]


def as_view(view: CameraView, fragments: Sequence[Fragment]) -> CameraView:
    """The view with the fragments as its people."""
    tracks = tuple(_rows_of(view.tracks[one.track], one.rows) for one in fragments)
    return replace(view, tracks=tracks, poses=tuple(_rows_of(view.poses[one.track], one.rows) for one in fragments))


def joined_view(view: CameraView, people: Sequence[Sequence[Fragment]]) -> CameraView:
    """The view with one track for each person, made of the person's fragments; numbers stay where they can."""
    tracks, poses, taken = [], [], set[int]()
    spare = 1 + max((track.track_id for track in view.tracks), default=0)
    for fragments in people:
        longest = max(fragments, key=lambda one: len(one.rows))
        number = view.tracks[longest.track].track_id
        if number in taken:
            number, spare = spare, spare + 1
        taken.add(number)
        # fragments may share a frame at their ends: no time stands twice
        times_s = np.concatenate([view.tracks[one.track].times_s[one.rows] for one in fragments])
        order = np.unique(times_s, return_index=True)[1]
        track = _joined([(view.tracks[one.track], one.rows) for one in fragments], order)
        tracks.append(replace(track, track_id=number))
        body = view.poses[longest.track]
        joined = _joined([(view.poses[one.track], one.rows) for one in fragments], order)
        poses.append(
            replace(
                joined,
                gravity_camera=body.gravity_camera,
                height_m=body.height_m,
                bone_scales=body.bone_scales,
                gravity_spread_deg=body.gravity_spread_deg,
            )
        )
    return replace(view, tracks=tuple(tracks), poses=tuple(poses))


Some = TypeVar("Some", PersonTrack, PoseTrack)
_WHOLE = {"track_id", "gravity_camera", "height_m", "bone_scales", "gravity_spread_deg"}


def _rows_of(values: Some, rows: NDArray[np.intp]) -> Some:
    """Some of the frames."""
    return replace(values, **{f.name: getattr(values, f.name)[rows] for f in fields(values) if f.name not in _WHOLE})


def _joined(parts: Sequence[tuple[Some, NDArray[np.intp]]], order: NDArray[np.intp]) -> Some:
    """Frames of several tracks in one, in this order of all of them."""
    names = [f.name for f in fields(parts[0][0]) if f.name not in _WHOLE]
    made: dict[str, Any] = {
        name: np.concatenate([getattr(values, name)[rows] for values, rows in parts])[order] for name in names
    }
    return replace(parts[0][0], **made)
