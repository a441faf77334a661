"""A worker whose jobs are a script: frames at a fixed pace, and faults on order. For tests of the service only.

A job's video is a JSON file: `frames`, `pace_s`, `chunk` (frames a chunk), and at a frame: `crash_at`, `fail_at`,
`bug_at`, `deaf_from` (cancel goes unheard), `eat_mb` (memory taken at the start), `start_s` (before the first frame),
`finish_s` (from a cancel to the clip of what was finished), `stall_at` (nothing comes any more), `busy_s` (computing
without a word before the first frame), `crash_once` (`crash_at` counts in the first attempt only), `video` (the video
of a take that the progress names), `warning_chars` (length of the warning).
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil

from backend.errors import Cancelled, VideoError
from backend.server.job_runner import JobOutcome, JobSink
from backend.server.worker_main import run_worker
from backend.server.worker_protocol import RunJob
from backend.solving.request import SolvedChunk
from backend.types import Progress


@dataclass(frozen=True)
class Script:
    """What a paced job does."""

    frames: int = 20
    pace_s: float = 0.0
    chunk: int = 10
    crash_at: int = -1
    fail_at: int = -1
    bug_at: int = -1
    deaf_from: int = -1
    eat_mb: int = 0
    start_s: float = 0.0
    finish_s: float = 0.0
    stall_at: int = -1
    busy_s: float = 0.0
    crash_once: bool = False
    video: int = 0
    warning_chars: int = 0


def frame_rotations(first: int, count: int) -> np.ndarray:
    """(count, 24, 4): a turn that depends on the frame's number only, so that a test can check every frame."""
    half = 0.01 * np.arange(first, first + count)[:, None] + 0.001 * np.arange(24)[None, :]
    return np.stack([np.cos(half), np.sin(half), 0.0 * half, 0.0 * half], axis=-1)


def chunk_of(first: int, count: int) -> SolvedChunk:
    """Frames `first` to `first + count` of the made-up person."""
    index = np.arange(first, first + count)
    return SolvedChunk(
        person=0,
        space="world",
        frame_index=index,
        times_s=index / 30.0,
        rotations_wxyz=frame_rotations(first, count),
        root_m=np.stack([index * 0.01, 0.0 * index, 1.0 + 0.0 * index], axis=-1),
        joints_camera_m=np.zeros((count, 17, 3)),
        confidence=np.ones(count),
    )


class PacedRunner:
    """Carries out scripts."""

    def __init__(self, device: str, slow_start_s: float = 0.0) -> None:
        self._device = device
        self._slow_start_s = slow_start_s

    def warm_up(self) -> str:
        """Nothing to load."""
        time.sleep(self._slow_start_s)
        return self._device

    def run(self, order: RunJob, sink: JobSink) -> JobOutcome:
        """Emit the script's frames."""
        script = Script(**json.loads(Path(order.source).read_text(encoding="utf-8")))
        if script.frames > order.max_frames:
            raise VideoError(f"The clip has {script.frames} frames, at most {order.max_frames} are allowed")
        if script.crash_once and order.attempt > 1:
            script = replace(script, crash_at=-1)
        until = time.process_time() + script.busy_s
        while time.process_time() < until:
            pass
        ballast = np.ones(script.eat_mb << 17)
        time.sleep(script.start_s)
        print("a library that prints to standard output must do no harm")  # noqa: T201
        done = 0
        try:
            while done < script.frames:
                done = self._chunk(script, done, sink)
        except Cancelled:
            until = time.monotonic() + script.finish_s
            while time.monotonic() < until:
                sink.progress(Progress("poses", 0, 1))
                time.sleep(0.01)
            return self._outcome(order, script, done, cancelled=True)
        del ballast
        return self._outcome(order, script, done, cancelled=False)

    def _chunk(self, script: Script, first: int, sink: JobSink) -> int:
        count = min(script.chunk, script.frames - first)
        for frame in range(first, first + count):
            if script.deaf_from < 0 or frame < script.deaf_from:
                sink.cancel.raise_if_cancelled()
            if frame == script.crash_at:
                psutil.Process().kill()
            if frame == script.stall_at:
                time.sleep(3600.0)
            if frame == script.fail_at:
                raise VideoError(f"Frame {frame} is damaged", "Trim the clip")
            if frame == script.bug_at:
                raise ZeroDivisionError("a bug on order")
            time.sleep(script.pace_s)
        sink.chunk(chunk_of(first, count))
        left_s = (script.frames - first - count) * script.pace_s
        sink.progress(Progress("solve", first + count, script.frames, left_s, script.video))
        return first + count

    def _outcome(self, order: RunJob, script: Script, done: int, cancelled: bool) -> JobOutcome:
        path = Path(order.output_dir) / "clip.npz"
        with path.open("wb") as stream:
            np.savez(stream, rotations_wxyz=frame_rotations(0, done))
        figures = {"frames": float(done)}
        warning = "w" * script.warning_chars or "made up"
        if order.videos:
            figures["videos"] = float(len(order.videos))
            figures["bytes"] = float(sum(Path(video.path).stat().st_size for video in order.videos))
        if order.take.close_ups or order.take.calibration:
            figures["close_ups"] = float(order.take.close_ups)
            figures["calibration"] = float(sum(len(text) for file in order.take.calibration for text in file.text))
        return JobOutcome((path,), figures, (warning,), cancelled)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--worker", required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--slow-start", type=float, default=0.0)
    arguments = parser.parse_args()
    run_worker(PacedRunner(arguments.device, arguments.slow_start))


if __name__ == "__main__":
    main()
