"""Print the accuracy and speed tables of the documentation again, each by its own command, on this machine.

    .venv/bin/python benchmarks/run_all.py [--only WORD] [--quick] [--output FILE.md]

What cannot run here (no development data, no renders, no network for the peer's package, no CUDA) is named with the
reason. Renders, for the tables about them, are looked for in build/renders and build/held_out
(docs/reproduction/index.md says how they are made, which takes hours).
A missed target is said and the next one goes on. Exit status 1 when a benchmark crashed.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.outcome import CANNOT_RUN, MISSED

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("MARIONET_SHARED", ROOT.parent / "shared")) / "data"
PYTHON = sys.executable
BLENDER = ROOT / ".venv-bpy-4.5" / "bin" / "python"
VIDEO = "{video}"  # stands for the demo's video of real people, fetched once
SMALL, LARGE = SHARED / "real" / "squats" / "pose_1.mp4", SHARED / "real" / "balancing" / "cam1.mp4"
MOCAP = SHARED / "mocap"
RENDERS, HELD_OUT = ROOT / "build" / "renders", ROOT / "build" / "held_out"
_PAPER = (
    "-m backend train --configuration structnet --pictures 2000 --batch 32 --steps 400 --convolution-steps 160"
    " --candidates 500 --stepping adam --ablations -o build/paper --renders"
)
PAPER = (PYTHON, *_PAPER.split(), str(RENDERS))


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One table: its name, the command that prints it, a shorter one, and the files it cannot do without."""

    name: str
    command: tuple[str, ...]
    quick: tuple[str, ...] = ()
    needs: tuple[Path, ...] = ()


BENCHMARKS = (
    Benchmark(
        "accuracy on real recordings",
        (PYTHON, "-m", "backend", "evaluate", "--recording", str(SHARED / "real" / "balancing")),
        needs=(SHARED / "real" / "balancing",),
    ),
    Benchmark(
        "accuracy on simulated sequences, and what the bank can reach",
        (PYTHON, "-m", "backend", "evaluate", "--mocap", str(MOCAP), "--windows", "1000"),
        quick=(PYTHON, "-m", "backend", "evaluate", "--mocap", str(MOCAP), "--windows", "50"),
        needs=(MOCAP,),
    ),
    Benchmark(
        "the embedding's components, MPJPE over A",
        (PYTHON, "tools/reproduction_plots.py", "--mocap", str(MOCAP), "--output", "build", "--windows", "1000"),
        quick=(PYTHON, "tools/reproduction_plots.py", "--mocap", str(MOCAP), "--output", "build", "--windows", "50"),
        needs=(MOCAP,),
    ),
    Benchmark(
        "what the landmark networks get wrong on renders",
        (PYTHON, "tools/fit_noise.py", "--renders", str(RENDERS)),
        needs=(RENDERS,),
    ),
    Benchmark(
        "the paper's network on renders",
        (*PAPER, "--test-renders", str(HELD_OUT)),
        needs=(RENDERS, HELD_OUT),
    ),
    Benchmark(
        "speed of solve beside MediaPipe, 576 px",
        (PYTHON, "benchmarks/solve_speed.py", str(SMALL)),
        quick=(PYTHON, "benchmarks/solve_speed.py", str(SMALL), "--rounds", "1"),
        needs=(SMALL,),
    ),
    Benchmark(
        "speed of solve beside MediaPipe, 1080x1920 with a bystander",
        (PYTHON, "benchmarks/solve_speed.py", str(LARGE)),
        quick=(PYTHON, "benchmarks/solve_speed.py", str(LARGE), "--rounds", "1"),
        needs=(LARGE,),
    ),
    Benchmark(
        "speed of solve beside MediaPipe, the demo's video",
        (PYTHON, "benchmarks/solve_speed.py", VIDEO),
        quick=(PYTHON, "benchmarks/solve_speed.py", VIDEO, "--rounds", "1"),
    ),
    Benchmark(
        "time of hands and face",
        (PYTHON, "benchmarks/details_time.py", VIDEO),
        quick=(PYTHON, "benchmarks/details_time.py", VIDEO, "--rounds", "1"),
    ),
    Benchmark(
        "memory of solve over ten minutes of video",
        (PYTHON, "benchmarks/memory.py", VIDEO),
        quick=(PYTHON, "benchmarks/memory.py", VIDEO, "--minutes", "1"),
    ),
    Benchmark(
        "live capture: poses a second, latency, memory",
        (PYTHON, "benchmarks/live.py", "--seconds", "600", "--way", "http"),
        quick=(PYTHON, "benchmarks/live.py", "--seconds", "20", "--way", "http"),
    ),
    Benchmark(
        "live capture against the solve of the same video",
        (PYTHON, "benchmarks/live.py", "--recording", str(SHARED / "real" / "balancing")),
        needs=(SHARED / "real" / "balancing",),
    ),
    Benchmark(
        "cost of the service",
        (PYTHON, "benchmarks/service.py", VIDEO),
        quick=(PYTHON, "benchmarks/service.py", VIDEO, "--quality", "fast", "--rounds", "1"),
    ),
    Benchmark(
        "batch: overlapped pool, and Ray",
        (PYTHON, "benchmarks/batch.py", "--clips", "8", "--ray"),
        quick=(PYTHON, "benchmarks/batch.py", "--clips", "2", "--frames", "16", "--quality", "fast"),
        needs=(BLENDER,),
    ),
    Benchmark(
        "search in the bank",
        (PYTHON, "benchmarks/search.py"),
        needs=(ROOT / "benchmarks" / "search.py",),
    ),
    Benchmark(
        "baking beside Blender's own",
        (str(BLENDER), "benchmarks/bake.py", "--peer-frames", "10000"),
        quick=(str(BLENDER), "benchmarks/bake.py", "--frames", "2000", "--peer-frames", "100"),
        needs=(BLENDER,),
    ),
    Benchmark(
        "a step of training",
        (PYTHON, "benchmarks/train_step.py"),
        quick=(PYTHON, "benchmarks/train_step.py", "--repeats", "1", "--batch", "64"),
    ),
)


def machine() -> str:
    """One line about where the numbers are from."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        models = [line for line in info.read_text(encoding="utf-8").splitlines() if line.startswith("model name")]
        name = models[0].partition(":")[2].strip() if models else name
    where = f"Python {platform.python_version()}, {platform.system()}"
    return f"{name}, {os.cpu_count()} cores, {where}, {time.strftime('%Y-%m-%d')}"


def video() -> str:
    """The demo's video, fetched when needed."""
    from tools.demo_clip import demo_clip

    return str(demo_clip(ROOT / "build" / "demo_clip").path)


def lacks(benchmark: Benchmark) -> str:
    """Why a benchmark cannot run here; empty when it can."""
    missing = [path for path in benchmark.needs if not path.exists()]
    return f"{missing[0]} is not there" if missing else ""


def run(benchmark: Benchmark, *, quick: bool) -> tuple[int, str]:
    """Run one benchmark; its exit status and a section of Markdown with command, output and time."""
    command = [video() if word == VIDEO else word for word in ((quick and benchmark.quick) or benchmark.command)]
    began = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    spent = time.perf_counter() - began
    shown = shlex.join(command).replace(str(ROOT) + "/", "").replace(PYTHON, ".venv/bin/python")
    text = done.stdout.strip()
    verdict = ""
    if done.returncode == MISSED:
        verdict = "Target missed" + (": `--quick` is a check, not a measurement.\n\n" if quick else ".\n\n")
    elif done.returncode == CANNOT_RUN:
        verdict = "Not run: the reason is below.\n\n"
        text += f"\n{done.stderr[-2000:]}"
    elif done.returncode:
        verdict = f"**Failed** (exit status {done.returncode}).\n\n"
        text += f"\n\n{done.stderr[-2000:]}"
    return done.returncode, f"## {benchmark.name}\n\n`{shown}` ({spent:.0f} s)\n\n{verdict}```text\n{text}\n```\n"


def summary(failed: list[str], missed: list[str]) -> str:
    """What did not go as it should, in a line each."""
    lines = [f"Failed: {', '.join(failed)}"] if failed else []
    lines += [f"Target missed: {', '.join(missed)}"] if missed else []
    return "\n".join(lines or ["All that ran reached its target."]) + "\n"


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="only benchmarks whose name holds this word")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, shorter videos: a check, not a measurement")
    parser.add_argument("--output", type=Path, help="write the tables here too")
    options = parser.parse_args()
    sections, failed, missed = [f"# Benchmarks\n\n{machine()}\n"], [], []
    for benchmark in (one for one in BENCHMARKS if options.only in one.name):
        reason = lacks(benchmark)
        status, section = (
            (0, f"## {benchmark.name}\n\nNot run: {reason}\n") if reason else run(benchmark, quick=options.quick)
        )
        if status == MISSED:
            missed.append(benchmark.name)
        elif status not in (0, CANNOT_RUN):
            failed.append(benchmark.name)
        sections.append(section)
        print(section, flush=True)
    sections.append(summary(failed, missed))
    print(sections[-1])
    if options.output:
        options.output.write_text("\n".join(sections), encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
