"""Render a video of a dressed body that moves as a mocap file says, seen by a known camera, with its truth beside it.

The truth (`NAME.truth.npz`) holds times_s (T,), root_world_m, root_camera_m (T, 3), joints_camera_m (T, 17, 3),
joint_names, intrinsics (3, 3), world_from_camera (4, 4), height_m. Needs the extra `train` and an EGL context.

usage: python tools/render_clip.py walk.bvh -o walk.mp4 [--fps 24000/1001] [--seconds 4] [--assets DIR] ...
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from backend.datasets.mocap import load_motion
from backend.datasets.motion import Motion
from backend.synthesis.assets import read_assets
from backend.synthesis.body_model import BODY_VERTICES, body_model
from backend.synthesis.panoramas import panorama_paths
from backend.synthesis.posing import PosedBody, pose_body, skin_vertices
from backend.synthesis.renderer import Actor, Renderer
from backend.synthesis.scene import Camera, look_at, sample_backdrop, sample_light
from backend.synthesis.truth import subset_points_m
from backend.synthesis.wardrobe import Person, sample_person
from blender_addon.motion.body import canonical_body
from blender_addon.motion.rotations import quaternion_continuous, quaternion_slerp

Array = NDArray[np.floating]

TIME_BASE = Fraction(1, 24000)


@dataclass(frozen=True, slots=True)
class Shot:
    """What to render: picture side in px, lens, camera place around the path's middle, and the random seed."""

    side_px: int
    fov_deg: float
    yaw_deg: float
    height_m: float
    margin_m: float
    seed: int


def resampled(motion: Motion, times_s: Array) -> tuple[Array, Array]:
    """Rotations (T, J, 4) and root (T, 3) at other times, by slerp and straight lines."""
    at = np.clip(times_s * motion.fps, 0, len(motion.root_m) - 1.001)
    first = at.astype(int)
    weight = at - first
    rotations = quaternion_continuous(motion.rotations_wxyz)
    turned = quaternion_slerp(rotations[first], rotations[first + 1], weight[:, None])
    return turned, motion.root_m[first] * (1 - weight[:, None]) + motion.root_m[first + 1] * weight[:, None]


def posed_frames(person: Person, rotations: Array, root_m: Array) -> list[PosedBody]:
    """The body in every frame, scaled to the person and put on the floor once for the whole clip."""
    scale = person.height_m / canonical_body().height_m
    bodies = [pose_body(person.body, q, r * scale, (0.2, 0.2)) for q, r in zip(rotations, root_m, strict=True)]
    probed = np.arange(0, BODY_VERTICES, 7)
    lows = [skin_vertices(person.body, body.bone_matrices, probed)[:, 2].min() for body in bodies]
    lift = np.array([0.0, 0.0, -float(np.percentile(lows, 20))])
    return [body.moved(lift) for body in bodies]


def camera_for(bodies: list[PosedBody], shot: Shot) -> Camera:
    """A static camera that sees the whole path, with a margin around it."""
    points = np.concatenate([body.joints_m for body in bodies])
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    reach = float(np.linalg.norm(points - middle, axis=1).max()) + shot.margin_m
    distance = reach / np.sin(np.radians(shot.fov_deg) / 2)
    yaw = np.radians(shot.yaw_deg)
    eye = np.array([middle[0] + distance * np.cos(yaw), middle[1] + distance * np.sin(yaw), shot.height_m])
    axes = look_at(eye, middle)
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = axes.T, eye
    focal = shot.side_px / 2 / np.tan(np.radians(shot.fov_deg) / 2)
    k = np.array([[focal, 0, shot.side_px / 2], [0, focal, shot.side_px / 2], [0, 0, 1.0]])
    return Camera(k, pose, shot.side_px)


def pictures(
    person: Person, bodies: list[PosedBody], camera: Camera, panoramas: Path | None, seed: int
) -> Iterator[NDArray[np.uint8]]:
    """Render every frame under one light."""
    rng = np.random.default_rng(seed)
    backdrop = sample_backdrop(rng, panorama_paths(panoramas), camera, bodies[0].joints_m[0])
    light = sample_light(rng, backdrop)
    renderer = Renderer(camera.size_px)
    parts = renderer.upload(person.parts)
    for body in bodies:
        yield renderer.render(camera, light, backdrop, (Actor(parts, body.bone_matrices, 1.0),)).image


def write_video(path: Path, frames: Iterator[NDArray[np.uint8]], times_s: Array, side_px: int) -> None:
    """Encode H.264 with exact presentation times on a 1/24000 s clock."""
    with av.open(str(path), "w") as out:
        stream = cast(VideoStream, out.add_stream("libx264", rate=30, options={"crf": "20", "bf": "0"}))
        stream.width = stream.height = side_px
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = TIME_BASE
        for picture, time_s in zip(frames, times_s, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = round(time_s / TIME_BASE), TIME_BASE
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def write_truth(path: Path, bodies: list[PosedBody], camera: Camera, times_s: Array, height_m: float) -> None:
    """Everything that a solve should find."""
    joints = np.stack([subset_points_m("h36m17", body.joints_m, body.sites_m) for body in bodies])
    root = np.stack([body.joints_m[0] for body in bodies])
    np.savez(
        path,
        times_s=times_s,
        root_world_m=root,
        root_camera_m=camera.camera_from_world(root),
        joints_camera_m=camera.camera_from_world(joints),
        joint_names=np.array(canonical_body().subsets["h36m17"]),
        intrinsics=camera.intrinsics,
        world_from_camera=camera.world_from_camera,
        height_m=height_m,
    )


def main(argv: list[str] | None = None) -> int:
    """Render and write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mocap", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--fps", type=Fraction, default=Fraction(24000, 1001))
    parser.add_argument("--mocap-fps", type=float, help="rate of a file that names none (AMC)")
    parser.add_argument("--uneven", action="store_true", help="variable frame rate: steps of one to three frames")
    parser.add_argument("--start", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--fov", type=float, default=50.0)
    parser.add_argument("--yaw", type=float, default=-60.0)
    parser.add_argument("--camera-height", type=float, default=1.4)
    parser.add_argument("--margin", type=float, default=0.3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--assets", type=Path)
    parser.add_argument("--panoramas", type=Path)
    args = parser.parse_args(argv)
    motion = load_motion(args.mocap, fps=args.mocap_fps)
    length_s = min(args.seconds, len(motion.root_m) / motion.fps - args.start)
    steps = np.arange(round(length_s * float(args.fps)))
    if args.uneven:
        steps = np.cumsum(np.random.default_rng(args.seed).choice([1, 1, 1, 2, 3], len(steps)))
        steps = steps[steps < length_s * float(args.fps)] - steps[0]
    # times that the video's clock can hold, so that the truth is the truth of the very pictures
    times_s = np.round(steps / float(args.fps) / float(TIME_BASE)) * float(TIME_BASE)
    person = sample_person(np.random.default_rng(args.seed), read_assets(args.assets, body_model()))
    bodies = posed_frames(person, *resampled(motion, times_s + args.start))
    shot = Shot(args.side, args.fov, args.yaw, args.camera_height, args.margin, args.seed)
    camera = camera_for(bodies, shot)
    write_video(args.output, pictures(person, bodies, camera, args.panoramas, args.seed), times_s, args.side)
    write_truth(args.output.with_suffix(".truth.npz"), bodies, camera, times_s, person.height_m)
    print(f"{len(times_s)} frames, {person.height_m:.3f} m tall, field of view {args.fov:g} degrees")
    return 0


if __name__ == "__main__":
    sys.exit(main())
