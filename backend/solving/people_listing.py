"""Who is in a video: everybody's figures and the contact sheet to choose from. May import `video`, `people`, types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from backend.images import write_image
from backend.people.contact_sheet import draw_contact_sheet, tile_px
from backend.people.networks import PeopleNetworks
from backend.people.options import Choice, PeopleOptions, Selection
from backend.people.tracking import track_people
from backend.solving.request import SolveQuality
from backend.types import CancelToken, PersonTrack, ProgressCallback
from backend.video import VideoOptions, open_video


@dataclass(frozen=True, slots=True)
class PeopleListingRequest:
    """Where to look and how closely; `device` is a chosen one, `max_frames` 0 for no limit."""

    video: Path
    options: VideoOptions
    quality: SolveQuality
    device: str
    max_people: int = 4
    max_frames: int = 0


@dataclass(frozen=True, slots=True)
class TrackSummary:
    """One person in numbers: when, how long, how large in the image, how sure.

    `tile_px` is where their small image lies on the contact sheet: left, top, size.
    """

    person: int
    first_s: float
    last_s: float
    frames: int
    height_px: float
    presence: float
    tile_px: tuple[int, int, int]


def find_everyone(
    request: PeopleListingRequest,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
    networks: PeopleNetworks | None = None,
) -> list[PersonTrack]:
    """Watch the video; everybody in it. Raises NoPersonError, VideoError, BadInputError, Cancelled."""
    reader = open_video(request.video, replace(request.options, most_frames=request.max_frames))
    options = PeopleOptions(
        quality=request.quality.landmark_network,
        max_people=request.max_people,
        # everyone is listed, so nobody may be passed over as too small to be chosen
        selection=Selection(Choice.ALL),
        device=request.device,
    )
    return track_people(reader.frames(), reader.info, options, progress, cancel, networks)


def summarise(place: int, track: PersonTrack) -> TrackSummary:
    """The figures of the track that has this place on the sheet."""
    seen = track.presence > 0
    return TrackSummary(
        person=track.track_id,
        first_s=float(track.times_s[seen][0]),
        last_s=float(track.times_s[seen][-1]),
        frames=int(seen.sum()),
        height_px=float(np.median(track.box_px[seen, 3] - track.box_px[seen, 1])),
        presence=float(track.presence[seen].mean()),
        tile_px=tile_px(place, track),
    )


def write_sheet(request: PeopleListingRequest, tracks: Sequence[PersonTrack], path: Path) -> None:
    """Write the contact sheet as PNG, one row a person. Raises OutputError, VideoError."""
    write_image(draw_contact_sheet(tracks, open_video(request.video, request.options).frames()), path)
