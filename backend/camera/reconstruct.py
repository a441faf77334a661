"""Where a camera went and where the features of its background are, up to scale. numpy, OpenCV, scipy.

Frames some way apart are reconstructed one by one from the pair that shows the most depth, with bundle adjustments
between (Hartley and Zisserman, Multiple View Geometry, chapters 9 to 12); the other frames are placed afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.camera.bundle import Geometry, Observations, adjust, residuals_px
from backend.camera.feature_tracks import FeatureTracks
from backend.camera.key_frames import at_keys, key_rows
from backend.camera.resection import GOOD_PX, mean_rays, meeting_points, place_camera
from backend.types import Array

_LEAST_KEYS: Final = 4
_LEAST_COMMON: Final = 40
_PAIR_PX: Final = 1.0
# the rays of a point that agrees differ by more than this
_LEAST_ANGLE_DEG: Final = 1.0
# a point that is too far away to show depth is put this many times the extent of the path away
_FAR: Final = 1000.0
_FAR_SIGHTS: Final = 4
# the pair to begin with shows this much depth, if there is one
_WANTED_DEG: Final = 6.0
_GOOD_PAIR: Final = 4.0
_STARTS: Final = 7
_GAPS: Final = (1, 2, 4, 6, 9, 13, 19, 27, 38)
_LEAST_PLACED: Final = 15
_LEAST_NEAR: Final = 6
# where a camera sees fewer points that show depth, far ones help to place it
_ENOUGH: Final = 60
_LEAST_SHARE: Final = 0.3
# of the time, the key frames take this part
_GROWING_PART: Final = 0.6


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """Cameras of all frames (N,), up to scale, in the axes of the first one: `turns` (N, 3, 3), `centres` (N, 3).

    `share` (N,) of the features in a frame that show depth and agree; 0 where the frame could not be placed.
    `parallax_deg` is the usual angle under which these are seen, `points` (P, 3) where they are, `residual_px` how far
    all features are off, `keys` the cameras and features it all hangs on.
    """

    turns: Array
    centres: Array
    share: Array
    parallax_deg: float
    points: Array
    residual_px: float
    keys: tuple[Geometry, Observations]


def reconstruct(tracks: FeatureTracks, tell: Callable[[float], None]) -> Reconstruction | None:
    """The cameras of all frames; None where too few features were followed or too little depth is seen.

    `tell` is called with the share 0 to 1 that is done. What it raises ends the work.
    """
    keys = key_rows(tracks)
    seen, _ = at_keys(tracks, keys)
    if len(keys) < _LEAST_KEYS or not len(seen.camera):
        return None
    work = _Work(seen, len(keys), tracks.unit_px)
    if not work.begin():
        return None
    while work.grow():
        tell(_GROWING_PART * work.share)
    found = work.finish()
    return None if found is None else _every_frame(tracks, keys, found, tell)


class _Work:
    """A reconstruction that grows: `placed` (K,) cameras and `known` (P,) points."""

    def __init__(self, seen: Observations, cameras: int, unit_px: float) -> None:
        self._seen, self._unit = seen, unit_px
        points = int(seen.point.max()) + 1
        self._found = Geometry(np.tile(np.eye(3), (cameras, 1, 1)), np.zeros((cameras, 3)), np.zeros((points, 3)))
        self._placed, self._known = np.zeros(cameras, bool), np.zeros(points, bool)
        self._lost = np.zeros(cameras, bool)
        self._adjusted = 0

    @property
    def share(self) -> float:
        """The part of the cameras that is placed."""
        return float(self._placed.mean())

    def begin(self) -> bool:
        """Place the two cameras that show the most depth; False where there are none."""
        best: tuple[float, int, int, Array, Array] | None = None
        for first, second in self._far_pairs():
            pair = self._pair(first, second)
            if best is None or pair[0] > best[0]:
                best = (pair[0], first, second, *pair[1:])
            if best[0] > _GOOD_PAIR:
                break
        if best is None or best[0] <= 0.0:
            return False
        _, first, second, turn, shift = best
        self._found.turns[second], self._found.centres[second] = turn, shift
        self._placed[[first, second]] = True
        self._add_points()
        self._adjust(20)
        return bool(self._known.sum() >= _LEAST_PLACED)

    def _far_pairs(self) -> Iterator[tuple[int, int]]:
        """Pairs of cameras with features in common, from some places on the path on, the nearest first."""
        cameras = len(self._placed)
        for first in np.unique(np.linspace(0, cameras - 2, _STARTS).astype(int)).tolist():
            for gap in _GAPS:
                if first + gap >= cameras or len(self._common(first, first + gap)[0]) < _LEAST_COMMON:
                    break
                yield first, first + gap

    def _pair(self, first: int, second: int) -> tuple[float, Array, Array]:
        """How well two cameras show depth, with the second one's turn and centre."""
        before, after = self._common(first, second)
        try:
            essential, _ = cv2.findEssentialMat(before, after, np.eye(3), cv2.USAC_MAGSAC, 0.999, _PAIR_PX / self._unit)
        except cv2.error:  # OpenCV refines from fewer points than it needs
            essential = None
        if essential is None or essential.shape != (3, 3):
            return 0.0, np.eye(3), np.zeros(3)
        count, turn, shift, _ = cv2.recoverPose(essential, before, after, np.eye(3))[:4]
        turn = np.asarray(turn, np.float64).T
        centre = -turn @ np.asarray(shift, np.float64).ravel()
        angles = _angles_deg(before, after, turn)
        share = count / len(before)
        near = angles[angles > _LEAST_ANGLE_DEG]
        # most of a scene may be too far away to show depth
        angle = float(np.median(angles if len(near) < _LEAST_COMMON or 2 * len(near) > len(angles) else near))
        return min(angle, _WANTED_DEG) * share**2 * min(1.0, len(before) / 100.0), turn, centre

    def _common(self, first: int, second: int) -> tuple[Array, Array]:
        one, other = self._seen.camera == first, self._seen.camera == second
        _, left, right = np.intersect1d(self._seen.point[one], self._seen.point[other], return_indices=True)
        return self._seen.plane[one][left], self._seen.plane[other][right]

    def grow(self) -> bool:
        """Place the camera beside those placed that sees most of their points; False when there is none left."""
        placed = np.flatnonzero(self._placed)
        beside = [at for at in (placed[0] - 1, placed[-1] + 1) if 0 <= at < len(self._placed) and not self._lost[at]]
        known = self._known[self._seen.point]
        counts = [int((known & (self._seen.camera == at)).sum()) for at in beside]
        if not beside or max(counts) < _LEAST_PLACED:
            return False
        camera = int(beside[int(np.argmax(counts))])
        near = int(placed[0] if camera < placed[0] else placed[-1])
        mine = known & (self._seen.camera == camera)
        points, plane = self._found.points[self._seen.point[mine]], self._seen.plane[mine]
        start = self._found.turns[near], self._found.centres[near]
        turn, centre, agrees = place_camera(points, plane, start, self._unit)
        if agrees.mean() < _LEAST_SHARE:
            self._lost[camera] = True
            return True
        self._found.turns[camera], self._found.centres[camera] = turn, centre
        self._placed[camera] = True
        self._add_points()
        if max(counts) < _ENOUGH:
            self._add_far_points()
        if self._placed.sum() > 1.35 * self._adjusted + 1:
            self._adjust(6)
        return True

    def finish(self) -> tuple[NDArray[np.bool_], Geometry, NDArray[np.bool_]] | None:
        """Which cameras (K,) are placed, the geometry, and which points (P,) are known, after two adjustments.

        Points that are too far away to show depth come last: they tell the turns.
        """
        for _ in range(2):
            self._adjust(15)
            self._known[:] = False
            self._add_points()
        self._add_points(least_deg=0.0)
        self._add_far_points()
        self._adjust(15)
        return (self._placed, self._found, self._known) if self._placed.sum() >= _LEAST_KEYS else None

    def _add_points(self, least_deg: float = _LEAST_ANGLE_DEG) -> None:
        """Place the points that two placed cameras see under a good angle and agree on."""
        seen = self._open()
        if len(seen.camera):
            points, angle = meeting_points(self._found, seen)
            self._add(points, seen, angle > np.deg2rad(least_deg), 2)

    def _add_far_points(self) -> None:
        """Place the points that all placed cameras see in one direction."""
        seen, centres = self._open(), self._found.centres[self._placed]
        if len(seen.camera):
            away = _FAR * float(np.linalg.norm(np.ptp(centres, axis=0)))
            self._add(centres.mean(axis=0) + away * mean_rays(self._found, seen), seen, np.True_, _FAR_SIGHTS)

    def _open(self) -> Observations:
        return self._seen.taken(self._placed[self._seen.camera] & ~self._known[self._seen.point])

    def _add(self, points: Array, seen: Observations, good: NDArray[np.bool_] | np.bool_, least: int) -> None:
        """Take those of the good points (P,) into use on whose places (P, 3) all cameras agree, of which at least
        `least` see them.
        """
        off = residuals_px(replace(self._found, points=points), seen, self._unit)
        worst = np.where(np.bincount(seen.point, minlength=len(points)) >= least, 0.0, np.inf)
        np.maximum.at(worst, seen.point, off)
        good = good & (worst < GOOD_PX)
        self._found.points[good] = points[good]
        self._known |= good

    def _adjust(self, rounds: int) -> None:
        cameras, points = np.flatnonzero(self._placed), np.flatnonzero(self._known)
        if len(points) < _LEAST_PLACED:
            return
        part, seen = self._found.part(self._placed, self._known, self._seen)
        done = adjust(part, seen, self._unit, rounds)
        self._found.turns[cameras], self._found.centres[cameras] = done.turns, done.centres
        self._found.points[points] = done.points
        off = residuals_px(done, seen, self._unit)
        count = np.bincount(seen.point, minlength=len(points))
        bad = np.bincount(seen.point, off > GOOD_PX, len(points)) > 0.3 * count
        self._known[points[bad]] = False
        self._adjusted = int(self._placed.sum())


def _every_frame(
    tracks: FeatureTracks,
    keys: NDArray[np.intp],
    grown: tuple[NDArray[np.bool_], Geometry, NDArray[np.bool_]],
    tell: Callable[[float], None],
) -> Reconstruction:
    """Cameras of all frames, from the points of the key frames: `grown` is what `_Work.finish` gives."""
    placed, found, known = grown
    (seen, features), frames = at_keys(tracks, keys), len(tracks.frame_index)
    own = np.full(int(tracks.feature.max()) + 1, -1)
    own[features] = np.where(known, np.arange(len(known)), -1)
    point = own[tracks.feature]
    turns, centres, share = np.tile(np.eye(3), (frames, 1, 1)), np.full((frames, 3), np.nan), np.zeros(frames)
    placed_rows, cameras = keys[placed], np.flatnonzero(placed)
    part, kept = found.part(placed, known, seen)
    _, angle = meeting_points(part, kept)
    shows_depth = np.zeros(len(known), bool)
    shows_depth[known] = angle > np.deg2rad(_LEAST_ANGLE_DEG)
    bounds = np.searchsorted(tracks.row, np.arange(frames + 1))
    begin = int(placed_rows[0])
    for done, row in enumerate([*range(begin, frames), *range(begin - 1, -1, -1)]):
        tell(_GROWING_PART + (1.0 - _GROWING_PART) * done / frames)
        inside = np.arange(bounds[row], bounds[row + 1])
        inside = inside[point[inside] >= 0]
        near_ones = shows_depth[point[inside]]
        if len(inside) < _LEAST_PLACED or near_ones.sum() < _LEAST_NEAR:
            continue
        near = int(cameras[np.abs(placed_rows - row).argmin()])
        start = found.turns[near], found.centres[near]
        beside = row - 1 if row > begin else row + 1
        if row != begin and share[beside] > _LEAST_SHARE:
            start = turns[beside], centres[beside]
        placing = place_camera(found.points[point[inside]], tracks.plane[inside], start, tracks.unit_px)
        turns[row], centres[row], agrees = placing
        share[row] = agrees[near_ones].mean()
    residual = residuals_px(part, kept, tracks.unit_px)
    first = int(np.argmax(share > 0))
    base, origin = turns[first], centres[first]
    return Reconstruction(
        base.T @ turns,
        (centres - origin) @ base,
        share,
        float(np.rad2deg(np.median(angle[shows_depth[known]]))) if shows_depth.any() else 0.0,
        (found.points[shows_depth] - origin) @ base,
        float(np.median(residual)),
        (part, kept),
    )


def _angles_deg(before: Array, after: Array, turn: Array) -> Array:
    """Angles (N,) between the rays of two cameras, the second one's turned into the first one's axes."""
    ones = np.ones((len(before), 1))
    first, second = np.concatenate([before, ones], axis=1), np.concatenate([after, ones], axis=1) @ turn.T
    cosine = (first * second).sum(axis=1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
    return np.asarray(np.rad2deg(np.arccos(np.clip(cosine, -1.0, 1.0))))
