"""The people that a request asks for, out of those that were tracked. May import `backend.people` and its own room."""

from __future__ import annotations

from backend.errors import Cancelled, NoPersonError
from backend.people.choose import choose_tracks
from backend.solving.opening import click_outside
from backend.solving.request import SolveRequest
from backend.solving.video_pass import TrackedVideo
from backend.types import PersonTrack

_FEWEST_FRAMES = 3  # what `people` takes for a track


def chosen_people(tracked: TrackedVideo, request: SolveRequest) -> list[PersonTrack]:
    """The tracks that a request's selection takes. Raises NoPersonError where there is none, BadInputError for a click
    outside the frames that were read, Cancelled where nobody was seen before a stop.
    """
    if tracked.stopped and not tracked.tracks:
        raise Cancelled("Stopped before anyone was found", "Nothing was written; --resume goes on from here")
    if not tracked.tracks and len(tracked.frame_index) < _FEWEST_FRAMES:
        raise NoPersonError(
            f"In {len(tracked.frame_index)} frames no person can be tracked", f"Solve at least {_FEWEST_FRAMES} frames"
        )
    if not tracked.tracks and tracked.is_dark:
        raise NoPersonError(
            "No person was found in the video, which is dark", "Record with more light, or brighten the video"
        )
    click = request.person.click_frame
    indices = tracked.frame_index
    clicked = request.person.click_px is not None and not tracked.stopped
    if clicked and len(indices) and not indices[0] <= click <= indices[-1]:
        raise click_outside(click, f"the part that is read, frames {indices[0]} to {indices[-1]}")
    return choose_tracks(tracked.tracks, request.person)
