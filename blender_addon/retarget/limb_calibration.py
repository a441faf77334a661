"""Where a rest pose is only a frame: how limbs, shoulders and head are turned in it, from the whole motion.

A person who stands in some frame may hold an arm up or look aside there. What a joint does over the motion tells
better: elbows and knees bend about one axis, and on average shoulders hang and the head looks ahead. numpy, `motion`
and its own room only.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..motion.body import canonical_body
from ..motion.rotations import (
    matrix_to_quaternion,
    quaternion_conjugate,
    quaternion_from_to,
    quaternion_mean,
    quaternion_multiply,
    quaternion_rotate,
)
from .posed_source import PosedSource
from .rest_alignment import SIDES
from .skeleton_map import SkeletonMap

Array = NDArray[np.floating]

# upper joint, lower joint, end, and the axis about which the lower bends on the canonical body, for the left side
_LIMBS = (("shoulder", "elbow", "wrist", (0.0, 0.0, -1.0)), ("hip", "knee", "ankle", (1.0, 0.0, 0.0)))
# a hinge is trusted when the limb bends enough (mean sine of the bend) and always about the same axis (0 to 1)
_BENDS, _STEADY = 0.12, 0.8
_TINY = 1e-9
# a foot stands in the slower half of the frames in which its ankle is lower than in the others
_LOW_PERCENT, _FEWEST_FRAMES = 30.0, 10


def calibrated(aligned: Array, source: PosedSource, skeleton_map: SkeletonMap) -> Array:
    """Rest alignment (J, 4) with what the motion tells about arms, legs, collarbones, neck and head."""
    out = aligned.copy()
    index = {joint: source.rig.index(bones[0]) for joint, bones in skeleton_map.joints.items() if bones}
    for side in SIDES:
        for upper, lower, end, hinge in _LIMBS:
            names = tuple(f"{side}_{joint}" for joint in (upper, lower, end))
            if all(name in index for name in names):
                sign = -1.0 if side == "right" and upper == "shoulder" else 1.0
                _align_limb(out, source, index, names, sign * np.array(hinge))
        _align_clavicle(out, source, index, side)
        _align_foot(out, source, index, side)
    for joint in ("neck", "head"):
        _align_on_average(out, source, index, joint)
    return out


def _align_limb(
    out: Array, source: PosedSource, index: Mapping[str, int], names: tuple[str, ...], hinge: Array
) -> None:
    """Turn a limb's two segments so that its hinge lies where the motion shows it."""
    body = canonical_body()
    upper, lower, end = (index[name] for name in names)
    spans = [source.heads_m[:, b] - source.heads_m[:, a] for a, b in ((upper, lower), (lower, end))]
    spans = [span / np.maximum(np.linalg.norm(span, axis=-1, keepdims=True), _TINY) for span in spans]
    bend = np.cross(spans[0], spans[1])
    if np.linalg.norm(bend, axis=-1).mean() < _BENDS:
        return
    rows = [body.joint_index(name) for name in names]
    for place, bone in enumerate((upper, lower)):
        back = quaternion_conjugate(source.deltas_wxyz[:, bone])
        own = quaternion_rotate(back, bend)
        steady = float(np.linalg.norm(own.sum(axis=0)) / max(float(np.linalg.norm(own, axis=-1).sum()), _TINY))
        along = quaternion_rotate(back, spans[place]).mean(axis=0)
        axis = body.offsets_m[rows[place + 1]]
        if steady >= _STEADY:
            out[rows[place]] = _frame_to_frame((axis, hinge), (along, own.sum(axis=0)))
        elif place == 1:  # the forearm's own twist hides its hinge: it goes on from the upper arm
            turned = quaternion_rotate(out[rows[0]], axis)
            out[rows[1]] = quaternion_multiply(quaternion_from_to(turned, along), out[rows[0]])


def _frame_to_frame(canonical: tuple[Array, Array], rest: tuple[Array, Array]) -> Array:
    """The rotation (4,) that takes a direction and a hinge across it to others."""
    frames = []
    for direction, hinge in (canonical, rest):
        along = direction / np.linalg.norm(direction)
        across = hinge - along * (hinge @ along)
        across /= max(float(np.linalg.norm(across)), _TINY)
        frames.append(np.stack([along, across, np.cross(along, across)], axis=1))
    return matrix_to_quaternion(frames[1] @ frames[0].T)


def _align_clavicle(out: Array, source: PosedSource, index: Mapping[str, int], side: str) -> None:
    """The collarbone's usual direction over the motion counts as its rest direction."""
    names = (f"{side}_clavicle", f"{side}_shoulder")
    chest = next((index[name] for name in ("upper_chest", "chest", "spine") if name in index), None)
    if chest is None or any(name not in index for name in names):
        return
    span = source.heads_m[:, index[names[1]]] - source.heads_m[:, index[names[0]]]
    in_chest = quaternion_rotate(quaternion_conjugate(source.deltas_wxyz[:, chest]), span)
    own = quaternion_rotate(quaternion_conjugate(source.deltas_wxyz[:, index[names[0]]]), span).mean(axis=0)
    usual = np.median(in_chest / np.maximum(np.linalg.norm(in_chest, axis=-1, keepdims=True), _TINY), axis=0)
    if np.linalg.norm(usual) < 0.1 or np.linalg.norm(own) < _TINY:
        return
    row = canonical_body().joint_index(names[0])
    out[row] = quaternion_multiply(quaternion_from_to(usual, own), out[row])


def _align_foot(out: Array, source: PosedSource, index: Mapping[str, int], side: str) -> None:
    """A foot is level while it stands: in the frames in which its ankle is low and still."""
    body = canonical_body()
    names = (f"{side}_ankle", f"{side}_toe")
    if any(name not in index for name in names) or source.frames < _FEWEST_FRAMES:
        return
    ankle, toe = (source.heads_m[:, index[name]] for name in names)
    ahead = toe - ankle
    speed = np.linalg.norm(np.gradient(ankle, axis=0), axis=-1)
    low = ankle[:, 2] <= np.percentile(ankle[:, 2], _LOW_PERCENT)
    stands = np.flatnonzero(low & (speed <= np.median(speed[low])))
    flat = ahead[stands] * np.array([1.0, 1.0, 0.0])
    if np.median(np.linalg.norm(flat, axis=-1)) < 0.25 * np.median(np.linalg.norm(ahead, axis=-1)):
        return  # a dancer's foot has no heading
    heading = quaternion_from_to(body.offsets_m[body.joint_index(names[1])] * np.array([1.0, 1.0, 0.0]), flat)
    for name in names:
        back = quaternion_conjugate(source.deltas_wxyz[stands, index[name]])
        out[body.joint_index(name)] = quaternion_mean(quaternion_multiply(back, heading))


def _align_on_average(out: Array, source: PosedSource, index: Mapping[str, int], joint: str) -> None:
    """The joint's mean rotation against the chest counts as none."""
    chest = next((index[name] for name in ("upper_chest", "chest", "spine") if name in index), None)
    if chest is None or joint not in index:
        return
    against = quaternion_multiply(
        quaternion_conjugate(source.deltas_wxyz[:, chest]), source.deltas_wxyz[:, index[joint]]
    )
    row = canonical_body().joint_index(joint)
    out[row] = quaternion_multiply(quaternion_conjugate(quaternion_mean(against)), out[row])
