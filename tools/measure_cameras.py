"""Measure the solve of several videos on a recording with truth: errors, clocks, cameras, refusals, time.

usage: measure_cameras.py RECORDING [--other VIDEO] [--work FOLDER]

RECORDING is a folder as `backend.evaluation.recording` reads it. Its videos are trimmed by different amounts and one is
encoded anew at half the frame rate; the solves are told nothing of that. `--other` is a video of other people.
Every video is watched once; a take's own time is what comes on top of that.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from backend.evaluation.metrics import PoseErrors
from backend.evaluation.recording import Recording, read_recording, score_recording
from backend.multiview.solve_take import solve_watched_take
from backend.multiview.take_inputs import open_take, solvable
from backend.multiview.take_request import TakeRequest, TakeResult
from backend.people.options import Choice, Selection
from backend.pipeline import SolveRequest, WatchedVideo, solve_watched, watch_video
from backend.solving.models import SolveModels, load_models
from backend.solving.opening import open_request
from backend.solving.request import SolveQuality
from backend.solving.stage_clock import StageClock
from backend.types import CancelToken, Progress

# camera: first frame, frame after the last, step
TRIMS = {"cam1": (4, 100, 1), "cam2": (0, 91, 1), "cam3": (7, 97, 1), "cam4": (11, 100, 2)}
TAKES = (("cam1", "cam2"), ("cam1", "cam4"), ("cam2", "cam4"), ("cam1", "cam2", "cam4"))


def trimmed(source: Path, target: Path, part: tuple[int, int, int], crop: float = 1.0) -> None:
    """Some frames of a video encoded anew; `crop` keeps that share of the width and height, from the upper left."""
    start, stop, step = part
    with av.open(str(source)) as container, av.open(str(target), "w") as out:
        own = container.streams.video[0]
        rate = Fraction(own.average_rate or 30) / step
        stream = out.add_stream("libx264", rate=rate)
        stream.width, stream.height = (int(size * crop) // 2 * 2 for size in (own.width, own.height))
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "16"}
        for count, frame in enumerate(container.decode(video=0)):
            if start <= count < stop and (count - start) % step == 0:
                image = frame.to_ndarray(format="rgb24")[: stream.height, : stream.width]
                made = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
                made.pts, made.time_base = (count - start) // step, 1 / rate
                out.mux(stream.encode(made))
        out.mux(stream.encode(None))


@dataclass(frozen=True, slots=True)
class Bench:
    """The recording, its trimmed videos after one pass each, and what that took."""

    recording: Recording
    folder: Path
    work: Path
    models: SolveModels
    watched: dict[str, WatchedVideo]
    seconds: dict[str, float]

    def take(self, names: Sequence[str], calibration: Path | None = None) -> tuple[TakeResult, float]:
        """Solve some of the videos together; the seconds on top of watching them."""
        videos = [self.work / f"{name}.mp4" for name in names]
        request = TakeRequest(
            tuple(SolveRequest(video, self.work / "one.npz") for video in videos),
            self.work / "take.npz",
            (),
            calibration,
        )
        watched = []
        for name, opened in zip(names, open_take(request), strict=True):
            watched.append(replace(self.watched[name], request=opened.request, intrinsics=opened.intrinsics))
        began = time.monotonic()
        result = solve_watched_take(request, watched, self.models, StageClock(), (_silent, CancelToken()))
        return result, time.monotonic() - began

    def start_s(self, name: str) -> float:
        """When a trimmed video begins in the recording."""
        return TRIMS[name][0] / self.recording.fps

    def errors(self, result: TakeResult, names: Sequence[str]) -> PoseErrors:
        """Errors of the first person, in the first camera that was used."""
        name = names[result.take.used[0] if result.take.used else 0]
        camera = next(one for one in self.recording.cameras if one.video.stem == name)
        clip = result.clips[0]
        return score_recording(self.recording, camera, clip.times_s + self.start_s(name), clip.joints_camera_m)

    def rotation_deg(self, result: TakeResult, names: Sequence[str]) -> list[float]:
        """How far the rotation of each camera against the first is off."""
        by_name = {one.video.stem: one.camera_from_world for one in self.recording.cameras}
        used = [names[view] for view in result.take.used]
        found = []
        for view, name in zip(result.take.used[1:], used[1:], strict=True):
            camera = result.take.cameras[view]
            assert camera is not None
            off = camera.rotation.T @ by_name[name] @ by_name[used[0]].T
            found.append(float(np.degrees(np.arccos(np.clip((np.trace(off) - 1) / 2, -1, 1)))))
        return found

    def clock_ms(self, result: TakeResult, names: Sequence[str]) -> list[float]:
        """How far each clock is off against the first."""
        first = result.take.offsets[result.take.used[0]].start_s
        true = self.start_s(names[result.take.used[0]])
        return [
            1000 * (result.take.offsets[view].start_s - first - (self.start_s(names[view]) - true))
            for view in result.take.used[1:]
        ]


def watch(name: str, video: Path, models: SolveModels, work: Path) -> tuple[WatchedVideo, float]:
    """One pass over a video, following everybody."""
    began = time.monotonic()
    opened = open_request(SolveRequest(video, work / f"{name}.npz", person=Selection(Choice.ALL)))
    watched = solvable(watch_video(opened, models, StageClock(), (_silent, CancelToken())))
    return watched, time.monotonic() - began


def single(bench: Bench, name: str) -> tuple[PoseErrors, float]:
    """The solve of one video by itself, and the seconds on top of watching it."""
    began = time.monotonic()
    watched = bench.watched[name]
    watched = replace(watched, request=replace(watched.request, person=Selection()))
    clip = solve_watched(watched, bench.models, watched.chosen(), StageClock(), (_silent, CancelToken()))[0]
    camera = next(one for one in bench.recording.cameras if one.video.stem == name)
    errors = score_recording(bench.recording, camera, clip.times_s + bench.start_s(name), clip.joints_camera_m)
    return errors, time.monotonic() - began


def report(bench: Bench, names: Sequence[str], calibration: Path | None = None) -> PoseErrors:
    """Solve and print one take."""
    result, spent_s = bench.take(names, calibration)
    errors = bench.errors(result, names)
    rotation = " ".join(f"{value:.2f}" for value in bench.rotation_deg(result, names))
    clock = " ".join(f"{value:+.1f}" for value in bench.clock_ms(result, names))
    print(
        f"{'+'.join(names):<22} {'calibrated' if calibration else '':<11} mpjpe_clip {errors.mpjpe_clip_mm:5.1f}   "
        f"pa_mpjpe {errors.pa_mpjpe_mm:5.1f}   acceleration {errors.acceleration_mm:4.1f}   rotation off [{rotation}] "
        f"deg   clocks off [{clock}] ms   {spent_s:.1f} s"
    )
    for warning in result.warnings:
        print(f"    {warning.code}: {warning.text}")
    return errors


def _silent(_: Progress) -> None:
    return None


def _mean(name: str, errors: Sequence[PoseErrors]) -> None:
    clip, aligned = (float(np.mean([getattr(one, key) for one in errors])) for key in ("mpjpe_clip_mm", "pa_mpjpe_mm"))
    print(f"{name:<34} mpjpe_clip {clip:5.1f}   pa_mpjpe {aligned:5.1f}")


def main() -> None:
    """Run every case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recording", type=Path)
    parser.add_argument("--other", type=Path)
    parser.add_argument("--work", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        run(args.recording, args.other, args.work or Path(temporary))


def run(folder: Path, other: Path | None, work: Path) -> None:
    """Make the videos, watch them, and solve."""
    recording, models = read_recording(folder), load_models(SolveQuality.BEST)
    for name, part in TRIMS.items():
        trimmed(folder / f"{name}.mp4", work / f"{name}.mp4", part)
    trimmed(folder / "cam1.mp4", work / "cropped.mp4", (4, 100, 1), 0.8)
    trimmed(folder / "cam1.mp4", work / "early.mp4", (0, 45, 1))
    trimmed(folder / "cam2.mp4", work / "late.mp4", (55, 100, 1))
    (work / "copy.mp4").write_bytes((work / "cam1.mp4").read_bytes())
    names = [*TRIMS, "cropped", "early", "late", "copy"]
    if other is not None:
        trimmed(other, work / "other.mp4", (0, 120, 1))
        names.append("other")
    seen = {name: watch(name, work / f"{name}.mp4", models, work) for name in names}
    watched = {name: video for name, (video, _) in seen.items()}
    seconds = {name: took_s for name, (_, took_s) in seen.items()}
    bench = Bench(recording, folder, work, models, watched, seconds)
    alone = {name: single(bench, name) for name in ("cam1", "cam2", "cam4")}
    for name, (errors, spent_s) in alone.items():
        print(
            f"{name:<34} mpjpe_clip {errors.mpjpe_clip_mm:5.1f}   pa_mpjpe {errors.pa_mpjpe_mm:5.1f}   {spent_s:.1f} s"
        )
    _mean("one camera", [errors for errors, _ in alone.values()])
    _mean("pairs", [report(bench, take) for take in TAKES[:3]])
    began = time.monotonic()
    report(bench, TAKES[3])
    together = time.monotonic() - began + sum(bench.seconds[name] for name in TAKES[3])
    apart = sum(bench.seconds[name] + alone[name][1] for name in TAKES[3])
    print(f"time of three together over the sum of three alone: {together / apart:.2f}")
    calibration = folder / "calibration.json"
    _mean("pairs, calibrated", [report(bench, take, calibration) for take in TAKES[:3]])
    report(bench, TAKES[3], calibration)
    report(bench, tuple(TRIMS))
    report(bench, tuple(TRIMS), calibration)
    for pair in (("cam1", "copy"), ("cam1", "cropped"), ("early", "late"), ("cam1", "other")):
        if pair[1] in watched:
            result, _ = bench.take(pair)
            print("+".join(pair), json.dumps([f"{one.code}: {one.text}" for one in result.warnings], indent=1))


if __name__ == "__main__":
    main()
