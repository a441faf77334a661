"""Who is in each video of a take, and who is the same: the take as far as it is found before anybody is solved.

May import the backend's requests, `backend.pipeline` and its own room.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from backend.errors import Cancelled, NoPersonError
from backend.multiview.identities import find_take_and_people
from backend.multiview.take_inputs import camera_source, camera_view, known_beforehand, open_take, solvable
from backend.multiview.take_news import about_video
from backend.multiview.take_request import TakeRequest
from backend.multiview.types import PersonInViews, Take
from backend.people.options import Choice, Selection
from backend.pipeline import watch_video
from backend.solving.models import SolveModels, fitting_models
from backend.solving.stage_clock import StageClock
from backend.types import CancelToken, PersonTrack, Progress, ProgressCallback


@dataclass(frozen=True, slots=True)
class PeopleOfTake:
    """Everybody by video: `tracks` (V lists, numbered as `solve --person` takes them in that video), who is the same
    (`people`, each with the place of a track in every list, None where nobody matches), and the take with its clocks.
    """

    tracks: tuple[tuple[PersonTrack, ...], ...]
    take: Take

    @property
    def people(self) -> tuple[PersonInViews, ...]:
        """The people that are in the first video that is used."""
        return self.take.people


def find_people_of_take(
    request: TakeRequest,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
    models: SolveModels | None = None,
) -> PeopleOfTake:
    """Watch every video of a take and find who is the same. Nothing is written.

    Raises what `solve_take` does; Cancelled after a stop.
    """
    progress, cancel = progress or _ignore, cancel or CancelToken()
    models = fitting_models(models, request.videos[0])
    everyone = tuple(replace(video, person=Selection(Choice.ALL)) for video in request.videos)
    with tempfile.TemporaryDirectory(prefix="marionet-people-") as folder:
        request = replace(request, videos=everyone, output=Path(folder) / "take.npz")
        watched = []
        for place, one in enumerate(open_take(request)):
            seen = watch_video(one, models, StageClock(), (about_video(progress, place), cancel))
            if cancel.cancelled:
                raise Cancelled("Stopped while the videos were watched")
            watched.append(solvable(seen))
    if not any(one.tracked.tracks for one in watched):
        raise NoPersonError("Nobody is in these videos", "Check that they show a person, large enough and lit")
    views = [camera_view(one, models, about_video(progress, place), place) for place, one in enumerate(watched)]
    known = known_beforehand(request, views)
    apart, found = find_take_and_people(views, known, camera_source(request))  # as the solve does: its numbers count
    return PeopleOfTake(tuple(view.tracks for view in apart), found.take)


def _ignore(_: Progress) -> None:
    return None
