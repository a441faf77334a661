"""Random humanoid rigs for the retarget's tests: numpy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from blender_addon.motion.body import canonical_body
from blender_addon.motion.rotations import (
    quaternion_multiply,
    quaternion_rotate,
    quaternion_to_matrix,
    rotvec_to_quaternion,
)
from blender_addon.retarget.skeleton_map import SkeletonMap
from blender_addon.retarget.target_rig import TargetRig
from tests.retarget.simple_rig import simple_rig


@dataclass(frozen=True)
class RigSpec:
    """What is random about a rig: bone rolls and axes, arm and leg pose at rest, proportions, object transform."""

    seed: int
    arm_drop_rad: float = 0.0
    bones_between: bool = False


def random_rig(spec: RigSpec) -> tuple[TargetRig, SkeletonMap]:
    """A humanoid of random proportions and rest pose, with bone axes and object transform at random."""
    rng = np.random.default_rng(spec.seed)
    body = canonical_body()
    names, parents = list(body.joint_names), [int(parent) for parent in body.parents]
    offsets = body.offsets_m * rng.uniform(0.8, 1.25, (len(names), 1))
    for name in ("left", "right"):
        for joint in ("shoulder", "hip", "knee", "ankle", "elbow", "wrist"):
            partner = names.index(f"right_{joint}")
            own = names.index(f"{name}_{joint}")
            offsets[own] = offsets[partner] * np.array([-1.0, 1.0, 1.0]) if name == "left" else offsets[own]
    turns = np.zeros((len(names), 3))
    for side, sign in (("left", 1.0), ("right", -1.0)):
        turns[names.index(f"{side}_shoulder")] = [rng.uniform(-0.2, 0.2), sign * spec.arm_drop_rad, 0.0]
        turns[names.index(f"{side}_elbow")] = [0.0, 0.0, -sign * rng.uniform(0.0, 0.5)]
        turns[names.index(f"{side}_hip")] = [rng.uniform(-0.1, 0.1), -sign * rng.uniform(0.0, 0.2), 0.0]
        turns[names.index(f"{side}_knee")] = [rng.uniform(0.0, 0.2), 0.0, 0.0]
        turns[names.index(f"{side}_ankle")] = -turns[names.index(f"{side}_knee")] - turns[names.index(f"{side}_hip")]
    rotations = rotvec_to_quaternion(turns)
    world, heads = [rotations[0]], [offsets[0]]
    for joint in range(1, len(names)):
        heads.append(heads[parents[joint]] + quaternion_rotate(world[parents[joint]], offsets[joint]))
        world.append(quaternion_multiply(world[parents[joint]], rotations[joint]))
    return _rig_of(rng, names, parents, np.array(heads), spec)


def _rig_of(rng, names, parents, heads, spec):
    bone_names, bone_parents, places = [], [], []
    index: dict[str, int] = {}
    for joint, name in enumerate(names):
        parent = index[names[parents[joint]]] if parents[joint] >= 0 else -1
        if spec.bones_between and parents[joint] >= 0 and rng.random() < 0.5:
            bone_names.append(f"between_{name}")
            bone_parents.append(parent)
            places.append(heads[parents[joint]] * 0.5 + heads[joint] * 0.5 + rng.normal(size=3) * 0.01)
            parent = len(bone_names) - 1
        index[name] = len(bone_names)
        bone_names.append(name)
        bone_parents.append(parent)
        places.append(heads[joint])
    unit = rng.uniform(0.5, 120.0)
    rest = np.broadcast_to(np.eye(4), (len(bone_names), 4, 4)).copy()
    rest[:, :3, :3] = quaternion_to_matrix(rotvec_to_quaternion(rng.normal(size=(len(bone_names), 3)) * 2.0))
    rest[:, :3, 3] = np.array(places) * unit
    transform = np.eye(4)
    transform[:3, :3] = quaternion_to_matrix(rotvec_to_quaternion(rng.normal(size=3))) / unit * rng.uniform(0.3, 3.0)
    transform[:3, 3] = rng.normal(size=3)
    lengths = np.full(len(bone_names), 0.1 * unit)
    rig = simple_rig("random", tuple(bone_names), np.array(bone_parents), rest, lengths, transform)
    return rig, SkeletonMap("test", "Test", {name: (name,) for name in names})
