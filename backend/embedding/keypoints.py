"""Names and groups of the 33 BlazePose landmarks and the 17 Human3.6M joints, and the parts of a pose. Data only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

KEYPOINT_NAMES = (
    "nose",
    "left_eye_inner",
    "left_eye",
    "left_eye_outer",
    "right_eye_inner",
    "right_eye",
    "right_eye_outer",
    "left_ear",
    "right_ear",
    "left_mouth",
    "right_mouth",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_pinky",
    "right_pinky",
    "left_index",
    "right_index",
    "left_thumb",
    "right_thumb",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
    "left_heel",
    "right_heel",
    "left_foot_index",
    "right_foot_index",
)
HIPS = np.array([23, 24])
SHOULDERS = np.array([11, 12])
MAIN = np.array([0, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28])
"""Nose and limb joints: they set the size of the crop."""

MIRROR = np.array([0, 4, 5, 6, 1, 2, 3, 8, 7, 10, 9, *[i + 1 - 2 * ((i - 11) % 2) for i in range(11, 33)]])
"""Left-right partner of each landmark."""

H36M_NAMES = (
    "pelvis",
    "rhip",
    "rknee",
    "rankle",
    "lhip",
    "lknee",
    "lankle",
    "spine",
    "thorax",
    "nose",
    "headtop",
    "lshoulder",
    "lelbow",
    "lwrist",
    "rshoulder",
    "relbow",
    "rwrist",
)
H36M_MIRROR = np.array([0, 4, 5, 6, 1, 2, 3, 7, 8, 9, 10, 14, 15, 16, 11, 12, 13])


@dataclass(frozen=True, slots=True)
class Part:
    """Human3.6M joints that move together, and the joint that they hang on."""

    joints: tuple[int, ...]
    hangs_on: int


TRUNK = Part((1, 4, 7, 8, 9, 10, 11, 14), 0)
LIMBS = (Part((12, 13), 11), Part((15, 16), 14), Part((5, 6), 4), Part((2, 3), 1))
PARTS = (TRUNK, *LIMBS)
