"""Rows of one person's landmarks over time, kept small (under 1 KB a frame), and the PersonTrack made from them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.people.landmarks import LANDMARKS, LandmarkBatch
from backend.types import Array, PersonTrack

_K = LANDMARKS
_FIELDS = {"keypoints": 2 * _K, "depth": _K, "visibility": _K, "world": 3 * _K, "presence": 1, "box": 4, "mirrored": 1}
_ENDS = np.cumsum(list(_FIELDS.values()))
_SLICES = {name: slice(end - size, end) for (name, size), end in zip(_FIELDS.items(), _ENDS, strict=True)}
ROW_SIZE = int(_ENDS[-1])
_PRESENCE = _SLICES["presence"].start
_LIKELY_VISIBLE = 0.3
_SKIPPED = -1.0  # presence in a frame that was not looked at: between two sightings it is bridged


def row_of(batch: LandmarkBatch, index: int) -> NDArray[np.float32]:
    """(ROW_SIZE,) what is kept of one sighting."""
    row = np.empty(ROW_SIZE, np.float32)
    row[_SLICES["keypoints"]] = batch.keypoints_px[index, :_K].reshape(-1)
    row[_SLICES["depth"]] = batch.depth_px[index, :_K]
    row[_SLICES["visibility"]] = batch.visibility[index, :_K]
    row[_SLICES["world"]] = batch.world_m[index, :_K].reshape(-1)
    row[_SLICES["presence"]] = batch.presence[index]
    row[_SLICES["box"]] = body_box(batch.keypoints_px[index, :_K], batch.visibility[index, :_K])
    row[_SLICES["mirrored"]] = batch.mirrored[index]
    return row


def body_box(keypoints_px: Array, visibility: Array) -> tuple[float, float, float, float]:
    """Box (x0, y0, x1, y1) around the landmarks (K, 2) that are likely visible (all, when too few are)."""
    seen = keypoints_px[visibility > _LIKELY_VISIBLE]
    points = seen if len(seen) >= 4 else keypoints_px
    (x0, y0), (x1, y1) = points.min(0), points.max(0)
    return (float(x0), float(y0), float(x1), float(y1))


class TrackLog:
    """Rows from the frame of the first sighting on; frames out of sight are NaN with presence 0."""

    def __init__(self, first: int, rows: NDArray[np.float32] | None = None) -> None:
        self.first = first
        self._rows = np.empty((64, ROW_SIZE), np.float32) if rows is None else rows.copy()
        self._count = 0 if rows is None else len(rows)

    def write(self, position: int, row: NDArray[np.float32]) -> None:
        """Set the row of the frame at `position` (counted over all frames the tracker was given)."""
        index = position - self.first
        if index >= len(self._rows):
            grown = np.empty((max(2 * len(self._rows), index + 1, 16), ROW_SIZE), np.float32)
            grown[: self._count] = self._rows[: self._count]
            self._rows = grown
        if index >= self._count:
            self._rows[self._count : index] = _absent()
            self._count = index + 1
        self._rows[index] = row

    def skip(self, position: int) -> None:
        """Mark the frame at `position` as not looked at."""
        row = _absent()
        row[_PRESENCE] = _SKIPPED
        self.write(position, row)

    def erase(self, position: int) -> None:
        """Make the frame at `position` one without sight."""
        if self.first <= position < self.first + self._count:
            self._rows[position - self.first] = _absent()

    def forget(self, frames: int) -> None:
        """Drop the rows of the tracker's first `frames` frames: positions count from the frame after them."""
        cut = min(max(frames - self.first, 0), self._count)
        self._rows = self._rows[cut:].copy()
        self._count -= cut
        self.first = max(self.first - frames, 0)

    def row(self, position: int) -> NDArray[np.float32]:
        """The row of a frame; absent when there is none."""
        index = position - self.first
        return self._rows[index] if 0 <= index < self._count else _absent()

    def exchange(self, other: TrackLog, start: int, stop: int) -> None:
        """Swap the rows of two persons over the positions start..stop-1."""
        for position in range(start, stop):
            mine, theirs = self.row(position).copy(), other.row(position).copy()
            if position >= self.first:
                self.write(position, theirs)
            if position >= other.first:
                other.write(position, mine)

    @property
    def rows(self) -> NDArray[np.float32]:
        """(n, ROW_SIZE) from the first sighting to the last."""
        return self._until(self._rows[: self._count, _PRESENCE] > 0)

    @property
    def kept_rows(self) -> NDArray[np.float32]:
        """(n, ROW_SIZE) everything written that another log needs to go on, without absent rows at the end."""
        return self._until(self._rows[: self._count, _PRESENCE] != 0)

    def _until(self, matters: NDArray[np.bool_]) -> NDArray[np.float32]:
        where = np.flatnonzero(matters)
        return self._rows[: where[-1] + 1 if len(where) else 0]

    @property
    def mirrored(self) -> NDArray[np.float32]:
        """(n,) for each row of `rows`: 1 seen in a mirror, 0 seen plainly, NaN not seen."""
        return self.rows[:, _SLICES["mirrored"]][:, 0]

    @property
    def sightings(self) -> int:
        """Number of frames with the person in sight."""
        return int((self._rows[: self._count, _PRESENCE] > 0).sum())

    def track(self, track_id: int, frame_index: NDArray[np.intp], times_s: Array) -> PersonTrack:
        """The rows as a PersonTrack; `frame_index` and `times_s` of all frames the tracker was given."""
        rows = _bridged(self.rows)
        span = slice(self.first, self.first + len(rows))
        return PersonTrack(
            track_id=track_id,
            frame_index=frame_index[span],
            times_s=times_s[span],
            keypoints_px=rows[:, _SLICES["keypoints"]].reshape(-1, _K, 2),
            keypoint_depth=rows[:, _SLICES["depth"]],
            visibility=rows[:, _SLICES["visibility"]],
            world_m=rows[:, _SLICES["world"]].reshape(-1, _K, 3),
            presence=rows[:, _SLICES["presence"]][:, 0],
            box_px=rows[:, _SLICES["box"]],
        )


def _bridged(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """A copy in which frames not looked at go straight from one sighting to the next; beside a loss they are absent."""
    rows = rows.copy()
    skipped = np.flatnonzero(rows[:, _PRESENCE] == _SKIPPED)
    if not len(skipped):
        return rows
    known = np.flatnonzero(rows[:, _PRESENCE] != _SKIPPED)
    after = np.searchsorted(known, skipped)
    low, high = known[np.maximum(after - 1, 0)], known[np.minimum(after, len(known) - 1)]
    share = ((skipped - low) / np.maximum(high - low, 1)).astype(np.float32)[:, None]
    rows[skipped] = (1 - share) * rows[low] + share * rows[high]
    lost = ~((rows[low, _PRESENCE] > 0) & (rows[high, _PRESENCE] > 0))
    rows[skipped[lost]] = _absent()
    return rows


def row_keypoints(row: NDArray[np.float32]) -> NDArray[np.float32]:
    """(K, 2) px of a row."""
    return row[_SLICES["keypoints"]].reshape(_K, 2)


def row_box(row: NDArray[np.float32]) -> tuple[float, float, float, float]:
    """Body box of a row, px."""
    x0, y0, x1, y1 = row[_SLICES["box"]].tolist()
    return (x0, y0, x1, y1)


def _absent() -> NDArray[np.float32]:
    row = np.full(ROW_SIZE, np.nan, np.float32)
    row[_PRESENCE] = 0.0
    row[_SLICES["visibility"]] = 0.0
    return row
