"""Which keypoints can be trusted: those that shake against the pose that the tower expects count less. numpy only.

A landmark network that cannot see a limb still reports it, often with confidence, but never twice at the same place;
the tower sees 27 frames and answers smoothly. What shakes is taken against its answer, so that fast limbs, which it
follows, and low frame rates count as steady.
"""

from __future__ import annotations

import numpy as np

from backend.camera.virtual_camera import on_image_plane
from backend.embedding.fit_terms import Evidence
from backend.embedding.refine import initial_root
from backend.embedding.skeleton import Skeleton, pose_skeleton
from backend.embedding.smooth_evidence import smoothed
from backend.types import Array

_AROUND_S = 0.07
_PAUSE_STEPS = 3.0  # usual steps: over a longer one a keypoint moves, and does not shake


def steady_weight(skeleton: Skeleton, evidence: Evidence, times_s: Array, shake_share: float) -> Array:
    """The evidence's keypoint weights (T, 33), halved where a keypoint shakes by `shake_share` of the half size.

    `times_s` (T,) of the frames. Variances add up: a weight falls with the square of the shaking.
    """
    if shake_share <= 0 or len(times_s) < 3:
        return evidence.weight
    shake = _shaking(_off_the_expected(skeleton, evidence), times_s)
    return evidence.weight / (1.0 + np.square(shake / shake_share))


def _off_the_expected(skeleton: Skeleton, evidence: Evidence) -> Array:
    """Keypoints (T, 33, 2) less the projected landmarks of the pose that the fit starts from, in half sizes."""
    prior = evidence.prior.astype(np.float32)
    landmarks = pose_skeleton(skeleton, prior, np.zeros((len(prior), 3), np.float32)).landmarks_m
    landmarks = landmarks + initial_root(landmarks, evidence)[:, None]
    expected = on_image_plane(landmarks)
    return np.asarray((evidence.points - expected) / evidence.half_size[:, None, None])


def _shaking(off: Array, times_s: Array) -> Array:
    """Root mean square (T, 33) of the second difference of off (T, 33, 2), around each frame; none spans a pause."""
    step_s = np.diff(times_s)
    close = step_s <= _PAUSE_STEPS * np.median(step_s)
    told = (close[1:] & close[:-1]).astype(np.float64)[:, None]
    second = np.linalg.norm(off[2:] - 2 * off[1:-1] + off[:-2], axis=-1)
    square, told = (np.concatenate([one[:1], one, one[-1:]]) for one in (told * np.square(second), told))
    return np.sqrt(smoothed(square, times_s, _AROUND_S) / np.maximum(smoothed(told, times_s, _AROUND_S), 1e-9))
