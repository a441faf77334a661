"""Render takes with truth: one or two people before two to four cameras, for `tools.measure_takes`.

usage: render_takes.py OUTPUT --mocap MOCAP --assets ASSETS [--takes FIRST:LAST,NUMBER,...] [--seed SEED]

Every take is a folder: `video0.mp4` ..., `truth.npz` and `take.json`. Motion is of held-out subjects. Lenses are 24 to
70 mm, baselines 15 to 120 degrees, start offsets and frame rates differ; there is sound, none, or silence. Takes with
numbers from 60 on are of set-ups that a solve has to refuse: from one spot (even) and with a carried camera (odd).
A take that is complete is not rendered again.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from backend.datasets import Motion, read_library
from backend.synthesis.assets import AssetLibrary, read_assets
from backend.synthesis.body_model import body_model
from backend.synthesis.performances import Kind, perform
from backend.synthesis.renderer import Renderer
from backend.synthesis.take_scene import (
    TakeCamera,
    TakeScene,
    joints_at,
    place_camera,
    place_people,
    record,
    surround,
)
from backend.synthesis.wardrobe import sample_person
from backend.types import Array

LENGTH_S, WHOLE_S = 5.0, 6.5
RENDER_PX, SUPERSAMPLE = 480, 1.25
RATES = (Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001), Fraction(30), Fraction(50), Fraction(60))
RATE_SHARES = (0.22, 0.18, 0.1, 0.3, 0.05, 0.15)
SHAPES = ((640, 360), (360, 640))
SOUNDS = ("sound", "none", "silence", "one without")
KINDS = (Kind.SOLO, Kind.CROSS, Kind.SEATED, Kind.HUG, Kind.SOLO)
SOUND_HZ = 32000
SPECIAL = 60


@dataclass(frozen=True, slots=True)
class Plan:
    """One take before it is rendered. Angles of the cameras round the people, lenses as on full frame, start of each
    video on the performance's clock; `special` is empty, "one spot" or "carried".
    """

    number: int
    kind: str
    sound: str
    yaw_deg: tuple[float, ...]
    lens_mm: tuple[float, ...]
    start_s: tuple[float, ...]
    rates: tuple[str, ...]
    shapes: tuple[tuple[int, int], ...]
    special: str = ""


def planned(seed: int, number: int) -> tuple[Plan, np.random.Generator]:
    """The plan of a take by its number, and the generator that everything else of it is drawn from."""
    rng = np.random.default_rng([seed, number])
    special = "" if number < SPECIAL else ("one spot", "carried")[number % 2]
    kind = KINDS[number % len(KINDS)] if not special else Kind.SOLO
    count = int(rng.choice([2, 3, 4], p=[0.6, 0.25, 0.15])) if not special else 2 + number % 2
    yaw = [float(rng.uniform(0.0, 360.0))]
    for _ in range(count - 1):
        yaw.append(yaw[-1] + (float(rng.uniform(15.0, 120.0)) if special != "one spot" else 0.5))
    lens = tuple(float(np.exp(rng.uniform(np.log(24.0), np.log(70.0)))) for _ in yaw)
    start = tuple(float(rng.uniform(0.0, WHOLE_S - LENGTH_S - 0.1)) for _ in yaw)
    rates = tuple(str(rng.choice([str(rate) for rate in RATES], p=RATE_SHARES)) for _ in yaw)
    shapes = tuple(SHAPES[int(rng.random() < 0.4)] for _ in yaw)
    sound = str(rng.choice(SOUNDS, p=[0.4, 0.3, 0.15, 0.15]))
    return Plan(number, kind.value, sound, tuple(yaw), lens, start, rates, shapes, special), rng


def sound_of(rng: np.random.Generator) -> NDArray[np.float64]:
    """What is heard in the room: steps, claps and a voice, as bursts of noise in changing bands."""
    count = int(WHOLE_S * SOUND_HZ)
    heard = np.zeros(count)
    for _ in range(int(rng.integers(12, 30))):
        at, length = int(rng.integers(0, count - 8000)), int(rng.uniform(0.02, 0.3) * SOUND_HZ)
        low = float(rng.uniform(150, 1800))
        band = butter(2, [low, low * rng.uniform(1.4, 2.5)], "bandpass", fs=SOUND_HZ, output="sos")
        burst = sosfilt(band, rng.normal(0.0, 1.0, length)) * np.exp(-np.arange(length) / (0.3 * length))
        heard[at : at + length][: count - at] += rng.uniform(0.2, 1.0) * burst[: count - at]
    return heard / np.abs(heard).max()


def heard_by(rng: np.random.Generator, sound: NDArray[np.float64], start_s: float, distance_m: float) -> Array:
    """The sound on one camera: later by its way, louder or softer, with noise of its own."""
    first = start_s - distance_m / 343.0
    places = np.arange(int(LENGTH_S * SOUND_HZ)) + first * SOUND_HZ
    own = np.interp(places, np.arange(len(sound)), sound, left=0.0, right=0.0)
    return 0.4 * rng.uniform(0.4, 1.0) * own + rng.normal(0.0, 10 ** rng.uniform(-3.3, -2.0), len(own))


def write_video(path: Path, frames: Sequence[NDArray[np.uint8]], rate: Fraction, sound: Array | None) -> None:
    """An H.264 video, with an AAC track where there is sound."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "20", "preset": "veryfast"}
        audio = out.add_stream("aac", rate=SOUND_HZ) if sound is not None else None
        for count, image in enumerate(frames):
            made = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
            made.pts, made.time_base = count, 1 / rate
            out.mux(stream.encode(made))
        out.mux(stream.encode(None))
        if audio is not None and sound is not None:
            made_sound = av.AudioFrame.from_ndarray(sound.astype(np.float32)[None], "fltp", "mono")
            made_sound.sample_rate, made_sound.pts, made_sound.time_base = SOUND_HZ, 0, Fraction(1, SOUND_HZ)
            out.mux(audio.encode(made_sound))
            out.mux(audio.encode(None))


def carried(rng: np.random.Generator, camera: TakeCamera, times_s: Array) -> Array:
    """Poses (T, 4, 4) of a camera in a hand that walks: 0.3 m to and fro, and turning."""
    poses = np.tile(camera.world_from_camera, (len(times_s), 1, 1))
    way = camera.world_from_camera[:3, 0] * 0.6 + [0.0, 0.0, 0.1]
    poses[:, :3, 3] += np.sin(2 * np.pi * times_s / 4.0 + rng.uniform(0, 6))[:, None] * 0.5 * way
    turn = np.radians(4.0) * np.sin(2 * np.pi * times_s / 3.0 + rng.uniform(0, 6))
    for at, angle in enumerate(turn):
        about = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
        poses[at, :3, :3] = poses[at, :3, :3] @ about
    return poses


def render_take(folder: Path, plan: Plan, rng: np.random.Generator, studio: Studio) -> None:
    """Render one take into a folder; `truth.npz` is written last."""
    kind = Kind(plan.kind)
    performed = perform(rng, kind, studio.motions, WHOLE_S)
    people = place_people([sample_person(rng, studio.library) for _ in performed], performed, kind)
    cameras = [
        place_camera(rng, people, np.radians(yaw), lens, shape, kind)
        for yaw, lens, shape in zip(plan.yaw_deg, plan.lens_mm, plan.shapes, strict=True)
    ]
    if plan.special == "one spot":
        cameras = [replace(one, world_from_camera=cameras[0].world_from_camera) for one in cameras]
    scene = surround(rng, people, cameras, kind)
    folder.mkdir(parents=True, exist_ok=True)
    sound = sound_of(rng)
    for view, camera in enumerate(cameras):
        shoot(rng, folder / f"video{view}.mp4", (plan, view), (scene, camera, sound), studio.renderer)
    (folder / "take.json").write_text(json.dumps(asdict(plan), indent=1), encoding="utf-8")
    times_s = np.arange(int(WHOLE_S * 60) - 1) / 60.0
    np.savez_compressed(
        folder / "truth.npz",
        times_s=times_s,
        joints_world_m=np.stack([joints_at(one.joints_m, times_s) for one in people]).astype(np.float32),
        height_m=np.array([one.person.height_m for one in people]),
        intrinsics=np.stack([one.intrinsics for one in cameras]),
        world_from_camera=np.stack([one.world_from_camera for one in cameras]),
        size_px=np.array(plan.shapes),
        start_s=np.array(plan.start_s),
    )


def shoot(
    rng: np.random.Generator,
    path: Path,
    which: tuple[Plan, int],
    what: tuple[TakeScene, TakeCamera, NDArray[np.float64]],
    renderer: Renderer,
) -> None:
    """Render and write one camera's video."""
    (plan, view), (scene, camera, sound) = which, what
    rate = Fraction(plan.rates[view])
    times_s = plan.start_s[view] + np.arange(int(LENGTH_S * rate)) / float(rate)
    moving = carried(rng, camera, times_s) if plan.special == "carried" and view == 1 else None
    frames = list(record(scene, camera, times_s, renderer, moving))
    track: Array | None = None
    if plan.sound == "sound" or (plan.sound == "one without" and view != 1):
        distance_m = float(np.linalg.norm(camera.world_from_camera[:3, 3] - scene.people[0].joints_m[0, 0]))
        track = heard_by(rng, sound, plan.start_s[view], distance_m)
    elif plan.sound == "silence":
        track = rng.normal(0.0, 1e-4, int(LENGTH_S * SOUND_HZ)) * view
    write_video(path, frames, rate, track)


@dataclass(frozen=True, slots=True)
class Studio:
    """What all takes share."""

    motions: tuple[Motion, ...]
    library: AssetLibrary
    renderer: Renderer


def numbers(text: str) -> list[int]:
    """Numbers of takes from `0:12,20,31`."""
    parts = [part.partition(":") for part in text.split(",")]
    return [n for first, _, last in parts for n in range(int(first), int(last) if last else int(first) + 1)]


def main() -> None:
    """Render what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--mocap", type=Path, required=True)
    parser.add_argument("--assets", type=Path, required=True)
    parser.add_argument("--takes", default=f"0:{SPECIAL}")
    parser.add_argument("--seed", type=int, default=16)
    args = parser.parse_args()
    missing = [n for n in numbers(args.takes) if not (args.output / f"take{n:02d}" / "truth.npz").exists()]
    if not missing:
        return
    motions = read_library(args.mocap).held_out()
    studio = Studio(motions, read_assets(args.assets, body_model()), Renderer(RENDER_PX, SUPERSAMPLE))
    for number in missing:
        began = time.monotonic()
        plan, rng = planned(args.seed, number)
        render_take(args.output / f"take{number:02d}", plan, rng, studio)
        print(f"take {number}: {plan.kind}, {len(plan.yaw_deg)} cameras, {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
