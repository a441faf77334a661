"""The account of a retarget: what was mapped, what was not and why, what may look wrong. Its own room only."""

from __future__ import annotations

import numpy as np

from ..motion.body import canonical_body
from .baked_pose import Controls, JointNote, RetargetOptions, RetargetReport, RootMode
from .body_in_world import BodyInWorld
from .body_kind import sides_exchanged
from .own_ik import held_bones
from .rest_world import RestWorld
from .skeleton_map import SkeletonMap
from .target_body import TargetBody

_NEEDED_BY = {
    "elbow": "the forearm keeps its rest pose",
    "knee": "the shin keeps its rest pose",
    "hip": "the leg hangs from the hips as at rest and feet are not planted",
    "ankle": "the foot keeps its rest pose and is not planted",
    "shoulder": "the arm hangs from the chest as at rest",
    "wrist": "the hand keeps its rest pose",
}


_MOVED_M = 0.005


def set_up_warnings(
    rest: RestWorld, skeleton_map: SkeletonMap, target: TargetBody, options: RetargetOptions
) -> tuple[str, ...]:
    """What in the rig's set-up limits the result, in plain words."""
    rig, warnings = rest.rig, []
    if rest.uneven > 0.01:
        warnings.append(
            f"the object {rig.name!r} has an uneven scale (by {rest.uneven:.0%}): directions are approximate; "
            "give it one scale for all axes"
        )
    if np.linalg.det(rest.turn) < 0:
        warnings.append(f"the object {rig.name!r} is mirrored by a negative scale: left and right appear swapped")
    if sides_exchanged(rig, skeleton_map):
        warnings.append("left and right look swapped: the feet point backwards. Mirror the skeleton map, or correct it")
    held = held_bones(skeleton_map, rig)
    if held:
        warnings.append("constraints or drivers may overrule the motion of " + ", ".join(held))
    moved = _moved_above_hips(rest, skeleton_map, options)
    if moved:
        warnings.append(
            f"{moved} is moved from its rest place and gets no keys, so the whole motion is shifted by that: clear its "
            "location (Alt G)"
        )
    if target.leg_length_m <= 0.0 and options.scale is None:
        warnings.append("no leg and no hips' height tell the character's size: travel is not scaled")
    if options.root is RootMode.ROOT_BONE and skeleton_map.root_bone not in rig.bone_names:
        warnings.append(
            "the rig has no root bone in its map: the hips carry the travel instead. Choose Root: Object, as an FBX "
            "import makes Unreal's root bone the object"
        )
    if options.controls is not Controls.FK and not skeleton_map.limbs:
        warnings.append("the rig has no IK controls that its map or its IK constraints name: FK bones are keyed")
    return tuple(warnings)


def _moved_above_hips(rest: RestWorld, skeleton_map: SkeletonMap, options: RetargetOptions) -> str:
    """The first bone above the one that carries the body whose present location is kept, and is not its rest place."""
    rig = rest.rig
    name = skeleton_map.moving_bone
    if name not in rig.bone_names:
        return ""
    keyed = skeleton_map.root_bone if options.root is RootMode.ROOT_BONE else None
    for bone in rest.path_up(rig.index(name))[1:]:
        away = float(np.linalg.norm(rig.basis[bone, :3, 3])) * rest.stretch
        if away > _MOVED_M and rig.bone_names[bone] != keyed:
            return rig.bone_names[bone]
    return ""


def give_account(body: BodyInWorld, warnings: tuple[str, ...], figures: dict[str, float]) -> RetargetReport:
    """The report of a solved body."""
    mapped, unmapped = [], []
    for joint in canonical_body().joint_names:
        bones = body.skeleton_map.joints.get(joint, ())
        if bones:
            mapped.append(JointNote(joint, bones, "one bone" if len(bones) == 1 else f"shared by {len(bones)} bones"))
        else:
            unmapped.append(JointNote(joint, (), _why_unmapped(joint)))
    return RetargetReport(tuple(mapped), tuple(unmapped), warnings, figures)


def _why_unmapped(joint: str) -> str:
    if joint in ("chest", "upper_chest"):
        return "not needed: the spine's other bones take its bend"
    if joint in ("left_hand", "right_hand"):
        return "not needed: fingers keep their pose"
    loss = _NEEDED_BY.get(joint.rpartition("_")[2], "its rotation goes to the next mapped joint below it")
    return f"no bone in the skeleton map: {loss}"
