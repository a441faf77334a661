"""What goes into the blend shape mixer and what comes out: 146 of the 478 landmarks, and the order of its weights.

numpy. The numbers of the landmarks and the order of the weights are those of MediaPipe's face landmarker.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.types import Array
from blender_addon.motion.face import FACE_WEIGHT_NAMES

# fmt: off
MIXER_LANDMARKS: tuple[int, ...] = (
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70, 78, 80,
    81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149, 150, 152, 153,
    154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173, 176, 178, 181, 185, 191, 195, 197, 234, 246, 249, 251,
    263, 267, 269, 270, 276, 282, 283, 284, 285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314,
    317, 318, 321, 323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382, 384,
    385, 386, 387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466, 468, 469, 470, 471, 472, 473, 474, 475,
    476, 477,
)
_MIXER_NAMES = (
    "_neutral", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff",
    "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight",
    "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight",
    "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen", "jawRight",
    "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel",
    "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker",
    "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft",
    "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "noseSneerLeft", "noseSneerRight",
)
# fmt: on
MIXER_ORDER: NDArray[np.intp] = np.array(
    [_MIXER_NAMES.index(name) if name in _MIXER_NAMES else -1 for name in FACE_WEIGHT_NAMES], dtype=np.intp
)
"""Place of each of ARKit's weights (52,) among the mixer's; -1 for the tongue, which it does not know."""


def mixer_points(landmarks_px: Array) -> NDArray[np.float32]:
    """The mixer's input (N, 146, 2) of landmarks (N, 478, 2): centred, at a mean distance of 1."""
    points = landmarks_px[:, list(MIXER_LANDMARKS)]
    points = points - points.mean(axis=1, keepdims=True)
    distance = np.linalg.norm(points, axis=-1).mean(axis=1)
    return np.asarray(points / np.maximum(distance, 1e-9)[:, None, None], dtype=np.float32)
