"""Renders hands and writes the errors that the landmark network makes on them, for `tools/train_hand_pose.py`.

    python -m tools.collect_hand_errors FILE [--assets FOLDER] [--panoramas FOLDER]

Needs the extra `train`. Three sets of hands of 96 px: gestures, gestures blurred by motion, and random hands blurred by
motion. Each hand is seen in several crops, turned, closer, wider and in a mirror: the network errs in each another way.
`tools/measure_hands.py` measures with other people, backgrounds and poses (other seeds).
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from backend.hands import HandFollower, load_hand_networks
from backend.hands.crops import MIDDLE_KNUCKLE, WRIST, roi_from_landmarks
from backend.hands.follow import LEAST_PRESENCE, hands_in
from backend.hands.model import SEEN_PALM
from backend.keypoint_layouts import BLAZEPOSE
from backend.networks import Network
from backend.types import Array, Image
from tools.hand_scenes import Shot, Studio, drawn_shots

_SIZE_PX, _NOISE_M = 96.0, 0.01
_SETS = ((101, 96, 0.0, True), (102, 72, 1.5, True), (103, 48, 1.5, False))
_ACROSS = np.array([-1.0, 1.0])
# turned by degrees, of another size, in a mirror
_CROPS = ((0.0, 1.0, False), (0.0, 1.0, True), (25.0, 1.0, False), (-25.0, 1.0, False), (0.0, 0.87, False))


def errors_of(shots: list[Shot]) -> tuple[list[Array], list[Array]]:
    """Errors (21, 2) in palms of every hand that is found, in each crop, upright and as a left hand, and the true
    angles (16,).
    """
    networks = load_hand_networks()
    follower, random = HandFollower(networks, len(shots)), np.random.default_rng(5)
    for row, shot in enumerate(shots):
        follower.cut()
        keypoints = shot.camera.project_px(shot.keypoints_m + random.normal(0.0, _NOISE_M, (BLAZEPOSE.count, 3)))
        follower.update(row, shot.image, float(row), keypoints, np.ones(BLAZEPOSE.count), np.zeros((0, 2)))
    track, errors, angles = follower.track(), list[Array](), list[Array]()
    for row, shot in enumerate(shots):
        for side in np.flatnonzero(track.presence[row] > 0):
            true, landmarks = shot.camera.project_px(shot.hands_m[side]), track.landmarks_px[row, side]
            seen = (landmarks, *again(shot.image, landmarks, int(side), networks.landmarks))
            errors += [upright_error(shot, int(side), true, one) for one in seen]
            angles += [shot.angles[side]] * len(seen)
    return errors, angles


def again(image: Image, landmarks_px: Array, side: int, network: Network) -> list[Array]:
    """The landmarks (21, 2) of a hand in other crops, where it is found there."""
    region = roi_from_landmarks(landmarks_px, side)
    regions = [
        replace(
            region,
            rotation_rad=region.rotation_rad + np.radians(turn_deg),
            size_px=size * region.size_px,
            mirrored=region.mirrored != mirror,
        )
        for turn_deg, size, mirror in _CROPS
    ]
    return [one.landmarks_px for one in hands_in(image, regions, network) if one.presence >= LEAST_PRESENCE]


def upright_error(shot: Shot, side: int, true_px: Array, seen_px: Array) -> Array:
    """How far landmarks lie off (21, 2), in palms, as on a left hand whose middle knuckle stands above the wrist."""
    flip = _ACROSS if side else np.ones(2)
    true, seen, hand_m = true_px * flip, seen_px * flip, shot.hands_m[side]
    along = (true[5] + true[13]) / 4.0 + true[9] / 2.0 - true[0]
    up = along / np.linalg.norm(along)
    turn = np.stack([[-up[1], up[0]], -up])
    palm_m = float(np.linalg.norm(hand_m[MIDDLE_KNUCKLE] - hand_m[WRIST])) / SEEN_PALM
    palm_px = palm_m * shot.camera.intrinsics[0, 0] / hand_m[:, 2].mean()
    return np.asarray((seen - true) @ turn.T / palm_px)


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
