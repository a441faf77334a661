"""What a batch gains: the overlapped pool against one `solve` and one export after another, and Ray against the pool.

The one-after-another way is what a person would script: for each clip `python -m backend solve` with an overlay, then
a fresh headless Blender with the add-on's own functions, which writes the same files. Then the batch does the same
clips into the same formats, then, with --ray, a cluster of two workers on this machine. All in one run, in rounds that
alternate; ratios of the medians are printed. Exit status 3 when a bound is missed.

usage: python benchmarks/batch.py [CLIPS...] [--clips 6] [--frames 96] [--rounds 1] [--ray] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from backend.export.animate_request import ExportOrder
from backend.export.blender_process import BlenderProcess, BlenderSettings
from backend.export.find_blender import find_blender
from benchmarks.outcome import MISSED

ROOT = Path(__file__).resolve().parents[1]
RENDERED = ROOT / "assets" / "demo_clip.mp4"
RIG = ROOT / "assets" / "demo_character.blend"
ENDINGS = ("fbx", "bvh")
LEAST_GAIN, LEAST_RAY_SHARE = 1.4, 0.9


@dataclass(frozen=True)
class Work:
    """The clips, how many frames of each, the network's quality, where things go."""

    videos: tuple[Path, ...]
    frames: int
    quality: str
    folder: Path

    def solve_words(self) -> list[str]:
        """Options that `solve` and `batch` share."""
        return ["--range", f"0:{self.frames}", "--quality", self.quality, "--device", "cpu", "--quiet"]


@dataclass(frozen=True)
class Figures:
    """Median seconds of each way, and the ratios that count (None where Ray was not asked for)."""

    clips: int
    frames: int
    quality: str
    one_after_another_s: float
    pool_s: float
    gain: float
    ray_s: float | None
    ray_share: float | None


def videos(given: list[Path], count: int, folder: Path) -> tuple[Path, ...]:
    """The clips given, or copies of the rendered one with bytes of their own."""
    if given:
        return tuple(path.resolve() for path in given)
    made = []
    for number in range(count):
        path = folder / f"clip{number}.mp4"
        shutil.copyfile(RENDERED, path)
        with path.open("ab") as stream:
            stream.write(b"\x00\x00\x00\x09free" + bytes([number]))
        made.append(path)
    return tuple(made)


def run(command: list[str]) -> None:
    """Run a command of the product; its errors end the benchmark."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


def one_after_another(work: Work, out: Path) -> float:
    """Seconds for solve with overlay, then a fresh Blender, clip after clip."""
    out.mkdir()
    began = time.perf_counter()
    for video in work.videos:
        clip = out / f"{video.stem}.npz"
        looks = ["--overlay", str(out / f"{video.stem}.overlay.mp4")]
        run([sys.executable, "-m", "backend", "solve", str(video), "-o", str(clip), *work.solve_words(), *looks])
        blender = BlenderProcess(BlenderSettings(find_blender(), out / "blender.log"))
        outputs = tuple(str(out / f"{video.stem}.{ending}") for ending in ENDINGS)
        blender.export(ExportOrder(str(clip), outputs, video.stem, str(RIG)))
        blender.close()
    return time.perf_counter() - began


def batch(work: Work, out: Path, *more: str) -> float:
    """Seconds for the batch command, its start and index page included."""
    formats = ",".join(("clip", *ENDINGS, "overlay"))
    words = [*map(str, work.videos), "--rig", str(RIG), "--format", formats, "-o", str(out), *work.solve_words()]
    began = time.perf_counter()
    run([sys.executable, "-m", "backend", "batch", *words, *more])
    return time.perf_counter() - began


def measure(work: Work, rounds: int, ray: bool, more: list[str]) -> Figures:
    """All ways, in alternating rounds."""
    plain, pooled, shared = [], [], []
    for number in range(rounds):
        plain.append(one_after_another(work, work.folder / f"plain{number}"))
        pooled.append(batch(work, work.folder / f"pool{number}", *more))
        if ray:
            shared.append(on_cluster(work, work.folder / f"ray{number}"))
        print(f"round {number + 1}: {plain[-1]:.1f} s, pool {pooled[-1]:.1f} s, Ray {shared[-1:]}", file=sys.stderr)
    one_s, pool_s = statistics.median(plain), statistics.median(pooled)
    ray_s = statistics.median(shared) if shared else None
    return Figures(
        clips=len(work.videos),
        frames=work.frames,
        quality=work.quality,
        one_after_another_s=one_s,
        pool_s=pool_s,
        gain=one_s / pool_s,
        ray_s=ray_s,
        ray_share=pool_s / ray_s if ray_s else None,
    )


def on_cluster(work: Work, out: Path) -> float:
    """Seconds for the batch on a standing cluster of two workers with a processor each; its start is not counted."""
    command = [sys.executable, str(ROOT / "tools" / "ray_cluster.py"), "--workers", "2"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as cluster:
        assert cluster.stdout is not None
        address = cluster.stdout.readline().strip()
        assert address, "Ray did not come up"
        spent = batch(work, out, "--ray", address)
        cluster.communicate()
    return spent


def main() -> int:
    """Print the figures; 3 when a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("given", nargs="*", type=Path, metavar="CLIPS")
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--frames", type=int, default=96)
    parser.add_argument("--quality", default="best")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--ray", action="store_true")
    parser.add_argument("--json", action="store_true")
    options, more = parser.parse_known_args()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        work = Work(videos(options.given, options.clips, place), options.frames, options.quality, place)
        figures = measure(work, options.rounds, options.ray, more)
    if options.json:
        print(json.dumps(asdict(figures)))
    else:
        for name, value in asdict(figures).items():
            print(f"{name:24} {value if not isinstance(value, float) else f'{value:8.3f}'}")
    missed = figures.gain < LEAST_GAIN or (figures.ray_share is not None and figures.ray_share < LEAST_RAY_SHARE)
    return MISSED if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
