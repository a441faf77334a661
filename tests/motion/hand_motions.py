"""Hands and faces for tests: fingers that bend as told, and clips that have them."""

from dataclasses import replace

import numpy as np

from blender_addon.motion.clip import MotionClip
from blender_addon.motion.face import FACE_WEIGHT_NAMES, FaceMotion
from blender_addon.motion.hands import HAND_JOINTS, HandMotion, canonical_hand
from blender_addon.motion.rotations import rotvec_to_quaternion


def bent_hand(flexion_rad: np.ndarray, side: int) -> np.ndarray:
    """One hand's rotations (..., 15, 4) with each joint bent by (..., 15) rad."""
    axes = np.repeat(canonical_hand(side).flexion_axes, 3, axis=0)
    return rotvec_to_quaternion(axes * np.asarray(flexion_rad)[..., None])


def with_groups(clip: MotionClip, seed: int = 1) -> MotionClip:
    """The clip with fingers that open and close and a face that moves; NaN and 0 where the person is not."""
    random = np.random.default_rng(seed)
    there = np.isfinite(clip.root_world_m).all(axis=1)
    bend = 0.6 + 0.5 * np.sin(3.0 * clip.times_s[:, None] + random.uniform(0, 6, len(HAND_JOINTS)))
    turns = np.stack([bent_hand(bend, side) for side in (0, 1)], axis=1)
    weights = 0.5 + 0.4 * np.sin(4.0 * clip.times_s[:, None] + random.uniform(0, 6, len(FACE_WEIGHT_NAMES)))
    return replace(
        clip,
        hands=HandMotion(
            np.where(there[:, None, None, None], turns, np.nan).astype(np.float32),
            np.where(there[:, None], 0.8, 0.0).repeat(2, axis=1).astype(np.float32),
        ),
        face=FaceMotion(
            np.where(there[:, None], weights, np.nan).astype(np.float32), np.where(there, 0.7, 0.0).astype(np.float32)
        ),
    )
