"""What each view says of a person at times of the take: keypoints, and its own 3D landmarks. numpy only.

Keypoints are normalised image coordinates under the intrinsics that the view was solved with. K = 33 landmarks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.camera.lens import normalised_points
from backend.embedding.keypoints import HIPS
from backend.embedding.smooth_evidence import smoothed
from backend.multiview.overlap import told_apart
from backend.multiview.resample import longest_gap_s
from backend.multiview.types import CameraView, Offset
from backend.solving.video_pass import apart_at_cuts
from backend.types import Array
from blender_addon.motion.body import BodyShape, canonical_body, points_m
from blender_addon.motion.posing import pose_body

_VELOCITY_SMOOTH_S = 0.04


@dataclass(frozen=True, slots=True)
class Sighting:
    """One person in one view, at the frames of the view in which the person was solved.

    times_s (N,) of the video; points (N, K, 2); velocity (N, K, 2) a second; weight (N, K) 0..1; landmarks_m (N, K, 3)
    in the camera, as the view's own solve has them; down (3,) as it suspects gravity; apart (N,) how surely the person
    is told from others in the image (`overlap`), which weight has in it. `shots` (N,) counts the cuts
    before each frame; None where there are none. Frames further apart than `gap_s` are not interpolated between.
    """

    times_s: Array
    points: Array
    velocity: Array
    weight: Array
    landmarks_m: Array
    down: Array
    apart: Array
    shots: NDArray[np.intp] | None = None
    gap_s: float = 0.12


@dataclass(frozen=True, slots=True)
class Samples:
    """A sighting at T times of the take; `seen` (T,) False (and zeros) where the view does not show the person."""

    seen: NDArray[np.bool_]
    points: Array
    velocity: Array
    weight: Array
    landmarks_m: Array
    apart: Array


def sighting(view: CameraView, place: int) -> Sighting:
    """The person with this place among the view's tracks."""
    track, poses = view.tracks[place], view.poses[place]
    solved = np.isfinite(poses.rotations_wxyz).all(axis=(1, 2)) & np.isfinite(track.keypoints_px).all(axis=(1, 2))
    times_s = np.asarray(track.times_s[solved], np.float64)
    body, shape = canonical_body(), BodyShape(poses.height_m, poses.bone_scales)
    posed = pose_body(body, shape, poses.rotations_wxyz[solved], poses.root_camera_m[solved])
    apart = told_apart(view.tracks, place)[solved]
    shown = np.clip(track.presence[solved], 0.0, 1.0) * apart
    points = normalised_points(view.intrinsics, np.asarray(track.keypoints_px[solved], np.float64))
    apart_s = np.asarray(apart_at_cuts(track, view.cuts_s).times_s[solved], np.float64)
    return Sighting(
        times_s,
        points,
        _velocity(points, apart_s),
        np.square(np.clip(track.visibility[solved], 0.0, 1.0)) * shown[:, None],
        points_m(body, "blazepose33", posed.positions_m, posed.world_wxyz, shape),
        np.asarray(poses.gravity_camera, np.float64),
        apart,
        np.searchsorted(view.cuts_s, times_s, side="right") if view.cuts_s else None,
        longest_gap_s(track.times_s),
    )


def _velocity(points: Array, times_s: Array) -> Array:
    if len(times_s) < 3:
        return np.zeros_like(points)
    return np.asarray(np.gradient(smoothed(points, times_s, _VELOCITY_SMOOTH_S), times_s, axis=0))


def samples_at(person: Sighting, offset: Offset, take_s: Array) -> Samples:
    """The sighting at times of the take (T,), interpolated between neighbouring frames."""
    video_s = offset.video_time_s(take_s)
    count = len(person.times_s)
    after = np.clip(np.searchsorted(person.times_s, video_s), 1, max(1, count - 1))
    before = np.minimum(after - 1, count - 1)
    after = np.minimum(after, count - 1)
    span = np.maximum(person.times_s[after] - person.times_s[before], 1e-9)
    share = np.clip((video_s - person.times_s[before]) / span, 0.0, 1.0)
    nearest_s = np.minimum(np.abs(video_s - person.times_s[before]), np.abs(video_s - person.times_s[after]))
    inside = (video_s >= person.times_s[0] - 1e-6) & (video_s <= person.times_s[-1] + 1e-6)
    seen = inside & ((span <= person.gap_s) | (nearest_s < 0.02))
    if person.shots is not None:
        seen &= person.shots[before] == person.shots[after]

    def at(values: Array) -> Array:
        weight = share.reshape(-1, *(1,) * (values.ndim - 1))
        mixed = values[before] * (1 - weight) + values[after] * weight
        return np.asarray(np.where(seen.reshape(weight.shape), mixed, 0.0))

    return Samples(
        seen, at(person.points), at(person.velocity), at(person.weight), at(person.landmarks_m), at(person.apart)
    )


def middle_of_hips(landmarks_m: Array) -> Array:
    """The middle of the hips (..., 3) of landmarks (..., K, 3)."""
    return np.asarray(landmarks_m[..., HIPS, :].mean(axis=-2))
