"""A person's track to windows of landmarks at the tower's frame step, around every frame. numpy and the lens only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.camera.lens import normalised_points
from backend.embedding.features import WINDOW_STEP_S, LandmarkWindow
from backend.embedding.keypoints import MIRROR
from backend.embedding.window_offsets import DENSE_OFFSETS
from backend.types import Array, Intrinsics, PersonTrack

_LONGEST_GAP_S = 0.4


@dataclass(frozen=True, slots=True)
class TrackWindows:
    """Windows around every seen frame of a track (solvable_frames), made block by block as they are asked for: a window
    a frame of a long video would be the largest array there is.

    Of the T seen frames: times_s (T,), points (T, 33, 2) normalised, visibility (T, 33), guess (T, 33, 3). `offsets`
    (W,) are the frames of a window in steps of WINDOW_STEP_S. Windows are made around the frames `first` to
    `end` (excluded; the last one without it).
    """

    times_s: Array
    points: Array
    visibility: Array
    guess: Array
    offsets: tuple[int, ...]
    first: int = 0
    end: int | None = None

    def __len__(self) -> int:
        return len(self.times_s[self.first : self.end])

    def rows(self, rows: slice) -> LandmarkWindow:
        """The windows of some of the frames, interpolated in time."""
        times, centers = self.times_s, np.arange(len(self.times_s))[self.first : self.end][rows]
        place = times[centers, None] + np.asarray(self.offsets) * WINDOW_STEP_S
        after = np.clip(np.searchsorted(times, place), 1, max(1, len(times) - 1))
        before = after - 1
        if len(times) == 1:
            before = after = np.zeros_like(after)
        span = times[after] - times[before]
        share = np.where(span > 0, np.clip((place - times[before]) / np.where(span > 0, span, 1.0), 0.0, 1.0), 0.0)
        tolerance = 0.5 * WINDOW_STEP_S
        inside = (place >= times[0] - tolerance) & (place <= times[-1] + tolerance)
        inside &= (
            (span <= _LONGEST_GAP_S)
            | (np.abs(place - times[before]) < tolerance)
            | (np.abs(place - times[after]) < tolerance)
        )
        present, source = _nearest_present(inside)
        row = np.arange(len(centers))[:, None]
        places = _Places(before[row, source], after[row, source], share[row, source])
        return LandmarkWindow(
            places.values_of(self.points),
            places.values_of(self.visibility),
            places.values_of(self.guess),
            present,
            np.ones(len(centers), dtype=bool),
        )


@dataclass(frozen=True, slots=True)
class _Places:
    """The windows' frames in a track: the seen frames `before` and `after` each, and the `share` of the way, (B, W)."""

    before: NDArray[np.intp]
    after: NDArray[np.intp]
    share: Array

    def values_of(self, values: Array) -> Array:
        """Values (T, ...) of the seen frames in the windows, (B, W, ...) float32."""
        weight = self.share.reshape(*self.share.shape, *(1,) * (values.ndim - 1))
        return (values[self.before] * (1 - weight) + values[self.after] * weight).astype(np.float32)


def solvable_frames(track: PersonTrack) -> NDArray[np.bool_]:
    """Frames (T,) in which the person was seen."""
    return (track.presence > 0) & np.isfinite(track.keypoints_px).all(axis=(1, 2))


def track_windows(track: PersonTrack, intrinsics: Intrinsics, offsets: tuple[int, ...] = DENSE_OFFSETS) -> TrackWindows:
    """Windows of frames `offsets` around every seen frame of the track."""
    seen = solvable_frames(track)
    points = normalised_points(intrinsics, track.keypoints_px[seen])
    return TrackWindows(track.times_s[seen], points, track.visibility[seen], track.world_m[seen], offsets)


def _nearest_present(inside: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """Which window places are reachable from the centre without a gap, and for each the nearest such place."""
    middle = inside.shape[1] // 2
    right = np.logical_and.accumulate(inside[:, middle:] | (np.arange(inside.shape[1] - middle) == 0), axis=1)
    left = np.logical_and.accumulate(inside[:, middle::-1] | (np.arange(middle + 1) == 0), axis=1)
    present = np.concatenate([left[:, :0:-1], right], axis=1)
    lowest, highest = middle - (left.sum(axis=1) - 1), middle + (right.sum(axis=1) - 1)
    place = np.broadcast_to(np.arange(inside.shape[1]), inside.shape)
    return present, np.clip(place, lowest[:, None], highest[:, None])


def mirrored(window: LandmarkWindow) -> LandmarkWindow:
    """The same windows seen in a mirror: x flipped, left and right exchanged."""
    return LandmarkWindow(
        window.points[:, :, MIRROR] * np.array([-1.0, 1.0]),
        window.visibility[:, :, MIRROR],
        window.guess[:, :, MIRROR] * np.array([-1.0, 1.0, 1.0]),
        window.present,
        window.use_depth,
    )
