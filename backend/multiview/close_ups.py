"""Close-ups beside a take: whose they are, how their clocks run, and what they say at the frames of the clip. numpy.

A close-up shows a face or hands and no body, so it takes no part in cameras and poses. May import the backend's
requests and its own room.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from backend.camera import CameraOptions, choose_intrinsics
from backend.face import FaceEvidence, face_at
from backend.hands import HandEvidence, between
from backend.multiview.detail_motion import DetailMotion, best_match, detail_motion, is_convincing
from backend.multiview.mirrored_close_ups import in_mirror, is_mirrored
from backend.multiview.recorded_clocks import recorded_offsets
from backend.multiview.synchronise import ClockMatch
from backend.multiview.take_news import about_video
from backend.multiview.take_request import CloseUp
from backend.multiview.types import Offset, OffsetSource
from backend.solving.checkpoint import TRACKED, Checkpoint, open_checkpoint
from backend.solving.close_up_pass import SeenCloseUp, watch_close_up
from backend.solving.detail_pass import DetailEvidence, load_details
from backend.solving.models import SolveModels
from backend.solving.request import SolveRequest
from backend.types import Array, CancelToken, Intrinsics, ProgressCallback
from backend.video import open_video
from backend.video.sequence import is_sequence
from blender_addon.motion.clip_warning import ClipWarning, WarningCode

_LEAST_SHARE = 0.1  # of the frames must show a hand or a face
_CLEAR_LEAD = 1.2  # of the best person's match over the next one's
_MIRRORED = (
    "is mirrored, as front cameras record it: left and right were exchanged. Turn off mirroring in the settings of the "
    "camera"
)
_REMEDY = "give --close-up-offset, the seconds by which it begins later than the first video"


@dataclass(frozen=True, slots=True)
class WatchedCloseUp:
    """A close-up after one look at it."""

    given: CloseUp
    path: Path
    intrinsics: Intrinsics
    seen: SeenCloseUp
    checkpoint: Checkpoint

    @property
    def shows_hands(self) -> bool:
        """Whether hands are seen often enough to be used."""
        return self.seen.hand_share >= _LEAST_SHARE

    @property
    def shows_face(self) -> bool:
        """Whether a face is seen often enough to be used."""
        return self.seen.face_share >= _LEAST_SHARE

    def evidence(self) -> DetailEvidence:
        """What it shows, at its own frames."""
        whole = self.seen.evidence(self.intrinsics)
        return DetailEvidence(whole.hands if self.shows_hands else None, whole.face if self.shows_face else None)


@dataclass(frozen=True, slots=True)
class PlacedCloseUp:
    """What a close-up says of a person, at its own frames, times_s (N,), and how its clock runs."""

    evidence: DetailEvidence
    times_s: Array
    offset: Offset

    def at(self, take_s: Array) -> DetailEvidence:
        """The evidence at times of the take (T,)."""
        at_s = self.offset.video_time_s(take_s)
        hands, face = self.evidence.hands, self.evidence.face
        return DetailEvidence(
            None if hands is None else _hands_at(hands, self.times_s, at_s),
            None if face is None else _face_at(face, self.times_s, at_s),
        )


@dataclass(frozen=True, slots=True)
class PlacedCloseUps:
    """The close-ups of each person (by number), and warnings about those that are left out or mirrored."""

    by_person: Mapping[int, tuple[PlacedCloseUp, ...]]
    notes: tuple[ClipWarning, ...] = ()

    def at(self, person: int, take_s: Array) -> tuple[DetailEvidence, ...]:
        """What the close-ups of a person say at times of the take (T,)."""
        return tuple(one.at(take_s) for one in self.by_person.get(person, ()))


def watch_close_ups(
    close_ups: Sequence[CloseUp],
    request: SolveRequest,
    models: SolveModels,
    control: tuple[ProgressCallback, CancelToken],
    after: int = 0,
) -> tuple[WatchedCloseUp, ...]:
    """Look at all close-ups of a take whose first video is asked for by `request`. Without `hands` and `face` in the
    request both are looked for. In the progress they are counted on after the `after` videos of the body. Raises
    VideoError.
    """
    if not close_ups:
        return ()
    either = request.hands or request.face
    networks = load_details(request.hands or not either, request.face or not either, models.device)
    watched = []
    progress, cancel = control
    for number, one in enumerate(close_ups):
        asked = close_up_request(request, one, number)
        reader = open_video(asked.video, asked.video_options)
        checkpoint = open_checkpoint(asked, reader.info, models.device)
        kept = checkpoint.beside(TRACKED, f"close-up {networks.hands is not None} {networks.face is not None}")
        seen = watch_close_up(reader, networks, kept, about_video(progress, after + number), cancel)
        watched.append(WatchedCloseUp(one, asked.video, choose_intrinsics(reader.info, CameraOptions()), seen, kept))
    return tuple(watched)


def check_close_ups(close_ups: Sequence[CloseUp], request: SolveRequest) -> None:
    """Raise VideoError or BadInputError for a close-up that cannot be read, before anything is solved."""
    for number, one in enumerate(close_ups):
        asked = close_up_request(request, one, number)
        open_video(asked.video, asked.video_options)


def close_up_request(request: SolveRequest, close_up: CloseUp, number: int) -> SolveRequest:
    """How a close-up is read: whole, as fast as the first video, with a checkpoint of its own beside the output. The
    rate of an image sequence counts for images alone.
    """
    name = f"{request.output.stem}.close{number}{request.output.suffix}"
    plain = SolveRequest(close_up.video, request.output.with_name(name), resume=request.resume)
    rate_fps = request.sequence_fps if is_sequence(close_up.video) else None
    return replace(plain, slow_motion=request.slow_motion, sequence_fps=rate_fps, max_frames=request.max_frames)


def place_close_ups(
    close_ups: Sequence[WatchedCloseUp],
    first: SolveRequest,
    span_s: tuple[float, float],
    people: Mapping[int, Sequence[DetailMotion]],
) -> PlacedCloseUps:
    """Whose each close-up is, and how its clock runs against that of `first`, which shows the times `span_s`.

    `people` is the motion of hands and face of everybody who is solved, as each view shows them, by number. A close-up
    that cannot be placed surely is left out.
    """
    placed: dict[int, tuple[PlacedCloseUp, ...]] = {}
    notes: list[ClipWarning] = []
    for one in close_ups:
        if not (one.shows_hands or one.shows_face):
            notes.append(_excluded(f"{one.path.name} is left out: neither a hand nor a face was found in it"))
            continue
        evidence, known = one.evidence(), _known(one, first)
        raw = None if one.seen.face is None else one.seen.face.weights
        motion = detail_motion(one.seen.times_s, evidence, raw)
        found = _found(people, motion, known)
        if found is None:
            notes.append(_excluded(_unplaced(one, known)))
            continue
        person, offset = found
        begin_s, end_s = offset.video_time_s(np.array(span_s))
        if end_s < one.seen.times_s[0] or begin_s > one.seen.times_s[-1]:
            text = f"{one.path.name} is left out: at {offset.start_s:+.2f} s it shows another time. {_REMEDY}"
            notes.append(_excluded(text))
            continue
        if is_mirrored(people[person], motion, offset):
            evidence = in_mirror(evidence)
            notes.append(ClipWarning(WarningCode.VIEW_MIRRORED, f"{one.path.name} {_MIRRORED}"))
        placed[person] = (*placed.get(person, ()), PlacedCloseUp(evidence, one.seen.times_s, offset))
    return PlacedCloseUps(placed, tuple(notes))


def _excluded(text: str) -> ClipWarning:
    return ClipWarning(WarningCode.VIEW_EXCLUDED, text)


def _found(
    people: Mapping[int, Sequence[DetailMotion]], motion: DetailMotion, known: Offset | None
) -> tuple[int, Offset] | None:
    """The person who moves like the close-up, and its clock; or like its mirror image, if it is surely mirrored."""
    matches = {number: best_match(views, motion, known) for number, views in people.items()}
    mirrored = {number: best_match(views, motion.in_mirror(), known) for number, views in people.items()}
    strengths = [
        max((match.strength for match in some.values() if match is not None), default=0.0)
        for some in (matches, mirrored)
    ]
    found = _chosen(mirrored, known) if strengths[1] > _CLEAR_LEAD * strengths[0] else None
    if found is not None and is_mirrored(people[found[0]], motion, found[1]):
        return found
    return _chosen(matches, known)


def _hands_at(found: HandEvidence, times_s: Array, at_s: Array) -> HandEvidence:
    """Fingers at other times; the wrists of a close-up are not known."""
    near = [between(times_s, np.isfinite(found.angles[:, side]).all(axis=1), at_s) for side in (0, 1)]

    def both(values: Array, blank: float) -> Array:
        return np.stack([near[side].values(values[:, side], blank) for side in (0, 1)], axis=1)

    frames = len(at_s)
    return HandEvidence(
        both(found.angles, np.nan),
        np.full((frames, 2, 4), np.nan),
        both(found.confidence, 0.0),
        np.zeros((frames, 2)),
        both(found.pixels, np.nan),
    )


def _face_at(found: FaceEvidence, times_s: Array, at_s: Array) -> FaceEvidence:
    """The expression at other times; the head's direction in the body's camera is not known."""
    unknown = np.full((len(at_s), 4), np.nan)
    return replace(face_at(found, times_s, at_s), turn_wxyz=unknown, turn_confidence=np.zeros(len(at_s)))


def _known(one: WatchedCloseUp, first: SolveRequest) -> Offset | None:
    """The given clock, or the one that sound or time codes tell."""
    if one.given.offset is not None:
        return one.given.offset
    return recorded_offsets((first, replace(first, video=one.path)), (Offset(), None))[1]


def _chosen(matches: Mapping[int, ClockMatch | None], known: Offset | None) -> tuple[int, Offset] | None:
    """The person who moves like the close-up, and its clock; with one person and a known clock, that one."""
    if known is not None and len(matches) == 1:
        return next(iter(matches)), known
    ranked = sorted(
        ((match.strength, number, match) for number, match in matches.items() if match is not None), reverse=True,
        key=lambda item: item[0],
    )  # fmt: skip
    if not ranked or not is_convincing(ranked[0][2], known is not None):
        return None
    if len(ranked) > 1 and ranked[0][0] < _CLEAR_LEAD * ranked[1][0]:
        return None
    _, number, match = ranked[0]
    return number, known or Offset(match.start_s, 1.0, 0.03, OffsetSource.MOTION)


def _unplaced(one: WatchedCloseUp, known: Offset | None) -> str:
    if known is None:
        return f"{one.path.name} is left out: nobody's face or hands move like it, and no sound fits; {_REMEDY}"
    return f"{one.path.name} is left out: whose face or hands it shows is not clear; solve one person with --person"
