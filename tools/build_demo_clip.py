"""Render the demo's offline clip: a person who walks a turn before a still camera, with the truth beside it.

Run from the repository's root with the extra `train` installed:
    python tools/build_demo_clip.py --take 16_17.amc --assets makehuman/ --panoramas light/ --output assets
The take is of the CMU Graphics Lab (mocap.cs.cmu.edu, free for all uses); subject 16 is held out of training. Two
videos come of it, 23.976 frames a second and a variable frame rate, each with an .npz (see `VideoTruth`).
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from backend.datasets import load_motion
from backend.synthesis.assets import read_assets
from backend.synthesis.body_model import Phenotype, body_model, rest_body
from backend.synthesis.panoramas import panorama_paths, procedural_panorama, read_panorama
from backend.synthesis.renderer import Renderer
from backend.synthesis.scene import Backdrop, Light
from backend.synthesis.video import Video, VideoTruth, still_camera, video_frames, video_truth
from backend.synthesis.wardrobe import dressed

WIDTH, HEIGHT = 640, 480
TICKS = 24000  # a second; one frame at 23.976/s is 1001 ticks
FRAME_TICKS = 1001
PATTERN = (1, 1, 2, 1, 3, 1, 1, 1, 2)  # frames between two images of the variable-rate video
PERSON_SEED, PERSON_HEIGHT_M = 27, 1.78
PANORAMA = "dancing_hall_1k"


def main() -> int:
    """Render once, encode twice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--take", type=Path, required=True, help="the .amc or .bvh file")
    parser.add_argument("--fps", type=float, default=30.0, help="the take's rate (AMC files do not say)")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--assets", type=Path)
    parser.add_argument("--panoramas", type=Path)
    parser.add_argument("--name", default="demo_clip")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    video = demo_video(args)
    ticks = np.arange(0, int(args.seconds * TICKS), FRAME_TICKS)
    truth, bones = video_truth(video, ticks / TICKS)
    frames = list(video_frames(video, bones, Renderer(WIDTH, 1.25)))
    steady = args.output / f"{args.name}.mp4"
    encode(frames, ticks, steady)
    write_truth(truth, video, steady.with_suffix(".npz"))
    kept = np.cumsum((0, *PATTERN * (len(frames) // sum(PATTERN))))
    varying = args.output / f"{args.name}_vfr.mp4"
    encode([frames[index] for index in kept], ticks[kept], varying)
    write_truth(rows(truth, kept), video, varying.with_suffix(".npz"))
    return 0


def demo_video(args: argparse.Namespace) -> Video:
    """The scene: a dressed person, the take's path in the middle of the image, a wooden floor."""
    take = load_motion(args.take, fps=args.fps)
    middle = (take.root_m[:, :2].max(axis=0) + take.root_m[:, :2].min(axis=0)) / 2
    reach = float(np.linalg.norm(take.root_m[:, :2] - middle, axis=1).max())
    rng = np.random.default_rng(PERSON_SEED)
    rest = rest_body(
        body_model(),
        Phenotype(gender=0.05, muscle=0.6, weight=0.5, african=0.2, asian=0.6, caucasian=0.2),
        PERSON_HEIGHT_M,
    )
    person = dressed(rng, rest, PERSON_HEIGHT_M, read_assets(args.assets, body_model()))
    target = np.array([*middle, 0.85])
    eye = np.array([*(middle + (reach + 2.75) * np.array([0.55, -0.83])), 1.45])
    paths = {path.stem: path for path in panorama_paths(args.panoramas)}
    panorama = read_panorama(paths[PANORAMA]) if PANORAMA in paths else procedural_panorama(1)
    backdrop = Backdrop(
        panorama=panorama,
        yaw_rad=0.4,
        gain=1.0,
        floor_kind=2,
        floor_colors=((0.36, 0.22, 0.12), (0.55, 0.38, 0.22)),
        floor_per_m=5.0,
        floor_angle_rad=0.6,
        room_walls_m=None,
        room_height_m=5.0,
        wall_colors=((0.8, 0.8, 0.8), (0.5, 0.5, 0.5)),
        wall_per_m=0.5,
        shadow_catcher=True,
    )
    sun = np.array([0.35, -0.45, 0.8])
    light = Light(panorama.irradiance, sun / np.linalg.norm(sun), np.array([1.0, 0.95, 0.88]), 0.012, 0.95)
    return Video(person, take, still_camera(eye, target, np.radians(62.0), WIDTH), HEIGHT, light, backdrop)


def encode(frames: list[NDArray[np.uint8]], ticks: NDArray[np.integer], path: Path) -> None:
    """Write an H.264 video whose frame i is shown at `ticks[i]` / 24000 s."""
    steady = bool((np.diff(ticks) == FRAME_TICKS).all())
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(TICKS, FRAME_TICKS))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = Fraction(1, TICKS)
        stream.options = {"crf": "24", "preset": "slow"}
        for image, tick in zip(frames, ticks, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = int(tick), Fraction(1, TICKS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    rate = "constant" if steady else "variable"
    print(f"{path}: {len(frames)} frames, {rate} rate, {path.stat().st_size / 1e6:.2f} MB")


def rows(truth: VideoTruth, kept: NDArray[np.integer]) -> VideoTruth:
    """The truth of some frames only."""
    per_frame = ("times_s", "rotations_wxyz", "root_world_m", "joints_camera_m", "body_joints_camera_m",
                 "landmarks_camera_m")  # fmt: skip
    return replace(truth, **{name: getattr(truth, name)[kept] for name in per_frame})


def write_truth(truth: VideoTruth, video: Video, path: Path) -> None:
    """Write the truth, the stature and the frame size beside the video."""
    arrays = {name: np.asarray(value) for name, value in asdict(truth).items()}
    arrays = {name: a.astype(np.float32) if name not in ("times_s", "intrinsics") else a for name, a in arrays.items()}
    np.savez_compressed(path, **arrays, height_m=video.person.height_m, width_px=WIDTH, height_px=HEIGHT)


if __name__ == "__main__":
    sys.exit(main())
