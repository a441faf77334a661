"""Time of `solve --quality best --hands --face` against `solve --quality best`, on the same video, in pairs.

Each round solves the video both ways, one after the other; the ratio of each round is printed, and their median counts.
Processor time is that of the whole process, with loading. On a machine with other work it is the figure to read, since
wall time then tells how much of the machine was free. Wall time leaves the loading of networks out on both sides.

usage: python benchmarks/details_time.py VIDEO [--rounds 3] [--cores 2]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.outcome import MISSED
from benchmarks.solve_speed import run_pinned

MOST = 1.5
DETAILS = ("--hands", "--face")


@dataclass(frozen=True, slots=True)
class Cost:
    """One run: frames, wall seconds without loading, processor seconds with it, and the wall seconds of each stage."""

    frames: int
    wall_s: float
    processor_s: float
    stages_s: dict[str, float]


def run_solve(video: Path, extra: tuple[str, ...], cores: int) -> Cost:
    """`solve` over the whole file with some options more."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "backend", "solve", str(video), "-o", f"{folder}/clip.npz", *extra]
        before = _children_s()
        lines = run_pinned([*command, "--quality", "best", "--json", "--no-preview"], cores)
        processor_s = _children_s() - before
    record = next(event for line in lines if (event := json.loads(line))["event"] == "result")
    stages = record["stage_seconds"]
    loading = stages["load"] + stages["open"]
    return Cost(record["frames"], record["seconds"] - loading, processor_s, stages)


def _children_s() -> float:
    """Processor seconds of all programs that this one has started and that ended."""
    times = os.times()
    return times.children_user + times.children_system


def main(argv: list[str] | None = None) -> int:
    """Run the rounds, print a row for each and the median ratios; 3 where the processor time is above its target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cores", type=int, default=2)
    arguments = parser.parse_args(argv)
    print("| round | frames | best: processor s | wall s | with details: processor s | wall s | of it, second pass |")
    print("|---|---|---|---|---|---|---|")
    pairs = []
    for number in range(arguments.rounds):
        plain, full = (run_solve(arguments.video.resolve(), extra, arguments.cores) for extra in ((), DETAILS))
        pairs.append((plain, full))
        print(
            f"| {number + 1} | {full.frames} | {plain.processor_s:.1f} | {plain.wall_s:.1f} | {full.processor_s:.1f} | "
            f"{full.wall_s:.1f} | {full.stages_s.get('details', 0.0):.1f} |",
            flush=True,
        )
    processor = statistics.median(full.processor_s / plain.processor_s for plain, full in pairs)
    wall = statistics.median(full.wall_s / plain.wall_s for plain, full in pairs)
    print(f"\nprocessor time {processor:.2f} x (target at most {MOST}), wall time without loading {wall:.2f} x")
    return 0 if processor <= MOST else MISSED


if __name__ == "__main__":
    sys.exit(main())
