"""Looks for people in one frame: boxes, then hips and heading inside each box, then landmarks that prove a person.

May import backend.people, backend.types; numpy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from backend.people.appearance import appearance_of
from backend.people.landmarks import LANDMARKS, LandmarkBatch, landmarks_on_crops
from backend.people.networks import PeopleNetworks
from backend.people.region import Roi, cover, overlap, roi_from_alignment
from backend.people.track_log import body_box
from backend.types import Array, Detection, Image

Box = tuple[float, float, float, float]
_BOX_MARGIN = 1.5  # side of the region in which the pose detector searches, over the box's longer side
_BODY_MARGIN = 1.25  # side of a first crop over the longer side of a box without known hips
_LEAST_PRESENCE, _LEAST_SURENESS = 0.7, 0.55  # to start a track, stricter than to keep one
_SURE_BOX, _TURNS = 0.4, (math.pi / 2, -math.pi / 2, math.pi)
_KNOWN_OVERLAP, _KNOWN_COVER = 0.45, 0.85
_REFUSED_S, _SAME_BOX = 3.0, 0.7  # so long a box is not tested again, and boxes that overlap so much are the same
_NEAR_SIZE = 1.5  # side of the region in which a lost person is looked for, over the person's own
_LEAST_SIZE_PX = 24.0
# the hips of somebody whose legs are not seen lie below the box, by up to this part of its height
_HIPS_BELOW = 1.3
# a box that ends this close to the image's lower edge, in parts of its height, may be half a person
_AT_EDGE, _HALF_MARGIN = 0.02, 2.2
_LEAST_FIRST_PRESENCE = 0.3  # on a region that is only a first guess


@dataclass(frozen=True, slots=True)
class Candidate:
    """A person found in one frame: its landmarks (one row), region for the next frame, colours."""

    batch: LandmarkBatch
    roi: Roi
    box_px: Box
    appearance: Array | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Up to `most` people outside the `known` boxes at `time_s`; boxes lower than `least_height_px` are passed over."""

    time_s: float
    known: Sequence[Box]
    most: int
    least_height_px: float = 0.0


class PersonSearch:
    """Finds people that are not followed yet.

    Boxes that turned out to be no person are remembered: furniture would be put to the same costly test every time.
    """

    def __init__(self, networks: PeopleNetworks) -> None:
        self._networks = networks
        self._refused: list[tuple[Box, float]] = []

    def state(self) -> Array:
        """(n, 5) the boxes that were refused, and when."""
        return np.array([[*box, time_s] for box, time_s in self._refused], np.float64).reshape(-1, 5)

    def restore(self, state: Array) -> None:
        """Go on from what `state` gave."""
        self._refused = [((row[0], row[1], row[2], row[3]), row[4]) for row in state.tolist()]

    def find(
        self, image: Image, wanted: Wanted, near: Sequence[Roi], detections: Sequence[Detection] | None = None
    ) -> list[Candidate]:
        """The people wanted, the largest first.

        `near`: where people just lost should be; `detections`: the person detector's, where it ran already.
        """
        known, most = wanted.known, wanted.most
        found: list[Candidate] = []
        for roi in near:  # cheap first: a person just lost is mostly close by
            if not self._add_roi(found, image, roi, known):
                region = Roi(roi.x_px, roi.y_px, _NEAR_SIZE * roi.size_px)
                for detection in self._networks.poses.detect(image, region)[:2]:
                    self._add(found, image, detection, region, known)
        if len(found) >= most:
            return found[:most]
        boxes = [
            detection
            for detection in (self._networks.persons.detect_frame(image) if detections is None else detections)
            if detection.box_px[3] - detection.box_px[1] >= wanted.least_height_px
            and not _is_known(detection.box_px, known)
        ]
        if known:  # with nobody in sight every box is worth the test
            boxes = [box for box in boxes if not self._was_refused(box.box_px, wanted.time_s)]
        boxes.sort(key=lambda detection: -_area(detection.box_px))
        for box in boxes:
            if len(found) >= most:
                break
            if any(_is_known(box.box_px, [other.box_px]) for other in found):
                continue
            before = len(found)
            self._add_from_box(found, image, box, known)
            if len(found) == before:
                self._refused.append((box.box_px, wanted.time_s))
        if not found and not known and not boxes:
            for detection in self._networks.poses.detect_frame(image):
                self._add(found, image, detection, None, known)
        found.sort(key=lambda candidate: -candidate.roi.size_px)
        return found[:most]

    def _was_refused(self, box: Box, time_s: float) -> bool:
        self._refused = [(other, since) for other, since in self._refused if time_s - since < _REFUSED_S]
        return any(overlap(box, other) > _SAME_BOX for other, _ in self._refused)

    def _add_from_box(self, found: list[Candidate], image: Image, person: Detection, known: Sequence[Box]) -> None:
        box = person.box_px
        x, y, longer = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, max(box[2] - box[0], box[3] - box[1])
        detections = self._networks.poses.detect(image, Roi(x, y, _BOX_MARGIN * longer))
        inside = [one for one in detections if one.hip_px and _contains(box, one.hip_px)]
        below = [one for one in detections if one.hip_px and _contains(_with_room_below(box), one.hip_px)]
        for some in (inside, below):
            if some and self._add(found, image, some[0], None, known):
                return
        whole, half = Roi(x, y, _BODY_MARGIN * longer), Roi(x, box[3], _HALF_MARGIN * longer)
        at_edge = box[3] > image.shape[0] - _AT_EDGE * (box[3] - box[1])
        tries = [half, whole] if at_edge else [whole, half]
        if person.score > _SURE_BOX:  # lying or upside down, which the pose detector rarely sees
            tries += [replace(whole, rotation_rad=turn) for turn in _TURNS]
        for roi in tries:
            if self._add_roi(found, image, roi, known):
                return

    def _add(
        self, found: list[Candidate], image: Image, detection: Detection, region: Roi | None, known: Sequence[Box]
    ) -> bool:
        if detection.hip_px is None or detection.top_px is None:
            return False
        roi = roi_from_alignment(np.array(detection.hip_px), np.array(detection.top_px))
        if region is not None and math.hypot(roi.x_px - region.x_px, roi.y_px - region.y_px) > region.size_px / 2:
            return False
        return self._add_roi(found, image, roi, known)

    def _add_roi(self, found: list[Candidate], image: Image, roi: Roi, known: Sequence[Box]) -> bool:
        """Landmarks twice, the second time on the region that the first ones say; True when it is a new person."""
        start = roi
        for least in (_LEAST_FIRST_PRESENCE, _LEAST_PRESENCE):
            if not _is_usable(roi, image):
                return False
            batch = landmarks_on_crops([image], [roi], self._networks.scout)
            if batch.presence[0] < least:
                return False
            roi = batch.next_roi(0)
        if batch.sureness(0) < _LEAST_SURENESS or not _is_usable(roi, image):
            return False
        box = _box_of(batch)
        if _is_known(box, known) or any(_is_known(box, [other.box_px]) for other in found):
            return False
        if self._networks.scout is not self._networks.landmarks:
            roi = start
            for _ in range(2):
                batch = landmarks_on_crops([image], [roi], self._networks.landmarks)
                roi, box = batch.next_roi(0), _box_of(batch)
                if not _is_usable(roi, image):
                    return False
        found.append(Candidate(batch, roi, box, appearance_of(image, batch.keypoints_px[0, :LANDMARKS])))
        return True


def _box_of(batch: LandmarkBatch) -> Box:
    return body_box(batch.keypoints_px[0, :LANDMARKS], batch.visibility[0, :LANDMARKS])


def _is_known(box: Box, known: Sequence[Box]) -> bool:
    """Whether the box shows a person that is followed: much the same box, or one that lies inside it."""
    return any(overlap(box, other) > _KNOWN_OVERLAP or cover(box, other) > _KNOWN_COVER for other in known)


def _area(box: Box) -> float:
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)


def _with_room_below(box: Box) -> Box:
    """The box with the place where the hips of half a person may lie."""
    width, height = box[2] - box[0], box[3] - box[1]
    return (box[0] - 0.5 * width, box[1], box[2] + 0.5 * width, box[3] + _HIPS_BELOW * height)


def _contains(box: Box, point: tuple[float, float]) -> bool:
    return box[0] <= point[0] <= box[2] and box[1] <= point[1] <= box[3]


def _is_usable(roi: Roi, image: Image) -> bool:
    """Whether a crop of the region would show something: finite, not tiny, its centre in or near the frame."""
    height, width = image.shape[:2]
    if not roi.is_finite or roi.size_px < _LEAST_SIZE_PX or roi.size_px > 6 * max(height, width):
        return False
    slack = roi.size_px / 2
    return -slack < roi.x_px < width + slack and -slack < roi.y_px < height + slack
