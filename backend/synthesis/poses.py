"""Where the poses of rendered bodies come from: frames of mocap, evenly over kinds of pose, and random poses.

May import numpy, `backend.datasets` and `blender_addon.motion`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.datasets import read_library
from backend.errors import BadInputError
from backend.keypoint_layouts import CANONICAL_BODY
from backend.types import Array
from blender_addon.motion.body import canonical_body, forward_kinematics
from blender_addon.motion.rotations import (
    quaternion_multiply,
    quaternion_normalize,
    quaternion_slerp,
    rotvec_to_quaternion,
)

_KINDS_OF_POSE = 300
_FRAME_STEP = 3  # mocap at 30/s: neighbouring frames show the same pose
_PLACED = ("left_ankle", "right_ankle", "left_toe", "right_toe", "left_wrist", "right_wrist", "head", "pelvis",
           "left_knee", "right_knee")  # fmt: skip


@dataclass(frozen=True, slots=True)
class DrawnPose:
    """rotations_wxyz (J, 4) with the root in a Z-up world; clearance_m of the lowest joint over its rest height;
    source row in the pose collection, or -1 for a random pose.
    """

    rotations_wxyz: Array
    clearance_m: float
    source: int


@dataclass(frozen=True, slots=True)
class PoseCollection:
    """Poses (N, J, 4), clearance_m (N,), kind (N,) cluster number, and (N,) index into `takes` (subject/action)."""

    rotations_wxyz: Array
    clearance_m: Array
    kind: NDArray[np.intp]
    take: NDArray[np.intp]
    takes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.clearance_m)


def empty_collection() -> PoseCollection:
    """No mocap: every pose will be random."""
    return PoseCollection(
        np.zeros((0, CANONICAL_BODY.count, 4)), np.zeros(0), np.zeros(0, np.intp), np.zeros(0, np.intp), ()
    )


def collect_poses(mocap: Path, held_out: bool = False) -> PoseCollection:
    """Read a mocap folder; the subjects held out for evaluation only when asked for. Raises BadInputError."""
    library = read_library(mocap)
    takes = library.held_out() if held_out else library.training()
    if not takes:
        wanted = "held-out" if held_out else "training"
        raise BadInputError(f"{mocap} has no take of a {wanted} subject", "Give --mocap another folder")
    rotations = np.concatenate([take.rotations_wxyz[::_FRAME_STEP] for take in takes]).astype(np.float32)
    roots = np.concatenate([take.root_m[::_FRAME_STEP] for take in takes])
    owner = np.concatenate([np.full(len(take.root_m[::_FRAME_STEP]), row) for row, take in enumerate(takes)])
    positions, _ = forward_kinematics(canonical_body(), rotations.astype(np.float64), roots)
    names = tuple(f"{take.subject}/{take.action}" for take in takes)
    return PoseCollection(rotations, _clearance(positions), kinds_of_pose(rotations), owner.astype(np.intp), names)


def write_collection(collection: PoseCollection, path: Path) -> None:
    """Write a collection as npz."""
    np.savez_compressed(
        path,
        rotations_wxyz=collection.rotations_wxyz,
        clearance_m=collection.clearance_m,
        kind=collection.kind,
        take=collection.take,
        takes=np.array(collection.takes, dtype=str),
    )


def read_collection(path: Path) -> PoseCollection:
    """Read a collection written by `write_collection`. Raises BadInputError."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as data:
            takes = tuple(str(name) for name in data["takes"])
            return PoseCollection(data["rotations_wxyz"], data["clearance_m"], data["kind"], data["take"], takes)
    except (OSError, KeyError, ValueError) as fault:
        raise BadInputError(f"{path} is not a pose collection ({fault})", "Remove it and start again") from fault


def kinds_of_pose(rotations_wxyz: Array) -> NDArray[np.intp]:
    """Group poses (N, J, 4) by shape, whatever their heading: nearest of 300 spread-out examples (N,)."""
    body = canonical_body()
    upright = rotations_wxyz.astype(np.float64).copy()
    heading = np.arctan2(upright[:, 0, 3], upright[:, 0, 0])  # twist about Z
    turn = np.stack([np.cos(heading), 0 * heading, 0 * heading, -np.sin(heading)], axis=-1)
    upright[:, 0] = quaternion_multiply(turn, upright[:, 0])
    shape, _ = forward_kinematics(body, upright, np.zeros((len(upright), 3)))
    flat = shape.reshape(len(shape), -1).astype(np.float32)
    centers = [0]
    distance = np.full(len(flat), np.inf)
    for _ in range(min(_KINDS_OF_POSE, len(flat)) - 1):  # farthest-point sampling
        distance = np.minimum(distance, ((flat - flat[centers[-1]]) ** 2).sum(axis=1))
        centers.append(int(distance.argmax()))
    scores = flat @ flat[centers].T - 0.5 * (flat[centers] ** 2).sum(axis=1)
    return scores.argmax(axis=1).astype(np.intp)


def draw_pose(rng: np.random.Generator, collection: PoseCollection, random_share: float) -> DrawnPose:
    """A pose: half of the mocap draws pick a kind first, so that rare poses are as common as walking."""
    if len(collection) == 0 or rng.random() < random_share:
        return random_pose(rng)
    row = int(rng.integers(len(collection)))
    if rng.random() < 0.5:
        kinds = np.unique(collection.kind)
        members = np.flatnonzero(collection.kind == kinds[rng.integers(len(kinds))])
        row = int(members[rng.integers(len(members))])
    rotations = collection.rotations_wxyz[row].astype(np.float64)
    if rng.random() < 0.5:
        rotations = mirrored(rotations)
    if rng.random() < 0.6:
        rotations = _varied(rng, rotations, 4.0)
    return DrawnPose(_turned(rng, rotations), float(collection.clearance_m[row]), row)


def draw_motion(
    rng: np.random.Generator, collection: PoseCollection, random_share: float, frames: int
) -> list[DrawnPose]:
    """`frames` poses in a row at 30/s around a drawn one; one frame is just `draw_pose`. A random pose stands still."""
    first = draw_pose(rng, collection, random_share)
    if frames == 1 or first.source < 0:
        return [first] * frames
    take = np.flatnonzero(collection.take == collection.take[first.source])
    place = first.source + (np.arange(frames) - frames // 2) / _FRAME_STEP
    place = np.clip(place, take[0], take[-1])
    low = np.floor(place).astype(np.intp)
    high = np.minimum(low + 1, take[-1])
    known = collection.rotations_wxyz.astype(np.float64)
    turned = quaternion_slerp(known[low], known[high], (place - low)[:, None])
    if rng.random() < 0.5:
        turned = mirrored(turned)
    heading = rotvec_to_quaternion(np.array([0.0, 0.0, rng.uniform(-np.pi, np.pi)]))
    turned[:, 0] = quaternion_multiply(np.broadcast_to(heading, turned[:, 0].shape), turned[:, 0])
    height = float(collection.clearance_m[first.source])
    return [DrawnPose(rotations, height, first.source) for rotations in turned]


def mirrored(rotations_wxyz: Array) -> Array:
    """The same pose (..., J, 4) seen in a mirror: left and right change places."""
    return rotations_wxyz[..., canonical_body().mirror, :] * np.array([1.0, 1.0, -1.0, -1.0])


# (root, hips, knees, spine, shoulders down, arms forward) in degrees about the body's axes; the middle of each kind
_STANCES: dict[str, tuple[float, float, float, float, float, float]] = {
    "stand": (0, -5, 8, 2, 70, 0),
    "sit": (-5, -85, 85, 8, 60, 15),
    "squat": (15, -110, 125, 15, 30, 50),
    "kneel": (0, -10, 110, 5, 60, 10),
    "all fours": (80, -85, 90, 5, 5, 80),
    "bend": (45, -60, 10, 25, 60, 40),
    "sit on floor": (-10, -95, 30, 15, 50, 10),
    "lie on back": (-90, -20, 25, 0, 40, 0),
    "lie on front": (90, 0, 15, -5, 20, 20),
    "reach up": (0, 0, 5, -5, -60, 10),
}


def random_pose(rng: np.random.Generator) -> DrawnPose:
    """A plausible pose without mocap: a stance, varied within the joints' limits."""
    names = canonical_body().joint_names
    root, hips, knees, spine, down, forward = _STANCES[list(_STANCES)[rng.integers(len(_STANCES))]]
    spread = rng.normal(0.0, 1.0, (len(names), 3))
    turns = dict.fromkeys(names, np.zeros(3))
    turns["pelvis"] = np.array([root, 0, 0]) + spread[0] * [10, 8, 0]
    for row, name in enumerate(("spine", "chest", "upper_chest"), start=1):
        turns[name] = np.array([spine, 0, 0]) + spread[row] * [8, 6, 9]
    turns["neck"], turns["head"] = spread[4] * [8, 6, 12], spread[5] * [12, 8, 18]
    for side, sign in (("left", 1.0), ("right", -1.0)):
        here = {
            part: spread[names.index(f"{side}_{part}")] for part in ("clavicle", "shoulder", "elbow", "wrist", "hip")
        }
        flip = np.array([1.0, sign, sign])
        turns[f"{side}_clavicle"] = here["clavicle"] * [2, 6, 6]
        turns[f"{side}_shoulder"] = flip * ([0, down, -forward] + here["shoulder"] * [22, 28, 28])
        turns[f"{side}_elbow"] = flip * [here["elbow"][0] * 35, 0, -float(np.clip(40 + 45 * here["elbow"][2], 0, 145))]
        turns[f"{side}_wrist"] = here["wrist"] * [10, 22, 15]
        flexion = float(np.clip(hips + 20 * here["hip"][0], -130, 25))
        turns[f"{side}_hip"] = flip * [flexion, -8 + 8 * here["hip"][1], 14 * here["hip"][2]] * [1, 1, 1]
        bend = knees + 18 * spread[names.index(f"{side}_knee")][0]
        turns[f"{side}_knee"] = np.array([float(np.clip(bend, 0, 145)), 0, 0])
        turns[f"{side}_ankle"] = spread[names.index(f"{side}_ankle")] * [14, 6, 8]
    rotations = rotvec_to_quaternion(np.radians(np.stack([turns[name] for name in names])))
    return DrawnPose(_turned(rng, rotations), 0.0, -1)


def _varied(rng: np.random.Generator, rotations: Array, sigma_deg: float) -> Array:
    nudge = rotvec_to_quaternion(np.radians(rng.normal(0.0, sigma_deg, (*rotations.shape[:-1], 3))))
    nudge[0] = [1.0, 0.0, 0.0, 0.0]
    return quaternion_normalize(quaternion_multiply(rotations, nudge))


def _turned(rng: np.random.Generator, rotations: Array) -> Array:
    """The pose with a random heading."""
    turned = rotations.copy()
    turned[0] = quaternion_multiply(
        rotvec_to_quaternion(np.array([0.0, 0.0, rng.uniform(-np.pi, np.pi)])), rotations[0]
    )
    return turned


def _clearance(positions_m: Array) -> Array:
    """Height (N,) of the lowest joint over where it rests when it lies on the ground; small values are noise."""
    body = canonical_body()
    joints = [body.joint_index(name) for name in _PLACED]
    rest = body.rest_positions_m()[joints, 2]
    lying = np.minimum(rest, 0.09)
    lowest = (positions_m[:, joints, 2] - lying).min(axis=1)
    return np.where(lowest > 0.06, lowest, 0.0)
