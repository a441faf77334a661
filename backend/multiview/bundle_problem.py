"""What a bundle adjustment over people is given and gives back: evidence of the views, priors, states. numpy only."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from backend.types import Array

LANDMARKS = np.array([0, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32])
"""The BlazePose landmarks that are adjusted: nose, limbs, feet."""
HIPS = np.array([7, 8])
BONES = np.array([[1, 3], [3, 5], [7, 9], [9, 11], [1, 7], [2, 4], [4, 6], [8, 10], [10, 12], [2, 8], [1, 2], [7, 8]])
PAIRS = np.array([[0, 5], [1, 6], [2, 7], [3, 8], [4, 9]])
BONE_SLACK = np.array([1.0] * 4 + [5.0] + [1.0] * 4 + [5.0] + [1.0] * 2)
"""How much more than a limb the distance may change with the pose: a shoulder rises by 40 mm over the hip."""
NEAREST_M = 0.3
CAMERA = 8
"""Unknowns of a camera: rotation, translation, focal length, clock."""


@dataclass(frozen=True, slots=True)
class BundleSettings:
    """Standard deviations: of keypoints at the person's depth, of the views' own 3D across and along the line of sight,
    of bone lengths in a frame, of the person's proportions from the single solves, of left against right, of body size:
    of everybody's on average, and of each person's beside the others'.

    `effective_frames`: errors of neighbouring frames are alike, so more frames than these count no further. `robust`:
    residuals beyond so many sigmas lose weight.
    """

    point_m: float = 0.02
    across_m: float = 0.2
    depth_m: float = 0.4
    bone_m: float = 0.015
    length_share: float = 0.06
    symmetry_share: float = 0.02
    size_share: float = 0.01
    people_share: float = 0.06
    effective_frames: float = 20.0
    robust: float = 2.5
    iterations: int = 20


@dataclass(frozen=True, slots=True)
class ViewEvidence:
    """One view of F frames: points (F, L, 2) normalised by the assumed lens, their velocity (F, L, 2) a second, weight
    (F, L); own_m (F, L, 3) the view's own 3D relative to the mid-hip, with sight (F, 3), the unit line of sight,
    depth_m (F,) of the mid-hip, and seen (F,).
    """

    points: Array
    velocity: Array
    weight: Array
    own_m: Array
    sight: Array
    depth_m: Array
    seen: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class CameraPrior:
    """What is known beforehand of one camera, as standard deviations around the state that the adjustment starts from;
    0 holds a value fixed. `pose_deg` and `pose_m`: infinite where nothing is known. `down` (3,) is the direction of
    gravity in the camera, known to `down_deg`.
    """

    focal_log: float = 0.15
    pose_deg: float = np.inf
    pose_m: float = np.inf
    clock_s: float = 0.05
    down: Array | None = None
    down_deg: float = np.inf


@dataclass(frozen=True, slots=True)
class BundleState:
    """rotations (V, 3, 3) and translations (V, 3) of the cameras, log of the focal factors (V,), shifts of the clocks
    (V,) s, landmarks (F, L, 3) in the take frame, log bone lengths (P, B), gravity's direction `down` (3,).
    """

    rotations: Array
    translations: Array
    focal_log: Array
    clock_s: Array
    points_m: Array
    length_log: Array
    down: Array


@dataclass(frozen=True, slots=True)
class BundleResult:
    """The state, one sigma of rotation (V,) degrees, position (V,) m and focal length (V,); the median distance (V,) of
    the keypoints from the landmarks, in m at the person's depth, and how far they lie to one side on the whole.
    """

    state: BundleState
    rotation_deg: Array
    position_m: Array
    focal_share: Array
    residual_m: Array
    aside_m: Array


@dataclass(frozen=True, slots=True)
class BundleProblem:
    """V views of F frames with `person` (F,), where the adjustment starts, and what is known of each camera."""

    views: tuple[ViewEvidence, ...]
    person: NDArray[np.intp]
    start: BundleState
    priors: tuple[CameraPrior, ...]
    settings: BundleSettings = field(default_factory=BundleSettings)


def seen_well(weight: Array) -> NDArray[np.bool_]:
    """Which keypoints of a view, weight (F, K) from 0 to 1, tell how far it is off: those with a quarter of the weight
    of its best one, which is little where people cover each other all the time; none where all are 0.
    """
    return np.asarray(weight > 0.25 * weight.max(initial=0.0))
