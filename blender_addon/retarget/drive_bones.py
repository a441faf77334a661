"""World deltas of every mapped bone from the source's joint rotations. numpy, `motion` and its own room only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..motion.rotations import (
    quaternion_conjugate,
    quaternion_from_to,
    quaternion_multiply,
    quaternion_rotate,
)
from .map_files import SPINE_JOINTS
from .rest_alignment import SEGMENT_END
from .rest_world import PosedRig, RestWorld
from .share_rotation import LimbTwist, end_twist, share, upper_limb_share
from .skeleton_map import SkeletonMap
from .source_motion import SourceMotion

Array = NDArray[np.floating]

_UPPER = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
_LOWER = ("left_elbow", "right_elbow", "left_knee", "right_knee")


@dataclass(frozen=True, slots=True)
class _Driver:
    """What turns the bones: the source, the map, the rest alignment (J, 4)."""

    source: SourceMotion
    skeleton_map: SkeletonMap
    aligned_wxyz: Array

    def undo(self, joint: str) -> Array:
        """The inverse (4,) of a joint's rest alignment."""
        return quaternion_conjugate(self.aligned_wxyz[self.source.body.joint_index(joint)])

    def carrier(self, joint: str) -> Array:
        """World rotation (T, 4) of the nearest mapped joint above."""
        body = self.source.body
        parent = int(body.parents[body.joint_index(joint)])
        trunk = any(self.skeleton_map.joints.get(name) for name in SPINE_JOINTS)
        if trunk and parent >= 0 and body.joint_names[parent] == SPINE_JOINTS[-1]:
            return self.source.joint_wxyz(SPINE_JOINTS[-1])
        while parent > 0 and not self.skeleton_map.joints.get(body.joint_names[parent]):
            parent = int(body.parents[parent])
        if parent < 0:
            return self.source.world_wxyz[:, 0]
        return np.asarray(self.source.world_wxyz[:, parent])

    def axis(self, joint: str) -> Array:
        """Unit rest direction (3,) of a limb joint's segment."""
        offset = self.source.body.offsets_m[self.source.body.joint_index(SEGMENT_END[joint])]
        return np.asarray(offset / np.linalg.norm(offset))


def drive_bones(
    rest: RestWorld, skeleton_map: SkeletonMap, source: SourceMotion, aligned_wxyz: Array
) -> dict[int, Array]:
    """World deltas (T, 4) by bone index, limb directions exact whatever lies between the mapped bones."""
    driver = _Driver(source, skeleton_map, aligned_wxyz)
    deltas: dict[int, Array] = {}
    trunk = [joint for joint in SPINE_JOINTS if skeleton_map.joints.get(joint)]
    if 0 < len(trunk) < len(SPINE_JOINTS):
        deltas |= _short_trunk(rest, driver, trunk)
    for joint in source.body.joint_names:
        if joint in trunk and len(trunk) < len(SPINE_JOINTS):
            continue
        for bone, turn in _joint_rotations(rest, driver, joint):
            if bone in rest.rig.bone_names:
                deltas[rest.rig.index(bone)] = quaternion_multiply(turn, driver.undo(joint))
    for joint in SEGMENT_END:
        _straighten(rest, driver, joint, deltas)
    return deltas


def _short_trunk(rest: RestWorld, driver: _Driver, trunk: list[str]) -> dict[int, Array]:
    """Deltas of a trunk with fewer joints than the canonical one: its bones share the whole bend evenly."""
    source = driver.source
    knots = [source.joint_wxyz(joint) for joint in ("pelvis", *SPINE_JOINTS)]
    bones = [bone for joint in trunk for bone in driver.skeleton_map.joints[joint]]
    deltas = {}
    for place, bone in enumerate(bones):
        along = (place + 1) / len(bones) * len(SPINE_JOINTS)
        knot = min(int(along), len(SPINE_JOINTS) - 1)
        local = quaternion_multiply(quaternion_conjugate(knots[knot]), knots[knot + 1])
        world = quaternion_multiply(knots[knot], share(local, along - knot)) if along < 3.0 else knots[-1]
        deltas[rest.rig.index(bone)] = quaternion_multiply(world, driver.undo(trunk[0]))
    return deltas


def _joint_rotations(rest: RestWorld, driver: _Driver, joint: str) -> list[tuple[str, Array]]:
    """World rotations (T, 4), on canonical axes, of the bones that carry a joint, twist bones included."""
    bones = driver.skeleton_map.joints.get(joint, ())
    if not bones:
        return []
    world, carrier = driver.source.joint_wxyz(joint), driver.carrier(joint)
    local = quaternion_multiply(quaternion_conjugate(carrier), world)
    # where along the joint each bone of its chain stands: 1 takes the whole rotation
    parts = [(bone, (place + 1) / len(bones)) for place, bone in enumerate(bones)]
    if joint in _LOWER:
        parts = [(bone, place / len(bones)) for place, bone in enumerate(bones)]
    parts += [
        (twist.bone, _place_along(rest, driver, joint, twist.bone) if twist.fraction is None else twist.fraction)
        for twist in driver.skeleton_map.twists.get(joint, ())
        if twist.bone in rest.rig.bone_names
    ]
    if joint in _LOWER:
        return [(bone, _lower_limb(driver, joint, part)) for bone, part in parts]
    if joint in _UPPER:
        limb = LimbTwist(carrier, local, driver.axis(joint))
        return [(bone, world if part >= 1.0 else upper_limb_share(limb, part)) for bone, part in parts]
    return [(bone, world if part >= 1.0 else quaternion_multiply(carrier, share(local, part))) for bone, part in parts]


def _place_along(rest: RestWorld, driver: _Driver, joint: str, bone: str) -> float:
    """How far along a limb's segment a twist bone's head lies at rest, 0..1; 1 where the segment is not known."""
    ends = driver.skeleton_map.joints.get(SEGMENT_END.get(joint, ""), ())
    if not ends:
        return 1.0
    start = rest.heads_m[rest.rig.index(driver.skeleton_map.joints[joint][0])]
    along = rest.heads_m[rest.rig.index(ends[0])] - start
    offset = rest.heads_m[rest.rig.index(bone)] - start
    return float(np.clip(offset @ along / max(along @ along, 1e-12), 0.0, 1.0))


def _lower_limb(driver: _Driver, joint: str, fraction: float) -> Array:
    world = driver.source.joint_wxyz(joint)
    end = SEGMENT_END[joint]
    if fraction == 0.0 or not driver.skeleton_map.joints.get(end):
        return world
    local = quaternion_multiply(quaternion_conjugate(world), driver.source.joint_wxyz(end))
    return quaternion_multiply(world, end_twist(local, driver.axis(joint), fraction))


def _straighten(rest: RestWorld, driver: _Driver, joint: str, deltas: dict[int, Array]) -> None:
    """Turn a segment's bones together, in place, so that it points exactly where the source's does."""
    joints = driver.skeleton_map.joints
    end = SEGMENT_END[joint]
    if not joints.get(joint) or not joints.get(end):
        return
    bones = [rest.rig.index(bone) for bone in joints[joint]]
    posed = PosedRig(rest, deltas, driver.source.frames)
    span = posed.span(bones[0], rest.rig.index(joints[end][0]))
    if span is None or np.linalg.norm(span, axis=-1).min() < 1e-9:
        return
    wanted = quaternion_rotate(driver.source.joint_wxyz(joint), driver.axis(joint))
    turn = quaternion_from_to(span, wanted)
    twists = [twist.bone for twist in driver.skeleton_map.twists.get(joint, ())]
    for bone in bones + [rest.rig.index(name) for name in twists if name in rest.rig.bone_names]:
        deltas[bone] = quaternion_multiply(turn, deltas[bone])
