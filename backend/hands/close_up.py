"""Follows hands through a close-up: a video that shows hands and no body to lead to them.

May import numpy, `backend.networks`, `backend.people`, `backend.types` and its own room. Hands are followed whether
left or right; which they are is decided over all the frames in which one was followed, by the landmark network's own
opinion of both mirror images.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from backend.hands.crops import LANDMARKS, roi_from_landmarks, roi_from_palm
from backend.hands.follow import LEAST_PRESENCE, Found, HandNetworks, HandTrack, hands_in
from backend.hands.palms import find_palms
from backend.people.region import Roi
from backend.types import Image

_SEARCH_INTERVAL_S = 0.25
_VOTE_FRAMES = 8  # between looks at both mirror images
_LEAST_VOTE = 0.15  # of the mean difference of the two opinions: below it nobody knows which hand it is
_SAME_HAND = 0.35  # two hands whose landmarks lie nearer than this part of their size are one
_FARTHEST_STEP = 0.6  # of its size that a hand moves between two frames


@dataclass(slots=True, eq=False)
class _Followed:
    """One hand, from where it was found to where it was lost."""

    side: int
    last: Found
    votes: list[float] = field(default_factory=list)  # above 0: the left one
    rows: list[int] = field(default_factory=list)
    seen: list[Found] = field(default_factory=list)

    def keep(self, row: int, found: Found) -> None:
        self.last = found
        self.rows.append(row)
        self.seen.append(found)

    @property
    def vote(self) -> float:
        return float(np.mean(self.votes)) if self.votes else 0.0


class CloseUpHands:
    """Both hands of the one person that a close-up shows, frame by frame, in order."""

    def __init__(self, networks: HandNetworks) -> None:
        self._networks = networks
        self._now: list[_Followed] = []
        self._ended: list[_Followed] = []
        self._searched_s = -np.inf
        self._searches = self._frames = 0

    def cut(self) -> None:
        """A new shot begins."""
        self._ended += self._now
        self._now = []

    def update(self, image: Image, time_s: float) -> None:
        """Look at the next frame."""
        row = self._frames
        self._frames += 1
        found = hands_in(image, [_region(hand.last, hand.side) for hand in self._now], self._networks.landmarks)
        for hand, seen in zip(list(self._now), found, strict=True):
            if seen.presence < LEAST_PRESENCE or _apart(seen, hand.last) > _FARTHEST_STEP:
                self._now.remove(hand)
                self._ended.append(hand)
            else:
                hand.keep(row, seen)
        self._drop_doubles()
        if len(self._now) < 2 and time_s - self._searched_s >= _SEARCH_INTERVAL_S:
            self._searched_s = time_s
            self._search(image, row)
        for hand in self._now:
            if len(hand.rows) % _VOTE_FRAMES == 1:
                self._ask(image, hand)

    def track(self) -> HandTrack:
        """What was seen so far, each hand on the side that most frames speak for; NaN for the scale."""
        landmarks = np.full((self._frames, 2, LANDMARKS, 2), np.nan)
        presence, sure = np.zeros((self._frames, 2)), np.zeros((self._frames, 2))
        for hand in (*self._ended, *self._now):
            if abs(hand.vote) < _LEAST_VOTE:
                continue
            side = 0 if hand.vote > 0 else 1
            for row, found in zip(hand.rows, hand.seen, strict=True):
                if abs(hand.vote) > sure[row, side]:
                    sure[row, side], presence[row, side] = abs(hand.vote), found.presence
                    landmarks[row, side] = found.landmarks_px
        return HandTrack(landmarks, presence, np.full(self._frames, np.nan), self._searches)

    def _search(self, image: Image, row: int) -> None:
        """Look for palms in the whole frame."""
        self._searches += 1
        height, width = image.shape[:2]
        whole = Roi(width / 2, height / 2, float(max(width, height)))
        for palm in find_palms(image, whole, self._networks.palms):
            regions = [roi_from_palm(palm.wrist_px, palm.knuckle_px, palm.box_px, side) for side in (0, 1)]
            both = hands_in(image, regions, self._networks.landmarks)
            side = 0 if both[0].own_hand * both[0].presence >= both[1].own_hand * both[1].presence else 1
            (closer,) = hands_in(image, [_region(both[side], side)], self._networks.landmarks)
            taken = any(_apart(closer, hand.last) < _SAME_HAND for hand in self._now)
            if len(self._now) < 2 and closer.presence >= LEAST_PRESENCE and not taken:
                hand = _Followed(side, closer)
                hand.keep(row, closer)
                self._now.append(hand)

    def _ask(self, image: Image, hand: _Followed) -> None:
        """Let the network say how much the hand looks like a left and like a right one."""
        left, right = hands_in(image, [_region(hand.last, side) for side in (0, 1)], self._networks.landmarks)
        hand.votes.append(left.own_hand - right.own_hand)
        hand.side = 0 if hand.vote >= 0 else 1

    def _drop_doubles(self) -> None:
        """Two that have come to follow the same hand: the one that was followed longer stays."""
        if len(self._now) == 2 and _apart(self._now[0].last, self._now[1].last) < _SAME_HAND:
            shorter = min(self._now, key=lambda hand: len(hand.rows))
            shorter.rows.pop()
            shorter.seen.pop()
            self._now.remove(shorter)
            self._ended.append(shorter)


def _region(found: Found, side: int) -> Roi:
    return roi_from_landmarks(found.landmarks_px, side)


def _apart(one: Found, other: Found) -> float:
    """How far two hands lie apart, in sizes of the larger."""
    size = max(float(np.ptp(hand.landmarks_px, axis=0).max()) for hand in (one, other))
    return float(np.linalg.norm(one.landmarks_px - other.landmarks_px, axis=1).mean()) / max(size, 1e-6)
