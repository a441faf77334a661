"""Motions with a known truth for the tests: procedural walking, a punch, and mocap clips read from BVH files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from blender_addon.motion.body import BodyShape, canonical_body, forward_kinematics
from blender_addon.motion.clip import ClipHeader, MotionClip
from blender_addon.motion.limb_ik import Limb, two_bone_ik
from blender_addon.motion.posing import PosedBody, find_feet, pose_body, with_motion
from blender_addon.motion.rotations import (
    matrix_to_quaternion,
    quaternion_conjugate,
    quaternion_multiply,
    quaternion_normalize,
    quaternion_rotate,
    rotvec_to_quaternion,
)


def identity_rotations(frames: int) -> np.ndarray:
    rotations = np.zeros((frames, len(canonical_body().joint_names), 4))
    rotations[..., 0] = 1.0
    return rotations


def person_shape(height_m: float = 1.75) -> BodyShape:
    return BodyShape(height_m, np.ones(len(canonical_body().joint_names)))


def make_clip(times_s: np.ndarray, rotations: np.ndarray, root_m: np.ndarray, height_m: float = 1.75) -> MotionClip:
    """A clip of that motion, seen by a level camera 4 m in front (the world's -Y) and 1 m up."""
    body = canonical_body()
    frames, joints = len(times_s), len(body.joint_names)
    world_from_camera = np.tile(np.eye(4), (frames, 1, 1))
    world_from_camera[:, :3, :3] = [[1, 0, 0], [0, 0, 1], [0, -1, 0]]
    world_from_camera[:, :3, 3] = [0.0, -4.0, 1.0]
    points = body.subsets["h36m17"]
    keypoints = body.subsets["blazepose33"]
    clip = MotionClip(
        times_s=times_s,
        rotations_wxyz=rotations,
        root_world_m=root_m,
        root_camera_m=np.zeros((frames, 3)),
        joints_camera_m=np.zeros((frames, len(points), 3)),
        keypoints_px=np.zeros((frames, len(keypoints), 2)),
        keypoint_confidence=np.zeros((frames, len(keypoints))),
        confidence=np.where(np.isfinite(root_m).all(axis=1), 0.9, 0.0),
        score=np.zeros(frames),
        margin=np.zeros(frames),
        contacts=np.zeros((frames, 4)),
        intrinsics=np.array([[1000.0, 0, 640], [0, 1000, 360], [0, 0, 1]]),
        world_from_camera=world_from_camera,
        bone_scales=np.ones(joints),
        body_joint_names=body.joint_names,
        joint_names=points,
        keypoint_names=keypoints,
        header=ClipHeader(source="test", source_fps=1.0 / float(np.median(np.diff(times_s))), body_height_m=height_m),
    )
    return with_motion(clip, rotations, root_m)


def walking(
    seconds: float = 6.0, fps: float = 30.0, height_m: float = 1.75, heading_rad: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Walking on exactly planted feet: times (T,), rotations (T, J, 4), root (T, 3) and planted (T, 4)."""
    body, shape = canonical_body(), person_shape(height_m)
    times = np.arange(round(seconds * fps)) / fps
    leg = sum(np.linalg.norm(body.offsets_m[body.joint_index(f"left_{name}")]) for name in ("knee", "ankle"))
    leg *= height_m / body.height_m
    frames, period, stride = len(times), 1.1, 1.35 * leg
    rotations = identity_rotations(frames)
    phase = times / period
    turn = rotvec_to_quaternion(np.array([0.0, 0.0, heading_rad]))
    forward = quaternion_rotate(turn, np.array([0.0, -1.0, 0.0]))
    rest = body.rest_positions_m() * height_m / body.height_m
    root = forward * (stride * phase)[:, None]
    root[:, 2] = rest[0, 2] - 0.15 * leg + 0.02 * np.cos(4 * np.pi * phase)
    rotations[:, 0] = turn
    swing = 0.5 * np.sin(2 * np.pi * phase)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        arm = quaternion_multiply(
            rotvec_to_quaternion(np.stack([sign * swing, 0 * swing, 0 * swing], -1)),
            rotvec_to_quaternion(np.array([0.0, sign * 1.35, 0.0])),
        )
        rotations[:, body.joint_index(f"{side}_shoulder")] = arm
        rotations[:, body.joint_index(f"{side}_elbow")] = rotvec_to_quaternion(np.array([0.0, 0.0, -sign * 0.4]))
    posed = pose_body(body, shape, rotations, root)
    planted = np.zeros((frames, 4), dtype=bool)
    for index, side in enumerate(("left", "right")):
        own = phase + 0.5 * index
        cycle, part = np.floor(own), own - np.floor(own)
        stance = 0.6
        moving = np.clip((part - stance) / (1 - stance), 0.0, 1.0)
        eased = moving**3 * (10 - 15 * moving + 6 * moving**2)
        along = stride * (cycle + eased - 0.5 * index + stance / 2)
        lift = 0.12 * np.sin(np.pi * moving) ** 2
        hip = body.joint_index(f"{side}_hip")
        across = quaternion_rotate(turn, np.array([rest[hip, 0], 0.0, 0.0]))
        ankle = forward * along[:, None] + across
        ankle[:, 2] = rest[body.joint_index(f"{side}_ankle"), 2] + lift
        _place_leg(posed, rotations, side, ankle, turn)
        planted[:, 2 * index : 2 * index + 2] = (part <= stance)[:, None]
    return times, rotations, root, planted


def _place_leg(posed: PosedBody, rotations: np.ndarray, side: str, ankle_m: np.ndarray, sole: np.ndarray) -> None:
    """Write the rotations that put one ankle at `ankle_m` with the sole level."""
    body = canonical_body()
    hip, knee, ankle = (body.joint_index(f"{side}_{name}") for name in ("hip", "knee", "ankle"))
    limb = Limb(posed.positions_m[:, hip], posed.positions_m[:, knee], posed.positions_m[:, ankle])
    led = two_bone_ik(limb, ankle_m, bend_hint=quaternion_rotate(sole, np.array([0.0, -1.0, 0.0])))
    assert led.reached.all(), "the walking motion stretches a leg"
    thigh = quaternion_multiply(led.upper_turn_wxyz, posed.world_wxyz[:, hip])
    shin = quaternion_multiply(led.lower_turn_wxyz, posed.world_wxyz[:, knee])
    rotations[:, hip] = quaternion_multiply(quaternion_conjugate(rotations[:, 0]), thigh)
    rotations[:, knee] = quaternion_multiply(quaternion_conjugate(thigh), shin)
    rotations[:, ankle] = quaternion_multiply(quaternion_conjugate(shin), np.broadcast_to(sole, shin.shape))


def jittered(rotations: np.ndarray, sigma_rad: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(*rotations.shape[:-1], 3)) * sigma_rad
    return quaternion_multiply(rotations, rotvec_to_quaternion(noise))


def joints_world(clip: MotionClip) -> np.ndarray:
    body = canonical_body()
    shape = BodyShape(clip.header.body_height_m, clip.bone_scales)
    return forward_kinematics(body, clip.rotations_wxyz, clip.root_world_m, shape)[0]


def foot_points(clip: MotionClip) -> np.ndarray:
    body = canonical_body()
    shape = BodyShape(clip.header.body_height_m, clip.bone_scales)
    return find_feet(body, pose_body(body, shape, clip.rotations_wxyz, clip.root_world_m)).positions_m


def with_contacts(clip: MotionClip, planted: np.ndarray) -> MotionClip:
    return replace(clip, contacts=planted.astype(np.float64))


_DAZ_NAMES = {
    "pelvis": "hip", "spine": "abdomen", "chest": "chest", "upper_chest": "chest", "neck": "neck", "head": "head",
    **{
        f"{long}_{name}": f"{short}{bone}"
        for long, short in (("left", "l"), ("right", "r"))
        for name, bone in {
            "clavicle": "Collar", "shoulder": "Shldr", "elbow": "ForeArm", "wrist": "Hand", "hand": "Hand",
            "hip": "Thigh", "knee": "Shin", "ankle": "Foot", "toe": "Foot",
        }.items()
    },
}  # fmt: skip


@dataclass(frozen=True)
class _Bvh:
    """Joint names, offsets (N, 3) and world rotations (T, N, 4), root position (T, 3) in file units, frame time."""

    names: list[str]
    offsets: np.ndarray
    world_wxyz: np.ndarray
    root: np.ndarray
    interval_s: float


def read_daz_bvh(path: Path, height_m: float = 1.75) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Motion of a BVH file with Daz names, laid on the canonical body by its world rotations.

    Returns times (T,), rotations (T, J, 4) and root (T, 3) in m, Z up, the usual lowest foot on the floor.
    """
    # frame 0 is a T-pose
    bvh = _read_bvh(path)
    bvh = replace(bvh, world_wxyz=bvh.world_wxyz[1:], root=bvh.root[1:])
    body = canonical_body()
    # the file is Y up and faces +Z
    up = matrix_to_quaternion(np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]))
    own = [bvh.names.index(_DAZ_NAMES[joint]) for joint in body.joint_names]
    world = quaternion_multiply(quaternion_multiply(up, bvh.world_wxyz[:, own]), quaternion_conjugate(up))
    rotations = world.copy()
    rotations[:, 1:] = quaternion_multiply(quaternion_conjugate(world[:, body.parents[1:]]), world[:, 1:])
    shape = person_shape(height_m)
    leg = sum(np.linalg.norm(body.offsets_m[body.joint_index(f"left_{name}")]) for name in ("knee", "ankle"))
    file_leg = sum(np.linalg.norm(bvh.offsets[bvh.names.index(name)]) for name in ("lShin", "lFoot"))
    root = quaternion_rotate(up, bvh.root) * (leg / file_leg * height_m / body.height_m)
    root[:, :2] -= root[0, :2]
    feet = find_feet(body, pose_body(body, shape, rotations, root))
    root[:, 2] -= np.percentile((feet.positions_m[..., 2] - feet.clearance_m).min(axis=1), 30)
    return np.arange(len(root)) * bvh.interval_s, quaternion_normalize(rotations), root


def _read_bvh(path: Path) -> _Bvh:
    lines = [line.split() for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    motion = lines.index(["MOTION"])
    names, parents, channels, offsets = _bvh_hierarchy(lines[:motion])
    interval = float(lines[motion + 2][-1])
    table = np.array([[float(word) for word in line] for line in lines[motion + 3 :]])
    world = np.zeros((len(table), len(names), 4))
    root = np.zeros((len(table), 3))
    column = 0
    for index, own in enumerate(channels):
        local = np.tile([1.0, 0, 0, 0], (len(table), 1))
        for channel in own:
            axis = "XYZ".index(channel[0])
            if channel.endswith("rotation"):
                vector = np.deg2rad(table[:, column, None]) * np.eye(3)[axis]
                local = quaternion_multiply(local, rotvec_to_quaternion(vector))
            elif index == 0:
                root[:, axis] = table[:, column]
            column += 1
        parent = parents[index]
        world[:, index] = local if parent < 0 else quaternion_multiply(world[:, parent], local)
    return _Bvh(names, np.array(offsets), world, root, interval)


def _bvh_hierarchy(lines: list[list[str]]) -> tuple[list[str], list[int], list[list[str]], list[list[float]]]:
    """Names, parents, channels and offsets; end sites are left out."""
    names: list[str] = []
    parents: list[int] = []
    channels: list[list[str]] = []
    offsets: list[list[float]] = []
    stack: list[int] = []
    for words in lines:
        if words[0] in ("ROOT", "JOINT"):
            parents.append(stack[-1] if stack else -1)
            names.append(words[1])
            channels.append([])
            offsets.append([0.0, 0.0, 0.0])
            stack.append(len(names) - 1)
        elif words[0] == "End":
            stack.append(-1)
        elif words[0] == "OFFSET" and stack[-1] >= 0:
            offsets[stack[-1]] = [float(word) for word in words[1:4]]
        elif words[0] == "CHANNELS":
            channels[stack[-1]] = words[2:]
        elif words[0] == "}":
            stack.pop()
    return names, parents, channels, offsets
