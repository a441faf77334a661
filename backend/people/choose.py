"""Chooses among tracked people. numpy, backend.people.options, backend.types."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backend.errors import BadInputError, NoPersonError
from backend.keypoint_layouts import BLAZEPOSE
from backend.people.options import Choice, Selection
from backend.people.subject import prominence
from backend.types import PersonTrack

_BODY = slice(11, BLAZEPOSE.count)  # landmarks below the neck
_NEAR_FRAMES = 15  # a click may fall on a frame shortly before or after the person is seen


def choose_tracks(tracks: Sequence[PersonTrack], selection: Selection) -> list[PersonTrack]:
    """The wanted people (all of them only for Choice.ALL, else one).

    NoPersonError when there is nobody, or nobody under the click; BadInputError for a number that is not there.
    """
    if not tracks:
        raise NoPersonError("No person was found in the video", "Check that a whole person is visible and lit")
    if selection.choice is Choice.ALL:
        return list(tracks)
    if selection.choice is Choice.INDEX:
        return [_by_number(tracks, selection.index)]
    if selection.choice is Choice.CLICK:
        return [_under_click(tracks, selection)]
    if selection.choice is Choice.LARGEST:
        return [max(tracks, key=lambda track: prominence(track, selection.frame_px))]
    measure = {Choice.LONGEST: seconds_seen, Choice.MOST_MOVING: amount_moved}
    return [max(tracks, key=measure[selection.choice])]


def seconds_seen(track: PersonTrack) -> float:
    """Number of frames in sight (all tracks share one frame rate)."""
    return float((track.presence > 0).sum())


def amount_moved(track: PersonTrack) -> float:
    """Way of the body's landmarks from frame to frame, in body sizes, summed over the track."""
    extent = track.box_px[:, 2:] - track.box_px[:, :2]
    if np.isnan(extent).all():
        return 0.0
    size = float(np.nanmedian(np.hypot(extent[:, 0], extent[:, 1])))
    steps = np.linalg.norm(np.diff(track.keypoints_px[:, _BODY], axis=0), axis=-1)
    return float(np.nansum(steps)) / max(size, 1.0)


def _by_number(tracks: Sequence[PersonTrack], number: int | None) -> PersonTrack:
    for track in tracks:
        if track.track_id == number:
            return track
    there = ", ".join(str(track.track_id) for track in tracks)
    raise BadInputError(f"There is no person number {number}", f"The numbers found are {there}")


def _under_click(tracks: Sequence[PersonTrack], selection: Selection) -> PersonTrack:
    if selection.click_px is None:
        raise BadInputError("Choosing a person by click needs a point", "Give x,y and the frame")
    point = np.array(selection.click_px)
    best: tuple[float, PersonTrack] | None = None
    for track in tracks:
        gap = np.abs(track.frame_index - selection.click_frame)
        near = np.flatnonzero((track.presence > 0) & (gap <= _NEAR_FRAMES))
        if not len(near):
            continue
        row = near[np.argmin(gap[near])]
        low, high = track.box_px[row, :2], track.box_px[row, 2:]
        margin = 0.1 * float(np.linalg.norm(high - low))
        if (point < low - margin).any() or (point > high + margin).any():
            continue
        # Of overlapping people, the one whose landmarks are closest to the click over its own size.
        distance = np.linalg.norm(track.keypoints_px[row] - point, axis=-1).min() / max(10 * margin, 1.0)
        if best is None or distance < best[0]:
            best = (float(distance), track)
    if best is None:
        x, y = selection.click_px
        raise NoPersonError(
            f"There is no person at {x:g},{y:g} in frame {selection.click_frame}", "Click on the body, or use a number"
        )
    return best[1]
