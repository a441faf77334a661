"""How well the direction of gravity is found: renders test videos with truth, solves them and prints the errors.

usage: measure_gravity.py render FOLDER COUNT [--half] [--mocap FOLDER]   (needs the extra 'train')
       measure_gravity.py solve FOLDER

Two thirds of the videos show a room with straight edges, one third a lawn without; a fifth of the motions is lying
down. Cameras are held at 0.4 to 2.6 m, mostly level, some rolled; the lens is not told to the solver.
"""

from __future__ import annotations

import argparse
import re
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from backend.datasets import Motion
from backend.datasets.mocap import load_motion
from backend.pipeline import SolveRequest, solve
from backend.solving.models import SolveModels, load_models
from backend.solving.request import SolveQuality
from backend.synthesis.assets import AssetLibrary
from backend.synthesis.renderer import Actor, Renderer
from backend.synthesis.rooms import Place, Surroundings, sample_place
from backend.synthesis.scene import Camera, sample_light
from backend.synthesis.video import Video, still_camera, video_truth
from backend.synthesis.wardrobe import sample_person
from blender_addon.motion.clip import MotionClip
from blender_addon.motion.posing import clip_body, pose_clip, world_to_camera
from blender_addon.motion.rotations import quaternion_to_matrix, rotvec_to_quaternion

_SIZE_PX, _HEIGHT_PX, _FPS, _FRAMES = 640, 480, 15, 20
_LYING = "lieDownFloor"


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("render", "solve"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("count", type=int, nargs="?", default=30)
    parser.add_argument("--half", action="store_true", help="only the upper half of the body in the frame")
    parser.add_argument("--mocap", type=Path, default=Path("../shared/data/mocap/hdm05_asfamc"))
    args = parser.parse_args()
    if args.what == "render":
        args.folder.mkdir(parents=True, exist_ok=True)
        render(args.folder, args.count, args.mocap, args.half)
    else:
        report(args.folder)


def render(folder: Path, count: int, mocap: Path, half: bool) -> None:
    """Render videos 0 to `count` that are not there yet, each from its own number."""
    takes = sorted(mocap.rglob("*.amc"))
    renderer = Renderer(_SIZE_PX, 1.3)
    for number in range(count):
        path = folder / f"{number:03d}.mp4"
        if path.exists():
            continue
        rng = np.random.default_rng([23, number])
        lying = number % 5 == 4 and not half
        some = [take for take in takes if (_LYING in take.name) == lying]
        source = some[rng.integers(len(some))]
        kind = Surroundings.LAWN if number % 3 == 2 else Surroundings.ROOM
        _render_one(rng, renderer, path, _take(source), (kind, lying, half))
        print(path.name, kind.value, source.stem, flush=True)


def _take(source: Path) -> Motion:
    subject = re.split(r"[_]", source.name)[1]
    skeleton = next(path for path in source.parents[2].rglob("*.asf") if subject in path.name)
    return load_motion(source, asf=skeleton, fps=30.0)


def _render_one(
    rng: np.random.Generator, renderer: Renderer, path: Path, take: Motion, kind: tuple[Surroundings, bool, bool]
) -> None:
    length_s = (len(take) - 1) / take.fps
    start_s = max(0.0, length_s - _FRAMES / _FPS) if kind[1] else 0.0
    times_s = np.linspace(start_s, min(length_s, start_s + _FRAMES / _FPS), _FRAMES)
    person = sample_person(rng, AssetLibrary())
    middle = take.root_m[len(take) // 2].astype(np.float64)
    camera = _sample_half_camera(rng, middle) if kind[2] else _sample_camera(rng, middle)
    place: Place = sample_place(rng, kind[0], camera, middle)
    video = Video(person, take, camera, _HEIGHT_PX, sample_light(rng, place.backdrop), place.backdrop)
    truth, bones = video_truth(video, times_s)
    parts, things = renderer.upload(person.parts), renderer.upload(place.things)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=_FPS, options={"crf": "20", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = _SIZE_PX, _HEIGHT_PX, "yuv420p"
        top = (_SIZE_PX - _HEIGHT_PX) // 2
        for index, matrices in enumerate(bones):
            actors = (Actor(parts, matrices, 1.0), *((Actor(things, np.eye(3, 4)[None], 0.2),) if things else ()))
            image = renderer.render(camera, video.light, place.backdrop, actors).image[top : top + _HEIGHT_PX]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, _FPS)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    renderer.release(parts)
    renderer.release(things)
    down = -camera.world_from_camera[2, :3]
    np.savez(
        path.with_suffix(".npz"),
        down=down,
        kind=kind[0].value,
        lying=kind[1],
        joints_camera_m=truth.body_joints_camera_m,
    )


def _sample_camera(rng: np.random.Generator, hips_m: np.ndarray) -> Camera:
    """A camera that sees the whole person; rolled by a few degrees, every sixth by up to 30."""
    yaw, distance = rng.uniform(-np.pi, np.pi), rng.uniform(2.8, 5.5)
    eye = np.array([*(hips_m[:2] + distance * np.array([np.cos(yaw), np.sin(yaw)])), rng.uniform(0.4, 2.6)])
    target = np.array([*(hips_m[:2] + rng.normal(0.0, 0.25, 2)), rng.uniform(0.5, 1.0)])
    view = np.radians(rng.uniform(48.0, 72.0))
    level = still_camera(eye, target, float(view), _SIZE_PX)
    roll = np.radians(rng.uniform(-30.0, 30.0) if rng.random() < 1 / 6 else rng.normal(0.0, 2.5))
    world_from_camera = level.world_from_camera.copy()
    world_from_camera[:3, :3] = world_from_camera[:3, :3] @ quaternion_to_matrix(
        rotvec_to_quaternion(np.array([0.0, 0.0, roll]))
    )
    return Camera(level.intrinsics, world_from_camera, _SIZE_PX)


def _sample_half_camera(rng: np.random.Generator, hips_m: np.ndarray) -> Camera:
    """A level camera close by that sees head, shoulders and trunk down to about the hips."""
    yaw, distance = rng.uniform(-np.pi, np.pi), rng.uniform(1.3, 2.0)
    eye = np.array([*(hips_m[:2] + distance * np.array([np.cos(yaw), np.sin(yaw)])), rng.uniform(1.2, 1.7)])
    target = np.array([*(hips_m[:2] + rng.normal(0.0, 0.1, 2)), 1.4])
    view = 2.0 * np.arctan(0.5 * _SIZE_PX / _HEIGHT_PX * 0.95 / distance)
    return still_camera(eye, target, float(view), _SIZE_PX)


def report(folder: Path) -> None:
    """Solve every video of the folder and print the error of each, and shares by kind."""
    models = load_models(SolveQuality.BALANCED)
    rows = [_solve_one(path, models) for path in sorted(folder.glob("*.mp4"))]
    for kind in ("room", "lawn"):
        for lying in (False, True):
            some = [row for row in rows if row[:2] == (kind, lying)]
            if some:
                error = np.array([row[2] for row in some])
                silent = sum(row[2] > 30.0 and not row[3] for row in some)
                print(
                    f"{kind:5s} {'lying' if lying else 'other':6s} {len(some):3d} videos: "
                    f"median {np.median(error):.1f}, within 5 degrees {np.mean(error <= 5.0):.2f}, "
                    f"over 30 {int((error > 30.0).sum())}, of these without a warning {silent}, "
                    f"warned {sum(row[3] for row in some)}"
                )


def _solve_one(path: Path, models: SolveModels) -> tuple[str, bool, float, bool]:
    truth = np.load(path.with_suffix(".npz"))
    try:
        result = solve(SolveRequest(path, path.with_suffix(".clip.npz"), quality=SolveQuality.BALANCED), models=models)
    except Exception as fault:  # nobody found: nothing to measure
        print(path.name, "not solved:", fault, flush=True)
        return "none", False, 0.0, False
    header = result.clips[0].header
    down = -result.clips[0].world_from_camera[0, 2, :3]
    error = float(np.rad2deg(np.arccos(np.clip(down @ truth["down"], -1.0, 1.0))))
    warned = any("--gravity" in warning.text for warning in header.warnings)
    kind, lying = str(truth["kind"]), bool(truth["lying"])
    roll = np.rad2deg(np.arctan2(truth["down"][0], truth["down"][1]))
    trunk = _trunk_error_deg(result.clips[0], truth.get("joints_camera_m"))
    solved = header.figures["solved_share"]
    print(
        f"{path.name} {kind} {'lying' if lying else 'other'} error {error:.1f} +- {header.gravity_uncertainty_deg:.1f}"
        f" (true roll {roll:.0f}), trunk {trunk:.1f}, solved {solved:.2f}{' warned' if warned else ''}",
        flush=True,
    )
    return kind, lying, error, warned


def _trunk_error_deg(clip: MotionClip, truth_m: np.ndarray | None) -> float:
    """Mean angle between the direction from pelvis to neck in the clip and its truth (T, J, 3), in the camera."""
    if truth_m is None:
        return float("nan")
    body = clip_body(clip)
    own = world_to_camera(clip.world_from_camera, pose_clip(clip).positions_m)
    neck = body.joint_index("neck")
    ends = [joints[:, neck] - joints[:, 0] for joints in (own, truth_m[: len(own)])]
    first, second = (end / np.linalg.norm(end, axis=-1, keepdims=True) for end in ends)
    return float(np.nanmean(np.rad2deg(np.arccos(np.clip((first * second).sum(axis=-1), -1.0, 1.0)))))


if __name__ == "__main__":
    main()
