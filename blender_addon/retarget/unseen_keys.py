"""A baked pose without keys where a joint is not seen. Its own room, `motion` and numpy only."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from ..motion.body import canonical_body
from ..motion.clip import MotionClip
from ..motion.joint_sight import rotations_seen, unseen_words
from .baked_pose import BakedPose
from .body_parts import BodyPart, bone_parts
from .skeleton_map import SkeletonMap

# the joint whose rotation shows whether a limb's IK controls are seen
_LIMB_ENDS = {"leg": "knee", "arm": "elbow"}


class UnseenJoints(Enum):
    """What becomes of joints that are not in the frame: keyed as they were guessed, or left without keys."""

    KEY = "key"
    LEAVE_OUT = "leave_out"


def key_seen_joints(pose: BakedPose, skeleton_map: SkeletonMap, clip: MotionClip, unseen: UnseenJoints) -> BakedPose:
    """The pose with keys for seen joints alone, or as it is; both with a warning about what is not seen.

    `clip` is the one at the pose's frames. Bones that are never seen have no channel; where a bone comes and goes, it
    has keys while it is there. Hips and root always have keys.
    """
    words = unseen_words(clip)
    seen = rotations_seen(clip)
    if not words or seen is None:
        return pose
    leave_out = unseen is UnseenJoints.LEAVE_OUT
    told = "they have no keys there" if leave_out else "their keys there are a guess (Unseen Joints: Leave Out)"
    report = replace(pose.report, warnings=(*pose.report.warnings, *(f"{words_}: {told}" for words_ in words)))
    if not leave_out:
        return replace(pose, report=report)
    moving = {bone for bone in (skeleton_map.moving_bone, skeleton_map.root_bone) if bone}
    masks = {bone: mask for bone, mask in _bone_masks(skeleton_map, seen).items() if bone not in moving}
    present = np.asarray(pose.present, dtype=bool)
    never = {bone for bone, mask in masks.items() if not (mask & present).any()}
    rows = [row for row, bone in enumerate(pose.bone_names) if bone not in never]
    return replace(
        pose,
        bone_names=tuple(pose.bone_names[row] for row in rows),
        rotation_modes=tuple(pose.rotation_modes[row] for row in rows),
        rotations_wxyz=np.asarray(pose.rotations_wxyz)[rows],
        locations=tuple(row for row in pose.locations if row.bone not in never),
        properties=tuple(row for row in pose.properties if row.bone not in never),
        keyed={bone: mask for bone, mask in masks.items() if bone not in never and not mask[present].all()},
        report=report,
    )


def _bone_masks(skeleton_map: SkeletonMap, seen: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
    """In which frames (T,) each bone of a map is seen."""
    body = canonical_body()
    limbs = {
        BodyPart(f"{side}_{limb}"): seen[:, body.joint_index(f"{side}_{end}")]
        for side in ("left", "right")
        for limb, end in _LIMB_ENDS.items()
    }
    # switches and other controls that belong to no joint
    masks = {bone: limbs[part] for bone, part in bone_parts(skeleton_map).items() if part in limbs}
    for finger, bones in skeleton_map.fingers.items():
        masks |= dict.fromkeys(bones, seen[:, body.joint_index(f"{finger.partition('_')[0]}_wrist")])
    for joint, twists in skeleton_map.twists.items():
        masks |= {twist.bone: seen[:, body.joint_index(joint)] for twist in twists}
    for joint, bones in skeleton_map.joints.items():
        masks |= dict.fromkeys(bones, seen[:, body.joint_index(joint)])
    return masks
