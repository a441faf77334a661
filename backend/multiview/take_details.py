"""Hands and faces of a take's people: what each view shows of them, at the frames of the reference view. numpy.

May import the backend's requests and its own room. A view's hand that does not lie at the wrist of the common body is
left out, so that hands are never exchanged between views.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from backend.camera.lens import normalised_points
from backend.face import face_at, seen_face
from backend.hands import HandTrack, forearms, hands_at, seen_hands
from backend.multiview.close_ups import PlacedCloseUps, WatchedCloseUp, place_close_ups
from backend.multiview.detail_motion import DetailMotion, detail_motion
from backend.multiview.types import CameraEstimate, OffsetSource, PersonInViews, Take
from backend.networks import load_network
from backend.pipeline import WatchedVideo, watch_details
from backend.solving.detail_pass import DetailEvidence, Details
from backend.solving.details import SolvedDetails, solve_evidence
from backend.solving.models import SolveModels
from backend.solving.request import SolveRequest
from backend.types import Array, CancelToken, Intrinsics, PersonTrack, PoseTrack, ProgressCallback
from blender_addon.motion.clip_warning import ClipWarning

_WRISTS = (13, 16)  # of the 17 joints, left first
_AT_WRIST_M = 0.15


@dataclass(frozen=True, slots=True)
class SeenDetails:
    """What the views of a take show of its people: `by_track` for a view and the place of a track in it; and what
    close-ups show.
    """

    by_track: Mapping[tuple[int, int], Details]
    close_ups: PlacedCloseUps


def watch_take(
    take: Take,
    people: Sequence[PersonInViews],
    watched: Sequence[WatchedVideo],
    models: SolveModels,
    control: tuple[ProgressCallback, CancelToken],
    close_ups: Sequence[WatchedCloseUp] = (),
) -> SeenDetails | None:
    """Look at hands and faces of the people in every view that is used; None where nobody asked for them."""
    reference = watched[take.used[0]]
    if not (reference.request.hands or reference.request.face):
        return None
    found: dict[tuple[int, int], Details] = {}
    for view in take.used:
        places = [place for person in people for place in (person.tracks[view],) if place is not None]
        tracks = [watched[view].tracked.tracks[place] for place in places]
        if tracks:
            details = watch_details(watched[view], models, tracks, control)
            found |= {(view, place): one for place, one in zip(places, details, strict=True)}
    motions = {
        person.person: [
            motion_of(details, watched[view].tracked.tracks[place], watched[view].intrinsics).moved(take.offsets[view])
            for view, place in enumerate(person.tracks)
            for details in (found.get((view, place)) if place is not None else None,)
            if place is not None and details is not None
        ]
        for person in people
    }
    first, close_ups = on_take_clock(take, watched, close_ups)
    span_s = take.offsets[take.used[0]].take_time_s(reference.tracked.times_s[[0, -1]])
    return SeenDetails(found, place_close_ups(close_ups, first, (float(span_s[0]), float(span_s[1])), motions))


def on_take_clock(
    take: Take, watched: Sequence[WatchedVideo], close_ups: Sequence[WatchedCloseUp]
) -> tuple[SolveRequest, Sequence[WatchedCloseUp]]:
    """The request of the video whose clock is the take's, and the close-ups with what is known of theirs against it.

    That is the first video, also where it takes no part, unless nothing tells how it runs against those that do.
    """
    reference = take.used[0]
    request = watched[reference].request
    if reference == 0 or take.offsets[reference].source is not OffsetSource.REFERENCE:
        return replace(request, video=watched[0].request.video), close_ups
    return request, _without_clocks(close_ups)


def _without_clocks(close_ups: Sequence[WatchedCloseUp]) -> list[WatchedCloseUp]:
    """The close-ups without the clocks that were given, which are against another video."""
    return [replace(one, given=replace(one.given, offset=None)) for one in close_ups]


def motion_of(details: Details, track: PersonTrack, intrinsics: Intrinsics) -> DetailMotion:
    """How the hands and the face that one video shows move; the body need not be solved for it."""
    hands, face = None, None
    if details.hands is not None:
        unknown = np.full((len(track.times_s), 2, 3), np.nan)
        hands = seen_hands(details.hands, unknown, intrinsics, load_network("hand_pose"))
    if details.face is not None:
        face = seen_face(details.face, track.times_s, track.presence > 0, intrinsics)
    raw = None if details.face is None else details.face.weights
    return detail_motion(track.times_s, DetailEvidence(hands, face), raw)


@dataclass(frozen=True, slots=True)
class CloseUpsOfOne:
    """Close-ups beside a single video of the body: adds what they show to the details of its people; afterwards
    `notes` tells which were left out or mirrored. `of_first`: given clocks are against this video.
    """

    close_ups: Sequence[WatchedCloseUp]
    watched: WatchedVideo
    of_first: bool = True
    notes: list[ClipWarning] = field(default_factory=list)

    def add(self, tracks: Sequence[PersonTrack], details: Sequence[Details]) -> tuple[Details, ...]:
        """The details of the people who are solved, with the close-ups' at the frames of their tracks."""
        if not self.close_ups or not len(self.watched.tracked.times_s):
            return tuple(details)
        inside, times_s = self.watched.intrinsics, self.watched.tracked.times_s
        motions = {
            number: [motion_of(one, track, inside)]
            for number, (track, one) in enumerate(zip(tracks, details, strict=True))
        }
        span_s = float(times_s[0]), float(times_s[-1])
        close_ups = self.close_ups if self.of_first else _without_clocks(self.close_ups)
        placed = place_close_ups(close_ups, self.watched.request, span_s, motions)
        self.notes.extend(placed.notes)
        return tuple(
            replace(one, others=placed.at(number, track.times_s))
            for number, (track, one) in enumerate(zip(tracks, details, strict=True))
        )


def asked_for(watched: Sequence[WatchedVideo], close_ups: Sequence[WatchedCloseUp]) -> list[WatchedVideo]:
    """The videos with hands and face asked for that the close-ups show, where nobody said what to solve."""
    if not close_ups or any(one.request.hands or one.request.face for one in watched):
        return list(watched)
    hands, face = any(one.shows_hands for one in close_ups), any(one.shows_face for one in close_ups)
    return [replace(one, request=replace(one.request, hands=hands, face=face)) for one in watched]


@dataclass(frozen=True, slots=True)
class PersonDetails:
    """What solves hands and face of one person once the body is solved."""

    take: Take
    person: PersonInViews
    watched: Sequence[WatchedVideo]
    seen: SeenDetails

    def solve(self, poses: PoseTrack, used: Collection[int], cuts_s: tuple[float, ...] = ()) -> SolvedDetails:
        """Fingers, wrists and face over the frames of the reference view, in whose camera `poses` are, from the views
        `used` for the body: one that contradicts the others may show somebody else. `cuts_s` are those of these views.
        """
        reference = self.take.used[0]
        base = self.watched[reference].tracked
        take_s = self.take.offsets[reference].take_time_s(base.times_s)
        shown = [view for view in self.take.used if view in used]
        views = [one for view in shown for one in (self._view(view, poses, take_s),) if one is not None]
        views += self.seen.close_ups.at(self.person.person, take_s)
        return solve_evidence(views, base.times_s, poses, cuts_s)

    def _view(self, view: int, poses: PoseTrack, take_s: Array) -> DetailEvidence | None:
        camera, place = self.take.cameras[view], self.person.tracks[view]
        details = None if place is None else self.seen.by_track.get((view, place))
        if camera is None or place is None or details is None:
            return None
        first = self.take.cameras[self.take.used[0]]
        assert first is not None
        track = self.watched[view].tracked.tracks[place]
        video_s = self.take.offsets[view].video_time_s(take_s)
        hands, face, turn = None, None, camera.rotation @ first.rotation.T
        if details.hands is not None:
            own = at_their_wrists(hands_at(details.hands, track.times_s, video_s), poses, camera, first)
            hands = seen_hands(own, forearms(poses) @ turn.T, camera.intrinsics, load_network("hand_pose"), turn)
        if details.face is not None:
            own_face = seen_face(details.face, track.times_s, track.presence > 0, camera.intrinsics, turn)
            face = face_at(own_face, track.times_s, video_s)
        return DetailEvidence(hands, face)


def at_their_wrists(track: HandTrack, poses: PoseTrack, camera: CameraEstimate, first: CameraEstimate) -> HandTrack:
    """The hands that lie at their own wrist of the body, as the view sees it, and not nearer to the other one.

    `poses` are in the camera `first`, the track (T frames of both) in `camera`.
    """
    turn = camera.rotation @ first.rotation.T
    place = camera.translation_m - turn @ first.translation_m
    wrists = poses.joints_camera_m[:, _WRISTS] @ turn.T + place
    depth = np.maximum(wrists[..., 2:], 0.1)
    seen = normalised_points(camera.intrinsics, track.landmarks_px[:, :, 0])
    apart = np.linalg.norm((seen[:, :, None] - (wrists[..., :2] / depth)[:, None]) * depth[:, None], axis=-1)
    with np.errstate(invalid="ignore"):
        own, other = apart[:, (0, 1), (0, 1)], apart[:, (0, 1), (1, 0)]
        fits = (own < _AT_WRIST_M) & (own < other)
    presence = np.where(fits, track.presence, 0.0)
    return HandTrack(np.where(fits[..., None, None], track.landmarks_px, np.nan), presence, track.scale, track.searches)
