"""A second look at the video, for hands and faces of the people who are solved: their tracks say where to look.

May import `backend.video`, `backend.people`, `backend.hands`, `backend.face` and `backend.types`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from backend.face import FaceEvidence, FaceFollower, FaceNetworks, FaceTrack, load_face_networks
from backend.hands import HandEvidence, HandFollower, HandNetworks, HandTrack, load_hand_networks
from backend.solving.checkpoint import Arrays, Checkpoint
from backend.solving.video_pass import TrackedVideo
from backend.types import Array, CancelToken, Frame, PersonTrack, Progress, ProgressCallback, arrays_below
from backend.video import VideoReader

STAGE: Final = "details"
STOPPED_DETAILS: Final = "stopped early: hands and faces were not looked at to the end"
"""What the user is told where the second look was cancelled."""
_FILE: Final = "details.npz"
_WRISTS, _NOSE = (15, 16), 0


@dataclass(frozen=True, slots=True)
class DetailNetworks:
    """The networks of what was asked for."""

    hands: HandNetworks | None = None
    face: FaceNetworks | None = None


@dataclass(frozen=True, slots=True)
class DetailEvidence:
    """What one video says of a person's hands and face; None for what it does not show or was not asked for."""

    hands: HandEvidence | None = None
    face: FaceEvidence | None = None


@dataclass(frozen=True, slots=True)
class Details:
    """What was seen of one person, over the frames of the track; None for what was not asked for. `others` is what
    other videos say at the same frames.
    """

    hands: HandTrack | None = None
    face: FaceTrack | None = None
    others: tuple[DetailEvidence, ...] = ()


def load_details(hands: bool, face: bool, device: str) -> DetailNetworks:
    """Load what is asked for. WeightsError, DeviceError."""
    return DetailNetworks(load_hand_networks(device) if hands else None, load_face_networks(device) if face else None)


class DetailPass:
    """Goes through a video once more and follows hands and faces of several people."""

    def __init__(
        self, reader: VideoReader, tracked: TrackedVideo, networks: DetailNetworks, checkpoint: Checkpoint | None = None
    ) -> None:
        self._reader, self._tracked, self._networks = reader, tracked, networks
        self._checkpoint = checkpoint

    def watch(
        self, tracks: Sequence[PersonTrack], progress: ProgressCallback, cancel: CancelToken
    ) -> tuple[Details, ...]:
        """Details of each of `tracks`. A cancel ends the pass; later frames then show relaxed hands and a resting face.
        The pass goes on from its checkpoint where it has one.

        Raises VideoError for a video that has become unreadable.
        """
        people = [_Follower(track, self._others(track), self._networks) for track in tracks]
        total, begun = len(self._tracked.frame_index), time.monotonic()
        kept = None if self._checkpoint is None else self._kept(tracks)
        start = done = _restored(kept, people)
        last_s = float(self._tracked.times_s[done - 1]) if done else -np.inf
        cuts = [cut for cut in self._tracked.cuts_s if cut > last_s]
        for frame in self._left(done, cancel):
            while cuts and frame.time_s >= cuts[0]:
                cuts.pop(0)
                for person in people:
                    person.cut()
            for person in people:
                person.update(frame)
            done += 1
            rate = (done - start) / max(time.monotonic() - begun, 1e-6)
            progress(Progress(STAGE, done, total, (total - done) / rate))
            if kept is not None and kept.is_due:
                kept.save(_state(done, people))
        if kept is not None and done > start:
            kept.save(_state(done, people))
        return tuple(person.details() for person in people)

    def _left(self, done: int, cancel: CancelToken) -> Iterator[Frame]:
        """The frames that are not looked at yet, until a cancel."""
        wanted = self._tracked.frame_index.tolist()
        left = set(wanted[done:])
        if not left:
            return
        for frame, _ in self._reader.studied_frames(lambda _: None, wanted[done - 1] + 1 if done else 0, cancel):
            if cancel.cancelled:
                return
            if frame.index in left:
                left.discard(frame.index)
                yield frame
            if not left:
                return

    def _kept(self, tracks: Sequence[PersonTrack]) -> Checkpoint:
        """The checkpoint of this pass: it fits the same people, hands and faces only."""
        assert self._checkpoint is not None
        who = [(track.track_id, len(track.frame_index)) for track in tracks]
        asked = (self._networks.hands is not None, self._networks.face is not None)
        return self._checkpoint.beside(_FILE, f"{who} {asked} {len(self._tracked.frame_index)}")

    def _others(self, track: PersonTrack) -> list[PersonTrack]:
        return [other for other in self._tracked.tracks if other.track_id != track.track_id]


class _Follower:
    """One person's hands and face."""

    def __init__(self, track: PersonTrack, others: Sequence[PersonTrack], networks: DetailNetworks) -> None:
        self._track, self._others = track, others
        frames = len(track.frame_index)
        self._hands = None if networks.hands is None else HandFollower(networks.hands, frames)
        self._face = None if networks.face is None else FaceFollower(networks.face, frames)

    def cut(self) -> None:
        """A new shot begins."""
        for follower in (self._hands, self._face):
            if follower is not None:
                follower.cut()

    def state(self) -> Arrays:
        """What later frames depend on."""
        parts = (("hands/", self._hands), ("face/", self._face))
        return {
            under + name: array for under, part in parts if part is not None for name, array in part.state().items()
        }

    def restore(self, arrays: Arrays) -> None:
        """Go on from an earlier state."""
        if self._hands is not None:
            self._hands.restore(arrays_below(arrays, "hands/"))
        if self._face is not None:
            self._face.restore(arrays_below(arrays, "face/"))

    def update(self, frame: Frame) -> None:
        """Look at one frame, where the person is in it."""
        row = _row_of(self._track, frame.index)
        if row is None or not self._track.presence[row] > 0:
            return
        keypoints, visibility = self._track.keypoints_px[row].astype(np.float64), self._track.visibility[row]
        if self._hands is not None:
            strangers = self._points(frame.index, _WRISTS)
            self._hands.update(row, frame.image, frame.time_s, keypoints, visibility, strangers)
        if self._face is not None:
            strangers = self._points(frame.index, (_NOSE,))
            self._face.update(row, frame.image, frame.time_s, keypoints, visibility, strangers)

    def details(self) -> Details:
        """What was seen."""
        return Details(
            None if self._hands is None else self._hands.track(), None if self._face is None else self._face.track()
        )

    def _points(self, index: int, landmarks: Sequence[int]) -> Array:
        """The given landmarks (N, 2) of everyone else who is in the frame."""
        points = [
            other.keypoints_px[row, list(landmarks)]
            for other in self._others
            for row in (_row_of(other, index),)
            if row is not None
        ]
        return np.concatenate(points).astype(np.float64) if points else np.zeros((0, 2))


def _row_of(track: PersonTrack, index: int) -> int | None:
    """The row of a track for a frame, whose numbers rise; None where it has none."""
    row = int(np.searchsorted(track.frame_index, index))
    return row if row < len(track.frame_index) and track.frame_index[row] == index else None


def _state(done: int, people: Sequence[_Follower]) -> Arrays:
    arrays: Arrays = {"done": np.array(done)}
    for number, person in enumerate(people):
        arrays |= {f"{number}/{name}": array for name, array in person.state().items()}
    return arrays


def _restored(checkpoint: Checkpoint | None, people: Sequence[_Follower]) -> int:
    """How many frames were looked at before; the people go on from there."""
    arrays = None if checkpoint is None else checkpoint.load()
    if arrays is None:
        return 0
    for number, person in enumerate(people):
        person.restore(arrays_below(arrays, f"{number}/"))
    return int(arrays["done"])
