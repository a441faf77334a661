"""How well people are solved whose legs are not in the image: renders videos with truth, or crops videos, and measures.

usage: measure_half_bodies.py render FOLDER COUNT [--motions FOLDER]   (needs the extra 'train')
       measure_half_bodies.py crop FOLDER VIDEO...      (removes the lower part of each frame, keeps the whole one too)
       measure_half_bodies.py solve FOLDER [--quality Q]

The image ends at the waist, the chest or the knees; a desk stands before somebody who sits; somebody comes closer
until only the upper body is in the image. Motions are HDM05's and KayKit's, which nothing was trained on; the lens is
not told. The truth of a cropped video is the solve of the whole one.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from backend.datasets import Motion
from backend.datasets.gltf import read_gltf
from backend.datasets.mocap import canonical_motion, load_motion
from backend.pipeline import SolveRequest, solve
from backend.solving.models import SolveModels, load_models
from backend.solving.request import SolveQuality
from backend.synthesis.assets import AssetLibrary
from backend.synthesis.renderer import Actor, Renderer
from backend.synthesis.rooms import Surroundings, sample_place
from backend.synthesis.scene import Camera, box_mesh, sample_light, surface_color
from backend.synthesis.video import Video, still_camera, video_truth
from backend.synthesis.wardrobe import Material, Part, sample_person
from blender_addon.motion.body import canonical_body
from blender_addon.motion.clip import MotionClip
from blender_addon.motion.posing import clip_body, pose_clip, world_to_camera
from blender_addon.motion.rotations import (
    quaternion_from_to,
    quaternion_multiply,
    quaternion_rotate,
    rotvec_to_quaternion,
)

_SIZE_PX, _HEIGHT_PX, _FPS, _FRAMES = 640, 480, 15, 30
# lowest and highest point in the image, m over the floor
_FRAMINGS = {"waist": (0.95, 2.0), "chest": (1.2, 1.95), "knees": (0.5, 2.05), "desk": (0.45, 1.6)}
_KINDS = ("waist", "chest", "desk", "closer", "knees")
_STANDING = ("grab", "throw", "rotateArms", "elbow")
_DESK_M = 0.74


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("render", "crop", "solve"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("rest", nargs="*", help="the number of videos to render, or the videos to crop")
    parser.add_argument("--motions", type=Path, default=Path("../shared/data"))
    parser.add_argument("--quality", choices=[quality.value for quality in SolveQuality], default="balanced")
    parser.add_argument("--keep", type=float, default=0.55, help="part of the frame's height that a crop keeps")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    if args.what == "render":
        render(args.folder, int(args.rest[0]), args.motions)
    elif args.what == "crop":
        for video in args.rest:
            crop(Path(video), args.folder, args.keep)
    else:
        report(args.folder, SolveQuality(args.quality))


def render(folder: Path, count: int, motions: Path) -> None:
    """Render videos 0 to `count` that are not there yet, each from its own number."""
    renderer = Renderer(_SIZE_PX, 1.0)
    for number in range(count):
        path = folder / f"{number:03d}.mp4"
        if path.exists():
            continue
        rng = np.random.default_rng([31, number])
        kind = _KINDS[number % len(_KINDS)]
        take = _take(rng, motions, kind)
        _render_one(rng, renderer, path, take, kind)
        print(path.name, kind, take.action or take.source, flush=True)


def _take(rng: np.random.Generator, data: Path, kind: str) -> Motion:
    if kind == "desk":
        found = read_gltf(data / "floor/kaykit/Med_Simulation.glb", "Rig_Medium|Sit_Chair_Idle", "Rig_Medium|T-Pose")
        seated = canonical_motion(found, found.fps, "kaykit", "Sit_Chair_Idle", "kaykit")
        return _with_arms(rng, seated, _hdm05(rng, data, ("grab", "throw", "rotateArms")))
    return _hdm05(rng, data, ("jog", "sneak") if kind == "closer" else _STANDING)


def _hdm05(rng: np.random.Generator, data: Path, actions: tuple[str, ...]) -> Motion:
    folder = data / "mocap" / "hdm05_asfamc"
    takes = sorted(path for path in folder.rglob("*.amc") if any(action in path.name for action in actions))
    source = takes[rng.integers(len(takes))]
    skeleton = next(path for path in sorted(folder.rglob("*.asf")) if source.stem.split("_")[1] in path.name)
    return load_motion(source, asf=skeleton, fps=30.0, action=source.stem)


def _with_arms(rng: np.random.Generator, seated: Motion, other: Motion) -> Motion:
    """Somebody who sits, with the arms, the head and a little of the trunk of somebody else."""
    frames = len(other)
    rows = np.arange(frames) % len(seated)
    rotations = seated.rotations_wxyz[rows].copy()
    for joint, name in enumerate(canonical_body().joint_names):
        if any(part in name for part in ("collar", "shoulder", "elbow", "wrist", "neck", "head")):
            rotations[:, joint] = other.rotations_wxyz[:, joint]
    return Motion(rotations, seated.root_m[rows], 30.0, "mixed", other.action, "mixed")


def _came_closer(take: Motion, seconds: float) -> Motion:
    """The take's own motion on a straight way of 2.6 m towards -Y, facing where it goes."""
    frames = int(seconds * take.fps) + 2
    rows = np.abs((np.arange(frames) + len(take)) % (2 * len(take) - 2) - (len(take) - 1))
    root = take.root_m[rows].astype(np.float64)
    root[:, 0], root[:, 1] = 0.0, -2.6 * np.linspace(0.0, 1.0, frames)
    rotations = take.rotations_wxyz[rows].astype(np.float64)
    return Motion(_facing(rotations, -np.pi / 2), root, take.fps, take.subject, take.action, take.source)


def _facing(rotations: np.ndarray, heading_rad: float) -> np.ndarray:
    """Root rotations turned about the vertical in each frame so that the pelvis faces the heading."""
    ahead = quaternion_rotate(rotations[:, 0], np.array([0.0, -1.0, 0.0]))
    turn = heading_rad - np.arctan2(ahead[:, 1], ahead[:, 0])
    up = np.zeros((len(turn), 3))
    up[:, 2] = turn
    turned = rotations.copy()
    turned[:, 0] = quaternion_multiply(rotvec_to_quaternion(up), rotations[:, 0])
    return turned


def _render_one(rng: np.random.Generator, renderer: Renderer, path: Path, take: Motion, kind: str) -> None:
    if kind == "closer":
        take = _came_closer(take, _FRAMES / _FPS)
    times_s = np.linspace(0.0, min((len(take) - 1) / take.fps, _FRAMES / _FPS), _FRAMES)
    person = sample_person(rng, AssetLibrary())
    rows = np.minimum((times_s * take.fps).astype(int), len(take) - 1)
    middle = take.root_m[rows].astype(np.float64).mean(axis=0)
    ahead = quaternion_rotate(take.rotations_wxyz[rows, 0].astype(np.float64), np.array([0.0, -1.0, 0.0])).mean(axis=0)
    camera = _camera(rng, middle, (kind, float(np.arctan2(ahead[1], ahead[0]))))
    place = sample_place(rng, Surroundings.LAWN if rng.random() < 0.25 else Surroundings.ROOM, camera, middle)
    video = Video(person, take, camera, _HEIGHT_PX, sample_light(rng, place.backdrop), place.backdrop)
    truth, bones = video_truth(video, times_s)
    things = list(place.things)
    if kind == "desk":
        things.append(_desk(rng, camera, middle))
    parts, things_there = renderer.upload(person.parts), renderer.upload(tuple(things))
    top = (_SIZE_PX - _HEIGHT_PX) // 2

    def frames() -> Iterator[np.ndarray]:
        for matrices in bones:
            actors = (Actor(parts, matrices, 1.0), *((Actor(things_there, np.eye(3, 4)[None], 0.2),) if things else ()))
            yield renderer.render(camera, video.light, place.backdrop, actors).image[top : top + _HEIGHT_PX]

    write_video(path, frames(), _FPS)
    renderer.release(parts)
    renderer.release(things_there)
    np.savez(
        path.with_suffix(".npz"),
        down=-camera.world_from_camera[2, :3],
        kind=kind,
        joints_camera_m=truth.body_joints_camera_m,
        times_s=times_s,
    )


def _camera(rng: np.random.Generator, hips_m: np.ndarray, person: tuple[str, float]) -> Camera:
    """A camera that sees from the framing's lowest to its highest point, mostly from before the person."""
    kind, heading = person
    if kind == "closer":
        eye = np.array([rng.uniform(-0.4, 0.4), -2.6 - rng.uniform(1.0, 1.4), rng.uniform(1.2, 1.6)])
        target = np.array([*hips_m[:2], 1.25])
        return still_camera(eye, target, np.deg2rad(rng.uniform(55.0, 65.0)), _SIZE_PX)
    low, high = _FRAMINGS[kind]
    widest = np.pi if kind != "desk" and rng.random() < 0.25 else 0.9
    yaw, distance = heading + rng.uniform(-widest, widest), rng.uniform(1.5, 2.6)
    eye = np.array([*(hips_m[:2] + distance * np.array([np.cos(yaw), np.sin(yaw)])), rng.uniform(1.1, 1.8)])
    target = np.array([*(hips_m[:2] + rng.normal(0.0, 0.05, 2)), 0.5 * (low + high)])
    view = 2.0 * np.arctan(0.5 * (high - low) / distance * _SIZE_PX / _HEIGHT_PX)
    return still_camera(eye, target, float(view), _SIZE_PX)


def _desk(rng: np.random.Generator, camera: Camera, hips_m: np.ndarray) -> Part:
    """A desk with a closed front between the camera and somebody who sits and faces -Y."""
    half = np.array([rng.uniform(0.7, 1.1), 0.35, 0.5 * _DESK_M])
    color = surface_color(rng)
    paint = Material(None, color, color, -9.0, 0.0, 0, surface_color(rng), 1.0, 0.1)
    return Part(box_mesh(np.array([hips_m[0], hips_m[1] - 0.62, half[2]]), half, np.eye(3)), paint)


def write_video(path: Path, images: Iterator[np.ndarray], fps: float) -> None:
    """H.264 of RGB images with even sides."""
    rate = Fraction(fps).limit_denominator(1001)
    with av.open(str(path), "w") as out:
        stream = None
        for index, image in enumerate(images):
            if stream is None:
                stream = out.add_stream("libx264", rate=rate, options={"crf": "18", "preset": "veryfast"})
                stream.height, stream.width, stream.pix_fmt = *image.shape[:2], "yuv420p"
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts, frame.time_base = index, 1 / rate
            out.mux(stream.encode(frame))
        if stream is not None:
            out.mux(stream.encode(None))


def crop(video: Path, folder: Path, keep: float, most: int = 100) -> None:
    """Write the upper part of each of the first frames, and the whole ones, as `NAME.mp4` and `NAME.whole.mp4`."""
    with av.open(str(video)) as source:
        fps = float(source.streams.video[0].average_rate or 30)
        images = []
        for frame in source.decode(video=0):
            images.append(frame.to_ndarray(format="rgb24"))
            if len(images) == most:
                break
    height, width = images[0].shape[0] // 2 * 2, images[0].shape[1] // 2 * 2
    kept = int(height * keep) // 2 * 2
    name = f"{video.parent.name}_{video.stem}"
    write_video(folder / f"{name}.whole.mp4", (image[:height, :width] for image in images), fps)
    write_video(folder / f"{name}.mp4", (image[:kept, :width] for image in images), fps)


@dataclass(frozen=True, slots=True)
class Measured:
    """One video: its kind and figures."""

    kind: str
    figures: dict[str, float]


def report(folder: Path, quality: SolveQuality) -> None:
    """Solve every video of the folder and print figures of each, and means of each kind."""
    models = load_models(quality)
    rows = []
    for path in sorted(folder.glob("*.mp4")):
        if path.stem.endswith(".whole"):
            continue
        row = _measure(path, models, quality)
        if row is not None:
            rows.append(row)
            print(path.name, row.kind, _words(row.figures), flush=True)
    for kind in dict.fromkeys([*(row.kind for row in rows), "all"]):
        some = [row.figures for row in rows if kind in (row.kind, "all")]
        means = {name: float(np.nanmean([figures.get(name, np.nan) for figures in some])) for name in some[0]}
        print(f"{kind} ({len(some)}):", _words(means))


def _words(figures: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in figures.items())


def _measure(path: Path, models: SolveModels, quality: SolveQuality) -> Measured | None:
    whole = path.with_suffix(".whole.mp4")
    clip = _solved(path, models, quality)
    if clip is None:
        return Measured("none", {"solved": 0.0})
    if not whole.exists():
        truth = np.load(path.with_suffix(".npz"))
        return Measured(str(truth["kind"]), _figures(clip, truth["joints_camera_m"], truth["down"]))
    other = _solved(whole, models, quality)
    if other is None:
        return None
    return Measured("crop", _figures(clip, *_seen_alike(other, clip)))


def _solved(path: Path, models: SolveModels, quality: SolveQuality) -> MotionClip | None:
    try:
        return solve(SolveRequest(path, path.with_suffix(".clip.npz"), quality=quality), models=models).clips[0]
    except Exception as fault:  # nobody found: nothing to measure
        print(path.name, "not solved:", fault, flush=True)
        return None


def _joints_m(clip: MotionClip) -> np.ndarray:
    """Joints (T, J, 3) in the camera."""
    return world_to_camera(clip.world_from_camera, pose_clip(clip).positions_m)


def _seen_alike(whole: MotionClip, cropped: MotionClip) -> tuple[np.ndarray, np.ndarray]:
    """Joints (T, J, 3) and the direction down (3,) of the whole video's solve, turned as the cropped one sees the same
    neck: the middle of the image, and with it the assumed optical axis, is another one.
    """
    joints, neck = _joints_m(whole), clip_body(whole).joint_index("neck")
    rays = [np.nanmean(points[:, neck], axis=0) for points in (joints, _joints_m(cropped))]
    turn = quaternion_from_to(rays[0] / np.linalg.norm(rays[0]), rays[1] / np.linalg.norm(rays[1]))
    down = -whole.world_from_camera[0, 2, :3]
    return quaternion_rotate(turn, joints), quaternion_rotate(turn, down)


def _figures(clip: MotionClip, truth_m: np.ndarray, down: np.ndarray) -> dict[str, float]:
    """Errors of the trunk (degrees) in the camera and against the vertical, of the arms (mm from the neck), of gravity;
    how fast knees and ankles move (m/s, from the pelvis) in the clip and in truth, and how far the knees bend.
    """
    body, own = clip_body(clip), _joints_m(clip)
    frames = min(len(own), len(truth_m))
    own, truth = own[:frames], truth_m[:frames].astype(np.float64)
    found = np.isfinite(own).all(axis=(1, 2)) & np.isfinite(truth).all(axis=(1, 2))
    if not found.any():
        return {"solved": 0.0}
    joint = body.joint_index
    trunks = [joints[found, joint("neck")] - joints[found, 0] for joints in (own, truth)]
    own_down = -clip.world_from_camera[0, 2, :3]
    ends = [joint(f"{side}_{name}") for side in ("left", "right") for name in ("elbow", "wrist")]
    arms = [joints[found][:, ends] - joints[found, joint("neck"), None] for joints in (own, truth)]
    scale = np.linalg.norm(trunks[1], axis=-1).mean() / np.linalg.norm(trunks[0], axis=-1).mean()
    legs = [joint(f"{side}_{name}") for side in ("left", "right") for name in ("knee", "ankle")]
    step_s = np.diff(np.asarray(clip.times_s)[:frames])
    speeds = []
    for joints in (own, truth):
        relative = joints[:, legs] - joints[:, :1]
        speeds.append(float(np.nanmean(np.linalg.norm(np.diff(relative, axis=0), axis=-1) / step_s[:, None])))
    height = clip.root_world_m[:frames, 2] + (truth[:, 0] @ down) * (1.0 if scale == 0 else 1.0 / scale)
    return {
        "solved": float(found.mean()),
        "trunk_deg": float(_angle_deg(*trunks).mean()),
        "lean_deg": float(np.abs(_angle_deg(trunks[0], own_down) - _angle_deg(trunks[1], down)).mean()),
        "gravity_deg": float(_angle_deg(own_down, down)),
        "arms_mm": 1000.0 * float(np.linalg.norm(arms[0] * scale - arms[1], axis=-1).mean()),
        "leg_m_s": speeds[0],
        "true_leg_m_s": speeds[1],
        "root_height_sd_m": float(np.nanstd(height)),
        "feet_planted": float((np.asarray(clip.contacts)[:frames][found] > 0.5).mean()),
    }


def _angle_deg(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    cosine = (first * second).sum(axis=-1) / (np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1))
    return np.asarray(np.rad2deg(np.arccos(np.clip(cosine, -1.0, 1.0))))


if __name__ == "__main__":
    main()
