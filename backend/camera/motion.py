"""Whether the camera moves, found from the background while frames stream by. numpy, OpenCV, `backend.types`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.camera.near_ground import ground_shift_share
from backend.camera.people_mask import on_people, poses_px
from backend.types import Array, Frame, Image, PersonTrack, arrays_below

_WIDTH_PX: Final = 320
_EVERY_S: Final = 0.25
_FEATURES: Final = 200
_MIN_FEATURES: Final = 20
_MOST_SAMPLES: Final = 64
# points that are lost on the way there and back are no features; the reference is renewed when this part is left
_ROUND_TRIP_PX: Final = 0.5
_LEAST_LEFT: Final = 0.4
# a background that stays within this is still: codec noise and light move features by less
_STILL_PX: Final = 0.6
_STILL_SHARE: Final = 0.3
_FIT_PX: Final = 1.5
_LEAST_INLIERS: Final = 0.35
_EPIPOLAR_PX: Final = 0.5
_LEAST_IN_VIEW: Final = 0.7
# agreeing points have to lie in this many of 4 x 4 parts of the frame, or they may be one thing that moves
_LEAST_CELLS: Final = 4
# fewer features than this may all lie on one person
_FEW_FEATURES: Final = 100
# parts of the width: a shift that counts, and what the camera has to reach in a tenth of the samples
_MOVES_SHARE: Final = 0.007
_LARGE_PERCENTILE: Final = 90.0
_PARTS: Final = ("whole_frame", "low")


@dataclass(frozen=True, slots=True)
class BackgroundSample:
    """Features followed from the source frame `reference` to `index`: places (N, 2) in px of the upright frame.

    `low` are those of the lower half of the frame, where the ground is near.
    """

    reference: int
    index: int
    before_px: NDArray[np.float32]
    after_px: NDArray[np.float32]
    low: bool = False


@dataclass(frozen=True, slots=True)
class CameraMotion:
    """`moves`, and the `share` of the frame's width by which the background is off in its larger moments."""

    moves: bool
    share: float


class _Features:
    """Features followed from the source frame `reference` on: `before` (N, 2) there and `after` (N, 2) now, small px.

    `low` ones are looked for in the lower half of the frame only: on a meadow, all strong ones are on the trees.
    """

    def __init__(self, low: bool) -> None:
        self.low = low
        self.reference = self.count = 0
        self.before = self.after = np.zeros((0, 2), np.float32)

    def follow(self, last: Image, grey: Image) -> None:
        found, kept = _follow(last, grey, self.after)
        self.before, self.after = self.before[kept], found[kept]

    @property
    def few_left(self) -> bool:
        return len(self.after) < max(_MIN_FEATURES, _LEAST_LEFT * self.count)

    def renew(self, grey: Image, index: int) -> None:
        self.reference = index
        top = grey.shape[0] // 2 if self.low else 0
        found = _corners(grey[top:], _FEATURES, 0.01)
        if len(found) < _FEW_FEATURES:  # the strongest corners are on somebody's clothes, and hide all weaker ones
            found = _corners(grey[top:], 2 * _FEATURES, 0.001)
        self.before = self.after = (found if len(found) >= _MIN_FEATURES else found[:0]) + np.array(
            [0, top], np.float32
        )
        self.count = len(self.before)

    def state(self) -> dict[str, NDArray[np.generic]]:
        whole = np.array([self.reference, self.count], np.int64)
        return {"whole": whole, "points": np.concatenate([self.before, self.after], axis=1)}

    def restore(self, arrays: dict[str, NDArray[np.generic]]) -> None:
        self.reference, self.count = (int(value) for value in np.asarray(arrays["whole"], np.int64))
        points = np.asarray(arrays["points"], np.float32)
        self.before, self.after = points[:, :2], points[:, 2:]


class CameraMotionMeter:
    """Feed frames in order; `samples` are features of the background that were followed since the shot's start.

    Four times a second the features are followed from the last sample to the present one. A person covers some of
    them: `camera_motion` leaves these out once it is known where people were. Costs about 6 ms a sample.
    """

    def __init__(self) -> None:
        self._grey: Image | None = None
        self._scale = 1.0
        self._features = (_Features(low=False), _Features(low=True))
        self._next_s = -math.inf
        self._every = 1
        self._turn = 0
        self._samples: list[BackgroundSample] = []

    @property
    def samples(self) -> tuple[BackgroundSample, ...]:
        """What was followed so far, at most 64 times two samples spread over the video."""
        return tuple(self._samples)

    @property
    def moves(self) -> bool:
        """Whether the background moves, with people taken for background."""
        return bool(self._samples) and camera_motion(self.samples, (), round(_WIDTH_PX * self._scale)).moves

    def update(self, frame: Frame, new_shot: bool = False) -> None:
        """Take the next frame; `new_shot` makes it the reference that later ones are compared with."""
        if new_shot:
            self._grey, self._next_s = None, -math.inf
        if frame.time_s < self._next_s:
            return
        self._next_s = frame.time_s + _EVERY_S
        grey = _small_grey(frame.image)
        self._scale = frame.image.shape[1] / _WIDTH_PX
        last, self._grey = self._grey, grey
        followed = [one for one in self._features if last is not None and len(one.after)]
        for one in followed:
            assert last is not None
            one.follow(last, grey)
        if followed:
            self._keep(followed, frame.index)
        for one in self._features:
            if one not in followed or one.few_left:
                one.renew(grey, frame.index)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """What later answers depend on, as named arrays."""
        samples = self._samples
        arrays: dict[str, NDArray[np.generic]] = {
            "whole": np.array([self._every, self._turn], np.int64),
            "real": np.array([self._next_s, self._scale]),
            "frames": np.array([[one.reference, one.index, len(one.before_px), one.low] for one in samples], np.int64),
            "samples": np.concatenate(
                [np.zeros((0, 4), np.float32)]
                + [np.concatenate([one.before_px, one.after_px], axis=1) for one in samples]
            ),
        }
        for name, one in zip(_PARTS, self._features, strict=True):
            arrays |= {f"{name}/{key}": value for key, value in one.state().items()}
        return arrays if self._grey is None else arrays | {"grey": self._grey}

    def restore(self, arrays: dict[str, NDArray[np.generic]]) -> None:
        """Go on from what `state` gave."""
        self._every, self._turn = (int(value) for value in np.asarray(arrays["whole"], np.int64))
        self._next_s, self._scale = (float(value) for value in np.asarray(arrays["real"], np.float64))
        self._grey = np.asarray(arrays["grey"], np.uint8) if "grey" in arrays else None
        for name, one in zip(_PARTS, self._features, strict=True):
            one.restore(arrays_below(arrays, f"{name}/"))
        self._samples, at = [], 0
        every = np.asarray(arrays["samples"], np.float32)
        for reference, index, count, low in np.asarray(arrays["frames"], np.int64).reshape(-1, 4).tolist():
            rows = every[at : at + count]
            self._samples.append(BackgroundSample(reference, index, rows[:, :2], rows[:, 2:], bool(low)))
            at += count

    def _keep(self, followed: Sequence[_Features], index: int) -> None:
        self._turn += 1
        if self._turn % self._every:
            return
        scale = np.float32(self._scale)
        self._samples += [
            BackgroundSample(one.reference, index, one.before * scale, one.after * scale, one.low) for one in followed
        ]
        frames = sorted({one.index for one in self._samples})
        if len(frames) > _MOST_SAMPLES:
            kept = set(frames[1::2])
            self._samples, self._every = [one for one in self._samples if one.index in kept], 2 * self._every


def camera_motion(samples: Sequence[BackgroundSample], tracks: Sequence[PersonTrack], width_px: int) -> CameraMotion:
    """Whether the camera moved, for a video `width_px` wide in which `tracks` are the people.

    A still camera taken for a moving one is the worse mistake: where a good part of the background stays in place, the
    camera does; where too little of it agrees on one motion, it counts as still. But where all of the near ground
    moves as one plane, the camera travels, and what stays in place is far away.
    """
    large = _large(_shift_share(*_free(one, tracks), width_px) for one in samples if not one.low)
    if large <= _MOVES_SHARE:
        ground = _large(ground_shift_share(*_free(one, tracks), width_px) for one in samples if one.low)
        large = max(large, ground if ground > _MOVES_SHARE else 0.0)
    return CameraMotion(large > _MOVES_SHARE, large)


def _large(shifts: Iterable[float | None]) -> float:
    """What a tenth of the shifts that are known exceeds; 0 where fewer than two are."""
    known = [shift for shift in shifts if shift is not None]
    return 0.0 if len(known) < 2 else float(np.percentile(known, _LARGE_PERCENTILE, method="lower"))


def _free(sample: BackgroundSample, tracks: Sequence[PersonTrack]) -> tuple[Array, Array]:
    """The features (N, 2) of a sample, before and after, that are not on people."""
    before, after = sample.before_px.astype(np.float64), sample.after_px.astype(np.float64)
    hidden = on_people(before, poses_px(tracks, sample.reference)) | on_people(after, poses_px(tracks, sample.index))
    return before[~hidden], after[~hidden]


def _shift_share(before: Array, after: Array, width_px: int) -> float | None:
    """How far the background is off in one sample, in parts of the width; None where too little of it is seen."""
    if len(before) < _MIN_FEATURES:
        return None
    unit = width_px / _WIDTH_PX
    still = np.linalg.norm(after - before, axis=1) < _STILL_PX * unit
    if still.mean() > _STILL_SHARE:
        return 0.0
    transform, inliers = cv2.estimateAffine2D(before, after, ransacReprojThreshold=_FIT_PX * unit)
    if transform is None or not _agree(before, np.asarray(inliers).ravel() == 1):
        # a camera that travels moves what is near by more than what is far
        shift = float(np.median(np.linalg.norm(after - before, axis=1)) / width_px)
        return shift if _one_view(before, after, unit) else 0.0
    moved = np.linalg.norm(before @ transform[:, :2].T + transform[:, 2] - before, axis=1)
    return float(np.median(moved) / width_px)


def _one_view(before: Array, after: Array, unit: float) -> bool:
    """Whether nearly all points (N, 2) move as those of a scene that stands still (an epipolar geometry)."""
    try:
        _, inliers = cv2.findFundamentalMat(before, after, cv2.USAC_MAGSAC, _EPIPOLAR_PX * unit, 0.99, 500)
    except cv2.error:  # OpenCV refines from fewer points than it needs
        return False
    found = np.asarray(inliers).ravel() == 1
    # none at all where nothing fits
    return len(found) == len(before) and bool(found.mean() >= _LEAST_IN_VIEW) and _agree(before, found)


def _agree(points: Array, inliers: NDArray[np.bool_]) -> bool:
    """Whether enough points (N, 2), in enough parts of the frame, move together."""
    if inliers.mean() < _LEAST_INLIERS:
        return False
    low, size = points.min(axis=0), np.maximum(np.ptp(points, axis=0), 1.0)
    cells = np.minimum((4.0 * (points[inliers] - low) / size).astype(int), 3)
    return len({(int(x), int(y)) for x, y in cells}) >= _LEAST_CELLS


def _follow(last: Image, grey: Image, points: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Where points (N, 2) of the last small image are in the next, and which of them are found there and back."""
    settings = {"winSize": (15, 15), "maxLevel": 3}
    start = np.ascontiguousarray(points).reshape(-1, 1, 2)
    there, found, _ = cv2.calcOpticalFlowPyrLK(last, grey, start, np.empty_like(start), **settings)  # type: ignore[call-overload]
    back, returned, _ = cv2.calcOpticalFlowPyrLK(grey, last, there, np.empty_like(start), **settings)  # type: ignore[call-overload]
    gap = np.linalg.norm((back - start).reshape(-1, 2), axis=1)
    kept = (np.asarray(found).ravel() == 1) & (np.asarray(returned).ravel() == 1) & (gap < _ROUND_TRIP_PX)
    return np.asarray(there, np.float32).reshape(-1, 2), kept


def _corners(grey: Image, count: int, quality: float) -> NDArray[np.float32]:
    """At most `count` corners (N, 2) px that are at least a part `quality` as strong as the strongest one."""
    points = cv2.goodFeaturesToTrack(grey, count, quality, 7)
    return np.zeros((0, 2), np.float32) if points is None else np.asarray(points, np.float32).reshape(-1, 2)


def _small_grey(image: Image) -> Image:
    height = max(16, round(image.shape[0] * _WIDTH_PX / image.shape[1]))
    if image.shape[1] > 2 * _WIDTH_PX:  # four pixels for each of the small image do, and cost a tenth of all
        image = np.asarray(cv2.resize(image, (2 * _WIDTH_PX, 2 * height), interpolation=cv2.INTER_NEAREST), np.uint8)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, (_WIDTH_PX, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
