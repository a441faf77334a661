"""What joints do in a simulated window: where they are in other frames, how fast they move, which feet stand. numpy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from backend.embedding.features import WINDOW_STEP_S
from backend.types import Array

FEET = (3, 6)
"""Right and left ankle of the 17 joints."""

_STILL_M_S = 0.25


class MotionTruth(NamedTuple):
    """Of B windows of W frames, in the virtual camera at canonical size: window_joints_m (B, W, 17, 3) relative to each
    frame's pelvis; velocity_m_s (B, 17, 3) of the centre frame's joints, the pelvis moving too; standing (B, 2) 0 or 1,
    whether the right and left ankle move slower than 0.25 m/s.
    """

    window_joints_m: Array
    velocity_m_s: Array
    standing: Array


def joint_motion(joints_m: Array) -> MotionTruth:
    """From joints (B, W, 17, 3) m in a camera that stands still; the frames beside the centre follow each other."""
    middle = joints_m.shape[1] // 2
    velocity = (joints_m[:, middle + 1] - joints_m[:, middle - 1]) / (2 * WINDOW_STEP_S)
    standing = np.linalg.norm(velocity[:, list(FEET)], axis=-1) < _STILL_M_S
    return MotionTruth(
        (joints_m - joints_m[:, :, :1]).astype(np.float16), velocity.astype(np.float32), standing.astype(np.float32)
    )
