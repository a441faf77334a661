"""Everything that has to be known of Marionet on a CUDA device, in one run of at most ten minutes.

    python tools/cuda_check.py [--video FILE] [--device cuda] [--output cuda_check.md] [--minutes 10]

In this order, most important first: `doctor`; a whole `solve` on the device against the CPU's, with the speed of both
and of decoding alone; the tests that need a GPU; the search; a training step. Writes a Markdown table for
docs/performance.md after each part, so that what was measured is there when the time runs out. Needs an environment
with torch and pytest. Exit code 77: there is no such device. `--device cpu` tries the script itself.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
CANNOT_RUN = 77
DEMO = ROOT / "assets" / "demo_clip.mp4"
# The least that is left to the parts that follow; a part that would take more is cut off and said to be.
_LEAST_S = 20.0
_LARGEST_DIFFERENCE_M = 0.005


@dataclass
class Report:
    """Rows (what, found) of the table, written to `path` after each; `ends_s` is when all must be over."""

    path: Path
    ends_s: float
    rows: list[tuple[str, str]] = field(default_factory=list)
    failed: bool = False

    @property
    def left_s(self) -> float:
        """Seconds that are left."""
        return self.ends_s - time.monotonic()

    def add(self, what: str, found: str, failed: bool = False) -> None:
        """Keep a row, write the table, and say the row."""
        self.rows.append((what, found))
        self.failed |= failed
        lines = ["| what | found |", "|---|---|", *(f"| {name} | {text} |" for name, text in self.rows)]
        self.path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"{what}: {found}", flush=True)


@dataclass(frozen=True)
class Part:
    """One command: what its row is called, its words, and the lines of its output that the row keeps."""

    name: str
    words: tuple[str, ...]
    kept: str = ""


def run_part(report: Report, part: Part) -> None:
    """Run a command within the time that is left; its row says how it ended."""
    if report.left_s < _LEAST_S:
        report.add(part.name, "not run: no time was left")
        return
    began = time.monotonic()
    try:
        done = subprocess.run(
            (sys.executable, *part.words), cwd=ROOT, capture_output=True, text=True, timeout=report.left_s, check=False
        )
    except subprocess.TimeoutExpired:
        report.add(part.name, f"cut off after {time.monotonic() - began:.0f} s", failed=True)
        return
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip() and part.kept in line]
    text = "; ".join(lines[-12:] if part.kept else lines[-1:]).replace("|", "/")
    if done.returncode != 0:
        text = f"failed ({done.returncode}): {text} {done.stderr.strip()[-500:]}".replace("\n", " ").replace("|", "/")
    report.add(part.name, f"{text} ({time.monotonic() - began:.0f} s)", failed=done.returncode != 0)


def decode_alone(video: Path) -> tuple[int, float]:
    """Frames of a video, and the seconds that decoding alone takes."""
    from backend.video import open_video

    began = time.perf_counter()
    frames = sum(1 for _ in open_video(video).frames())
    return frames, time.perf_counter() - began


def solve_on_both(report: Report, video: Path, device: str, folder: Path) -> None:
    """A whole solve there and on the CPU: the largest difference of the joints, and frames a second of each."""
    from backend.pipeline import solve
    from backend.solving.models import load_models
    from backend.solving.request import SolveQuality, SolveRequest

    frames, alone_s = decode_alone(video)
    report.add("decoding alone", f"{frames / alone_s:.0f} frames a second of {frames}")
    clips = []
    for place in (device, "cpu"):
        began = time.perf_counter()
        models = load_models(SolveQuality.BEST, place)
        loaded_s = time.perf_counter() - began
        for run in range(2):  # the first one finds kernels and memory
            began = time.perf_counter()
            result = solve(
                SolveRequest(video, folder / f"{place.replace(':', '_')}{run}.npz", device=place), models=models
            )
            seconds = time.perf_counter() - began
        stages = ", ".join(f"{name} {spent:.2f}" for name, spent in result.stage_s.items() if spent > 0.05)
        report.add(
            f"`solve` on {models.device}, second run",
            f"{frames / seconds:.1f} frames a second; models loaded in {loaded_s:.1f} s; stages in s: {stages}",
        )
        clips.append(result.clips[0])
    gap = np.abs(clips[0].joints_camera_m - clips[1].joints_camera_m)
    worst, usual = float(np.nanmax(gap)), float(np.nanmedian(gap))
    report.add(
        "joints on the device against the CPU's",
        f"at most {1000 * worst:.3f} mm, median {1000 * usual:.4f} mm",
        failed=worst > _LARGEST_DIFFERENCE_M,
    )


def device_name(device: str) -> str:
    """What the device is, "" where it is not there."""
    if device == "cpu":
        return platform.processor() or "CPU"
    try:
        import torch
    except ImportError:
        return ""
    return torch.cuda.get_device_name(device) if torch.cuda.is_available() else ""


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", type=Path, default=DEMO)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--output", type=Path, default=Path("cuda_check.md"))
    parser.add_argument("--minutes", type=float, default=10.0)
    options = parser.parse_args()
    name = device_name(options.device)
    if not name:
        print(f"CANNOT RUN: there is no device {options.device}, or no torch", flush=True)
        return CANNOT_RUN
    report = Report(options.output, time.monotonic() + 60.0 * options.minutes - 5.0)
    report.add("device", name)
    run_part(report, Part("doctor", ("-m", "backend", "doctor"), "device"))
    with tempfile.TemporaryDirectory() as folder:
        solve_on_both(report, options.video.resolve(), options.device, Path(folder))
    batch = "2048" if options.device.startswith("cuda") else "64"
    rows = () if options.device.startswith("cuda") else ("--rows", "50000", "--dimensions", "64")
    run_part(report, Part("tests that need a GPU", ("-m", "pytest", "-q", "-m", "gpu", "tests")))
    run_part(
        report, Part("search", ("benchmarks/search.py", "--device", options.device, "--without-faiss", *rows), "|")
    )
    step = ("benchmarks/train_step.py", "--device", options.device, "--batch", batch)
    run_part(report, Part("training step", step, "|"))
    return 1 if report.failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
