"""Render videos with truth of cameras that travel: a person on a textured floor, for `tools.measure_travel`.

usage: render_travel.py OUTPUT --mocap MOCAP --assets ASSETS [--kinds KIND,...] [--seed SEED] [--size WIDTH] [--lawn]

Every video is a folder, `KIND-SEED`, with `video.mp4` and `truth.npz`. Kinds: `sideways`, `forwards`, `orbit`, `walk`
(a hand-held camera that goes along with somebody who walks), `backwards` (the same, before them), `crane` (upwards),
and the controls `still`, `turn` (shakes and pans on one spot) and `sway` (somebody who stands with the camera in their
hands). Motion is of held-out subjects. A folder that is complete is not rendered again. `--lawn` puts all of them on a
lawn before trees that are far away.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from backend.datasets import Motion, read_library
from backend.synthesis.assets import AssetLibrary, read_assets
from backend.synthesis.body_model import body_model
from backend.synthesis.performances import Kind, perform
from backend.synthesis.renderer import Renderer
from backend.synthesis.rooms import Surroundings
from backend.synthesis.scene import look_at
from backend.synthesis.take_scene import Placed, TakeCamera, joints_at, place_people, record, surround
from backend.synthesis.wardrobe import sample_person
from backend.types import Array
from blender_addon.motion.rotations import quaternion_to_matrix, rotvec_to_quaternion
from tools.render_takes import write_video

KINDS = ("sideways", "forwards", "orbit", "walk", "backwards", "still", "turn", "sway", "crane")
RATE, LENGTH_S = Fraction(25), 4.0
SUPERSAMPLE = 1.25
_WALKS = ("walk", "backwards")
# turns of a hand, degrees, and its sway, m
_SHAKE_DEG, _SWAY_M = 0.8, 0.03


@dataclass(frozen=True, slots=True)
class Studio:
    """What all videos share."""

    motions: tuple[Motion, ...]
    library: AssetLibrary
    renderer: Renderer
    width: int
    where: Surroundings | None = None


def wander(rng: np.random.Generator, times_s: Array, rates_hz: tuple[float, ...], axes: int) -> Array:
    """Smooth noise (T, axes) of about one."""
    waves = [
        np.sin(2.0 * np.pi * (rate * times_s[:, None] + rng.random(axes))) * rng.uniform(0.4, 1.0, axes)
        for rate in rates_hz
    ]
    return np.asarray(np.sum(waves, axis=0) / np.sqrt(len(rates_hz)))


def camera_path(rng: np.random.Generator, kind: str, hips: Array, times_s: Array) -> Array:
    """Poses (T, 4, 4) of a camera of a kind that sees hips (T, 3) all the time."""
    yaw, apart, height = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(3.4, 4.6), rng.uniform(1.0, 1.8)
    middle = np.array([*hips[:, :2].mean(axis=0), 0.9])
    share = np.linspace(-0.5, 0.5, len(times_s))[:, None]
    share = share * (1.0 + 0.3 * (0.25 - share**2))
    toward = np.array([np.cos(yaw), np.sin(yaw), 0.0])
    across = np.array([-toward[1], toward[0], 0.0]) * rng.choice([-1.0, 1.0])
    camera = middle - apart * toward + np.array([0.0, 0.0, height - 0.9])
    cameras = np.tile(camera, (len(times_s), 1))
    target = np.tile(middle, (len(times_s), 1))
    if kind == "sideways":
        way = rng.uniform(1.2, 2.4) * share * across
        cameras, target = cameras + way, target + (way if rng.random() < 0.4 else 0.3 * way)
    elif kind == "forwards":
        cameras = cameras + rng.choice([-1.0, 1.0]) * rng.uniform(1.2, 2.0) * share * toward
    elif kind == "crane":
        cameras = cameras + (rng.uniform(0.8, 1.6) * (share + 0.5)) * np.array([0.0, 0.0, 1.0])
    elif kind == "orbit":
        angle = np.radians(rng.uniform(40.0, 80.0)) * share[:, 0] * rng.choice([-1.0, 1.0])
        turn = quaternion_to_matrix(rotvec_to_quaternion(angle[:, None] * np.array([0.0, 0.0, 1.0])))
        cameras = middle + (turn @ (camera - middle)[:, None])[..., 0]
    elif kind in _WALKS:
        slow = np.stack([np.convolve(np.pad(hips[:, axis], 20, mode="edge"), np.ones(41) / 41, "valid")
                         for axis in range(2)], axis=1)  # fmt: skip
        way = hips[-1, :2] - hips[0, :2]
        ahead = np.array([*(way / np.linalg.norm(way)), 0.0]) * (-1.0 if kind == "walk" else 1.0)
        beside = np.array([-ahead[1], ahead[0], 0.0]) * rng.uniform(-1.5, 1.5)
        cameras = np.concatenate([slow, np.full((len(times_s), 1), height)], axis=1) + apart * ahead + beside
        target = np.concatenate([slow, np.full((len(times_s), 1), 0.9)], axis=1)
    held = kind in (*_WALKS, "turn", "sway") or (kind != "still" and rng.random() < 0.4)
    if kind in (*_WALKS, "sway"):
        cameras = cameras + _SWAY_M * wander(rng, times_s, (0.3, 0.9, 1.9), 3)
    if kind == "turn":
        target = target + 0.8 * share * across
    turns = wander(rng, times_s, (0.4, 1.1, 2.3), 3) * np.radians(_SHAKE_DEG) * held
    poses = np.tile(np.eye(4), (len(times_s), 1, 1))
    poses[:, :3, 3] = cameras
    for at, (one, other) in enumerate(zip(cameras, target, strict=True)):
        poses[at, :3, :3] = look_at(one, other).T @ quaternion_to_matrix(rotvec_to_quaternion(turns[at]))
    return poses


def lens(rng: np.random.Generator, people: tuple[Placed, ...], poses: Array, times_s: Array, width: int) -> TakeCamera:
    """A lens, shut until the whole person is in every frame or as wide as 85 degrees."""
    height = round(width * 9 / 16)
    points = joints_at(people[0].landmarks_m, times_s)
    fov_deg = float(rng.uniform(50.0, 65.0))
    while True:
        focal = width / 2 / np.tan(np.radians(fov_deg) / 2)
        matrix = np.array([[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]])
        seen = np.einsum("tki,tij->tkj", points - poses[:, None, :3, 3], poses[:, :3, :3])
        image = seen @ matrix.T
        reach = np.abs(image[..., :2] / image[..., 2:] / (width, height) - 0.5).max()
        if reach < 0.47 or fov_deg > 85.0:
            return TakeCamera(matrix, poses[0], width, height)
        fov_deg += 2.0


def render_video(folder: Path, kind: str, rng: np.random.Generator, studio: Studio) -> None:
    """Render one video into a folder; `truth.npz` is written last."""
    whole_s = LENGTH_S + 0.5
    performed = perform(rng, Kind.CROSS if kind in _WALKS else Kind.SOLO, studio.motions, whole_s)[:1]
    people = place_people([sample_person(rng, studio.library)], performed, Kind.SOLO)
    times_s = 0.2 + np.arange(int(LENGTH_S * RATE)) / float(RATE)
    joints = joints_at(people[0].joints_m, times_s)
    poses = camera_path(rng, kind, joints[:, 0], times_s)
    camera = lens(rng, people, poses, times_s, studio.width)
    cameras = [TakeCamera(camera.intrinsics, pose, camera.width, camera.height) for pose in poses[::8]]
    scene = surround(rng, people, cameras, Kind.SOLO, studio.where)
    folder.mkdir(parents=True, exist_ok=True)
    frames = list(record(scene, camera, times_s, studio.renderer, poses))
    write_video(folder / "video.mp4", frames, RATE, None)
    np.savez_compressed(
        folder / "truth.npz",
        times_s=times_s,
        joints_world_m=joints.astype(np.float32),
        world_from_camera=poses,
        intrinsics=camera.intrinsics,
        height_m=np.array(people[0].person.height_m),
        size_px=np.array([camera.width, camera.height]),
    )


def main() -> None:
    """Render what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--mocap", type=Path, required=True)
    parser.add_argument("--assets", type=Path, required=True)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--lawn", action="store_true")
    args = parser.parse_args()
    missing = [k for k in args.kinds.split(",") if not (args.output / f"{k}-{args.seed}" / "truth.npz").exists()]
    if not missing:
        return
    renderer = Renderer(args.size * 3 // 4, SUPERSAMPLE)
    where = Surroundings.LAWN if args.lawn else None
    assets = read_assets(args.assets, body_model())
    studio = Studio(read_library(args.mocap).held_out(), assets, renderer, args.size, where)
    for kind in missing:
        began = time.monotonic()
        rng = np.random.default_rng([args.seed, KINDS.index(kind)])
        render_video(args.output / f"{kind}-{args.seed}", kind, rng, studio)
        print(f"{kind}-{args.seed}: {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
