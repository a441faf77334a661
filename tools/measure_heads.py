"""Measures the head's direction on a render of a person who turns the head, solved without and with the face.

    python -m tools.measure_heads [--size-px 96] [--frames 75] [--assets FOLDER] [--panoramas FOLDER] [--seed 21]

Needs the extra `train`. `--size-px` is the length of a hand in the image; a face is about 0.8 times as wide.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from backend.pipeline import SolveRequest, solve
from backend.types import Array
from blender_addon.motion.body import canonical_body, forward_kinematics
from blender_addon.motion.clip import MotionClip
from blender_addon.motion.rotations import (
    matrix_to_quaternion,
    quaternion_between,
    quaternion_multiply,
    quaternion_rotate,
    rotvec_to_quaternion,
)
from tools.hand_scenes import Shot, Studio, between_keys, random_angles, random_pose
from tools.measure_hands import write_video

_FORWARD = np.array([0.0, -1.0, 0.0])
_TURN_RAD = np.array([0.3, 0.2, 0.5])  # one sigma of nods, tilts and turns
_NECK = 0.4  # the neck's part


def turning_shots(studio: Studio, frames: int) -> list[Shot]:
    """A person who turns the head while the arms move."""
    random, body, keys = studio.random, canonical_body(), []
    for _ in range(7):
        pose, turn = random_pose(random, False), random.normal(0.0, 1.0, 3) * _TURN_RAD
        for name, share in (("neck", _NECK), ("head", 1.0 - _NECK)):
            pose[body.joint_index(name)] = rotvec_to_quaternion(share * turn)
        keys.append((pose, np.stack([random_angles(random), random_angles(random)])))
    return studio.shots(studio.person(), between_keys(keys, frames), float(random.uniform(-0.4, 0.4)))


def head_errors(clip: MotionClip, shots: list[Shot]) -> tuple[Array, Array]:
    """Errors in degrees (T,) of the head's rotation, and of where the face points."""
    solved = clip.rotations_wxyz.astype(np.float64)
    true = np.stack([shot.rotations_wxyz for shot in shots])
    camera = matrix_to_quaternion(np.swapaxes(clip.world_from_camera[:, :3, :3], 1, 2))
    solved[:, 0] = quaternion_multiply(camera, solved[:, 0])
    true[:, 0] = matrix_to_quaternion(np.stack([shot.camera.world_from_camera[:3, :3].T for shot in shots]))
    body, zero = canonical_body(), np.zeros((len(shots), 3))
    heads = [forward_kinematics(body, turns, zero)[1][:, body.joint_index("head")] for turns in (solved, true)]
    ways = [quaternion_rotate(head, np.broadcast_to(_FORWARD, (len(shots), 3))) for head in heads]
    apart = np.arccos(np.clip((ways[0] * ways[1]).sum(axis=1), -1.0, 1.0))
    return np.degrees(quaternion_between(*heads)), np.degrees(apart)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size-px", type=float, default=96.0, help="length of a hand in the image")
    parser.add_argument("--frames", type=int, default=75)
    parser.add_argument("--assets", type=Path)
    parser.add_argument("--panoramas", type=Path)
    parser.add_argument("--seed", type=int, default=21)
    arguments = parser.parse_args()
    studio = Studio(arguments.size_px, arguments.assets, arguments.panoramas, arguments.seed)
    shots = turning_shots(studio, arguments.frames)
    print("| | head's rotation, median deg | 90 % | face's direction, median deg | 90 % |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        video = Path(scratch) / "head.mp4"
        write_video(shots, video)
        for name, face in (("without the face", False), ("with the face", True)):
            clip = solve(SolveRequest(video=video, output=Path(scratch) / f"{face}.npz", face=face)).clips[0]
            turns, ways = (one[np.isfinite(one)] for one in head_errors(clip, shots))
            cells = [f"{np.median(one):.1f} | {np.percentile(one, 90):.1f}" for one in (turns, ways)]
            print(f"| {name} | {' | '.join(cells)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
