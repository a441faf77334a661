"""A source rig's motion on the canonical body: `drive_bones` the other way round. numpy, `motion`, its own room only.

Each joint takes the world rotation of its bone, measured from the rest pose by the same alignment that the retarget
uses; limbs then point exactly where the source's do. The body takes the source's proportions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..motion.body import canonical_body
from ..motion.hands import HandMotion
from ..motion.rotations import (
    quaternion_conjugate,
    quaternion_continuous,
    quaternion_from_to,
    quaternion_multiply,
    quaternion_normalize,
    quaternion_rotate,
    quaternion_slerp,
)
from .limb_calibration import calibrated
from .map_files import SPINE_JOINTS
from .posed_source import PosedSource
from .read_fingers import source_hands
from .rest_alignment import SEGMENT_END, SIDES, align_rest
from .rest_world import rest_world
from .skeleton_map import SkeletonMap
from .target_body import TargetBody, measure_target

Array = NDArray[np.floating]

_LOWER = ("left_elbow", "right_elbow", "left_knee", "right_knee")
# segments whose lengths the clip's body takes over: the joint at whose offset the length lies, and the one it is from
_LENGTHS = {
    **{
        f"{side}_{end}": f"{side}_{start}"
        for side in SIDES
        for start, end in (("shoulder", "elbow"), ("elbow", "wrist"))
    },
    **{f"{side}_{end}": f"{side}_{start}" for side in SIDES for start, end in (("hip", "knee"), ("knee", "ankle"))},
}
# a foot this much of a leg's length above the other is raised
_RAISED = 0.03
_LEAST_SCALE, _MOST_SCALE = 0.2, 5.0


@dataclass(frozen=True, slots=True)
class CanonicalMotion:
    """`local_wxyz` (T, J, 4) on the canonical body, `root_m` (T, 3) the middle of the hip joints in the source's own
    length; `bone_scales` (J,); `leg_m` from hip joint to sole; `feet_m` (T, 4, 3) heel and ball of both feet as the
    source has them, on their soles, None where it has no feet; `hands` are None where no finger moves.
    """

    local_wxyz: Array
    root_m: Array
    bone_scales: Array
    leg_m: float
    feet_m: Array | None
    hands: HandMotion | None


def canonical_motion(source: PosedSource, skeleton_map: SkeletonMap) -> CanonicalMotion:
    """The source's motion on the canonical body. Raises ValueError for a map that cannot tell up from left."""
    rest = rest_world(source.rig)
    target, aligned = measure_target(rest, skeleton_map), align_rest(rest, skeleton_map)
    uneven = False
    if source.by_frame:
        aligned = calibrated(aligned, source, skeleton_map)
        target, uneven = _on_even_feet(target)
    reader = _Reader(source, skeleton_map, aligned, rest.heads_m)
    world = reader.world_rotations()
    body = canonical_body()
    local = world.copy()
    local[:, 1:] = quaternion_multiply(quaternion_conjugate(world[:, body.parents[1:]]), world[:, 1:])
    return CanonicalMotion(
        local_wxyz=quaternion_continuous(quaternion_normalize(local)),
        root_m=reader.root_m(target),
        bone_scales=reader.bone_scales(target),
        leg_m=target.leg_length_m,
        feet_m=None if uneven else reader.feet_m(target),
        hands=source_hands(source, skeleton_map, rest, aligned, world),
    )


def _on_even_feet(target: TargetBody) -> tuple[TargetBody, bool]:
    """The body's leg measured on the lower foot, and whether the other one is raised: only in a frame that serves as
    the rest pose.
    """
    heights = [float(foot.ankle_m @ target.up) - target.floor for foot in target.feet.values()]
    if not heights or max(heights) - min(heights) < _RAISED * target.leg_length_m:
        return target, False
    return replace(target, leg_length_m=target.leg_length_m - float(np.mean(heights)) + min(heights)), True


@dataclass(frozen=True, slots=True)
class _Reader:
    source: PosedSource
    skeleton_map: SkeletonMap
    aligned_wxyz: Array
    rest_heads_m: Array

    def bones(self, joint: str) -> list[int]:
        return [self.source.rig.index(bone) for bone in self.skeleton_map.joints.get(joint, ())]

    def turned(self, joint: str, bone: int) -> Array:
        """The world rotation (T, 4) of a joint that a bone carries whole."""
        aligned = self.aligned_wxyz[canonical_body().joint_index(joint)]
        return quaternion_multiply(self.source.deltas_wxyz[:, bone], aligned)

    def world_rotations(self) -> Array:
        """World rotations (T, J, 4) of all joints; one without a bone goes with its parent."""
        body = canonical_body()
        world = np.zeros((self.source.frames, len(body.joint_names), 4))
        trunk = self._trunk()
        for joint, name in enumerate(body.joint_names):
            bones = self.bones(name)
            if name in trunk:
                world[:, joint] = trunk[name]
            elif bones:
                # the bones of a chain share the rotation up to the last; those of a shin or forearm from the first on
                world[:, joint] = self.turned(name, bones[0] if name in _LOWER else bones[-1])
            elif body.parents[joint] >= 0:
                world[:, joint] = world[:, body.parents[joint]]
            else:
                world[:, joint] = self.turned(name, 0)
            if name in SEGMENT_END:
                world[:, joint] = self._pointed(name, world[:, joint])
        if not self.bones("neck") and self.bones("head"):
            neck, head = body.joint_index("neck"), body.joint_index("head")
            world[:, neck] = quaternion_slerp(world[:, body.parents[neck]], world[:, head], 0.5)
        return world

    def _trunk(self) -> dict[str, Array]:
        """World rotations of spine, chest and upper chest from as many bones as there are: between two bones, and
        between the hips and the first, the bend is even.
        """
        bones = [(joint, self.bones(joint)) for joint in SPINE_JOINTS if self.bones(joint)]
        if not bones or not self.bones("pelvis"):
            return {}
        if len(bones) == len(SPINE_JOINTS):
            return {joint: self.turned(joint, chain[-1]) for joint, chain in bones}
        chain = [(joint, bone) for joint, own in bones for bone in own]
        knots = [self.turned("pelvis", self.bones("pelvis")[-1])]
        knots += [self.turned(joint, bone) for joint, bone in chain]
        found = {}
        for place, joint in enumerate(SPINE_JOINTS, start=1):
            along = place / len(SPINE_JOINTS) * len(chain)
            knot = min(int(along), len(chain) - 1)
            found[joint] = quaternion_slerp(knots[knot], knots[knot + 1], along - knot)
        return found

    def _pointed(self, joint: str, world: Array) -> Array:
        """A limb joint's rotation (T, 4) swung so that its segment points exactly where the source's does."""
        start, end = self.bones(joint), self.bones(SEGMENT_END[joint])
        if not start or not end:
            return world
        span = self.source.heads_m[:, end[0]] - self.source.heads_m[:, start[0]]
        if np.linalg.norm(span, axis=-1).min() < 1e-9:
            return world
        body = canonical_body()
        axis = quaternion_rotate(world, body.offsets_m[body.joint_index(SEGMENT_END[joint])])
        return quaternion_multiply(quaternion_from_to(axis, span), world)

    def root_m(self, target: TargetBody) -> Array:
        """The middle of the hip joints (T, 3)."""
        hips = [self.bones(f"{side}_hip") for side in SIDES]
        if all(hips):
            return np.asarray((self.source.heads_m[:, hips[0][0]] + self.source.heads_m[:, hips[1][0]]) / 2)
        pelvis = self.bones("pelvis")[0]
        offset = target.pelvis_m - self.rest_heads_m[pelvis]
        return self.source.heads_m[:, pelvis] + quaternion_rotate(self.source.deltas_wxyz[:, pelvis], offset)

    def bone_scales(self, target: TargetBody) -> Array:
        """Lengths (J,) over those of a canonical body with the source's leg: from hip joint to sole it is the same."""
        body = canonical_body()
        scales = np.ones(len(body.joint_names))
        if target.leg_length_m <= 0:
            return scales
        rest = body.rest_positions_m()
        ankle = body.joint_index("left_ankle")
        size = target.leg_length_m / float(rest[body.joint_index("left_hip"), 2])
        for end, start in _LENGTHS.items():
            if self.bones(start) and self.bones(end):
                own = np.linalg.norm(self.rest_heads_m[self.bones(end)[0]] - self.rest_heads_m[self.bones(start)[0]])
                usual = np.linalg.norm(body.offsets_m[body.joint_index(end)]) * size
                scales[body.joint_index(end)] = np.clip(own / usual, _LEAST_SCALE, _MOST_SCALE)
        for side in SIDES:
            knee, foot = body.joint_index(f"{side}_knee"), body.joint_index(f"{side}_ankle")
            leg = sum(float(np.linalg.norm(body.offsets_m[joint])) * float(scales[joint]) for joint in (knee, foot))
            share = (target.leg_length_m / size - float(rest[ankle, 2])) / leg
            scales[[knee, foot]] *= share
        return scales

    def feet_m(self, target: TargetBody) -> Array | None:
        """Heel and ball of both feet (T, 4, 3) on the source's own soles; None without both feet."""
        if any(side not in target.feet for side in SIDES):
            return None
        points = []
        for side in SIDES:
            bone, foot = self.bones(f"{side}_ankle")[0], target.feet[side]
            turn, ankle = self.source.deltas_wxyz[:, bone], self.source.heads_m[:, bone]
            points += [ankle + quaternion_rotate(turn, place - foot.ankle_m) for place in (foot.heel_m, foot.ball_m)]
        return np.stack(points, axis=1)
