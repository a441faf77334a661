"""A contact sheet of hands and face in a solved video, beside MediaPipe's own hand and face landmarkers.

    python -m tools.details_sheet VIDEO CLIP.npz SHEET.webp --peer PYTHON --tasks FOLDER [--frames 10]

CLIP is what `solve --hands --face` made of the whole VIDEO. PYTHON is an interpreter with mediapipe (0.10.21), FOLDER
holds `hand_landmarker.task` and `face_landmarker.task`, which `tools/convert_networks.py` reads too. Each row is a
frame: for the left and the right hand the landmarks of Marionet (red), those of MediaPipe on the whole image (white)
and the fingers of the clip (yellow), then the largest weights of the face by both, MediaPipe's on the head cut out.
Prints how far the two lie apart.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.face.follow import FaceFollower, FaceTrack
from backend.hands import HandFollower, HandTrack
from backend.hands.crops import WRISTS, pixels_per_metre
from backend.keypoint_layouts import HAND
from backend.solving.detail_pass import load_details
from backend.types import Array
from backend.video import open_video
from blender_addon.motion.body import canonical_body, forward_kinematics
from blender_addon.motion.clip import MotionClip, read_clip
from blender_addon.motion.face import FACE_WEIGHT_NAMES
from blender_addon.motion.hands import HAND_SIDES, hand_points_m
from blender_addon.motion.rotations import matrix_to_quaternion, quaternion_multiply, quaternion_rotate

Image = NDArray[np.uint8]
_TILE_PX, _HEAD_PX, _HAND_M, _FACE_M = 150, 384, 0.17, 0.16
_OURS, _THEIRS, _SOLVED = (255, 60, 60), (255, 255, 255), (255, 210, 0)
_CHAINS = tuple((0, *range(1 + 4 * finger, 5 + 4 * finger)) for finger in range(5))
_SAME_HAND = 0.1  # m between the landmarks of one hand in both


@dataclass(frozen=True, slots=True)
class Seen:
    """What Marionet's networks see in the video, and the frames that are shown, by number."""

    hands: HandTrack
    face: FaceTrack
    images: dict[int, Image]


def followed(video: Path, clip: MotionClip, frames: int) -> Seen:
    """Hands and face in every frame, led by the body's keypoints of the clip."""
    networks = load_details(True, True, "cpu")
    assert networks.hands is not None
    assert networks.face is not None
    hands, face = HandFollower(networks.hands, len(clip)), FaceFollower(networks.face, len(clip))
    shown = set(np.linspace(0, len(clip) - 1, frames).round().astype(int).tolist())
    images, nobody = dict[int, Image](), np.zeros((0, 2))
    for row, frame in enumerate(open_video(video).frames()):
        if row >= len(clip):
            break
        keypoints, visibility = clip.keypoints_px[row].astype(np.float64), clip.keypoint_confidence[row]
        for follower in (hands, face):
            follower.update(row, frame.image, frame.time_s, keypoints, visibility, nobody)
        if row in shown:
            images[row] = frame.image
    return Seen(hands.track(), face.track(), images)


def peer(clip: MotionClip, images: dict[int, Image], python: Path, tasks: Path) -> dict[str, Array]:
    """What MediaPipe finds: hands in the whole images, faces around the clip's nose. All in px of the images."""
    squares = [_head(clip, row) for row in images]
    heads = [
        tile(image, middle, half, [], _OURS, _HEAD_PX)
        for image, (middle, half) in zip(images.values(), squares, strict=True)
    ]
    script = Path(__file__).parents[1] / "benchmarks" / "peer_details.py"
    with tempfile.TemporaryDirectory() as folder:
        given, near, made = (Path(folder) / name for name in ("frames.npy", "heads.npy", "found.npz"))
        np.save(given, np.stack(list(images.values())))
        np.save(near, np.stack(heads))
        subprocess.run([python, script, given, near, tasks, made], check=True, stderr=subprocess.DEVNULL)
        with np.load(made) as arrays:
            found = {name: arrays[name] for name in arrays.files}
    for row, (middle, half) in enumerate(squares):
        found["faces"][row] = middle - half + 2.0 * half * found["faces"][row]
    return found


def _head(clip: MotionClip, row: int) -> tuple[Array, float]:
    """The middle of the head in a frame, and half the side of a square about it, px."""
    keypoints = clip.keypoints_px[row].astype(np.float64)
    return keypoints[0], _FACE_M * pixels_per_metre(keypoints)


def solved_hands(clip: MotionClip) -> Array:
    """The 21 points (T, 2, 21, 2) of the clip's hands about the wrist, in m, as the camera sees them from afar."""
    assert clip.hands is not None
    body = canonical_body()
    turns = clip.rotations_wxyz.astype(np.float64)
    _, world = forward_kinematics(body, turns, np.zeros((len(clip), 3)))
    camera = matrix_to_quaternion(np.swapaxes(clip.world_from_camera[:, :3, :3].astype(np.float64), 1, 2))
    points = np.zeros((len(clip), 2, HAND.count, 3))
    for side, name in enumerate(HAND_SIDES):
        own = hand_points_m(clip.hands.rotations_wxyz[:, side].astype(np.float64), side).reshape(len(clip), -1, 3)
        wrist = quaternion_multiply(camera, world[:, body.joint_index(f"{name}_wrist")])
        points[:, side, 1:] = quaternion_rotate(wrist[:, None], own)
    return points[..., :2]


def tile(
    image: Image, middle: Array, half_px: float, hands: list[Array], colour: tuple[int, int, int], side: int = _TILE_PX
) -> Image:
    """A square of the image, with hands (21, 2) in px."""
    scale = side / (2.0 * half_px)
    place = np.array([[scale, 0.0, -scale * (middle[0] - half_px)], [0.0, scale, -scale * (middle[1] - half_px)]])
    shown = cv2.warpAffine(image, place, (side, side), flags=cv2.INTER_AREA)
    for hand in hands:
        points = hand @ place[:, :2].T + place[:, 2]
        if np.isfinite(points).all():
            for chain in _CHAINS:
                line = points[list(chain)].round().astype(np.int32)
                cv2.polylines(shown, [line], isClosed=False, color=colour, thickness=1, lineType=cv2.LINE_AA)
    return np.asarray(shown, np.uint8)


def dotted(image: Image, middle: Array, half_px: float, points: Array, words: list[str]) -> Image:
    """A square of the image with the points (N, 2) of a face, and words."""
    shown = tile(image, middle, half_px, [], _OURS)
    for x, y in (points[np.isfinite(points).all(axis=1)] - middle + half_px) * _TILE_PX / (2.0 * half_px):
        cv2.circle(shown, (round(float(x)), round(float(y))), 0, _THEIRS, -1)
    for line, text in enumerate(words):
        cv2.putText(shown, text, (3, 11 + 11 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.33, (255, 255, 0), 1, cv2.LINE_AA)
    return shown


def strongest(weights: Array, names: list[str]) -> list[str]:
    """The three largest weights in words; nothing without a face."""
    if not np.isfinite(weights).all():
        return []
    return [f"{names[place]} {weights[place]:.2f}" for place in np.argsort(-weights)[:3]]


def sheet(clip: MotionClip, seen: Seen, found: dict[str, Array]) -> Image:
    """All rows, two beside each other."""
    assert clip.face is not None
    fingers, rows = solved_hands(clip), []
    for place, (row, image) in enumerate(seen.images.items()):
        keypoints = clip.keypoints_px[row].astype(np.float64)
        scale, tiles = pixels_per_metre(keypoints), list[Image]()
        for side in (0, 1):
            wrist, half = keypoints[WRISTS[side]], _HAND_M * scale
            own = seen.hands.landmarks_px[row, side]
            tiles.append(tile(image, wrist, half, [own], _OURS))
            tiles.append(tile(image, wrist, half, list(found["hands"][place]), _THEIRS))
            tiles.append(
                tile(np.asarray(image // 2, np.uint8), wrist, half, [wrist + scale * fingers[row, side]], _SOLVED)
            )
        words = strongest(clip.face.weights[row].astype(np.float64), list(FACE_WEIGHT_NAMES))
        tiles.append(dotted(image, *_head(clip, row), seen.face.middle_px[row][None], words))
        words = strongest(found["weights"][place], found["names"].tolist())
        tiles.append(dotted(image, *_head(clip, row), found["faces"][place], words))
        rows.append(np.hstack(tiles))
    return np.vstack(rows)


def gaps(clip: MotionClip, seen: Seen, found: dict[str, Array]) -> str:
    """How far the landmarks of hands that both found lie apart, in the hand's length, and who found how many."""
    apart, ours, theirs = list[float](), 0, int(np.isfinite(found["hands"]).all(axis=(2, 3)).sum())
    for place, row in enumerate(seen.images):
        near = _SAME_HAND * pixels_per_metre(clip.keypoints_px[row].astype(np.float64))
        own = seen.hands.landmarks_px[row]
        ours += int(np.isfinite(own).all(axis=(1, 2)).sum())
        for hand in found["hands"][place]:
            distances = np.nan_to_num(np.linalg.norm(own - hand, axis=-1).mean(axis=-1), nan=np.inf)
            if distances.min() < near:
                apart.append(float(distances.min() / np.ptp(hand, axis=0).max()))
    order = [found["names"].tolist().index(name) for name in FACE_WEIGHT_NAMES if name in found["names"]]
    known = [place for place, name in enumerate(FACE_WEIGHT_NAMES) if name in found["names"]]
    raw = np.abs(seen.face.weights[list(seen.images)][:, known] - found["weights"][:, order])
    return (
        f"{len(seen.images)} frames; hands: {ours} by Marionet, {theirs} by MediaPipe, {len(apart)} by both, which lie "
        f"{100 * float(np.median(apart)) if apart else np.nan:.1f} % of a hand apart (median); face weights before "
        f"calibration differ by {float(np.nanmean(raw)):.3f} on average"
    )


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("clip", type=Path)
    parser.add_argument("sheet", type=Path)
    parser.add_argument("--peer", type=Path, required=True, help="python with mediapipe")
    parser.add_argument("--tasks", type=Path, required=True, help="folder of the .task files")
    parser.add_argument("--frames", type=int, default=10)
    arguments = parser.parse_args()
    clip = read_clip(arguments.clip)
    seen = followed(arguments.video, clip, arguments.frames)
    found = peer(clip, seen.images, arguments.peer, arguments.tasks)
    cv2.imwrite(str(arguments.sheet), sheet(clip, seen, found)[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, 80])
    print(gaps(clip, seen, found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
