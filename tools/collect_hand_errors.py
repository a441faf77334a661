"""Renders hands and writes the errors that the landmark network makes on them, for `tools/train_hand_pose.py`.

    python -m tools.collect_hand_errors FILE [--assets FOLDER] [--panoramas FOLDER]

Needs the extra `train`. Three sets of hands of 96 px: gestures, gestures blurred by motion, and random hands blurred by
motion. `tools/measure_hands.py` measures with other people, backgrounds and poses (other seeds).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from backend.hands import HandFollower, load_hand_networks
from backend.hands.crops import MIDDLE_KNUCKLE, WRIST
from backend.hands.model import SEEN_PALM
from backend.keypoint_layouts import BLAZEPOSE
from backend.types import Array
from tools.hand_scenes import Shot, Studio, drawn_shots

_SIZE_PX, _NOISE_M = 96.0, 0.01
_SETS = ((101, 96, 0.0, True), (102, 72, 1.5, True), (103, 48, 1.5, False))
_ACROSS = np.array([-1.0, 1.0])


def errors_of(shots: list[Shot]) -> tuple[list[Array], list[Array]]:
    """Errors (21, 2) in palms of every hand that is found, upright and as a left hand, and the true angles (16,)."""
    follower, random = HandFollower(load_hand_networks(), len(shots)), np.random.default_rng(5)
    for row, shot in enumerate(shots):
        follower.cut()
        keypoints = shot.camera.project_px(shot.keypoints_m + random.normal(0.0, _NOISE_M, (BLAZEPOSE.count, 3)))
        follower.update(row, shot.image, float(row), keypoints, np.ones(BLAZEPOSE.count), np.zeros((0, 2)))
    track, errors, angles = follower.track(), list[Array](), list[Array]()
    for row, shot in enumerate(shots):
        for side in np.flatnonzero(track.presence[row] > 0):
            flip = _ACROSS if side else np.ones(2)
            true, seen = shot.camera.project_px(shot.hands_m[side]) * flip, track.landmarks_px[row, side] * flip
            along = (true[5] + true[13]) / 4.0 + true[9] / 2.0 - true[0]
            up = along / np.linalg.norm(along)
            turn = np.stack([[-up[1], up[0]], -up])
            hand_m = shot.hands_m[side]
            palm_m = float(np.linalg.norm(hand_m[MIDDLE_KNUCKLE] - hand_m[WRIST])) / SEEN_PALM
            palm_px = palm_m * shot.camera.intrinsics[0, 0] / hand_m[:, 2].mean()
            errors.append((seen - true) @ turn.T / palm_px)
            angles.append(shot.angles[side])
    return errors, angles


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="the .npz to write")
    parser.add_argument("--assets", type=Path)
    parser.add_argument("--panoramas", type=Path)
    arguments = parser.parse_args()
    errors, angles = list[Array](), list[Array]()
    for seed, images, blur, gestures in _SETS:
        studio = Studio(_SIZE_PX, arguments.assets, arguments.panoramas, seed, blur)
        found = errors_of(drawn_shots(studio, images, gestures=gestures))
        errors += found[0]
        angles += found[1]
        print(f"{len(errors)} hands")
    np.savez(arguments.file, errors=np.array(errors), angles=np.array(angles))
    return 0


if __name__ == "__main__":
    sys.exit(main())
