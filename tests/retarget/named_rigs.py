"""Rigs with a family's or any other names on the canonical skeleton, for the tests of automatic maps: numpy only."""

from __future__ import annotations

import numpy as np

from blender_addon.motion.body import canonical_body
from blender_addon.retarget.map_files import RigFamily, family_map
from blender_addon.retarget.skeleton_map import SkeletonMap
from blender_addon.retarget.target_rig import TargetRig
from tests.retarget.simple_rig import simple_rig


class RigBuilder:
    """Bones in order, by name, parent's name and head (3,) in m; a bone points at its first child."""

    def __init__(self) -> None:
        self.bones: list[tuple[str, str | None, np.ndarray]] = []

    def add(self, name: str, parent: str | None, head) -> str:
        self.bones.append((name, parent, np.asarray(head, dtype=float)))
        return name

    def build(self, name: str = "rig") -> TargetRig:
        names = [bone for bone, _, _ in self.bones]
        parents = np.array([names.index(parent) if parent else -1 for _, parent, _ in self.bones])
        rest = np.broadcast_to(np.eye(4), (len(names), 4, 4)).copy()
        heads = np.array([head for _, _, head in self.bones])
        rest[:, :3, 3] = heads
        lengths = np.full(len(names), 0.05)
        for bone in range(len(names)):
            children = np.flatnonzero(parents == bone)
            along = heads[children[0]] - heads[bone] if len(children) else np.array([0.0, 0.0, 0.03])
            if parents[bone] >= 0 and not len(children):
                along = 0.3 * (heads[bone] - heads[parents[bone]])
            length = np.linalg.norm(along)
            if length > 1e-6:
                rest[bone, :3, :3] = _pointing(along / length)
                lengths[bone] = length
        return simple_rig(name, tuple(names), parents, rest, lengths)


def _pointing(along: np.ndarray) -> np.ndarray:
    side = np.cross(along, [0.3, 0.5, 0.8])
    side /= np.linalg.norm(side)
    return np.stack([side, along, np.cross(side, along)], axis=1)


def family_rig(family: RigFamily) -> tuple[TargetRig, SkeletonMap]:
    """A family's own bones on the canonical skeleton, and the map that says which is which."""
    truth = family_map(family, lambda name: name)
    body, places = (
        canonical_body(),
        dict(zip(canonical_body().joint_names, canonical_body().rest_positions_m(), strict=True)),
    )
    builder = RigBuilder()
    if truth.root_bone:
        builder.add(truth.root_bone, None, np.zeros(3))
    for joint in body.joint_names:
        if joint not in truth.joints:
            continue
        parent = int(body.parents[body.joint_index(joint)])
        while parent >= 0 and body.joint_names[parent] not in truth.joints:
            parent = int(body.parents[parent])
        above = truth.joints[body.joint_names[parent]][-1] if parent >= 0 else truth.root_bone
        children = [name for name in truth.joints if body.parents[body.joint_index(name)] == body.joint_index(joint)]
        end = places[children[0]] if children else places[joint] + np.array([0.0, 0.0, 0.04])
        for number, bone in enumerate(truth.joints[joint]):
            above = builder.add(bone, above, places[joint] + (end - places[joint]) * number / len(truth.joints[joint]))
    add_fingers(builder, truth)
    return builder.build(family.family), truth


def add_fingers(builder: RigBuilder, truth: SkeletonMap) -> None:
    """The first bone of each finger that the map knows."""
    places = dict(zip(canonical_body().joint_names, canonical_body().rest_positions_m(), strict=True))
    across = {"index": -0.03, "middle": -0.01, "ring": 0.01, "pinky": 0.03, "thumb": -0.04}
    for mark, bone in truth.landmarks.items():
        side, finger = mark.split("_")
        builder.add(bone, truth.joints[f"{side}_wrist"][-1], places[f"{side}_hand"] + np.array([0, across[finger], 0]))


def plain_rig(names: dict[str, str], drop: tuple[str, ...] = (), fingers: bool = False) -> TargetRig:
    """The canonical skeleton with its joints renamed; a joint without a name has no bone, its children move up."""
    body = canonical_body()
    places = dict(zip(body.joint_names, body.rest_positions_m(), strict=True))
    builder = RigBuilder()
    kept = [joint for joint in body.joint_names if joint in names and not joint.startswith(drop or ("-",))]
    for joint in kept:
        parent = int(body.parents[body.joint_index(joint)])
        while parent >= 0 and body.joint_names[parent] not in kept:
            parent = int(body.parents[parent])
        builder.add(names[joint], names[body.joint_names[parent]] if parent >= 0 else None, places[joint])
    if fingers:
        for side in ("left", "right"):
            for number in range(5):
                head = places[f"{side}_hand"] + np.array([0.0, 0.015 * (number - 2), 0.0])
                builder.add(f"{names[f'{side}_wrist']}.digit{number}", names[f"{side}_wrist"], head)
    return builder.build()
