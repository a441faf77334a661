"""The batch as a whole: a mixed shoot of 20 clips in one command, every output opened again; kills at random moments.

    .venv/bin/python -m tools.check_batch --output FOLDER [--frames 48] [--kills 10] [--seed 6]

The shoot is made of the development data's real videos and the repository's rendered ones, as they are and converted,
and of broken files. With --kills, a small batch of every format is killed that often, each time resumed, and compared
by content with an undisturbed one. Prints what was found; exit status 1 when anything is not as it should be.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from tests.batch.batch_files import contents_of

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("MARIONET_SHARED", ROOT.parent / "shared")) / "data" / "real"
BLENDER = ROOT / ".venv-bpy-4.5" / "bin" / "python"
RIG = ROOT / "assets" / "demo_character.blend"
REAL = (
    "balancing/cam1.mp4",
    "balancing/cam2.mp4",
    "balancing/cam3.mp4",
    "balancing/cam4.mp4",
    "jumping_two_people/demo.mp4",
    "squats/pose_1.mp4",
    "squats/pose_squats.mp4",
    "walkers/walkers.mp4",
)


def make_shoot(folder: Path) -> set[str]:
    """Twenty clips; the names of those that cannot be converted."""
    folder.mkdir(parents=True)
    for name in REAL:
        shutil.copyfile(SHARED / name, folder / f"{Path(name).parent.name}_{Path(name).name}")
    rendered = ROOT / "assets" / "demo_clip.mp4"
    shutil.copyfile(rendered, folder / "rendered.mp4")
    shutil.copyfile(ROOT / "assets" / "demo_clip_vfr.mp4", folder / "uneven.mp4")
    shutil.copyfile(ROOT / "assets" / "sample_clip.npz", folder / "solved.npz")
    convert(rendered, folder / "web.webm", "libvpx-vp9", lambda image: image)
    convert(rendered, folder / "mirrored.mkv", "libx264", lambda image: image[:, ::-1])
    convert(rendered, folder / "old.avi", "mpeg4", lambda image: image)
    images(rendered, folder / "shot", 40)
    # nobody walks yet in the first seconds of the walkers
    broken = {"empty", "notes", "cut", "nobody", "sound", "walkers_walkers"}
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "notes.mov").write_text("notes of the day " * 500)
    (folder / "cut.mp4").write_bytes((SHARED / REAL[0]).read_bytes()[:60_000])
    convert(rendered, folder / "nobody.mp4", "libx264", lambda image: image // 8 * 0 + 90)
    sound(folder / "sound.mp4")
    return broken


def convert(source: Path, target: Path, codec: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Encode a video again with its images changed."""
    with av.open(str(source)) as video, av.open(str(target), "w") as out:
        stream: Any = out.add_stream(codec, rate=Fraction(24))
        stream.options = {"deadline": "realtime", "cpu-used": "8"} if codec == "libvpx-vp9" else {}
        for count, frame in enumerate(video.decode(video=0)):
            image = np.ascontiguousarray(change(frame.to_ndarray(format="rgb24")))
            if not count:
                stream.height, stream.width, stream.pix_fmt = *image.shape[:2], "yuv420p"
            new = av.VideoFrame.from_ndarray(image, "rgb24")
            new.pts, new.time_base = count, Fraction(1, 24)
            out.mux(stream.encode(new))
        out.mux(stream.encode(None))


def images(source: Path, folder: Path, count: int) -> None:
    """The first images of a video as files."""
    folder.mkdir()
    with av.open(str(source)) as video:
        for number, frame in zip(range(count), video.decode(video=0), strict=False):
            image: Any = frame
            image.to_image().save(folder / f"shot_{number:04d}.jpg")


def sound(path: Path) -> None:
    """A video without an image."""
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("aac", rate=16000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 16000, 0
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def batch(out: Path, *words: object) -> subprocess.Popen[str]:
    """Start the command."""
    command = [sys.executable, "-m", "backend", "batch", *map(str, words), "-o", str(out), "--blender", str(BLENDER)]
    log = out.with_suffix(".log").open("a")
    return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, text=True, start_new_session=True)


def check_shoot(folder: Path, frames: int) -> list[str]:
    """Convert the shoot, open every output; what is not as it should be."""
    broken = make_shoot(folder / "shoot")
    began = time.perf_counter()
    words = ("--rig", RIG, "--format", "all", "--quality", "fast", "--range", f"0:{frames}")
    code = batch(folder / "out", folder / "shoot", *words).wait()
    spent = time.perf_counter() - began
    entries = json.loads((folder / "out" / "report.json").read_text())
    failed = {Path(entry["name"]).name: entry["error"] for entry in entries if entry["status"] != "done"}
    print(
        f"{len(entries)} clips, {len(entries) - len(failed)} done, {len(failed)} failed in {spent:.0f} s, exit {code}"
    )
    for name, reason in failed.items():
        print(f"  {name}: {reason.splitlines()[0]}")
    held = contents_of(folder / "out", BLENDER)
    main = [output for entry in entries for output in entry["outputs"]]
    print(f"{len(held)} files opened again, {len(main)} of them asked for, the rest textures")
    wrong = [] if len(entries) == 20 and code == 1 else [f"{len(entries)} clips, exit code {code}"]
    wrong += [] if set(failed) == broken else [f"failed: {sorted(failed)}"]
    wrong += [output for output in main if Path(output).relative_to(folder / "out").as_posix() not in held]
    return wrong


def check_kills(folder: Path, kills: int, seed: int) -> list[str]:
    """Kill and resume so often, and compare; what is not as it should be."""
    shoot = folder / "small"
    shoot.mkdir(parents=True)
    shutil.copyfile(ROOT / "assets" / "demo_clip.mp4", shoot / "a.mp4")
    shutil.copyfile(ROOT / "assets" / "demo_clip_vfr.mp4", shoot / "b.mp4")
    words = (shoot, "--rig", RIG, "--format", "all", "--quality", "fast", "--range", "0:16")
    began = time.perf_counter()
    if batch(folder / "undisturbed", *words).wait() != 0:
        return ["the undisturbed run failed"]
    took = time.perf_counter() - began
    wanted = contents_of(folder / "undisturbed", BLENDER)
    torn = sum(not one for one in _killed_and_resumed(folder / "killed", words, wanted, Kills(kills, seed, took)))
    return [f"{torn} resumed runs differ"] if torn else []


@dataclass(frozen=True, slots=True)
class Kills:
    """How many, the seed of their moments, and how long a whole run takes, in seconds."""

    count: int
    seed: int
    whole_s: float


def _killed_and_resumed(out: Path, words: tuple[object, ...], wanted: dict[str, str], kills: Kills) -> list[bool]:
    """Whether each resumed run, after up to three kills, is as undisturbed; only kills of a run at work count."""
    moments, same, struck, whole_s = random.Random(kills.seed), list[bool](), 0, kills.whole_s
    while struck < kills.count:
        if struck % 3 == 0:  # a run that has been finished has nothing left to kill
            shutil.rmtree(out, ignore_errors=True)
        running = batch(out, *words)
        try:
            running.wait(moments.uniform(0.1, 0.9) * whole_s)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
            struck += 1
        else:  # it was faster than thought: anew, and sooner
            whole_s = max(2.0, 0.8 * whole_s)
            shutil.rmtree(out, ignore_errors=True)
            continue
        if struck % 3 == 0 or struck == kills.count:
            resumed = batch(out, *words).wait()
            same.append(resumed == 0 and contents_of(out, BLENDER) == wanted)
            print(f"after kill {struck}: exit {resumed}, {'the same' if same[-1] else 'DIFFERENT'} as undisturbed")
    print(f"{struck} kills struck a run at work ({kills.whole_s:.0f} s undisturbed), {len(wanted)} files compared")
    return same


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=48, help="of each clip; 0 leaves the shoot out")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=6)
    options = parser.parse_args()
    folder = options.output.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    wrong = check_shoot(folder, options.frames) if options.frames else []
    wrong += check_kills(folder, options.kills, options.seed) if options.kills else []
    for line in wrong:
        print(f"NOT AS IT SHOULD BE: {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
