"""How long the trunk is against the legs, as a landmark network sees it, on people who stand straight.

    python tools/measure_proportions.py --renders renders/ --video squats.mp4 --video jumps.mp4

In an image, the way from mid-hip to mid-shoulder over hip-knee-ankle says nothing of distance and little of the
camera's pitch while both are upright. The simulation draws bodies around the ratio of real people
(`backend.training.body_shapes.ShapeSpread`). Renders need the training packages.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from backend.people import PeopleOptions, Quality, track_people
from backend.video import open_video

Array = NDArray[np.floating]

_BENT_DEG, _LEANING_DEG, _UNLIKE = 12.0, 10.0, 0.08
_LEVEL_DEG = 12.0
_SURE = 0.5


def main() -> None:
    """Print one line for each folder of renders and each person of each video."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--renders", type=Path, action="append", default=[], help="a folder of renders; repeatable")
    parser.add_argument("--video", type=Path, action="append", default=[], help="a video of a real person; repeatable")
    parser.add_argument("--people", type=int, default=2, help="how many people of a video (default 2)")
    parser.add_argument("--frames", type=int, default=300, help="how many frames of a video (default 300)")
    args = parser.parse_args()
    for name, points in itertools.chain(_rendered(args.renders), _filmed(args.video, args.people, args.frames)):
        ratio = standing_ratio(points)
        found = f"{np.median(ratio):.3f} (spread {ratio.std():.3f})" if len(ratio) else "nobody stands straight"
        print(f"{name:50s} {len(ratio):4d} of {len(points):5d} frames: {found}")


def standing_ratio(points: Array) -> Array:
    """Trunk over leg of the frames (N, 33, 2) in which a person stands straight; both legs alike, so seen from in front
    or behind.
    """
    shoulders, hips = points[:, [11, 12]].mean(1), points[:, [23, 24]].mean(1)
    thighs, shins = points[:, [25, 26]] - points[:, [23, 24]], points[:, [27, 28]] - points[:, [25, 26]]
    trunk = hips - shoulders
    keep = looks_straight(points)
    for bones in (thighs, shins):
        length = np.linalg.norm(bones, axis=-1)
        keep &= np.abs(length[:, 0] / length[:, 1] - 1) < _UNLIKE
    leg = np.linalg.norm(thighs, axis=-1).mean(1) + np.linalg.norm(shins, axis=-1).mean(1)
    return np.asarray((np.linalg.norm(trunk, axis=-1) / leg)[keep])


def looks_straight(points: Array) -> NDArray[np.bool_]:
    """Frames (N,) of keypoints (N, 33, 2) in which both legs are straight in the image and the trunk lies above."""
    shoulders, hips, ankles = points[:, [11, 12]].mean(1), points[:, [23, 24]].mean(1), points[:, [27, 28]].mean(1)
    thighs, shins = points[:, [25, 26]] - points[:, [23, 24]], points[:, [27, 28]] - points[:, [25, 26]]
    upright = _angle_deg(hips - shoulders, ankles - hips) < _LEANING_DEG
    return np.asarray((_angle_deg(thighs, shins) < _BENT_DEG).all(axis=1) & upright)


def _angle_deg(a: Array, b: Array) -> Array:
    cross = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return np.degrees(np.abs(np.arctan2(cross, (a * b).sum(-1))))


def _rendered(folders: list[Path]) -> Iterator[tuple[str, Array]]:
    from backend.training.render_landmarks import render_landmarks

    for folder in folders:
        for quality in (Quality.FULL, Quality.HEAVY):
            seen = render_landmarks(folder, quality)
            pitch = np.degrees(np.arcsin(np.clip(seen.camera_from_world[:, 2, 2], -1, 1)))
            whole = seen.visible[:, [11, 12, 23, 24, 25, 26, 27, 28]].all(axis=1)
            keep = seen.found & whole & (np.abs(pitch) < _LEVEL_DEG)
            yield f"{folder.name}, {quality.value}", seen.points[keep]
            yield f"{folder.name}, joint centres", (seen.landmarks_m[..., :2] / seen.landmarks_m[..., 2:])[keep]


def _filmed(videos: list[Path], people: int, frames: int) -> Iterator[tuple[str, Array]]:
    for path in videos:
        reader = open_video(path)
        options = PeopleOptions(quality=Quality.HEAVY, max_people=people)
        for track in track_people(itertools.islice(reader.frames(), frames), reader.info, options):
            yield f"{path.name}, person {track.track_id}", track.keypoints_px[track.presence > _SURE]


if __name__ == "__main__":
    main()
