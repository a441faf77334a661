"""The start of a live capture: while the person stands still, proportions, gravity and floor are found, and then fixed.

May import `backend.world`, `backend.live` and `backend.types`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from backend.keypoint_layouts import BLAZEPOSE
from backend.live.causal_poses import CausalPose
from backend.types import Array, Intrinsics, PersonTrack, PoseTrack
from backend.world import WorldOptions, place_in_world
from blender_addon.motion.body import BodyShape

_BODY: Final = np.arange(11, BLAZEPOSE.count)
_ANKLES: Final = [27, 28]
_STILL_SHARE: Final = 0.03  # of the body's size: how far keypoints wander while a person stands still
_SEEN: Final = 0.5
_FEWEST: Final = 12


@dataclass(frozen=True, slots=True)
class CalibrationSettings:
    """`still_s` of standing still are used; after `wait_s` in sight without them, what there is has to do.

    `gravity_camera` is down in the camera where it is known.
    """

    still_s: float = 2.0
    wait_s: float = 10.0
    gravity_camera: tuple[float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class Calibration:
    """What is fixed: world_from_camera (4, 4), log proportions (7,), whether the person stood still, warnings."""

    world_from_camera: Array
    proportions: Array
    stood_still: bool
    gravity_uncertainty_deg: float
    warnings: tuple[str, ...] = ()


class Calibrator:
    """`add` each solved frame; `is_due` then says that `calibrate` may be called. `remaining_s` counts down."""

    def __init__(self, settings: CalibrationSettings) -> None:
        self._settings = settings
        self._rows: deque[tuple[PersonTrack, CausalPose]] = deque()
        self._seen_s = 0.0
        self._still = False

    @property
    def is_due(self) -> bool:
        """Whether the person stood still for long enough, or time is up."""
        enough = len(self._rows) >= _FEWEST
        return enough and ((self._still and self.remaining_s <= 0) or self._seen_s >= self._settings.wait_s)

    @property
    def remaining_s(self) -> float:
        """How long the person has to stand still yet."""
        span_s = self._rows[-1][1].time_s - self._rows[0][1].time_s if self._rows else 0.0
        return max(0.0, 0.95 * self._settings.still_s - (span_s if self._still else 0.0))

    def add(self, track: PersonTrack, pose: CausalPose) -> None:
        """One more frame; `track` ends with it. Frames before the last movement are dropped."""
        if self._rows:
            self._seen_s += min(max(pose.time_s - self._rows[-1][1].time_s, 0.0), 0.5)
        self._rows.append((_last_row(track), pose))
        # a slow computer solves few frames in that time: the fewest that are needed are kept all the same
        while len(self._rows) > _FEWEST and self._rows[0][1].time_s < pose.time_s - self._settings.still_s:
            self._rows.popleft()
        points = np.stack([row.keypoints_px[0] for row, _ in self._rows])
        seen = np.stack([row.visibility[0] for row, _ in self._rows])
        self._still = bool(seen[-1, _ANKLES].min() > _SEEN) and _wandering(points, seen) < _STILL_SHARE
        if not self._still and self._seen_s < self._settings.wait_s - self._settings.still_s:
            while len(self._rows) > 1 and _wandering(points, seen) >= _STILL_SHARE:
                drop = max(1, len(self._rows) // 4)
                for _ in range(drop):
                    self._rows.popleft()
                points, seen = points[drop:], seen[drop:]

    def calibrate(self, intrinsics: Intrinsics, shape: BodyShape) -> Calibration:
        """What the kept frames say."""
        tracks, poses = zip(*self._rows, strict=True)
        given = self._settings.gravity_camera
        options = WorldOptions(gravity_camera=None if given is None else np.asarray(given, np.float64))
        world = place_in_world(_pose_track(poses, shape), _joined(tracks), intrinsics, options)
        warnings = [warning.text for warning in world.warnings]
        if not self._still:
            warnings.append("nobody stood still for calibration: floor and proportions are rough")
        return Calibration(
            np.asarray(world.world_from_camera[0], np.float64),
            np.median(np.stack([pose.proportions for pose in poses]), axis=0),
            self._still,
            world.gravity_uncertainty_deg,
            tuple(warnings),
        )


def _wandering(points: Array, visibility: Array) -> float:
    """How far the keypoints (T, 33, 2) that are seen stray from their means, as a share of the body's size."""
    clear = visibility[:, _BODY].mean(axis=0) > _SEEN
    if len(points) < 2 or clear.sum() < 8:
        return 1.0
    body = points[:, _BODY][:, clear]
    size = float(np.linalg.norm(np.ptp(body.mean(axis=0), axis=0)))
    return float(np.sqrt(np.square(body - body.mean(axis=0)).sum(axis=-1).mean())) / max(size, 1.0)


def _last_row(track: PersonTrack) -> PersonTrack:
    return PersonTrack(
        track.track_id,
        track.frame_index[-1:],
        track.times_s[-1:],
        track.keypoints_px[-1:],
        track.keypoint_depth[-1:],
        track.visibility[-1:],
        track.world_m[-1:],
        track.presence[-1:],
        track.box_px[-1:],
    )


def _joined(rows: Sequence[PersonTrack]) -> PersonTrack:
    def all_of(name: str) -> Array:
        return np.concatenate([getattr(row, name) for row in rows])

    return PersonTrack(
        rows[-1].track_id,
        np.concatenate([row.frame_index for row in rows]),
        all_of("times_s"),
        all_of("keypoints_px"),
        all_of("keypoint_depth"),
        all_of("visibility"),
        all_of("world_m"),
        all_of("presence"),
        all_of("box_px"),
    )


def _pose_track(poses: Sequence[CausalPose], shape: BodyShape) -> PoseTrack:
    downs = np.stack([pose.down for pose in poses])
    middle = np.median(downs, axis=0)
    middle = middle / max(float(np.linalg.norm(middle)), 1e-9)
    away_deg = np.rad2deg(np.arccos(np.clip(downs @ middle, -1.0, 1.0)))
    return PoseTrack(
        np.stack([pose.rotations_wxyz for pose in poses]),
        np.stack([pose.root_m for pose in poses]),
        np.stack([pose.joints_m for pose in poses]),
        np.maximum([pose.confidence for pose in poses], 1e-3),
        np.array([pose.score for pose in poses]),
        np.array([pose.margin for pose in poses]),
        middle,
        shape.height_m,
        np.asarray(shape.bone_scales),
        float(np.median(away_deg)) / 1.18,
    )
