"""Follows people through a video frame by frame: landmarks on the region that the last frames predict, detectors
only when somebody is missing or somebody new may have come. May import backend.people, backend.types.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from backend.people.appearance import appearance_of
from backend.people.flip_averaging import average_flips, is_mirrored
from backend.people.inference_queue import FrameInFlight, LandmarkExecutor, Plan, plans_state, restored_plans
from backend.people.landmarks import LandmarkBatch
from backend.people.left_right import fix_swaps
from backend.people.networks import PeopleNetworks, load_people_networks
from backend.people.occlusions import Occlusions
from backend.people.options import Choice, PeopleOptions
from backend.people.person_search import Candidate, PersonSearch, Wanted
from backend.people.region import Roi
from backend.people.reidentification import NEAR_DOUBLE_DISTANCE, Found, are_doubles, match
from backend.people.search_schedule import BYSTANDER_INTERVAL_S, SearchClock, bystanders
from backend.people.tracked_person import TrackedPerson
from backend.types import Array, Detection, Frame, PersonTrack, arrays_below

_LOOK_EVERY = 5  # frames between samples of a person's colours
_LEAST_EVIDENCE = 0.25
_LEAST_HALF_PRESENCE, _SHARP = 0.15, 0.5
_NEAR_S = 0.5  # so long a lost person is looked for where the motion would have led
_SHIFT, _LOG_SIZE, _TURN_RAD = 0.08, 0.12, 0.2  # a region off by more is cut again
_SMALL_SHARE = 0.4  # people smaller than this share of the largest cannot be the largest


class PeopleTracker:
    """Streaming tracker: `update` for each frame, `flush` where results are wanted, `tracks` at any time.

    The same frames with flushes at the same places give the same tracks. Use as a context manager, or `close` it.
    """

    def __init__(self, options: PeopleOptions, networks: PeopleNetworks | None = None) -> None:
        self._options = options
        self._networks = networks or load_people_networks(options)
        self._searcher = PersonSearch(self._networks)
        self._runner = LandmarkExecutor(self._networks, options.device, options.threads)
        self._in_flight: list[FrameInFlight] = []
        self._plans: list[Plan] = []  # of frames that were on their way when the state was kept
        self._people: list[TrackedPerson] = []
        self._occlusions = Occlusions()
        self._frame_index: list[int] = []
        self._times_s: list[float] = []
        self._cuts: list[int] = []  # positions of the frames with which shots begin
        self._clock = SearchClock(options)

    def __enter__(self) -> PeopleTracker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the worker threads back."""
        self._runner.close()

    def update(self, frame: Frame) -> None:
        """Take the next frame; it may wait for its successors, so that several are worked on at once."""
        if self._runner.has_threads and len(self._in_flight) >= self._runner.frames_at_once:
            self._land()
        self._launch(frame)
        if not self._runner.has_threads and len(self._in_flight) >= self._runner.frames_at_once:
            self.flush()

    def flush(self) -> None:
        """Finish the frames that wait."""
        while self._in_flight:
            self._land()

    @property
    def taken_in(self) -> int:
        """How many frames are finished; up to a few more were given and are on their way."""
        return len(self._times_s)

    def cut(self) -> None:
        """The next frame starts a new shot: nobody is where they were."""
        self.flush()
        self._cuts.append(len(self._times_s))
        for number, person in enumerate(self._people):
            if not person.away:  # frames that were not looked at are not bridged to the next shot
                for position in range(person.last_seen + 1, len(self._times_s)):
                    person.log.erase(position)
            person.away = True
            person.last_seen_s = min(person.last_seen_s, self._now_s() - self._options.remember_s - 1e-3)
            self._occlusions.forget(number)

    def tracks(self) -> list[PersonTrack]:
        """Every person so far, by track number: left/right swaps fixed, flips averaged, each shot by itself.

        People seen in only a frame or two are left out.
        """
        cuts_s = [self._times_s[cut] for cut in self._cuts if cut < len(self._times_s)]
        return [_by_shot(track, mirrored, cuts_s) for track, mirrored in self.tracks_as_seen()]

    def tracks_as_seen(self) -> list[tuple[PersonTrack, Array]]:
        """As `tracks`, as the landmark network said it: with which frames it saw in a mirror (T,), NaN for none."""
        index, times = np.array(self._frame_index, np.intp), np.array(self._times_s)
        people = [person for person in self._people if person.track_id is not None]
        people.sort(key=lambda person: person.track_id or 0)
        return [
            (person.log.track(person.track_id or 0, index, times), person.log.mirrored)
            for person in people
            if len(person.log.rows)
        ]

    def forget(self, frames: int) -> None:
        """Drop the first `frames` frames from memory, for a video without an end. An even number keeps the order of
        mirrored frames. People who were never confirmed and are out of sight go too.
        """
        self.flush()
        del self._frame_index[:frames], self._times_s[:frames]
        self._cuts = [cut - frames for cut in self._cuts if cut > frames]
        for person in self._people:
            person.forget(frames)
        self._occlusions.shift(frames)
        if not self._occlusions.busy():
            self._people = [person for person in self._people if person.track_id is not None or not person.away]

    def _now_s(self) -> float:
        return self._times_s[-1] if self._times_s else 0.0

    # -- following ----------------------------------------------------------------------------------------------

    def _launch(self, frame: Frame) -> None:
        """Let the networks begin on a frame, as far as is known where people will be."""
        plan = self._plans.pop(0) if self._plans else self._plan(frame)
        boxes = self._runner.begin_boxes(frame) if plan.search else None
        mirrored = self._options.mirror and is_mirrored(len(self._times_s) + len(self._in_flight))
        inferences = {
            number: self._runner.inference(frame, roi.in_mirror(mirrored), number in plan.bystander)
            for number, roi in plan.rois.items()
        }
        for inference in inferences.values():
            self._runner.begin(inference)
        self._in_flight.append(FrameInFlight(frame, plan, inferences, boxes))

    def _plan(self, frame: Frame) -> Plan:
        ahead = len(self._in_flight)
        bystander = bystanders(self._people, self._options)
        resting = frozenset(n for n in bystander if frame.time_s - self._last_look_s(n) < BYSTANDER_INTERVAL_S)
        rois = {
            number: person.expected(ahead + 1)
            for number, person in enumerate(self._people)
            if not person.away and number not in resting
        }
        rois = {number: roi for number, roi in rois.items() if roi.is_finite}
        return Plan(rois, bystander, resting, self._will_search(frame))

    def _last_look_s(self, number: int) -> float:
        """When a person was last looked at, or will have been by the frames on their way."""
        coming = [
            in_flight_frame.frame.time_s for in_flight_frame in self._in_flight if number in in_flight_frame.plan.rois
        ]
        return max([self._people[number].last_seen_s, *coming])

    def _land(self) -> None:
        """Take in the first frame on its way, and search it for people where that is due."""
        in_flight_frame, frame = self._in_flight[0], self._in_flight[0].frame
        self._frame_index.append(frame.index)
        self._times_s.append(frame.time_s)
        position = len(self._times_s) - 1
        expected: dict[int, Roi] = {}
        for number, person in enumerate(self._people):
            if person.away:
                continue
            if number in in_flight_frame.plan.resting:
                person.rest(position)
            else:
                expected[number] = person.expected()
                self._take_in(number, in_flight_frame, position, expected[number])
        self._settle(frame, position, expected)
        if in_flight_frame.plan.search or self._clock.is_due(self._people, frame.time_s):
            self._search(frame, in_flight_frame.boxes)
        self._in_flight.pop(0)

    def _take_in(self, number: int, in_flight_frame: FrameInFlight, position: int, expected: Roi) -> None:
        """Let one person see its landmarks; a region that was guessed too far off is cut anew."""
        person, inference = self._people[number], in_flight_frame.inferences.get(number)
        batch = None
        if inference is not None and not _differ(inference.roi, expected):
            batch = self._runner.result(inference, self._in_flight)
        elif expected.is_finite:
            roi = expected.in_mirror(self._options.mirror and is_mirrored(position))
            batch = self._runner.now(
                self._runner.inference(in_flight_frame.frame, roi, number in in_flight_frame.plan.bystander)
            )
        if batch is None or not self._is_there(batch, person.is_half):
            person.lose(position, person.last_seen, person.last_seen_s)
            self._occlusions.forget(number)
        else:
            person.see(batch, position, in_flight_frame.frame.time_s)

    def _is_there(self, batch: LandmarkBatch, is_half: bool) -> bool:
        """Whether landmarks (one row) show a person who is in the image, at least in good part; or, where only half of
        them was, that half.
        """
        # the network is not sure that half a body is one, but sees its landmarks sharply
        present = batch.presence[0] >= self._options.least_presence or (
            is_half and batch.presence[0] >= _LEAST_HALF_PRESENCE and batch.sureness(0) >= _SHARP
        )
        return bool(present and batch.evidence(0) >= _LEAST_EVIDENCE) and batch.next_roi(0).is_finite

    def _settle(self, frame: Frame, position: int, expected: dict[int, Roi]) -> None:
        """After all people of a frame: doubles, occlusions, colours, numbers."""
        for number in self._occlusions.part_doubles(self._people, position, expected, frame.image):
            previous = max(position - 1, 0)
            self._people[number].lose(position, previous, self._times_s[previous])
            self._occlusions.forget(number)
        self._occlusions.update(self._people, position, frame.image)
        busy = self._occlusions.busy()
        for number, person in enumerate(self._people):
            if person.away:
                if person.last_seen < position:
                    person.motion.coast()
                continue
            if position % _LOOK_EVERY == 0 and number not in busy and person.last_seen == position:
                person.learn(appearance_of(frame.image, person.keypoints(position)))
            self._number(person)

    def _number(self, person: TrackedPerson) -> None:
        if person.track_id is None and person.is_confirmed:
            person.track_id = sum(other.track_id is not None for other in self._people)

    # -- looking for people -------------------------------------------------------------------------------------

    def _will_search(self, frame: Frame) -> bool:
        """Whether the detector may run beside the landmark network: the frame will be searched as a whole anyhow."""
        return (
            not any(in_flight_frame.plan.search for in_flight_frame in self._in_flight)
            and not all(person.away for person in self._people)
            and self._clock.is_due(self._people, frame.time_s)
            and not self._lately_lost(frame)
        )

    def _lately_lost(self, frame: Frame) -> list[TrackedPerson]:
        """People who should be close to where they were: looked for there before the whole image is."""
        return [p for p in self._people if p.away and frame.time_s - p.last_seen_s <= _NEAR_S]

    def _search(self, frame: Frame, boxes: Future[list[Detection]] | None) -> None:
        position = len(self._times_s) - 1
        present = [person for person in self._people if not person.away and not person.is_doubtful]
        near = [person.expected(0) for person in self._lately_lost(frame)]
        known = [person.last_box for person in present]
        room = self._options.max_people - len(present)
        least = _SMALL_SHARE * max((box[3] - box[1] for box in known), default=0.0)
        least = least if self._options.selection.choice is Choice.LARGEST else 0.0
        wanted = Wanted(frame.time_s, known, room, least)
        found = self._searcher.find(frame.image, wanted, near, None if boxes is None else boxes.result())
        self._clock.searched(frame.time_s, not found and all(person.away for person in self._people))
        new = [candidate for candidate in found if not self._is_followed(candidate, present)]
        self._name(new, frame, position)

    @staticmethod
    def _is_followed(candidate: Candidate, present: Sequence[TrackedPerson]) -> bool:
        landmarks, size = candidate.batch.keypoints_px[0], candidate.roi.size_px
        return any(are_doubles(landmarks, p.keypoints(p.last_seen), size, NEAR_DOUBLE_DISTANCE) for p in present)

    def _name(self, found: Sequence[Candidate], frame: Frame, position: int) -> None:
        """Give each person found its old identity, or a new one."""
        confirmed = [person for person in self._people if person.is_confirmed]
        alone = len(confirmed) == len(found) == 1
        absent = [
            person
            for person in confirmed
            if (person.away or person.is_doubtful)
            and (alone or frame.time_s - person.last_seen_s <= self._options.return_s)
        ]
        pairs = match(
            [person.as_absent(frame.time_s) for person in absent],
            [Found(candidate.roi, candidate.appearance) for candidate in found],
            self._options.remember_s,
            alone,
        )
        known_as = {column: absent[row] for row, column in pairs}
        for number, candidate in enumerate(found):
            if number in known_as:
                known_as[number].find_again(candidate, position, frame.time_s)
            else:
                self._people.append(TrackedPerson.from_candidate(candidate, position, frame.time_s))

    # -- keeping and going on -----------------------------------------------------------------------------------

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Everything learnt from the first `taken_in` frames, as named arrays (for an npz or safetensors file).

        A tracker that is restored from it goes on with the next frame, as this one does: it sees the same.
        """
        arrays: dict[str, NDArray[np.generic]] = {
            "frame_index": np.array(self._frame_index, np.int64),
            "times_s": np.array(self._times_s, np.float64),
            "cuts": np.array([cut for cut in self._cuts if cut < len(self._times_s)], np.int64),
            "search": self._clock.state(),
            "refused": self._searcher.state(),
        }
        arrays |= {f"plans.{name}": value for name, value in plans_state([f.plan for f in self._in_flight]).items()}
        arrays |= {f"occlusions.{name}": value for name, value in self._occlusions.state().items()}
        for number, person in enumerate(self._people):
            arrays |= {f"person{number}.{name}": value for name, value in person.state().items()}
        return arrays

    def restore(self, arrays: dict[str, NDArray[np.generic]]) -> None:
        """Go on from what `state` gave."""
        self._in_flight, self._plans = [], restored_plans(arrays_below(arrays, "plans."))
        self._frame_index = [int(value) for value in arrays["frame_index"]]
        self._times_s = [float(value) for value in arrays["times_s"]]
        self._cuts = [int(cut) for cut in arrays["cuts"]]
        self._clock.restore(arrays["search"].astype(np.float64))
        self._searcher.restore(arrays["refused"].astype(np.float64))
        self._occlusions = Occlusions.restored(arrays_below(arrays, "occlusions."))
        self._people = []
        while f"person{len(self._people)}.whole" in arrays:
            self._people.append(TrackedPerson.restored(arrays_below(arrays, f"person{len(self._people)}.")))


def _by_shot(track: PersonTrack, mirrored: Array, cuts_s: Sequence[float]) -> PersonTrack:
    """The track without swaps and flips, of which none is told by comparing frames of two shots."""
    edges = np.unique([0, *np.searchsorted(track.times_s, cuts_s), len(track.times_s)])
    parts = []
    for rows in (slice(begin, end) for begin, end in pairwise(edges)):
        values = {one.name: getattr(track, one.name)[rows] for one in fields(track) if one.name != "track_id"}
        parts.append(average_flips(fix_swaps(replace(track, **values)), mirrored[rows]))
    if len(parts) == 1:
        return parts[0]
    names = [one.name for one in fields(track) if one.name != "track_id"]
    return replace(track, **{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def _differ(first: Roi, second: Roi) -> bool:
    """Whether two regions are too far apart for the landmarks of one to stand for the other."""
    shift = math.hypot(first.x_px - second.x_px, first.y_px - second.y_px) / second.size_px
    turn = (first.rotation_rad - second.rotation_rad + math.pi) % (2 * math.pi) - math.pi
    return shift > _SHIFT or abs(math.log(first.size_px / second.size_px)) > _LOG_SIZE or abs(turn) > _TURN_RAD
