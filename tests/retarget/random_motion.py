"""Random and built clips for the retarget's tests: numpy only, so that they serve under bpy as well."""

from __future__ import annotations

import numpy as np

from blender_addon.motion.body import canonical_body, forward_kinematics
from blender_addon.motion.clip import ClipHeader, MotionClip
from blender_addon.motion.limb_ik import Limb, two_bone_ik
from blender_addon.motion.rotations import quaternion_multiply, quaternion_rotate, rotvec_to_quaternion

# how far joints may turn from the T-pose, in rad: about what people do
REACH_RAD = {
    "pelvis": 0.5,
    "head": 0.5,
    "neck": 0.4,
    "shoulder": 1.4,
    "elbow": 1.2,
    "wrist": 0.7,
    "hip": 1.1,
    "knee": 1.1,
}
LIMBS = [
    (f"{side}_{upper}", f"{side}_{lower}")
    for side in ("left", "right")
    for upper, lower in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
]


def make_clip(rotations_wxyz, root_m, contacts=None, fps=30.0, header=None):
    """A clip of those rotations (T, J, 4) and pelvis positions (T, 3), everything else plain."""
    frames, joints = rotations_wxyz.shape[:2]
    return MotionClip(
        times_s=np.arange(frames) / fps,
        rotations_wxyz=rotations_wxyz,
        root_world_m=root_m,
        root_camera_m=np.zeros((frames, 3)),
        joints_camera_m=np.zeros((frames, 17, 3)),
        keypoints_px=np.zeros((frames, 33, 2)),
        keypoint_confidence=np.zeros((frames, 33)),
        confidence=np.ones(frames),
        score=np.ones(frames),
        margin=np.ones(frames),
        contacts=np.zeros((frames, 4)) if contacts is None else contacts,
        intrinsics=np.eye(3),
        world_from_camera=np.broadcast_to(np.eye(4), (frames, 4, 4)),
        bone_scales=np.ones(joints),
        body_joint_names=canonical_body().joint_names,
        joint_names=tuple(f"joint_{i}" for i in range(17)),
        keypoint_names=tuple(f"keypoint_{i}" for i in range(33)),
        header=header or ClipHeader(),
    )


def random_clip(seed: int, frames: int, step: float = 0.08, travel: bool = True) -> MotionClip:
    """A smooth random motion: every joint wanders within its reach, the body turns and walks about."""
    rng = np.random.default_rng(seed)
    body = canonical_body()
    phases = rng.uniform(0, 2 * np.pi, (len(body.joint_names), 3, 3))
    speeds = rng.uniform(0.2, 1.0, (len(body.joint_names), 3, 3)) * step
    time = np.arange(frames)[:, None, None, None]
    waves = np.sin(phases + speeds * time).mean(axis=-1)
    reach = np.array([REACH_RAD.get(name.split("_")[-1], 0.25) for name in body.joint_names])
    rotvecs = waves * reach[None, :, None] * 1.5
    rotations = rotvec_to_quaternion(rotvecs)
    turn = rotvec_to_quaternion(np.outer(3.0 * np.sin(0.3 * step * np.arange(frames)), [0.0, 0.0, 1.0]))
    rotations[:, 0] = quaternion_multiply(turn, rotations[:, 0])
    path = 2.0 * np.sin(step * 0.2 * np.arange(frames)[:, None] * np.array([1.0, 0.7, 0.0]))
    return make_clip(rotations, path * travel + np.array([0.0, 0.0, 0.95]))


def still_feet_clip(frames: int = 120, fps: float = 30.0) -> MotionClip:
    """A person who squats and sways over two planted feet: the feet never move, pelvis and knees do.

    Built backwards: feet fixed, pelvis led about, legs solved by two-bone IK on the canonical body.
    """
    body = canonical_body()
    time = np.arange(frames) / fps
    squat = -0.09 * (1 - np.cos(2.5 * time)) - 0.02
    sway = np.stack([0.06 * np.sin(2.0 * time), 0.04 * np.sin(1.3 * time), squat], -1)
    rotations = np.zeros((frames, len(body.joint_names), 4))
    rotations[..., 0] = 1.0
    lean = np.stack([0.15 * np.sin(time), 0.1 * np.sin(1.7 * time), 0.3 * np.sin(time)], -1)
    rotations[:, 0] = rotvec_to_quaternion(lean)
    root = body.rest_positions_m()[0] + sway
    ankles = {side: body.rest_positions_m()[body.joint_index(f"{side}_ankle")] for side in ("left", "right")}
    for side, ankle in ankles.items():
        hip, knee, foot = (body.joint_index(f"{side}_{name}") for name in ("hip", "knee", "ankle"))
        positions, world = forward_kinematics(body, rotations, root)
        limb = Limb(positions[:, hip], positions[:, knee], positions[:, foot])
        led = two_bone_ik(limb, np.broadcast_to(ankle, (frames, 3)), np.array([0.0, -1.0, 0.0]))
        new_hip = quaternion_multiply(led.upper_turn_wxyz, world[:, hip])
        new_knee = quaternion_multiply(led.lower_turn_wxyz, world[:, knee])
        inverse = np.array([1.0, -1.0, -1.0, -1.0])
        rotations[:, hip] = quaternion_multiply(world[:, 0] * inverse, new_hip)
        rotations[:, knee] = quaternion_multiply(new_hip * inverse, new_knee)
        rotations[:, foot] = new_knee * inverse
    return make_clip(rotations, root, np.ones((frames, 4)), fps)


def walk_clip(steps: int = 6, fps: float = 30.0) -> MotionClip:
    """A walk along -Y with heel strike, flat foot and toe-off, built from foot paths by two-bone IK."""
    body = canonical_body()
    period, stride = 1.1, 1.2
    time = np.arange(int(steps * period / 2 * fps)) / fps
    frames = len(time)
    rotations = np.zeros((frames, len(body.joint_names), 4))
    rotations[..., 0] = 1.0
    phase = 2 * np.pi * time / period
    yaw = 0.12 * np.sin(phase)
    rotations[:, 0] = rotvec_to_quaternion(np.stack([0 * yaw + 0.03, 0.03 * np.sin(phase), yaw], -1))
    rotations[:, 3] = rotvec_to_quaternion(np.stack([0 * yaw, 0 * yaw, -1.8 * yaw], -1))
    root = body.rest_positions_m()[0] + np.stack(
        [0.02 * np.sin(phase), -stride * time / period, -0.035 - 0.018 * np.cos(2 * phase)], -1
    )
    contacts = np.zeros((frames, 4))
    for number, side in enumerate(("left", "right")):
        _walk_leg(body, rotations, root, contacts, (time / period + 0.5 * number, stride), side)
        swing = np.sin(phase + np.pi * (1 - number))
        arm = body.joint_index(f"{side}_shoulder")
        down = np.array([0.0, 1.25 if side == "left" else -1.25, 0.0])
        lower = rotvec_to_quaternion(np.broadcast_to(down, (frames, 3)))
        rotations[:, arm] = quaternion_multiply(rotvec_to_quaternion(np.outer(swing, [0.5, 0, 0])), lower)
        bend = np.outer(0.35 + 0.15 * swing, [0.0, 0.0, -1.0 if side == "left" else 1.0])
        rotations[:, body.joint_index(f"{side}_elbow")] = rotvec_to_quaternion(bend)
    return make_clip(rotations, root, contacts, fps)


def _walk_leg(body, rotations, root, contacts, cycle, side):
    cycles, stride = cycle
    frames = len(cycles)
    number = 0 if side == "left" else 1
    step, part = np.floor(cycles), cycles % 1.0
    swing = np.clip((part - 0.6) / 0.4, 0.0, 1.0)
    eased = swing * swing * (3 - 2 * swing)
    rest = body.rest_positions_m()
    hip, knee, foot, toe = (body.joint_index(f"{side}_{name}") for name in ("hip", "knee", "ankle", "toe"))
    offset = 0.5 * number * stride
    y = rest[foot, 1] - stride * (step + eased) + offset - 0.3 * stride
    pitch = np.where(part < 0.1, -0.25 * (1 - part / 0.1), 0.0)
    pitch = np.where((part > 0.4) & (part <= 0.6), 0.6 * ((part - 0.4) / 0.2) ** 2, pitch)
    pitch = np.where(part > 0.6, 0.6 * (1 - eased) - 0.25 * eased, pitch)
    turn = rotvec_to_quaternion(np.outer(pitch, [1.0, 0.0, 0.0]))
    heel = np.array([0.0, 0.0557, -rest[foot, 2]])
    ball = rest[toe] - rest[foot] - np.array([0, 0, rest[toe, 2]])
    pivot = np.where(pitch[:, None] < 0, heel, ball)
    ankle = np.stack([np.full(frames, rest[foot, 0]), y, np.full(frames, rest[foot, 2])], -1) + pivot
    ankle = ankle + np.stack([0 * y, 0 * y, 0.09 * np.sin(np.pi * swing)], -1) - quaternion_rotate(turn, pivot)
    contacts[:, 2 * number] = part < 0.42
    contacts[:, 2 * number + 1] = (part > 0.08) & (part < 0.6)
    positions, world = forward_kinematics(body, rotations, root)
    limb = Limb(positions[:, hip], positions[:, knee], positions[:, foot])
    led = two_bone_ik(limb, ankle, np.array([0.0, -1.0, 0.0]))
    inverse = np.array([1.0, -1.0, -1.0, -1.0])
    new_hip = quaternion_multiply(led.upper_turn_wxyz, world[:, hip])
    new_knee = quaternion_multiply(led.lower_turn_wxyz, world[:, knee])
    rotations[:, hip] = quaternion_multiply(world[:, 0] * inverse, new_hip)
    rotations[:, knee] = quaternion_multiply(new_hip * inverse, new_knee)
    rotations[:, foot] = quaternion_multiply(new_knee * inverse, turn)
    toe_bend = np.where((part > 0.4) & (part <= 0.6), -pitch, 0.0)
    rotations[:, toe] = rotvec_to_quaternion(np.outer(toe_bend, [1.0, 0.0, 0.0]))


def limb_directions(positions_m, joint_index) -> np.ndarray:
    """Unit directions (T, 8, 3) of the limbs from joint positions (T, J, 3)."""
    spans = [positions_m[:, joint_index(lower)] - positions_m[:, joint_index(upper)] for upper, lower in LIMBS]
    directions = np.stack(spans, axis=1)
    return directions / np.linalg.norm(directions, axis=-1, keepdims=True)


def clip_limb_directions(clip: MotionClip) -> np.ndarray:
    """Unit directions (T, 8, 3) of the clip's limbs in the world."""
    body = canonical_body()
    positions, _ = forward_kinematics(body, clip.rotations_wxyz, clip.root_world_m)
    return limb_directions(positions, body.joint_index)


def angle_deg(a, b) -> np.ndarray:
    """The angle in degrees between directions (..., 3)."""
    return np.degrees(2.0 * np.arctan2(np.linalg.norm(a - b, axis=-1), np.linalg.norm(a + b, axis=-1)))
