"""Not only where limbs point, but how the body is turned about them: facing, lean and twist of trunk and head."""

from __future__ import annotations

import numpy as np
import pytest

from blender_addon.motion.body import canonical_body, forward_kinematics
from blender_addon.motion.rotations import quaternion_to_matrix
from blender_addon.retarget.baked_pose import RetargetOptions
from blender_addon.retarget.solve import retarget
from tests.retarget.evaluate_rig import evaluate_matrices
from tests.retarget.random_motion import random_clip
from tests.retarget.random_rigs import RigSpec, random_rig

TRUNK = ("pelvis", "upper_chest", "head")


def rotation_part(matrices: np.ndarray) -> np.ndarray:
    """The rotations (..., 3, 3) of matrices (..., 4, 4) that also scale."""
    linear = matrices[..., :3, :3]
    return linear / np.linalg.norm(linear, axis=-2, keepdims=True)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("joint", TRUNK)
def test_trunk_and_head_are_turned_as_the_clips_are(seed: int, joint: str) -> None:
    """Bones keep their place on the body: posed @ inverse(rest) on the rig's axes is the joint's own rotation."""
    body, clip = canonical_body(), random_clip(seed, 16)
    rig, skeleton_map = random_rig(RigSpec(seed, 0.7))
    bone = rig.index(skeleton_map.joints[joint][0])
    posed = rotation_part(evaluate_matrices(rig, retarget(clip, rig, skeleton_map, RetargetOptions(plant_feet=False))))
    rest = rotation_part(rig.object_matrix @ rig.rest_matrices[bone])
    turned = posed[:, bone] @ rest.T @ rotation_part(rig.object_matrix)
    _, world = forward_kinematics(body, clip.rotations_wxyz.astype(np.float64), clip.root_world_m)
    wanted = quaternion_to_matrix(world[:, body.joint_index(joint)])
    cosine = (np.trace(turned @ np.swapaxes(wanted, -1, -2), axis1=-2, axis2=-1) - 1) / 2
    assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).max() < 0.1
