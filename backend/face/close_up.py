"""Follows the face through a close-up: a video that shows a face and no body to lead to it.

May import numpy, `backend.networks`, `backend.people`, `backend.types` and its own room.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from backend.face.follow import (
    LEAST_PRESENCE,
    FaceNetworks,
    FaceTrack,
    FoundFace,
    MeasuredFace,
    find_faces,
    keep_face,
    landmarks_on_crop,
    measured_face,
    no_faces,
    roi_from_landmarks,
)
from backend.people.region import Roi
from backend.types import Image

_SEARCH_INTERVAL_S = 0.25
_FARTHEST_STEP = 0.5  # of its size that a face moves between two frames
_OTHER_SIZE = 1.8  # a face of another size than that of the person is somebody else's


class CloseUpFace:
    """The face of the one person that a close-up shows, frame by frame, in order: at first the largest one."""

    def __init__(self, networks: FaceNetworks) -> None:
        self._networks = networks
        self._last: FoundFace | None = None
        self._size_px = 0.0
        self._searched_s = -math.inf
        self._rows: list[MeasuredFace | None] = []
        self._searches = 0

    def cut(self) -> None:
        """A new shot begins."""
        self._last, self._size_px = None, 0.0

    def update(self, image: Image, time_s: float) -> None:
        """Look at the next frame."""
        last, self._last = self._last, None
        face = None if last is None else self._at(image, roi_from_landmarks(last.landmarks_px))
        if face is not None and last is not None and _step(face, last) > _FARTHEST_STEP:
            face = None
        if face is None and time_s - self._searched_s >= _SEARCH_INTERVAL_S:
            self._searched_s = time_s
            face = self._searched(image)
        if face is None:
            self._rows.append(None)
            return
        self._last, self._size_px = face, _size(face)
        self._rows.append(measured_face(face, self._networks.weights))

    def track(self) -> FaceTrack:
        """What was seen so far."""
        track = replace(no_faces(len(self._rows)), searches=self._searches)
        for row, face in enumerate(self._rows):
            if face is not None:
                keep_face(track, row, face)
        return track

    def _searched(self, image: Image) -> FoundFace | None:
        """The largest face of the frame, or the one of the size that the person's had."""
        self._searches += 1
        height, width = image.shape[:2]
        whole = Roi(width / 2, height / 2, float(max(width, height)))
        seen = [self._at(image, roi) for roi in find_faces(image, whole, self._networks.detector)]
        faces = [face for face in seen if face is not None]
        if self._size_px:
            faces = [face for face in faces if 1 / _OTHER_SIZE < _size(face) / self._size_px < _OTHER_SIZE]
        return max(faces, key=_size, default=None)

    def _at(self, image: Image, roi: Roi) -> FoundFace | None:
        if not roi.is_finite:
            return None
        face = landmarks_on_crop(image, roi, self._networks.landmarks)
        return face if face.presence >= LEAST_PRESENCE else None


def _size(face: FoundFace) -> float:
    return float(np.ptp(face.landmarks_px, axis=0).max())


def _step(face: FoundFace, last: FoundFace) -> float:
    apart = float(np.linalg.norm(face.landmarks_px.mean(axis=0) - last.landmarks_px.mean(axis=0)))
    return apart / max(_size(last), 1e-6)
