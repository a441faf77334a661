"""What the keypoints alone say of the feet: how fast each moves across the image, and when it stands.

May import numpy and its own room only. Planting holds feet still, so a clip's own contacts cannot show whether it
should have; the keypoints were there before.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .camera_travel import without_travel
from .clip import MotionClip
from .contacts import point_speed_m_s
from .posing import Feet, world_to_camera
from .rotations import Array
from .temporal import median_interval_s

# keypoints of `FOOT_POINTS`, in their order
_KEYPOINTS = ("left_heel", "left_foot_index", "right_heel", "right_foot_index")
_LEAST_CONFIDENCE = 0.3
# a foot whose keypoint is slower than this, and that is no higher, stands; one that is faster certainly steps
_STANDS_M_S = 0.2
_STEPS_M_S = 0.6
_HIGHEST_M = 0.15
_EDGE_S = 0.06


@dataclass(frozen=True, slots=True)
class FootFigures:
    """Feet that the keypoints see standing: `skate_m_s` is their mean speed over the floor, `floating_m` how high the
    lower foot is above the floor on average, `below_m` how deep the lowest foot point gets in 5 % of all frames.
    """

    skate_m_s: float
    floating_m: float
    below_m: float


def seen_speed_m_s(clip: MotionClip) -> Array:
    """Speed (T, 4) of the foot keypoints across the image, in metres at the person's depth; NaN where not seen."""
    if not set(_KEYPOINTS) <= set(clip.keypoint_names):  # made by another program, or without keypoints
        return np.full((len(clip), len(_KEYPOINTS)), np.nan)
    rows = [clip.keypoint_names.index(name) for name in _KEYPOINTS]
    pixels = np.asarray(clip.keypoints_px[:, rows], np.float64)
    known = clip.keypoint_confidence[:, rows] >= _LEAST_CONFIDENCE
    rays = (pixels - clip.intrinsics[:2, 2]) / np.diag(clip.intrinsics)[:2]
    rays = np.where(known[..., None], rays, np.nan)
    if clip.focal_scale is not None:
        rays = _seen_still(clip, rays, np.asarray(clip.root_camera_m, np.float64)[:, None])
    return np.asarray(point_speed_m_s(clip.times_s, rays) * clip.root_camera_m[:, 2:])


def _seen_still(clip: MotionClip, rays: Array, points_m: Array) -> Array:
    """Normalised image coordinates (T, N, 2) as the first frame's camera would have them: the camera turns and travels.

    `points_m` (T, N or 1, 3), in each frame's camera, is roughly what they show.
    """
    turns = clip.world_from_camera[:1, :3, :3].swapaxes(-1, -2) @ clip.world_from_camera[:, :3, :3]
    assert clip.focal_scale is not None
    plane = rays / clip.focal_scale[:, None, None]
    turned = np.concatenate([plane, np.ones_like(plane[..., :1])], axis=-1) @ turns.swapaxes(-1, -2)
    still = turned[..., :2] / np.where(turned[..., 2:] > 0.1, turned[..., 2:], np.nan)
    camera_m = (clip.world_from_camera[:, :3, 3] - clip.world_from_camera[0, :3, 3]) @ clip.world_from_camera[0, :3, :3]
    return without_travel(still, camera_m, points_m @ turns.swapaxes(-1, -2))


def stands(speed_m_s: Array, feet: Feet) -> NDArray[np.bool_]:
    """Which foot points (T, 4) stand, by their keypoints' speed (T, 4) and their height over the floor z = 0."""
    height = feet.positions_m[..., 2] - feet.clearance_m
    return np.asarray((speed_m_s < _STANDS_M_S) & (height < _HIGHEST_M))


def foot_figures(times_s: Array, feet: Feet, standing: NDArray[np.bool_]) -> FootFigures:
    """Measure feet (T, 4) in the world against when they stand (T, 4)."""
    height = feet.positions_m[..., 2] - feet.clearance_m
    firm = _without_edges(times_s, standing)
    both = firm[1:] & firm[:-1]
    step_s = np.diff(times_s)[:, None]
    speed = np.linalg.norm(np.diff(feet.positions_m[..., :2], axis=0), axis=-1) / step_s if len(step_s) else step_s
    lowest = np.where(np.isfinite(height), height, np.inf).min(axis=1, initial=np.inf)
    on_floor = lowest[standing.any(axis=1) & np.isfinite(lowest)]
    depth = -lowest[np.isfinite(lowest)]
    return FootFigures(
        float(speed[both].mean()) if both.any() else 0.0,
        float(np.maximum(on_floor, 0.0).mean()) if len(on_floor) else 0.0,
        float(max(np.percentile(depth, 95.0), 0.0)) if len(depth) else 0.0,
    )


def _without_edges(times_s: Array, standing: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Without the first and last moments of every stand: speeds are blurred there."""
    reach = int(np.ceil(_EDGE_S / median_interval_s(times_s)))
    padded = np.pad(standing, ((reach, reach), (0, 0)), mode="edge")
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=0).all(axis=-1))


def kept_step_motion(clip: MotionClip, feet: Feet) -> float:
    """How much of the motion of stepping feet is left in the clip: 1 is all; 1 too where no foot steps.

    The clip's foot points are seen through the camera and compared with the keypoints while these move.
    """
    seen = seen_speed_m_s(clip)
    points = world_to_camera(clip.world_from_camera, feet.positions_m)
    rays = points[..., :2] / np.where(points[..., 2:] > 0.1, points[..., 2:], np.nan)
    if clip.focal_scale is not None:
        rays = _seen_still(clip, rays * clip.focal_scale[:, None, None], points)
    own = point_speed_m_s(clip.times_s, rays) * clip.root_camera_m[:, 2:]
    moving = (seen > _STEPS_M_S) & np.isfinite(own)
    return float(np.median(np.minimum(own[moving] / seen[moving], 2.0))) if moving.any() else 1.0
