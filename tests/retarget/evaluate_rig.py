"""A second, plain reading of Blender's pose rule: 4x4 matrices, bone by bone. Shares no code with the retarget."""

from __future__ import annotations

import numpy as np

from blender_addon.motion.rotations import quaternion_to_matrix
from blender_addon.retarget.baked_pose import BakedPose
from blender_addon.retarget.target_rig import TargetRig


def evaluate(rig: TargetRig, pose: BakedPose) -> np.ndarray:
    """World positions (T, N, 3) of every bone's head under a baked pose."""
    return evaluate_matrices(rig, pose)[..., :3, 3]


def evaluate_matrices(rig: TargetRig, pose: BakedPose) -> np.ndarray:
    """World matrices (T, N, 4, 4) of every bone under a baked pose."""
    frames = len(pose.times_s)
    basis = np.broadcast_to(rig.basis, (frames, len(rig), 4, 4)).copy()
    for bone, rotations in zip(pose.bone_names, pose.rotations_wxyz, strict=True):
        basis[:, rig.index(bone), :3, :3] = quaternion_to_matrix(rotations)
        basis[:, rig.index(bone), :3, 3] = 0.0
    for row in pose.locations:
        basis[:, rig.index(row.bone), :3, 3] = row.location
    posed = np.zeros((frames, len(rig), 4, 4))
    for bone, parent in enumerate(rig.parents):
        rest = rig.rest_matrices[bone]
        if parent < 0:
            posed[:, bone] = rest @ basis[:, bone]
        else:
            between = np.linalg.inv(rig.rest_matrices[parent]) @ rest
            carried = posed[:, parent] @ between
            if not rig.inherit_rotation[bone]:
                carried[:, :3, :3] = rest[:3, :3]
            posed[:, bone] = carried @ basis[:, bone]
    world = np.broadcast_to(rig.object_matrix, (frames, 4, 4)).copy()
    if pose.object_motion is not None:
        scale = np.linalg.norm(rig.object_matrix[:3, :3], axis=0)
        world[:, :3, :3] = quaternion_to_matrix(pose.object_motion.rotation_wxyz) * scale
        world[:, :3, 3] = pose.object_motion.location_m
    return np.asarray(world[:, None] @ posed)
