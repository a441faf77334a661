"""The motion of a face: 52 weights a frame, named and ordered as ARKit's blend shapes.

May import numpy and its own room only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

_EYE = ("eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp", "eyeSquint", "eyeWide")
_MOUTH_PAIRS = ("mouthSmile", "mouthFrown", "mouthDimple", "mouthStretch")
FACE_WEIGHT_NAMES: tuple[str, ...] = (
    *(f"{name}Left" for name in _EYE),
    *(f"{name}Right" for name in _EYE),
    *("jawForward", "jawLeft", "jawRight", "jawOpen"),
    *("mouthClose", "mouthFunnel", "mouthPucker", "mouthLeft", "mouthRight"),
    *(f"{name}{side}" for name in _MOUTH_PAIRS for side in ("Left", "Right")),
    *("mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper"),
    *(f"{name}{side}" for name in ("mouthPress", "mouthLowerDown", "mouthUpperUp") for side in ("Left", "Right")),
    *("browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
    *("cheekPuff", "cheekSquintLeft", "cheekSquintRight", "noseSneerLeft", "noseSneerRight", "tongueOut"),
)
"""Names of the weights in ARKit's order; `left` and `right` are the person's own."""


@dataclass(frozen=True, slots=True)
class FaceMotion:
    """One face over time.

    `weights` (T, 52): 0 at rest to 1, in the order of `FACE_WEIGHT_NAMES`; NaN in frames without the person, the
    resting face (0) where only the face is not seen. `confidence` (T,): 0..1, 0 where the face is not seen.
    """

    weights: Array
    confidence: Array


def mirror_face(face: FaceMotion) -> FaceMotion:
    """The face of the mirror image: left and right change places."""
    return replace(face, weights=mirrored_weights(face.weights))


def mirrored_weights(weights: NDArray[np.floating]) -> NDArray[np.floating]:
    """Weights (..., 52) with left and right exchanged."""
    return np.asarray(weights[..., _mirror_order()])


def _mirror_order() -> NDArray[np.intp]:
    """Place of each weight's left-right partner (52,)."""
    return np.array([FACE_WEIGHT_NAMES.index(_partner(name)) for name in FACE_WEIGHT_NAMES])


def _partner(name: str) -> str:
    for end, other in (("Left", "Right"), ("Right", "Left")):
        if name.endswith(end):
            return name.removesuffix(end) + other
    return name
