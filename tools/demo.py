"""`make demo`: the whole main job on a real video, with what it made and how long it took at the end.

    .venv/bin/python -m tools.demo --blender-python .venv-bpy-4.5/bin/python [--clip VIDEO] [--output demo_output]

video -> backend service over ZeroMQ -> motion clip -> headless Blender with the add-on's functions -> .blend, BVH, FBX,
GLB -> images of the character beside the video. Nothing but the video comes from outside, and that only once.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.video import open_video
from backend.visualization import write_overlay
from blender_addon.client.backend_process import BackendProcess, LaunchPlan
from blender_addon.client.job import CaptureJob, JobRequest, JobSnapshot
from blender_addon.client.link import BackendLink
from blender_addon.motion.clip import read_clip
from blender_addon.wire.messages import SolveOptions
from tools.demo_clip import DemoClip, DemoClipError, demo_clip
from tools.demo_images import CharacterImages, write_comparison

ROOT = Path(__file__).resolve().parents[1]
CHARACTER = ROOT / "assets" / "demo_character.blend"
TICK_S = 0.02

logger = logging.getLogger("demo")


class DemoError(RuntimeError):
    """A part of the demo did not do its work; the message says which and why."""


@dataclass(frozen=True, slots=True)
class DemoRun:
    """What to run: the video, where results go, which Blender, and the solve's options."""

    video: DemoClip
    output: Path
    blender_python: Path
    options: SolveOptions
    character: Path = CHARACTER
    fine: bool = False


def show(snapshot: JobSnapshot, last: str) -> str:
    """Say where the job stands when that has changed, in a log by tens of per cent; returns what was said."""
    left = f", about {snapshot.remaining_s:.0f} s left" if snapshot.remaining_s else ""
    step = 1 if sys.stdout.isatty() else 10
    share = f" {100 * snapshot.done // snapshot.total // step * step}%" if snapshot.total else ""
    line = f"  {snapshot.stage or snapshot.state}{share}"
    if line != last:
        sys.stdout.write(f"\r{line}{left}".ljust(60) if sys.stdout.isatty() else f"{line}\n")
        sys.stdout.flush()
    return line


def capture(run: DemoRun) -> JobSnapshot:
    """Start the backend, send it the video, follow the job to its end; raises DemoError when it fails."""
    plan = LaunchPlan(python=Path(sys.executable), folder=ROOT, state_dir=run.output / "backend")
    link = BackendLink(BackendProcess(plan), None, "demo")
    job = CaptureJob(link, JobRequest(run.video.path.resolve(), run.output / "result", run.options))
    said = ""
    try:
        while not job.snapshot.over:
            job.tick()
            said = show(job.snapshot, said)
            time.sleep(TICK_S)
    finally:
        link.close()
    sys.stdout.write("\n")
    end = job.snapshot
    if end.state != "done":
        log = "\n".join(end.log_lines or BackendProcess(plan).last_log_lines())
        raise DemoError(f"The backend: {end.words}. {end.remedy}\n{log}")
    return end


def animate(run: DemoRun, clip: Path) -> dict[str, Any]:
    """Blender's half, in its own process; returns what it told."""
    command = [run.blender_python, "-m", "tools.demo_blender", clip, run.character, run.output]
    command += ["--video", run.video.path.resolve(), *(["--fine"] if run.fine else [])]
    done = subprocess.run([str(part) for part in command], cwd=ROOT, capture_output=True, text=True, check=False)
    (run.output / "blender.log").write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode != 0:
        raise DemoError(f"Blender failed (see {run.output / 'blender.log'}):\n{done.stderr[-2000:]}")
    told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return told


def draw(run: DemoRun, clip: Path, told: dict[str, Any]) -> list[Path]:
    """Overlay video, comparison video, comparison image."""
    overlay = run.output / "overlay.mp4"
    solved = read_clip(clip)
    write_overlay(open_video(run.video.path), [solved], overlay)
    paths = tuple(Path(path) for path in told["images"])
    frames = [int(path.stem.rpartition("_")[2]) for path in paths]
    times = tuple((frame - told["frame_of_time_zero"]) / told["fps"] for frame in frames)
    character = CharacterImages(paths, times, told["image_fps"], run.video.credit, tuple(told["window"]))
    video, still = run.output / "comparison.mp4", run.output / "comparison.png"
    write_comparison(run.video.path, solved, character, video, still)
    shutil.rmtree(run.output / "frames")
    return [overlay, video, still]


def perform(run: DemoRun) -> None:
    """The whole job, step by step, each with its time."""
    run.output.mkdir(parents=True, exist_ok=True)
    began = mark = time.perf_counter()

    def took(step: str) -> None:
        nonlocal mark
        now = time.perf_counter()
        logger.info("%-28s %6.1f s", step, now - mark)
        mark = now

    logger.info("Solving %s", run.video.path)
    solved = capture(run)
    clip = run.output / "clip.npz"
    shutil.copy2(next(path for path in solved.paths if path.suffix == ".npz"), clip)
    took("video to motion")
    told = animate(run, clip)
    took(f"Blender {told['blender']}")
    images = draw(run, clip, told)
    took("images")
    logger.info("\n%s", "\n".join(f"  {line}" for line in told["report"]))
    logger.info("\n%s", "\n".join(f"  {name} {value:.3g}" for name, value in solved.figures))
    for path in [clip, *map(Path, told["files"]), *images]:
        logger.info("  %s (%.0f kB)", path, path.stat().st_size / 1000)
    logger.info("Open %s in Blender, look at %s", told["files"][0], images[-1])
    logger.info("Done in %.1f s", time.perf_counter() - began)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, help="your own video instead of the demo's")
    parser.add_argument("--blender-python", type=Path, required=True, help="a Python with Blender as a library")
    parser.add_argument("--character", type=Path, default=CHARACTER, help="a .blend with a rigged humanoid of yours")
    parser.add_argument("--output", type=Path, default=ROOT / "demo_output")
    parser.add_argument("--quality", default="best", help="quality of the solve, as in `backend solve`")
    parser.add_argument("--fine", action="store_true", help="larger, smoother images; several times slower")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        video = demo_clip(ROOT / "build" / "demo_clip", options.clip)
        solve = SolveOptions(end_s=video.end_s, quality=options.quality)
        python, character = options.blender_python.absolute(), options.character.resolve()
        perform(DemoRun(video, options.output.resolve(), python, solve, character, options.fine))
    except (DemoError, DemoClipError) as fault:
        logger.error("%s", fault)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
