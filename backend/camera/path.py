"""How a camera on one spot turned and zoomed, frame by frame, from the background. numpy, OpenCV, `backend.types`.

A camera that turns about its centre sees every point along the same ray of the world, however far it is. So the turn
and the zoom of each frame follow from features of the background; people are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.camera.lens import normalised_points, project_m
from backend.camera.people_mask import on_people, poses_px
from backend.types import Array, CameraTravel, Frame, Image, Intrinsics, PersonTrack, PoseTrack
from blender_addon.motion.rotations import (
    matrix_to_quaternion,
    quaternion_multiply,
    quaternion_to_matrix,
    rotvec_to_quaternion,
)

_WIDTH_PX: Final = 640
_FEATURES: Final = 300
_LEAST_FEATURES: Final = 24
# features are found anew when fewer than this part is left, or they left this part of the frame's width
_LEAST_LEFT: Final = 0.5
# this part of the features is looked for in the lower half of the image
_LOW_PART: Final = 0.4
# and counts there if it is this much weaker: the strongest may be on somebody's shoes
_LOW_QUALITY: Final = 0.25
_ROUND_TRIP_PX: Final = 0.5
# residuals beyond this many px of the small image lose weight
_ROBUST_PX: Final = 0.7
_ROUNDS: Final = 12
# a background that is off by less, in px of the small image, was seen from one spot
_TURNS_PX: Final = 2.5
# and one that is off by more in a quarter of the frames, maybe from several
MAY_TRAVEL_PX: Final = 1.0
# a pinhole image cannot hold rays further off its axis than this
_WIDEST: Final = 4.0


@dataclass(frozen=True, slots=True)
class CameraPath:
    """For each frame of `frame_index` (N,): `turns` (N, 3, 3) from its axes to those of the first frame of its shot,
    `zoom` (N,) its focal length over that frame's, and `residual_px` (N,), how far the background is off a turn, in px
    of an image 640 wide; `low_px` (N,) the same of its lower half, where the ground is near. `travel` are the places
    of a camera that travels, in those axes; None where it stays.
    """

    frame_index: NDArray[np.intp]
    turns: Array
    zoom: Array
    residual_px: Array
    low_px: Array
    travel: CameraTravel | None = None

    def rows(self, frames: NDArray[np.intp]) -> NDArray[np.intp]:
        """Rows of the given frames; a frame that is missing takes the last one before it."""
        return np.clip(np.searchsorted(self.frame_index, frames, side="right") - 1, 0, len(self.frame_index) - 1)

    @property
    def turns_only(self) -> bool:
        """Whether turn and zoom explain the background; else the camera travelled too."""
        return bool(len(self.residual_px)) and float(np.median(self.residual_px)) < _TURNS_PX

    @property
    def may_travel(self) -> bool:
        """Whether turn and zoom leave enough unexplained that the camera may have travelled."""
        off = np.maximum(self.residual_px, self.low_px)
        return bool(len(off)) and float(np.percentile(off, 75.0)) > MAY_TRAVEL_PX

    def still_rays(self, index: int, points_px: Array, intrinsics: Intrinsics) -> Array:
        """Unit rays (..., 3) through pixels (..., 2) of the source frame `index`, in the axes of the first frame."""
        row = int(self.rows(np.array([index]))[0])
        plane = normalised_points(intrinsics, points_px) / self.zoom[row]
        rays = np.concatenate([plane, np.ones_like(plane[..., :1])], axis=-1) @ self.turns[row].T
        return np.asarray(rays / np.linalg.norm(rays, axis=-1, keepdims=True))


def follow_camera(
    frames: Iterable[Frame], tracks: Sequence[PersonTrack], intrinsics: Intrinsics, cuts_s: Sequence[float] = ()
) -> CameraPath:
    """Follow the background through all frames. Where it is lost the camera stays as it was."""
    follower = _Follower(tracks, intrinsics)
    for frame in frames:
        follower.take(frame, any(abs(frame.time_s - cut) < 1e-6 for cut in cuts_s))
    return follower.path()


def still_track(track: PersonTrack, path: CameraPath, intrinsics: Intrinsics) -> PersonTrack:
    """The person as a camera that had stayed as in the first frame would see them."""
    rows = path.rows(track.frame_index)
    turns = path.turns[rows]
    points = seen_still(track.keypoints_px, turns, path.zoom[rows], intrinsics)
    return replace(
        track,
        keypoints_px=points.astype(track.keypoints_px.dtype),
        keypoint_depth=track.keypoint_depth / path.zoom[rows, None],
        world_m=np.asarray(np.einsum("tij,tkj->tki", turns, track.world_m), track.world_m.dtype),
    )


def turned_poses(poses: PoseTrack, turns: Array) -> PoseTrack:
    """The same poses in other camera axes; `turns` (T, 3, 3) take the present axes to those."""
    rotations = poses.rotations_wxyz.copy()
    rotations[:, 0] = quaternion_multiply(matrix_to_quaternion(turns), rotations[:, 0])
    return replace(
        poses,
        rotations_wxyz=rotations,
        root_camera_m=np.einsum("tij,tj->ti", turns, poses.root_camera_m),
        joints_camera_m=np.einsum("tij,tkj->tki", turns, poses.joints_camera_m),
    )


def seen_still(points_px: Array, turns: Array, zoom: Array, intrinsics: Intrinsics) -> Array:
    """Pixels (T, K, 2) of frames that were turned and zoomed, as pixels of the first frame; NaN behind it."""
    plane = normalised_points(intrinsics, points_px.astype(np.float64)) / zoom[:, None, None]
    rays = np.einsum("tij,tkj->tki", turns, np.concatenate([plane, np.ones_like(plane[..., :1])], axis=-1))
    wide = np.linalg.norm(rays[..., :2], axis=-1) > _WIDEST * rays[..., 2]
    return project_m(intrinsics, np.where(wide[..., None], np.nan, rays))


class _Follower:
    """Features from a key frame on, and the turn and zoom since it."""

    def __init__(self, tracks: Sequence[PersonTrack], intrinsics: Intrinsics) -> None:
        self._tracks, self._intrinsics = tracks, intrinsics
        self._scale = intrinsics.width / _WIDTH_PX
        self._unit = float(intrinsics.matrix[0, 0]) / self._scale
        self._grey: Image | None = None
        self._base, self._base_zoom = np.eye(3), 1.0
        self._turn, self._zoom = np.zeros(3), 1.0
        self._before = self._after = np.zeros((0, 2), np.float32)
        self._count = 0
        self._rows: list[tuple[int, Array, float, Array]] = []

    def path(self) -> CameraPath:
        index, turns, zoom, residual = zip(*self._rows, strict=True) if self._rows else ((), (), (), ())
        return CameraPath(
            np.array(index, np.intp),
            np.array(turns).reshape(-1, 3, 3),
            np.array(zoom, float),
            *np.array(residual, float).reshape(-1, 2).T,
        )

    def take(self, frame: Frame, cut: bool) -> None:
        grey = self._small(frame.image)
        residual = np.zeros(2)
        if self._grey is None or cut:
            self._base, self._base_zoom = np.eye(3), 1.0
            self._renew(grey, frame.index)
        else:
            residual = self._follow(grey, frame.index)
        turn = self._base @ _matrix(self._turn)
        self._rows.append((frame.index, turn, self._base_zoom * self._zoom, residual))
        if len(self._after) < max(_LEAST_FEATURES, _LEAST_LEFT * self._count):
            self._base, self._base_zoom = turn, self._base_zoom * self._zoom
            self._renew(grey, frame.index)

    def _follow(self, grey: Image, index: int) -> Array:
        """Turn and zoom of the next frame; how far (2,) the background is off them, and its lower half, px."""
        assert self._grey is not None
        if not len(self._after):
            self._grey = grey
            return np.zeros(2)
        found, kept = flow(self._grey, grey, self._after)
        kept &= ~on_people(found.astype(np.float64) * self._scale, poses_px(self._tracks, index))
        self._before, self._after, self._grey = self._before[kept], found[kept], grey
        if len(self._after) < _LEAST_FEATURES:
            return np.zeros(2)
        before, after = (normalised_points(self._intrinsics, np.asarray(points, np.float64) * self._scale)
                         for points in (self._before, self._after))  # fmt: skip
        self._turn, self._zoom, off = fit_turn(before, after, (self._turn, self._zoom), self._base_zoom, self._unit)
        return np.array([float(np.median(off)), low_px(off, after)])

    def _renew(self, grey: Image, index: int) -> None:
        points = corners(grey, _FEATURES, (0.01, 10))
        free = ~on_people(points.astype(np.float64) * self._scale, poses_px(self._tracks, index))
        self._before = self._after = points[free]
        self._count, self._grey = int(free.sum()), grey
        self._turn, self._zoom = np.zeros(3), 1.0

    def _small(self, image: Image) -> Image:
        height = round(image.shape[0] / self._scale)
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        return np.asarray(cv2.resize(grey, (_WIDTH_PX, height), interpolation=cv2.INTER_AREA), np.uint8)


def fit_turn(
    before: Array, after: Array, start: tuple[Array, float], base_zoom: float, unit_px: float
) -> tuple[Array, float, Array]:
    """Turn (3,) and zoom that take rays (N, 2) of the key frame to those of the present one, and what is left (N,), px.

    The turn goes from the present axes to the key frame's. `unit_px` is the focal length in px of the small image.
    """
    turn, zoom = start
    rays = np.concatenate([before / base_zoom, np.ones((len(before), 1))], axis=1)
    off = np.zeros(len(before))
    for _ in range(_ROUNDS):
        seen = rays @ _matrix(turn)
        depth = np.maximum(seen[:, 2:], 0.05)
        plane = seen[:, :2] / depth
        gain = zoom * base_zoom
        residual = (gain * plane - after) * unit_px
        off = np.linalg.norm(residual, axis=1)
        scale = max(_ROBUST_PX, 1.5 * float(np.median(off)))
        weight = 1.0 / (1.0 + (off / scale) ** 2) ** 2
        # a small further turn w of the camera moves a ray by its cross product with w
        x, y = plane.T
        slope = np.zeros((len(before), 2, 4))
        slope[:, 0, :3] = np.stack([-x * y, 1.0 + x * x, -y], axis=1) * -gain
        slope[:, 1, :3] = np.stack([-(1.0 + y * y), x * y, x], axis=1) * -gain
        slope[:, :, 3] = gain * plane
        slope = slope.reshape(-1, 4) * unit_px
        both = np.repeat(weight, 2)
        step = -np.linalg.solve(
            slope.T @ (both[:, None] * slope) + 1e-6 * np.eye(4), slope.T @ (both * residual.ravel())
        )
        turn = _rotvec(_matrix(turn) @ _matrix(step[:3]))
        zoom = float(zoom * np.exp(np.clip(step[3], -0.2, 0.2)))
        if np.abs(step).max() < 1e-7:
            break
    return turn, zoom, off


def low_px(off_px: Array, plane: Array) -> float:
    """The middle of the residuals (N,) of features below the middle of the frame, at `plane` (N, 2); 0 for a few.

    Most of a scene may be too far away to show that the camera travels. The ground before it is near.
    """
    low = plane[:, 1] > 0.0
    return float(np.median(off_px[low])) if low.sum() >= _LEAST_FEATURES else 0.0


def flow(last: Image, grey: Image, points: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Where points (N, 2) of the last image are in the next, and which are found there and back."""
    start = np.ascontiguousarray(points).reshape(-1, 1, 2)
    settings = {"winSize": (21, 21), "maxLevel": 4}
    there, found, _ = cv2.calcOpticalFlowPyrLK(last, grey, start, np.empty_like(start), **settings)  # type: ignore[call-overload]
    back, returned, _ = cv2.calcOpticalFlowPyrLK(grey, last, there, np.empty_like(start), **settings)  # type: ignore[call-overload]
    gap = np.linalg.norm((back - start).reshape(-1, 2), axis=1)
    kept = (np.asarray(found).ravel() == 1) & (np.asarray(returned).ravel() == 1) & (gap < _ROUND_TRIP_PX)
    return np.asarray(there, np.float32).reshape(-1, 2), kept


def corners(grey: Image, count: int, kind: tuple[float, int], open_parts: Image | None = None) -> NDArray[np.float32]:
    """About `count` corners (N, 2) px: those of a `kind`, which are at least a part as strong as the strongest one and
    so many px apart. Where few of them are in the lower half of the image, weaker ones of it are added: before bright
    trees, all strong ones are far away.
    """
    quality, apart_px = kind
    if count <= 0:
        return np.zeros((0, 2), np.float32)
    points = _found(cv2.goodFeaturesToTrack(grey, count, quality, apart_px, mask=open_parts))
    middle = grey.shape[0] // 2
    missing = round(_LOW_PART * count) - int((points[:, 1] > middle).sum())
    if missing <= 0:
        return points
    rest = np.full(grey.shape, 255, np.uint8) if open_parts is None else open_parts.copy()
    rest[:middle] = 0
    for x, y in points[points[:, 1] > middle].astype(int).tolist():
        cv2.circle(rest, (x, y), apart_px, 0, -1)
    return np.concatenate(
        [points, _found(cv2.goodFeaturesToTrack(grey, missing, _LOW_QUALITY * quality, apart_px, mask=rest))]
    )


def _found(points: object) -> NDArray[np.float32]:
    return np.zeros((0, 2), np.float32) if points is None else np.asarray(points, np.float32).reshape(-1, 2)


def _matrix(rotvec: Array) -> Array:
    return np.asarray(quaternion_to_matrix(rotvec_to_quaternion(rotvec)))


def _rotvec(matrix: Array) -> Array:
    return np.asarray(cv2.Rodrigues(matrix)[0], np.float64).ravel()
