"""Clips with known hands and faces: numpy only, so that they serve under bpy as well."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from blender_addon.motion.body import canonical_body
from blender_addon.motion.clip import MotionClip
from blender_addon.motion.face import FACE_WEIGHT_NAMES, FaceMotion
from blender_addon.motion.hands import FINGERS, HandMotion, canonical_hand, hand_world_rotations
from blender_addon.motion.posing import pose_clip
from blender_addon.motion.rotations import quaternion_multiply, quaternion_rotate, rotvec_to_quaternion

# flexion of the three joints of the thumb and of the others, in degrees
POSES = {
    "flat": dict.fromkeys(FINGERS, (0, 0, 0)),
    "fist": {"thumb": (30, 45, 40), **dict.fromkeys(FINGERS[1:], (85, 100, 65))},
    "point": {"thumb": (30, 45, 40), "index": (0, 0, 0), **dict.fromkeys(FINGERS[2:], (85, 100, 65))},
    "victory": {
        "thumb": (30, 45, 40),
        **dict.fromkeys(("index", "middle"), (0, 0, 0)),
        **dict.fromkeys(("ring", "little"), (85, 100, 65)),
    },
    "pinch": {"thumb": (25, 25, 30), "index": (50, 55, 30), **dict.fromkeys(FINGERS[2:], (15, 20, 10))},
}


def posed_hand(pose: str, side: int) -> np.ndarray:
    """Local rotations (15, 4) of a named pose."""
    hand = canonical_hand(side)
    return np.array(
        [
            rotvec_to_quaternion(np.radians(angle) * hand.flexion_axes[row])
            for row, finger in enumerate(FINGERS)
            for angle in POSES[pose][finger]
        ]
    )


def random_hands(seed: int, frames: int) -> HandMotion:
    """Full hands: every finger bends and spreads within its reach, by itself, smoothly."""
    rng = np.random.default_rng(seed)
    time = np.arange(frames)[:, None]
    turns = np.zeros((frames, 2, 15, 4))
    for side in range(2):
        hand = canonical_hand(side)
        wave = np.sin(rng.uniform(0, 6.3, 15) + rng.uniform(0.2, 0.7, 15) * time) * 0.5 + 0.5
        spread = np.sin(rng.uniform(0, 6.3, 5) + rng.uniform(0.2, 0.7, 5) * time)
        reach = np.radians([40, 50, 50, *(90, 105, 65) * 4])
        for joint in range(15):
            row = joint // 3
            bend = rotvec_to_quaternion((wave[:, joint] * reach[joint])[:, None] * hand.flexion_axes[row])
            if joint % 3 == 0:
                aside = rotvec_to_quaternion(np.radians(18) * spread[:, row, None] * hand.spread_axes[row])
                bend = quaternion_multiply(aside, bend)
            turns[:, side, joint] = bend
    return HandMotion(turns, np.ones((frames, 2)))


def with_poses(clip: MotionClip, poses: list[str]) -> MotionClip:
    """The clip with named hand poses, one after the other, the same on both hands."""
    names = [poses[frame * len(poses) // len(clip)] for frame in range(len(clip))]
    turns = np.array([[posed_hand(name, side) for side in range(2)] for name in names])
    return replace(clip, hands=HandMotion(turns, np.ones((len(clip), 2))))


def finger_directions(clip: MotionClip) -> np.ndarray:
    """Unit directions (T, 2, 5, 3, 3) of every phalanx in the clip's world."""
    body, posed = canonical_body(), pose_clip(clip)
    rows = []
    for side, name in enumerate(("left", "right")):
        turns = hand_world_rotations(clip.hands.rotations_wxyz[:, side])
        world = posed.world_wxyz[:, body.joint_index(f"{name}_wrist"), None, None]
        rows.append(quaternion_rotate(quaternion_multiply(world, turns), canonical_hand(side).directions[:, None]))
    return np.stack(rows, axis=1)


def face_of(weights: dict[str, np.ndarray | float], frames: int) -> FaceMotion:
    """A face with some weights (T,) or numbers by ARKit's names, the others 0."""
    table = np.zeros((frames, len(FACE_WEIGHT_NAMES)))
    for name, values in weights.items():
        table[:, FACE_WEIGHT_NAMES.index(name)] = values
    return FaceMotion(table, np.ones(frames))
