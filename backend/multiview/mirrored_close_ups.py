"""Close-ups that show a mirror image, as many front cameras record it: noticed against the videos of the body. numpy.

A mirror image turns what goes to the left, head, gaze and mouth, into what goes to the right, and a left hand into a
right one. May import the backend's requests and its own room.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from backend.face import FaceEvidence
from backend.hands import HandEvidence
from backend.multiview.detail_motion import DetailMotion, best_match
from backend.multiview.synchronise import MotionSignal, correlation_at, overlap_s
from backend.multiview.types import Offset
from backend.solving.detail_pass import DetailEvidence
from backend.types import Array
from blender_addon.motion.face import mirrored_weights
from blender_addon.motion.hands import mirror_rotations

_LEAST, _BY_CHANCE_S = 0.3, 1.0
"""How clear it must be: this correlation, and more over short times, in which chance does as much."""
_HANDS_LEAD = 0.25
_FEWEST_S = 1.0


def in_mirror(found: DetailEvidence) -> DetailEvidence:
    """What the mirror image of a video shows."""
    hands, face = found.hands, found.face
    return DetailEvidence(None if hands is None else _hands(hands), None if face is None else _face(face))


def is_mirrored(views: Sequence[DetailMotion], close_up: DetailMotion, offset: Offset) -> bool:
    """Whether a close-up shows the mirror image of the person that the views show, both on the take's clock after
    `offset`. False also where nothing tells.
    """
    votes = [vote for view in views for vote in (_face_vote(view, close_up, offset),) if vote]
    hands = _hands_vote(views, close_up, offset)
    votes += [hands] if hands else []
    return bool(votes) and sum(votes) < 0


def _face_vote(view: DetailMotion, close_up: DetailMotion, offset: Offset) -> float:
    """Above 0: to the same side; below 0: in a mirror; 0: not clear. Head, gaze and mouth are asked one by one, since
    a camera on a helmet sees no head turn, and a small face no gaze.
    """
    if view.sides is None or close_up.sides is None:
        return 0.0
    start_s = _start_s(close_up.sides, offset)
    both_s = overlap_s(view.sides, close_up.sides, start_s)
    if both_s < _FEWEST_S:
        return 0.0
    votes = [
        correlation_at(*pair, start_s) for pair in zip(_columns(view.sides), _columns(close_up.sides), strict=True)
    ]
    return sum(vote for vote in votes if abs(vote) > _least(both_s))


def _least(both_s: float) -> float:
    return _LEAST + _BY_CHANCE_S / both_s


def _columns(signal: MotionSignal) -> list[MotionSignal]:
    return [MotionSignal(signal.start_s, signal.step_s, column[:, None]) for column in signal.velocity.T]


def _hands_vote(views: Sequence[DetailMotion], close_up: DetailMotion, offset: Offset) -> float:
    """The same for hands: whether they move like their own or like the other ones. 0 where the views lack one of both:
    two hands often make nearly the same motion, and the other one says nothing by itself.
    """
    fingers = DetailMotion({name: one for name, one in close_up.parts.items() if name != "face"})
    pair, seen = (fingers, fingers.in_mirror()), {name for view in views for name in view.parts}
    if not all(seen & set(one.parts) for one in pair):
        return 0.0
    own, other = (best_match(views, one, offset) for one in pair)
    alike, exchanged = (0.0 if match is None else match.correlation for match in (own, other))
    both_s = max((match.overlap_s for match in (own, other) if match is not None), default=0.0)
    clear = both_s >= _FEWEST_S and max(alike, exchanged) > _least(both_s)
    lead = alike - exchanged
    return lead if clear and abs(lead) > _HANDS_LEAD else 0.0


def _start_s(signal: MotionSignal, offset: Offset) -> float:
    """By how much the signal is to be moved onto the take's clock, a rate other than 1 in its middle."""
    middle_s = (signal.start_s + signal.end_s) / 2.0
    return float(offset.take_time_s(np.array(middle_s))) - middle_s


def _hands(found: HandEvidence) -> HandEvidence:
    def exchanged(values: Array) -> Array:
        return np.asarray(values[:, ::-1])

    return HandEvidence(
        exchanged(found.angles),
        exchanged(mirror_rotations(found.wrist_wxyz)),
        exchanged(found.confidence),
        exchanged(found.wrist_confidence),
        exchanged(found.pixels),
    )


def _face(found: FaceEvidence) -> FaceEvidence:
    return replace(
        found,
        weights=mirrored_weights(found.weights),
        rest=mirrored_weights(found.rest),
        turn_wxyz=mirror_rotations(found.turn_wxyz),
    )
