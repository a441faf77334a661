"""Measures fingers, gestures, exchanged hands and wrists on renders of the CC0 body whose hands are known.

    python -m tools.measure_hands [--size-px 96] [--images 60] [--assets FOLDER] [--panoramas FOLDER] [--sheet PNG]
                                  [--blur 1.5] [--confusion]
    python -m tools.measure_hands --video [--assets FOLDER] ...

Needs the extra `train`. The first form gives the follower the body's true keypoints with errors of 1 cm, and prints the
median error of all finger joints, the gestures told apart and the hands exchanged; with `--blur` of moving hands, with
`--confusion` also which gesture was taken for which, and by the angle of the palm. `--video` renders a moving person,
solves the video twice, without and with hands, and prints the wrists' rotation errors.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from backend.hands import HandFollower, load_hand_networks, solve_hands
from backend.hands.model import bends, hand_points, seen_shape
from backend.keypoint_layouts import BLAZEPOSE, HUMAN36M
from backend.pipeline import SolveRequest, solve
from backend.types import Array, Intrinsics, PoseTrack
from blender_addon.motion.body import canonical_body, forward_kinematics
from blender_addon.motion.clip import MotionClip
from blender_addon.motion.quality import SEEN
from blender_addon.motion.rotations import (
    matrix_to_quaternion,
    quaternion_between,
    quaternion_multiply,
)
from tools.hand_scenes import GESTURES, IMAGE_PX, Shot, Studio, between_keys, drawn_shots, random_angles, random_pose

_NOISE_M = 0.01
_ANGLES_DEG = (0, 30, 40, 50, 60, 90)


@dataclass(frozen=True, slots=True)
class Found:
    """Angles (N, 2, 16) as they are shown, wrists (N, 2, 4) in the camera, whether hands were found (N, 2), are trusted
    (N, 2), and exchanged (N, 2).
    """

    angles: Array
    wrist_wxyz: Array
    found: NDArray[np.bool_]
    trusted: NDArray[np.bool_]
    exchanged: NDArray[np.bool_]
    landmarks_px: Array


def found_hands(shots: list[Shot], random: np.random.Generator) -> Found:
    """What the follower and the lifting network make of single frames."""
    networks = load_hand_networks()
    follower = HandFollower(networks, len(shots))
    camera = shots[0].camera
    truth = np.stack([camera.project_px(shot.hands_m) for shot in shots])
    for row, shot in enumerate(shots):
        follower.cut()
        keypoints = camera.project_px(shot.keypoints_m + random.normal(0.0, _NOISE_M, (BLAZEPOSE.count, 3)))
        follower.update(row, shot.image, float(row), keypoints, np.ones(BLAZEPOSE.count), np.zeros((0, 2)))
    track = follower.track()
    body = canonical_body()
    turns = np.stack([shot.rotations_wxyz for shot in shots])
    turns[:, 0] = matrix_to_quaternion(np.stack([shot.camera.world_from_camera[:3, :3].T for shot in shots]))
    blank, joints = np.zeros(len(shots)), np.zeros((len(shots), HUMAN36M.count, 3))
    poses = PoseTrack(
        turns, np.zeros((len(shots), 3)), joints, blank, blank, blank, np.zeros(3), 1.7,
        np.ones(len(body.joint_names)),
    )  # fmt: skip
    times_s = np.arange(len(shots)) * 10.0  # far apart: nothing is averaged
    solved = solve_hands(
        track, times_s, tuple(times_s[1:].tolist()), poses, Intrinsics(camera.intrinsics, IMAGE_PX, IMAGE_PX, "render"),
        networks.poses,
    )  # fmt: skip
    found = track.presence > 0
    own = np.linalg.norm(track.landmarks_px - truth, axis=-1).mean(axis=-1)
    other = np.linalg.norm(track.landmarks_px - truth[:, ::-1], axis=-1).mean(axis=-1)
    trusted = found & (solved.hands.confidence >= SEEN)
    return Found(solved.angles, solved.wrist_wxyz, found, trusted, found & (other < own), track.landmarks_px)


def gesture_of(angles: Array) -> str:
    """The gesture (of `GESTURES`) that is nearest: by the bend of each finger, the thumb, and the gap of a pinch."""
    names = list(GESTURES)
    known = np.stack([_features(GESTURES[name]) for name in names])
    return names[int(np.argmin(np.linalg.norm(known - _features(angles), axis=-1)))]


def _features(angles: Array) -> Array:
    points = hand_points(angles, seen_shape(), 0)
    _, flexion = bends(angles)
    gap = float(np.linalg.norm(points[4] - points[8]))
    thumb = float(np.linalg.norm(points[4] - points[17]))
    return np.array([*flexion[1:, :2].sum(axis=-1) / 2.9, 1.2 * gap, 0.6 * thumb])


def confusion(shots: list[Shot], found: Found) -> str:
    """A Markdown table: how often each gesture (rows) was taken for which (columns), and how often none was found."""
    names = list(GESTURES)
    counts = {name: dict.fromkeys([*names, "not found"], 0) for name in names}
    for row, shot in enumerate(shots):
        for side in (0, 1):
            told = gesture_of(found.angles[row, side]) if found.found[row, side] else "not found"
            counts[shot.gesture][told] += 1
    rows = [f"| {name} | {' | '.join(str(count) for count in counts[name].values())} |" for name in names]
    return "\n".join([f"| | {' | '.join([*names, 'not found'])} |", "|---" * (len(names) + 2) + "|", *rows])


def by_angle(shots: list[Shot], found: Found) -> str:
    """A Markdown table: gestures told apart by the angle between the palm's normal and the line of sight."""
    angles_deg, right = list[float](), list[bool]()
    for row, shot in enumerate(shots):
        for side in np.flatnonzero(found.found[row]):
            hand = shot.hands_m[side]
            normal = np.cross(hand[5] - hand[0], hand[17] - hand[0])
            sight = hand.mean(axis=0)
            cosine = abs(normal @ sight) / np.linalg.norm(normal) / np.linalg.norm(sight)
            angles_deg.append(float(np.degrees(np.arccos(min(1.0, cosine)))))
            right.append(gesture_of(found.angles[row, side]) == shot.gesture)
    rows = []
    for low, high in pairwise(_ANGLES_DEG):
        inside = [told for told, angle in zip(right, angles_deg, strict=True) if low <= angle < high]
        rows.append(f"| {low} to {high} | {sum(inside)} of {len(inside)} |")
    return "\n".join(["| palm to line of sight, degrees | told apart |", "|---|---|", *rows])


def report(size_px: float, studio: Studio, images: int, sheet: Path | None, confused: bool = False) -> str:
    """Rows of a Markdown table for hands of one size, and the table of gestures that are `confused`."""
    shots = drawn_shots(studio, images, gestures=False)
    found = found_hands(shots, studio.random)
    truth = np.stack([shot.angles for shot in shots])
    error = np.degrees(np.abs(bends(found.angles)[1] - bends(truth)[1]))[found.found]
    body = canonical_body()
    turns = np.stack([shot.rotations_wxyz for shot in shots])
    turns[:, 0] = matrix_to_quaternion(np.stack([shot.camera.world_from_camera[:3, :3].T for shot in shots]))
    _, world = forward_kinematics(body, turns, np.zeros((len(shots), 3)))
    wrists = np.stack([world[:, body.joint_index(f"{side}_wrist")] for side in ("left", "right")], axis=1)
    wrist = np.degrees(quaternion_between(found.wrist_wxyz, wrists))[found.found]
    posed = drawn_shots(studio, images, gestures=True)
    seen = found_hands(posed, studio.random)
    right = np.array(
        [[gesture_of(seen.angles[row, side]) == shot.gesture for side in (0, 1)] for row, shot in enumerate(posed)]
    )
    told, sure = right[seen.found], right[seen.trusted]
    exchanged = np.concatenate([found.exchanged[found.found], seen.exchanged[seen.found]])
    if sheet is not None:
        write_sheet(posed, seen, sheet)
    table = f"\n\n{confusion(posed, seen)}\n\n{by_angle(posed, seen)}\n" if confused else ""
    return (
        f"| {size_px:.0f} | {np.median(error):.1f} | {np.percentile(error, 90):.1f} | {np.median(error[:, 0]):.1f} | "
        f"{np.median(wrist):.1f} | {100 * np.mean(told):.1f} % ({len(told)}) | "
        f"{100 * np.mean(sure):.1f} % ({len(sure)}) | "
        f"{100 * exchanged.mean():.2f} % ({len(exchanged)}) | {100 * found.found.mean():.0f} % |{table}"
    )


def write_sheet(shots: list[Shot], found: Found, path: Path) -> None:
    """Crops of gestures with the landmarks and what they were taken for."""
    tiles = []
    for row, shot in enumerate(shots[:24]):
        for side in (0, 1):
            centre = shot.camera.project_px(shot.hands_m[side]).mean(axis=0).astype(int)
            image = np.pad(shot.image, ((100, 100), (100, 100), (0, 0)))
            tile = image[centre[1] + 20 : centre[1] + 180, centre[0] + 20 : centre[0] + 180].copy()
            told = gesture_of(found.angles[row, side]) if found.found[row, side] else "-"
            if found.found[row, side]:
                for x, y in found.landmarks_px[row, side] - centre + 80:
                    cv2.circle(tile, (int(x), int(y)), 1, (255, 0, 0), -1)
            cv2.putText(tile, f"{shot.gesture}: {told}", (3, 12), 0, 0.4, (255, 255, 0), 1)
            tiles.append(cv2.resize(tile, (160, 160)))
    rows = [np.hstack(tiles[start : start + 8]) for start in range(0, len(tiles) // 8 * 8, 8)]
    cv2.imwrite(str(path), np.vstack(rows)[..., ::-1])


def video_report(size_px: float, studio: Studio, frames: int) -> str:
    """Wrist rotation errors of a solved video, without and with hands."""
    random = studio.random
    keys = [(random_pose(random, True), random_angles(random)) for _ in range(6)]
    keys = [(pose, np.stack([fingers, random_angles(random)])) for pose, fingers in keys]
    poses = between_keys(keys, frames)
    shots = studio.shots(studio.person(), poses, 0.2)
    with tempfile.TemporaryDirectory() as scratch:
        video = Path(scratch) / "hands.mp4"
        write_video(shots, video)
        rows = []
        for name, wanted in (("without hands", False), ("with hands", True)):
            result = solve(SolveRequest(video=video, output=Path(scratch) / f"{wanted}.npz", hands=wanted))
            rows.append(f"| {name} | {_wrist_errors(result.clips[0], shots)} | {sum(result.stage_s.values()):.1f} |")
    return "\n".join(rows)


def _wrist_errors(clip: MotionClip, shots: list[Shot]) -> str:
    body = canonical_body()
    solved, true = clip.rotations_wxyz.astype(np.float64), np.stack([shot.rotations_wxyz for shot in shots])
    solved, true = solved.copy(), true.copy()
    camera = matrix_to_quaternion(np.swapaxes(clip.world_from_camera[:, :3, :3], 1, 2))
    solved[:, 0] = quaternion_multiply(camera, solved[:, 0])
    true[:, 0] = matrix_to_quaternion(np.stack([shot.camera.world_from_camera[:3, :3].T for shot in shots]))
    zero = np.zeros((len(shots), 3))
    wrists = [body.joint_index(f"{side}_wrist") for side in ("left", "right")]
    error = quaternion_between(
        forward_kinematics(body, solved, zero)[1][:, wrists], forward_kinematics(body, true, zero)[1][:, wrists]
    )
    error = np.degrees(error[np.isfinite(error)])
    return f"{np.median(error):.1f} | {np.percentile(error, 90):.1f}"


def write_video(shots: list[Shot], path: Path) -> None:
    """The shots as a video of 30 frames a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width = stream.height = IMAGE_PX
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "16"}
        for shot in shots:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(shot.image, format="rgb24")))
        container.mux(stream.encode())


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size-px", type=float, nargs="+", default=[96.0, 48.0], help="length of a hand in the image")
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--assets", type=Path)
    parser.add_argument("--panoramas", type=Path)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--sheet", type=Path, help="image of gestures, with what they were taken for")
    parser.add_argument("--blur", type=float, default=0.0, metavar="M_S", help="speed of the hands that blurs, in m/s")
    parser.add_argument("--confusion", action="store_true", help="also which gesture was taken for which, and by angle")
    parser.add_argument("--video", action="store_true", help="a moving person, solved without and with hands")
    parser.add_argument("--frames", type=int, default=90)
    arguments = parser.parse_args()
    if arguments.video:
        print("| | wrist median deg | 90 % | s |\n|---|---|---|---|")
        studio = Studio(arguments.size_px[0], arguments.assets, arguments.panoramas, arguments.seed)
        print(video_report(arguments.size_px[0], studio, arguments.frames))
        return 0
    columns = (
        "hand px",
        "joints median deg",
        "90 %",
        "thumb",
        "wrist",
        "gestures",
        "of trusted hands",
        "exchanged",
        "found",
    )
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for size_px in arguments.size_px:
        studio = Studio(size_px, arguments.assets, arguments.panoramas, arguments.seed, arguments.blur)
        print(report(size_px, studio, arguments.images, arguments.sheet, arguments.confusion))
    return 0


if __name__ == "__main__":
    sys.exit(main())
