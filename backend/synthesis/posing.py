"""Turns canonical local rotations into bone matrices of the MakeHuman body, and reads joints and sites off them.

May import numpy, `body_model` and `blender_addon.motion`.

Every bone belongs to one canonical joint. A bone's world rotation is the joint's world rotation times `alignment`, the
rotation that turns the bone from the A-pose of the mesh into the canonical T-pose (arms along X, palms down, legs
along -Z). The first bone of a limb takes only part of the limb's twist, as flesh does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.synthesis.body_model import BodyModel, RestBody
from backend.synthesis.fingers import finger_rotations
from backend.synthesis.landmarks import SitePlaces, site_places
from backend.types import Array
from blender_addon.motion.body import bare_name, canonical_body
from blender_addon.motion.rotations import (
    quaternion_from_to,
    quaternion_multiply,
    quaternion_to_matrix,
    quaternion_to_rotvec,
    rotvec_to_quaternion,
    swing_twist,
)

# canonical joint -> the bones it drives; `{}` becomes L and R for the joints that come in pairs
_BONES_OF: dict[str, tuple[str, ...]] = {
    "pelvis": ("root", "pelvis.L", "pelvis.R", "spine05"),
    "spine": ("spine04", "spine03"),
    "chest": ("spine02",),
    "upper_chest": ("spine01",),
    "neck": ("neck01", "neck02", "neck03"),
    "head": ("head", "eye.L", "eye.R"),
    "clavicle": ("clavicle.{}", "shoulder01.{}"),
    "shoulder": ("upperarm01.{}", "upperarm02.{}"),
    "elbow": ("lowerarm01.{}", "lowerarm02.{}"),
    "wrist": ("wrist.{}",),
    "hip": ("upperleg01.{}", "upperleg02.{}"),
    "knee": ("lowerleg01.{}", "lowerleg02.{}"),
    "ankle": ("foot.{}",),
}
_FINGERS = tuple(f"finger{finger}-1" for finger in (2, 3, 4, 5))
_TWIST_SHARE = {"upperarm01": 0.5, "lowerarm01": 0.45, "upperleg01": 0.6}
# where each canonical joint lies: the mean of these bone heads
_JOINT_HEADS: dict[str, tuple[str, ...]] = {
    "pelvis": ("upperleg01.L", "upperleg01.R"),
    "spine": ("spine04",),
    "chest": ("spine02",),
    "upper_chest": ("spine01",),
    "neck": ("neck01",),
    "head": ("head",),
    "clavicle": ("clavicle.{}",),
    "shoulder": ("upperarm01.{}",),
    "elbow": ("lowerarm01.{}",),
    "wrist": ("wrist.{}",),
    "hand": ("finger3-1.{}",),
    "hip": ("upperleg01.{}",),
    "knee": ("lowerleg01.{}",),
    "ankle": ("foot.{}",),
    "toe": ("toe1-1.{}", "toe5-1.{}"),
}


@dataclass(frozen=True, slots=True)
class PoseableBody:
    """A rest body with what posing needs. J canonical joints, B bones.

    joint_of_bone (B,); twist_share (B,) of the joint's twist that a bone takes; alignment (B, 3, 3) from A-pose to
    T-pose; joint_heads: bones whose heads average to each joint; curl_side (B,) is 1 for bones of the left fingers,
    -1 for the right ones, 0 for the rest.
    """

    model: BodyModel
    rest: RestBody
    joint_of_bone: NDArray[np.intp]
    twist_share: Array
    alignment: Array
    joint_heads: tuple[tuple[int, ...], ...]
    curl_side: NDArray[np.intp]
    sites: SitePlaces


@dataclass(frozen=True, slots=True)
class PosedBody:
    """bone_matrices (B, 3, 4) that take rest vertices to the world, joints_m (J, 3), sites_m (S, 3)."""

    bone_matrices: Array
    joints_m: Array
    sites_m: Array

    def moved(self, offset_m: Array) -> PosedBody:
        """The same pose, translated by (3,) metres."""
        matrices = self.bone_matrices.copy()
        matrices[:, :, 3] += offset_m
        return PosedBody(matrices, self.joints_m + offset_m, self.sites_m + offset_m)


def poseable_body(model: BodyModel, rest: RestBody) -> PoseableBody:
    """Prepare a body for posing: which joint drives which bone, and its alignment to the T-pose."""
    joints = canonical_body()
    joint_of_bone, share = np.zeros(len(model.bone_names), dtype=np.intp), np.ones(len(model.bone_names))
    direct = {
        bone: joint
        for joint in joints.joint_names
        for bone in (pattern.format(_side(joint)) for pattern in _BONES_OF.get(bare_name(joint), ()))
    }
    curl = np.zeros(len(model.bone_names), dtype=np.intp)
    for index, name in enumerate(model.bone_names):
        stem, _, side = name.partition(".")
        if name in direct:
            joint_of_bone[index] = joints.joint_index(direct[name])
        elif stem in _FINGERS:
            joint_of_bone[index] = joints.joint_index(f"{_word(side)}_hand")
        elif stem.startswith("toe") and stem.endswith("-1"):
            joint_of_bone[index] = joints.joint_index(f"{_word(side)}_toe")
        else:
            joint_of_bone[index] = joint_of_bone[model.bone_parents[index]]
        share[index] = _TWIST_SHARE.get(stem, 1.0)
        if stem.startswith("finger") and not stem.startswith("finger1"):
            curl[index] = 1 if side == "L" else -1
    heads = tuple(
        tuple(model.bone(pattern.format(_side(joint))) for pattern in _JOINT_HEADS[bare_name(joint)])
        for joint in joints.joint_names
    )
    alignment = _alignment(model, rest, joint_of_bone)
    return PoseableBody(model, rest, joint_of_bone, share, alignment, heads, curl, site_places(model))


def pose_body(
    body: PoseableBody,
    rotations_wxyz: Array,
    root_m: Array,
    finger_curl_rad: tuple[float, float] = (0.0, 0.0),
    fingers_wxyz: Array | None = None,
) -> PosedBody:
    """Pose a body by local rotations (J, 4) on the canonical body, its pelvis at `root_m` (3,) in m.

    `finger_curl_rad` bends the three joints of the left and right fingers by that much each; `fingers_wxyz`
    (2, 15, 4), rotations of the canonical hand's joints, take its place.
    """
    joint_matrices = _joint_matrices(np.asarray(rotations_wxyz, dtype=np.float64))
    partial = _partial_twist_matrices(np.asarray(rotations_wxyz, dtype=np.float64), joint_matrices, body)
    parents, heads = body.model.bone_parents, body.rest.bone_heads_m.astype(np.float64)
    rotation = np.empty((len(parents), 3, 3))
    position = np.empty((len(parents), 3))
    curl = _curl_matrices(body, finger_curl_rad)
    if fingers_wxyz is not None:
        wrists = joint_matrices[[canonical_body().joint_index(f"{side}_wrist") for side in ("left", "right")]]
        partial |= {
            bone: turn @ body.alignment[bone].T
            for bone, turn in finger_rotations(body.model, body.rest, body.alignment, wrists, fingers_wxyz).items()
        }
        curl = {}
    for bone, parent in enumerate(parents):
        turn = partial.get(bone)
        matrix = joint_matrices[body.joint_of_bone[bone]] if turn is None else turn
        rotation[bone] = matrix @ curl.get(bone, _EYE) @ body.alignment[bone]
        position[bone] = (
            heads[bone] if parent < 0 else position[parent] + rotation[parent] @ (heads[bone] - heads[parent])
        )
    joints = np.stack([position[list(bones)].mean(axis=0) for bones in body.joint_heads])
    offset = np.asarray(root_m, dtype=np.float64) - joints[0]
    position, joints = position + offset, joints + offset
    moved = position - np.einsum("bij,bj->bi", rotation, heads)
    matrices = np.concatenate([rotation, moved[:, :, None]], axis=2)
    return PosedBody(matrices, joints, _sites(body, matrices, position))


def skin_vertices(body: PoseableBody, bone_matrices: Array, vertices: NDArray[np.integer]) -> Array:
    """Posed positions (N, 3) of some rest vertices (N,), by linear blend skinning with four weights."""
    points = body.rest.vertices_m[vertices].astype(np.float64)
    matrices = bone_matrices[body.model.weight_bones[vertices]]
    blended = np.einsum("nw,nwij->nij", body.model.weights[vertices], matrices)
    return np.einsum("nij,nj->ni", blended[:, :, :3], points) + blended[:, :, 3]


_EYE = np.eye(3)


def _side(joint: str) -> str:
    return "L" if joint.startswith("left_") else "R"


def _word(side: str) -> str:
    return "left" if side == "L" else "right"


def _joint_matrices(rotations_wxyz: Array) -> Array:
    parents = canonical_body().parents
    local = quaternion_to_matrix(rotations_wxyz)
    world = np.empty_like(local)
    for joint, parent in enumerate(parents):
        world[joint] = local[joint] if parent < 0 else world[parent] @ local[joint]
    return world


def _partial_twist_matrices(rotations_wxyz: Array, world: Array, body: PoseableBody) -> dict[int, Array]:
    """World rotations of the bones that take only a share of their joint's twist about the limb."""
    partial: dict[int, Array] = {}
    parents = canonical_body().parents
    for bone in np.flatnonzero(body.twist_share < 1.0):
        joint = int(body.joint_of_bone[bone])
        axis = np.array([0.0, 0.0, -1.0]) if "leg" in body.model.bone_names[bone] else np.array([1.0, 0.0, 0.0])
        swing, twist = swing_twist(rotations_wxyz[joint], axis)
        share = rotvec_to_quaternion(quaternion_to_rotvec(twist) * body.twist_share[bone])
        local = quaternion_to_matrix(quaternion_multiply(swing, share))
        partial[int(bone)] = world[parents[joint]] @ local
    return partial


def _curl_matrices(body: PoseableBody, finger_curl_rad: tuple[float, float]) -> dict[int, Array]:
    """Rotations about Y, added up along each finger, in the T-pose's frame of the hand."""
    if not any(finger_curl_rad):
        return {}
    matrices = {}
    for bone in np.flatnonzero(body.curl_side):
        side = int(body.curl_side[bone])
        phalanx = int(body.model.bone_names[bone].split(".")[0][-1])
        angle = side * phalanx * finger_curl_rad[0 if side > 0 else 1]
        matrices[int(bone)] = quaternion_to_matrix(rotvec_to_quaternion(np.array([0.0, angle, 0.0])))
    return matrices


def _alignment(model: BodyModel, rest: RestBody, joint_of_bone: NDArray[np.intp]) -> Array:
    alignment = np.tile(_EYE, (len(model.bone_names), 1, 1))
    for side, sign in (("L", 1.0), ("R", -1.0)):
        _align_arm(model, rest, alignment, side, np.array([sign, 0.0, 0.0]))
        _align_leg(model, rest, alignment, side)
    explicit = {name.format(side) for names in _BONES_OF.values() for name in names for side in "LR"}
    for bone, parent in enumerate(model.bone_parents):
        if parent >= 0 and model.bone_names[bone] not in explicit:
            alignment[bone] = alignment[parent]
    for side in "LR":  # the foot keeps the rest pose's flat sole, whatever the shin does
        alignment[model.bone(f"foot.{side}")] = _EYE
        for bone, name in enumerate(model.bone_names):
            if name.startswith("toe") and name.endswith(side):
                alignment[bone] = _EYE
    return alignment


def _turn(source: Array, target: Array) -> Array:
    return quaternion_to_matrix(quaternion_from_to(source, target))


def _align_arm(model: BodyModel, rest: RestBody, alignment: Array, side: str, along: Array) -> None:
    head = {name: rest.bone_heads_m[model.bone(f"{name}.{side}")].astype(np.float64) for name in _ARM_POINTS}
    upper = _turn(head["lowerarm01"] - head["upperarm01"], along)
    lower = _turn(upper @ (head["wrist"] - head["lowerarm01"]), along) @ upper
    hand = _turn(lower @ (head["finger3-1"] - head["wrist"]), along) @ lower
    across = hand @ (head["finger2-1"] - head["finger5-1"])  # palm down: from the little finger to the index is -Y
    twist = np.arctan2(-across[2], -across[1])
    for name, share in (("lowerarm01", _TWIST_SHARE["lowerarm01"]), ("lowerarm02", 1.0)):
        alignment[model.bone(f"{name}.{side}")] = _about_x(twist * share) @ lower
    for name in ("upperarm01", "upperarm02"):
        alignment[model.bone(f"{name}.{side}")] = upper
    alignment[model.bone(f"wrist.{side}")] = _about_x(twist) @ hand


_ARM_POINTS = ("upperarm01", "lowerarm01", "wrist", "finger2-1", "finger3-1", "finger5-1")


def _about_x(angle: float) -> Array:
    return quaternion_to_matrix(rotvec_to_quaternion(np.array([-angle, 0.0, 0.0])))


def _align_leg(model: BodyModel, rest: RestBody, alignment: Array, side: str) -> None:
    down = np.array([0.0, 0.0, -1.0])
    hip, knee, ankle = (
        rest.bone_heads_m[model.bone(f"{n}.{side}")].astype(np.float64) for n in ("upperleg01", "lowerleg01", "foot")
    )
    thigh = _turn(knee - hip, down)
    shin = _turn(thigh @ (ankle - knee), down) @ thigh
    for name, matrix in (("upperleg01", thigh), ("upperleg02", thigh), ("lowerleg01", shin), ("lowerleg02", shin)):
        alignment[model.bone(f"{name}.{side}")] = matrix


def _sites(body: PoseableBody, matrices: Array, bone_positions: Array) -> Array:
    places = body.sites
    skinned = skin_vertices(body, matrices, places.vertices.ravel()).reshape(*places.vertices.shape, 3).mean(axis=1)
    return np.where(places.bones[:, None] >= 0, bone_positions[places.bones], skinned)
