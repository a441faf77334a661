"""Motion of IK targets and poles, from a solved body. numpy, `motion` and its own room only.

A target moves rigidly with its limb's end joint. A pole stands as far from the middle joint as at rest, on the side to
which the limb bends; where the limb is straight, on the side to which its upper segment has carried the rest pole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..motion.rotations import quaternion_rotate
from .body_in_world import BodyInWorld
from .skeleton_map import LimbControls

Array = NDArray[np.floating]

LIMB_JOINTS = {
    "left_leg": ("left_hip", "left_knee", "left_ankle"),
    "right_leg": ("right_hip", "right_knee", "right_ankle"),
    "left_arm": ("left_shoulder", "left_elbow", "left_wrist"),
    "right_arm": ("right_shoulder", "right_elbow", "right_wrist"),
}
# a bend of this sine or less counts as straight
_STRAIGHT = 0.05


@dataclass(frozen=True, slots=True)
class ControlMotion:
    """An IK control in the world: bone index, where its head goes (T, 3), None when its parent carries it there;
    delta (T, 4), None for a mere point.
    """

    bone: int
    head_m: Array | None
    delta_wxyz: Array | None


def ik_control_motion(body: BodyInWorld, limb: str, controls: LimbControls) -> list[ControlMotion]:
    """Target, pole and toe control of one limb, those that the rig has; empty when the limb is not mapped."""
    joints = LIMB_JOINTS[limb]
    names = body.rest.rig.bone_names
    if any(not body.bones(joint) for joint in joints) or controls.target not in names:
        return []
    upper, _, end = (body.bones(joint)[0] for joint in joints)
    posed = body.posed()
    target = body.rest.rig.index(controls.target)
    offset = body.rest.heads_m[target] - body.rest.heads_m[end]
    head = body.joint_m(joints[2]) + quaternion_rotate(posed.delta(end), offset)
    motions = [ControlMotion(target, head, posed.delta(end))]
    if controls.pole in names and controls.pole is not None:
        pole = body.rest.rig.index(controls.pole)
        motions.append(ControlMotion(pole, _pole_m(body, joints, upper, pole), None))
    toe = body.bones(joints[2].replace("ankle", "toe"))
    if controls.toe in names and controls.toe is not None and toe:
        bone = body.rest.rig.index(controls.toe)
        motions.append(ControlMotion(bone, None, posed.delta(toe[0])))
    return motions


def _pole_m(body: BodyInWorld, joints: tuple[str, str, str], upper: int, pole: int) -> Array:
    root, middle, end = (body.joint_m(joint) for joint in joints)
    rest_offset = body.rest.heads_m[pole] - body.rest.heads_m[body.bones(joints[1])[0]]
    along = end - root
    along = along / np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), 1e-9)
    bend = (middle - root) - np.sum((middle - root) * along, axis=-1, keepdims=True) * along
    sine = np.linalg.norm(bend, axis=-1, keepdims=True) / np.maximum(
        np.linalg.norm(middle - root, axis=-1, keepdims=True), 1e-9
    )
    carried = quaternion_rotate(body.posed().delta(upper), rest_offset)
    carried = carried - np.sum(carried * along, axis=-1, keepdims=True) * along
    carried = carried / np.maximum(np.linalg.norm(carried, axis=-1, keepdims=True), 1e-9)
    weight = np.clip(sine / _STRAIGHT, 0.0, 1.0)
    own = bend / np.maximum(np.linalg.norm(bend, axis=-1, keepdims=True), 1e-9)
    direction = weight * own + (1.0 - weight) * carried
    direction = direction / np.maximum(np.linalg.norm(direction, axis=-1, keepdims=True), 1e-9)
    return np.asarray(middle + direction * np.linalg.norm(rest_offset))
