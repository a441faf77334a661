"""How limbs that are not seen rest: arms beside the body, legs straight down, or as those of somebody who sits.

May import numpy, `motion` and its own room. Rotations are local ones of the canonical body, the root's in the camera.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.types import Array
from blender_addon.motion.body import CanonicalBody
from blender_addon.motion.contacts import resumed_s
from blender_addon.motion.rotations import (
    quaternion_conjugate,
    quaternion_from_to,
    quaternion_multiply,
    quaternion_rotate,
    quaternion_slerp,
    rotvec_to_quaternion,
)
from blender_addon.motion.temporal import Gaussian, filter_positions

_UP, _FORWARD = np.array([0.0, 0.0, 1.0]), np.array([0.0, -1.0, 0.0])
_ARM_REST_DEG = 78.0
# a thigh that was seen raised by this much is one of somebody who sits or crouches
_SITS_DEG = 50.0
# thighs that are hidden, and raised by this much in the pose: nobody is taken for sitting below the first, all above
_HIDDEN_SITS_DEG = (36.0, 42.0)
_SITS_SIGMA_S = 0.7
# the share of the time around a frame in which the legs are hidden: too little, and enough
_FEW = (0.25, 0.5)
# thighs and shins of somebody on a chair
_SEAT_DEG = 82.0


def thigh_raised(body: CanonicalBody, rotations: Array, side: str, down: Array) -> NDArray[np.bool_]:
    """In which frames (N,) a thigh is raised, as that of somebody who sits or crouches, for local `rotations`
    (N, J, 4); `down` (3,) is gravity in the camera.
    """
    return np.asarray(_thigh(body, rotations, side) @ down < np.cos(np.deg2rad(_SITS_DEG)))


def hidden_sits(body: CanonicalBody, rotations: Array, times_s: Array, down: Array, hidden: NDArray[np.bool_]) -> Array:
    """How far (N,) somebody whose legs are `hidden` (N,) behind something within the image sits there, 0 to 1.

    The towers know it by the trunk, the arms and what is seen of the hips: they raise both thighs forwards in the local
    `rotations` (N, J, 4). `down` (3,) is gravity in the camera.
    """
    forward = quaternion_rotate(rotations[:, 0], _FORWARD)
    raised = []
    for side in ("left", "right"):
        thigh = _thigh(body, rotations, side)
        angle = np.rad2deg(np.arccos(np.clip(thigh @ down, -1.0, 1.0)))
        raised.append(np.where((thigh * forward).sum(axis=-1) > 0.0, angle, 0.0))
    both = np.stack([np.minimum(*raised) * hidden, hidden.astype(np.float64)], axis=1)
    total, weight = filter_positions(Gaussian(_SITS_SIGMA_S), times_s, both, resumed_s(times_s)).T
    low, high = _HIDDEN_SITS_DEG
    sits = np.clip((total / np.maximum(weight, 0.05) - low) / (high - low), 0.0, 1.0)
    # a few frames at the edge of an absence say nothing
    return np.asarray(sits * np.clip((weight - _FEW[0]) / (_FEW[1] - _FEW[0]), 0.0, 1.0))


def rest_wxyz(body: CanonicalBody, rotations: Array, name: str, down: Array, sits: Array) -> Array:
    """Local rotations (N, 4) of a joint at rest: legs hang straight down, or sit as far as `sits` (N,), arms hang.

    `rotations` (N, J, 4) are those of the whole body, `down` (3,) is gravity in the camera.
    """
    still = np.tile([1.0, 0.0, 0.0, 0.0], (len(rotations), 1))
    bend = rotvec_to_quaternion(np.array([np.deg2rad(_SEAT_DEG), 0.0, 0.0]))
    if name.endswith("knee"):
        return quaternion_slerp(still, np.broadcast_to(bend, still.shape), sits)
    if name.endswith("elbow"):
        return still
    if name.endswith("shoulder"):
        side = 1.0 if name.startswith("left") else -1.0
        return np.tile(rotvec_to_quaternion(np.array([0.0, side * np.deg2rad(_ARM_REST_DEG), 0.0])), (len(still), 1))
    # the pelvis stays as it is; the thigh hangs, or is level, and faces where the pelvis faces
    pelvis = rotations[:, int(body.parents[body.joint_index(name)])]
    upright = quaternion_from_to(quaternion_rotate(pelvis, _UP), np.tile(-down, (len(pelvis), 1)))
    hangs = quaternion_multiply(quaternion_conjugate(pelvis), quaternion_multiply(upright, pelvis))
    return quaternion_slerp(hangs, quaternion_multiply(hangs, quaternion_conjugate(bend)), sits)


def _thigh(body: CanonicalBody, rotations: Array, side: str) -> Array:
    """Directions (N, 3) of a thigh in the camera, from hip to knee."""
    hip = quaternion_multiply(rotations[:, 0], rotations[:, body.joint_index(f"{side}_hip")])
    return quaternion_rotate(hip, -_UP)
