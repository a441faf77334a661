"""One person tracked from frame to frame, and the motion filter that predicts their crop. numpy, backend.people."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.people.appearance import blended
from backend.people.landmarks import LandmarkBatch
from backend.people.person_search import Box, Candidate
from backend.people.region import Roi
from backend.people.reidentification import Absent
from backend.people.subject import stature_px
from backend.people.track_log import TrackLog, row_box, row_keypoints, row_of
from backend.types import Array

_FOLLOW = 0.75  # share of a surprise that moves the region
_FOLLOW_SPEED = 0.25  # and its speed
# Without legs the network guesses where the hips are, and squeezes a whole body into what it sees: the region goes
# with the shoulders then, and size and turn follow slowly.
_FEW_LEGS, _SURE_LEGS, _LEGS_COME = 0.25, 0.55, 0.2
_FOLLOW_GUESS = np.array([0.08, 0.08, 0.03, 0.05])
# a region that is too large does no harm, one that is too small does: it is wider, and grows faster than it shrinks
_WIDER, _GROW = math.log(1.07), 0.15
_SHOULDERS = [11, 12]
_FADE = 0.85  # of the speed, each frame out of sight
_LEAST_LOG_SIZE, _MOST_LOG_SIZE = math.log(8.0), math.log(32_000.0)


class MotionFilter:
    """Alpha-beta filter over x, y (px), log side and rotation (rad); one step is one frame."""

    def __init__(self, roi: Roi) -> None:
        self._place = _vector(roi)
        self._speed = np.zeros(4)

    def predict(self, steps: int = 1) -> Roi:
        """The region `steps` frames on."""
        return _roi(self._place + steps * self._speed)

    def observe(self, roi: Roi) -> None:
        """Take in the region seen one frame on."""
        expected = self._place + self._speed
        surprise = _vector(roi) - expected
        surprise[3] = (surprise[3] + math.pi) % (2 * math.pi) - math.pi
        self._place = expected + _FOLLOW * surprise
        self._speed = self._speed + _FOLLOW_SPEED * surprise

    def observe_shoulders(self, roi: Roi, shift_px: Array) -> None:
        """Take in the region seen one frame on where only the shift (2,) of the shoulders is sure."""
        expected = self._place + self._speed
        moved = self._place.copy()
        moved[:2] += shift_px
        surprise = moved - expected
        guess = np.asarray(_vector(roi) - moved, np.float64)
        guess[2] += _WIDER
        guess[3] = (guess[3] + math.pi) % (2 * math.pi) - math.pi
        pull = np.asarray(_FOLLOW_GUESS * guess, np.float64)
        pull[2] = max(pull[2], _GROW * guess[2])
        self._place = expected + _FOLLOW * surprise + pull
        self._speed = self._speed + _FOLLOW_SPEED * surprise

    def go_on(self) -> None:
        """One frame on that was not looked at."""
        self._place = self._place + self._speed

    def coast(self) -> None:
        """One frame on without sight: move on, slow down; size and heading stay."""
        self._speed[2:] = 0.0
        self._place = self._place + self._speed
        self._speed *= _FADE

    def state(self) -> Array:
        """(8,) place and speed."""
        return np.concatenate([self._place, self._speed])

    @staticmethod
    def restored(state: Array) -> MotionFilter:
        """The filter that `state` came from."""
        made = MotionFilter(_roi(state[:4]))
        made._place, made._speed = state[:4].copy(), state[4:].copy()
        return made


def _vector(roi: Roi) -> Array:
    return np.array([roi.x_px, roi.y_px, math.log(roi.size_px), roi.rotation_rad])


def _roi(place: Array) -> Roi:
    size = math.exp(min(max(float(place[2]), _LEAST_LOG_SIZE), _MOST_LOG_SIZE))
    return Roi(float(place[0]), float(place[1]), size, float(place[3]))


_CONFIRMED_AFTER = 3  # sightings, before a person counts and gets a number
_LEARN = 0.1
_DOUBTFUL = 0.45  # sureness below which a detector should look whether the landmarks still lie on the person
_UNKNOWN = -1


@dataclass(slots=True)
class TrackedPerson:
    """State of one person; `last_seen` is a position among the frames given to the tracker, `last_seen_s` its time.

    `size_px` is the stature in the image when last seen, whatever the pose; `size_sum_px` its sum over the frames.
    `is_half`: the legs are hidden or not in the image; `legs` how sharply they were seen lately.
    """

    motion: MotionFilter
    log: TrackLog
    appearance: Array | None
    last_seen: int
    last_seen_s: float
    away: bool = False
    track_id: int | None = None
    sureness: float = 1.0
    size_px: float = 0.0
    size_sum_px: float = 0.0
    is_half: bool = False
    legs: float = 1.0

    @staticmethod
    def from_candidate(candidate: Candidate, position: int, time_s: float) -> TrackedPerson:
        """A person seen for the first time."""
        person = TrackedPerson(MotionFilter(candidate.roi), TrackLog(position), candidate.appearance, position, time_s)
        person.log.write(position, row_of(candidate.batch, 0))
        person._measure()
        person._look_for_legs(candidate.batch)
        return person

    def see(self, batch: LandmarkBatch, position: int, time_s: float) -> None:
        """Take in the landmarks of the next frame (the first row of `batch`)."""
        self._look_for_legs(batch)
        if self.is_half and self.last_seen == position - 1:
            shift = batch.keypoints_px[0, _SHOULDERS] - self.keypoints(self.last_seen)[_SHOULDERS]
            self.motion.observe_shoulders(batch.next_roi(0), shift.mean(axis=0))
        else:
            self.motion.observe(batch.next_roi(0))
        self.log.write(position, row_of(batch, 0))
        self.sureness = (self.sureness + batch.sureness(0)) / 2
        self.last_seen, self.last_seen_s, self.away = position, time_s, False
        self._measure()

    def rest(self, position: int) -> None:
        """Not looked at in the frame at `position`, but thought to go on as before."""
        self.motion.go_on()
        self.log.skip(position)
        self.size_sum_px += self.size_px

    def find_again(self, candidate: Candidate, position: int, time_s: float) -> None:
        """The person was out of sight and is the one found."""
        self.motion = MotionFilter(candidate.roi)
        self.log.write(position, row_of(candidate.batch, 0))
        self.learn(candidate.appearance)
        self.sureness, self.is_half, self.legs = 1.0, False, 1.0
        self._look_for_legs(candidate.batch)
        self.last_seen, self.last_seen_s, self.away = position, time_s, False
        self._measure()

    def _look_for_legs(self, batch: LandmarkBatch) -> None:
        """Legs that the network squeezes into the image are seen half: they count once they are surely there."""
        legs = batch.legs(0)
        self.legs = legs if legs < _FEW_LEGS else self.legs + _LEGS_COME * (legs - self.legs)
        self.is_half = self.legs < (_SURE_LEGS if self.is_half else _FEW_LEGS)

    def _measure(self) -> None:
        self.size_px = float(stature_px(self.keypoints(self.last_seen).astype(np.float64)))
        self.size_sum_px += self.size_px

    def lose(self, position: int, previous: int, previous_s: float) -> None:
        """Not seen in the frame at `position`; the last sight was at `previous` when it was taken back."""
        self.log.erase(position)
        self.last_seen, self.last_seen_s = min(self.last_seen, previous), min(self.last_seen_s, previous_s)
        self.away = True

    def forget(self, frames: int) -> None:
        """Drop what the log holds of the tracker's first `frames` frames."""
        self.log.forget(frames)
        self.last_seen = max(self.last_seen - frames, -1)

    def learn(self, look: Array | None) -> None:
        """Adapt the colours slowly."""
        if look is not None:
            self.appearance = look if self.appearance is None else blended(self.appearance, look, _LEARN)

    @property
    def is_confirmed(self) -> bool:
        """Whether the person was seen often enough to be believed."""
        return self.track_id is not None or self.log.sightings >= _CONFIRMED_AFTER

    @property
    def is_doubtful(self) -> bool:
        """In sight, as the network says, but with blurred heatmaps for some frames."""
        return not self.away and self.sureness < _DOUBTFUL

    def keypoints(self, position: int) -> NDArray[np.float32]:
        """(33, 2) px in the frame at `position`."""
        return row_keypoints(self.log.row(position))

    @property
    def last_box(self) -> Box:
        """Body box px when last seen."""
        return row_box(self.log.row(self.last_seen))

    def box(self, position: int) -> Box:
        """Body box px in the frame at `position`."""
        return row_box(self.log.row(position))

    def expected(self, steps: int = 1) -> Roi:
        """Region `steps` frames on."""
        return self.motion.predict(steps)

    def as_absent(self, time_s: float) -> Absent:
        """What identity matching needs at `time_s`."""
        return Absent(self.motion.predict(0), self.appearance, time_s - self.last_seen_s)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Everything as arrays."""
        number = _UNKNOWN if self.track_id is None else self.track_id
        return {
            "rows": self.log.kept_rows,
            "motion": self.motion.state(),
            "appearance": np.zeros(0) if self.appearance is None else self.appearance,
            "whole": np.array([self.log.first, self.last_seen, int(self.away), number], np.int64),
            "real": np.array(
                [self.last_seen_s, self.sureness, self.size_px, self.size_sum_px, self.is_half, self.legs]
            ),
        }

    @staticmethod
    def restored(state: dict[str, NDArray[np.generic]]) -> TrackedPerson:
        """The person that `state` came from."""
        first, last_seen, away, number = (int(value) for value in state["whole"])
        return TrackedPerson(
            motion=MotionFilter.restored(state["motion"].astype(np.float64)),
            log=TrackLog(first, state["rows"].astype(np.float32)),
            appearance=state["appearance"].astype(np.float64) if len(state["appearance"]) else None,
            last_seen=last_seen,
            last_seen_s=float(state["real"][0]),
            away=bool(away),
            track_id=None if number == _UNKNOWN else number,
            sureness=float(state["real"][1]),
            size_px=float(state["real"][2]),
            size_sum_px=float(state["real"][3]),
            is_half=bool(state["real"][4]),
            legs=float(state["real"][5]),
        )
