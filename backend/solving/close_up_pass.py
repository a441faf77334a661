"""One look at a close-up: a video that shows the face or the hands of a person, and not the body.

May import `backend.video`, `backend.hands`, `backend.face`, `backend.solving` and `backend.types`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backend.face import CloseUpFace, FaceTrack, seen_face
from backend.face.follow import KEPT, face_track
from backend.hands import CloseUpHands, HandTrack, seen_hands
from backend.networks import load_network
from backend.solving.checkpoint import Arrays, Checkpoint
from backend.solving.detail_pass import DetailEvidence, DetailNetworks
from backend.types import Array, CancelToken, Intrinsics, Progress, ProgressCallback, arrays_below
from backend.video import CutDetector, VideoReader

STAGE: Final = "details"
_HAND_ARRAYS: Final = ("landmarks_px", "presence", "scale")


@dataclass(frozen=True, slots=True)
class SeenCloseUp:
    """What a close-up shows at its N frames, times_s (N,): hands and face, None for what was not looked for.

    `stopped` where a cancel ended the look early.
    """

    times_s: Array
    hands: HandTrack | None
    face: FaceTrack | None
    stopped: bool = False

    @property
    def hand_share(self) -> float:
        """In how much of the frames a hand was found."""
        return _share(None if self.hands is None else self.hands.presence.max(axis=1, initial=0.0))

    @property
    def face_share(self) -> float:
        """In how much of the frames a face was found."""
        return _share(None if self.face is None else self.face.presence)

    def evidence(self, intrinsics: Intrinsics) -> DetailEvidence:
        """Fingers and face at the close-up's own frames; wrists and head are in its own camera."""
        hands, face = None, None
        if self.hands is not None:
            unknown = np.full((len(self.times_s), 2, 3), np.nan)
            hands = seen_hands(self.hands, unknown, intrinsics, load_network("hand_pose"))
        if self.face is not None:
            face = seen_face(self.face, self.times_s, self.face.presence > 0, intrinsics)
        return DetailEvidence(hands, face)


def watch_close_up(
    reader: VideoReader,
    networks: DetailNetworks,
    checkpoint: Checkpoint,
    progress: ProgressCallback,
    cancel: CancelToken,
) -> SeenCloseUp:
    """Follow hands and face through the whole video; what an earlier run has seen is not looked at again.

    Raises VideoError, BadInputError as reading does.
    """
    kept = checkpoint.load()
    if kept is not None:
        return _from_arrays(kept)
    hands = None if networks.hands is None else CloseUpHands(networks.hands)
    face = None if networks.face is None else CloseUpFace(networks.face)
    followers = [one for one in (hands, face) if one is not None]
    cuts, times_s, begun = CutDetector(), list[float](), time.monotonic()
    for frame, is_cut in reader.studied_frames(cuts.update, 0, cancel):
        if cancel.cancelled:
            break
        for follower in followers:
            if is_cut:
                follower.cut()
            follower.update(frame.image, frame.time_s)
        times_s.append(frame.time_s)
        done, total = len(times_s), max(reader.expected_frames, len(times_s))
        progress(Progress(STAGE, done, total, (total - done) * (time.monotonic() - begun) / done))
    seen = SeenCloseUp(
        np.array(times_s, np.float64),
        None if hands is None else hands.track(),
        None if face is None else face.track(),
        cancel.cancelled,
    )
    if not seen.stopped:
        checkpoint.save(_as_arrays(seen))
    return seen


def _as_arrays(seen: SeenCloseUp) -> Arrays:
    arrays: Arrays = {"times_s": seen.times_s}
    if seen.hands is not None:
        arrays |= {f"hands/{name}": getattr(seen.hands, name) for name in _HAND_ARRAYS}
    if seen.face is not None:
        arrays |= {f"face/{name}": getattr(seen.face, name) for name in KEPT}
    return arrays


def _from_arrays(arrays: Arrays) -> SeenCloseUp:
    hands, face = _floats(arrays_below(arrays, "hands/")), _floats(arrays_below(arrays, "face/"))
    return SeenCloseUp(
        np.asarray(arrays["times_s"], np.float64),
        HandTrack(hands["landmarks_px"], hands["presence"], hands["scale"]) if hands else None,
        face_track(face) if face else None,
    )


def _floats(arrays: Arrays) -> dict[str, Array]:
    return {name: np.asarray(array, np.float64) for name, array in arrays.items()}


def _share(presence: NDArray[np.floating] | None) -> float:
    return 0.0 if presence is None or not len(presence) else float((presence > 0).mean())
