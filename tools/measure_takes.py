"""Measure the solve of rendered takes: errors beside the single views, identities, clocks, cameras, warnings.

usage: measure_takes.py TAKES [--takes FIRST:LAST,NUMBER,...] [--quality QUALITY] [--again]

TAKES is a folder that `tools.render_takes` wrote. Every video is watched once; what that gave is kept beside it, and
so are the figures of the single views (`--again` makes them anew). Figures of the takes go to `result.json` of each.
"""

from __future__ import annotations

import argparse
import json
import pickle
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from backend.evaluation.metrics import pose_errors
from backend.multiview.solve_take import solve_watched_take
from backend.multiview.take_inputs import open_take, solvable
from backend.multiview.take_request import TakeRequest, TakeResult
from backend.people.options import Choice, Selection
from backend.pipeline import SolveRequest, WatchedVideo, solve_watched, watch_video
from backend.solving.models import SolveModels, load_models
from backend.solving.opening import open_request
from backend.solving.request import SolveQuality
from backend.solving.stage_clock import StageClock
from backend.types import Array, CancelToken, Progress
from blender_addon.motion.clip import MotionClip
from tools.render_takes import numbers

_UPPER = [8, 9, 10, 11, 12, 13, 14, 15, 16]  # Human3.6M joints from the thorax up
_SHOULDERS = [11, 14]


@dataclass(frozen=True, slots=True)
class Truth:
    """A rendered take: its plan, true joints (P, T, 17, 3) in the world at `times_s`, and its cameras."""

    folder: Path
    plan: dict[str, Any]
    times_s: Array
    joints_world_m: Array
    intrinsics: Array
    world_from_camera: Array
    start_s: Array

    @property
    def videos(self) -> list[Path]:
        """The videos in order."""
        return [self.folder / f"video{view}.mp4" for view in range(len(self.start_s))]

    def joints_camera_m(self, view: int, video_s: Array) -> Array:
        """True joints (P, n, 17, 3) in a camera at times of its video."""
        at = np.clip((self.start_s[view] + video_s) * 60.0, 0, len(self.times_s) - 1.001)
        before = at.astype(int)
        share = (at - before)[:, None, None]
        world = self.joints_world_m[:, before] * (1 - share) + self.joints_world_m[:, before + 1] * share
        pose = self.world_from_camera[view]
        return np.asarray((world - pose[:3, 3]) @ pose[:3, :3])


def read_truth(folder: Path) -> Truth:
    """One take."""
    plan = json.loads((folder / "take.json").read_text(encoding="utf-8"))
    with np.load(folder / "truth.npz") as data:
        names = ("times_s", "joints_world_m", "intrinsics", "world_from_camera", "start_s")
        return Truth(folder, plan, *(data[name].astype(np.float64) for name in names))


def watched_videos(truth: Truth, models: SolveModels, again: bool) -> list[WatchedVideo]:
    """The videos after one pass, or as an earlier run left them."""
    found = []
    for view, video in enumerate(truth.videos):
        kept = truth.folder / f"watched{view}.pickle"
        opened = open_request(SolveRequest(video, truth.folder / f"one{view}.npz", person=Selection(Choice.ALL)))
        if kept.exists() and not again:
            tracked, checkpoint = pickle.loads(kept.read_bytes())
            found.append(WatchedVideo(opened.request, opened.reader, tracked, opened.intrinsics, checkpoint))
            continue
        one = watch_video(opened, models, StageClock(), (_silent, CancelToken()))
        kept.write_bytes(pickle.dumps((one.tracked, one.checkpoint)))
        found.append(one)
    return [solvable(one) for one in found]


def relative(joints_m: Array, seated: bool) -> Array:
    """The joints that count, relative to the pelvis, or of a seated person to the middle of the shoulders."""
    if seated:
        return np.asarray(joints_m[..., _UPPER, :] - joints_m[..., _SHOULDERS, :].mean(axis=-2, keepdims=True))
    return np.asarray(joints_m - joints_m[..., :1, :])


@dataclass(frozen=True, slots=True)
class Score:
    """One clip against one true person: which of both, errors in mm, the frames that were found, and the share of them
    in which this person is the nearest.
    """

    person: int
    mpjpe_clip_mm: float
    pa_mpjpe_mm: float
    found: float
    identity: float
    times_s: Array

    def record(self) -> dict[str, float]:
        """For a file."""
        names = ("person", "mpjpe_clip_mm", "pa_mpjpe_mm", "found", "identity")
        return {name: round(float(getattr(self, name)), 4) for name in names}


def scored(truth: Truth, view: int, clip: MotionClip, only: Array | None = None) -> Score:
    """The clip, whose frames are those of a view, against whoever fits best; `only` some of its frames (T,)."""
    seated = truth.plan["kind"] == "seated"
    true = truth.joints_camera_m(view, clip.times_s)
    found = np.isfinite(clip.joints_camera_m).all(axis=(1, 2))
    found = found if only is None else found & only
    errors = [
        pose_errors(np.where(found[:, None, None], relative(clip.joints_camera_m, seated), np.nan), own)
        for own in (relative(one, seated) for one in true)
    ]
    places = [_aligned(clip.joints_camera_m[found], one[found]) for one in true]
    fits = [float(np.median(_distance(moved, one[found]))) for moved, one in zip(places, true, strict=True)]
    person = int(np.argmin(fits)) if found.any() else 0
    distance = np.array([_distance(places[person], one[found]) for one in true])
    right = float((distance.argmin(axis=0) == person).mean()) if found.any() else float("nan")
    own = errors[person]
    times_s = truth.start_s[view] + clip.times_s[found]
    return Score(person, own.mpjpe_clip_mm, own.pa_mpjpe_mm, float(found.mean()), right, times_s)


def _distance(first: Array, second: Array) -> Array:
    return np.asarray(np.linalg.norm(first - second, axis=-1).mean(axis=-1))


def _aligned(solved: Array, true: Array) -> Array:
    """Solved joints (n, 17, 3) by one similarity for the clip on true ones, outliers left out."""
    keep = np.ones(len(solved), bool)
    moved = solved
    for _ in range(4):
        p, t = solved[keep].reshape(-1, 3), true[keep].reshape(-1, 3)
        if len(p) < 3:
            break
        mean_p, mean_t = p.mean(axis=0), t.mean(axis=0)
        u, s, vt = np.linalg.svd((p - mean_p).T @ (t - mean_t))
        sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
        scale = (s * sign).sum() / np.square(p - mean_p).sum()
        moved = scale * (solved - mean_p) @ ((u * sign) @ vt) + mean_t
        off = _distance(moved, true)
        keep = off <= np.median(off) * 1.5 + 1e-6
    return moved


def single_views(truth: Truth, watched: Sequence[WatchedVideo], models: SolveModels) -> tuple[list[Any], float]:
    """Scores of everybody in each view solved by itself, as (view, Score), and the seconds that took."""
    began = time.monotonic()
    found = []
    for view, one in enumerate(watched):
        if not one.tracked.tracks:
            continue
        everybody = replace(one, request=replace(one.request, person=Selection(Choice.ALL)))
        clips = solve_watched(everybody, models, one.tracked.tracks, StageClock(), (_silent, CancelToken()))
        found += [(view, scored(truth, view, clip)) for clip in clips if _frames(clip) >= 10]
    return found, time.monotonic() - began


def _frames(clip: MotionClip) -> int:
    return int(np.isfinite(clip.joints_camera_m).all(axis=(1, 2)).sum())


def solved_take(truth: Truth, watched: Sequence[WatchedVideo], models: SolveModels) -> tuple[TakeResult, float]:
    """The take, and the seconds on top of watching its videos."""
    began = time.monotonic()
    person = Selection() if len(truth.joints_world_m) == 1 else Selection(Choice.ALL)
    requests = tuple(SolveRequest(video, truth.folder / "one.npz", person=person) for video in truth.videos)
    request = TakeRequest(requests, truth.folder / "take.npz")
    opened = open_take(request)
    ready = [
        replace(one, request=own.request, intrinsics=own.intrinsics) for one, own in zip(watched, opened, strict=True)
    ]
    result = solve_watched_take(request, ready, models, StageClock(), (_silent, CancelToken()))
    return result, time.monotonic() - began


def cameras_off(truth: Truth, result: TakeResult) -> dict[str, list[float]]:
    """How far rotations (degrees), clocks (ms) and focal lengths (share) of the used cameras are off."""
    used = result.take.used
    out: dict[str, list[float]] = {"rotation_deg": [], "clock_ms": [], "focal": [], "baseline_deg": []}
    if len(used) < 2:
        return out
    first = used[0]
    base = truth.world_from_camera[first][:3, :3].T
    for view in used:
        camera = result.take.cameras[view]
        assert camera is not None
        out["focal"].append(float(camera.intrinsics.matrix[0, 0] / truth.intrinsics[view][0, 0] - 1))
        if view == first:
            continue
        true = truth.world_from_camera[view][:3, :3].T @ base.T
        out["rotation_deg"].append(_angle_deg(camera.rotation.T @ true))
        start = result.take.offsets[view].start_s - result.take.offsets[first].start_s
        out["clock_ms"].append(1000 * (start - float(truth.start_s[view] - truth.start_s[first])))
        out["baseline_deg"].append(abs(truth.plan["yaw_deg"][view] - truth.plan["yaw_deg"][first]))
    return out


def _angle_deg(matrix: Array) -> float:
    return float(np.degrees(np.arccos(np.clip((np.trace(matrix) - 1) / 2, -1, 1))))


def compared(truth: Truth, result: TakeResult, singles: Sequence[tuple[int, Score]]) -> list[dict[str, Any]]:
    """Every clip of the take beside the single views of the same person, over the moments that both show."""
    view = result.take.used[0] if result.take.used else 0
    whole = [scored(truth, view, clip) for clip in result.clips]
    count = len(truth.joints_world_m)
    cost = np.array([[0.0 if one.person == person else 1.0 for person in range(count)] for one in whole])
    rows, _ = linear_sum_assignment(cost)
    out = []
    for place in rows:
        clip, score = result.clips[place], whole[place]
        ratios, alone = [], []
        for _, single in singles:
            if single.person != score.person or len(single.times_s) < 0.3 * len(clip.times_s):
                continue
            at = truth.start_s[view] + clip.times_s
            shared = np.abs(at[:, None] - single.times_s[None]).min(axis=1) < 0.03
            if shared.sum() < 10:
                continue
            here = scored(truth, view, clip, shared)
            ratios.append((here.mpjpe_clip_mm / single.mpjpe_clip_mm, here.pa_mpjpe_mm / single.pa_mpjpe_mm))
            alone.append((single.mpjpe_clip_mm, single.pa_mpjpe_mm))
        record: dict[str, Any] = score.record()
        if ratios:
            record["best_mm"] = [float(value) for value in np.min(alone, axis=0)]
            record["mean_mm"] = [float(value) for value in np.mean(alone, axis=0)]
            record["over_best"] = [float(value) for value in np.max(ratios, axis=0)]
        out.append(record)
    return out


def measure(folder: Path, models: SolveModels, again: bool) -> dict[str, Any]:
    """Everything about one take; written to its `result.json`."""
    truth = read_truth(folder)
    watched = watched_videos(truth, models, again)
    kept = folder / "singles.pickle"
    if kept.exists() and not again:
        singles, alone_s = pickle.loads(kept.read_bytes())
    else:
        singles, alone_s = single_views(truth, watched, models)
        kept.write_bytes(pickle.dumps((singles, alone_s)))
    result, spent_s = solved_take(truth, watched, models)
    found = {
        "take": folder.name,
        "kind": truth.plan["kind"],
        "views": len(truth.start_s),
        "used": len(result.take.used),
        "sound": truth.plan["sound"],
        "clock_from": [offset.source.value for offset in result.take.offsets],
        "people": compared(truth, result, singles),
        **cameras_off(truth, result),
        "take_s": round(spent_s, 2),
        "alone_s": round(alone_s, 2),
        "warnings": [f"{one.code}: {one.text}" for one in result.warnings],
    }
    (folder / "result.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    return found


def line(found: dict[str, Any]) -> str:
    """One take on one line."""
    people = "  ".join(
        f"{one['mpjpe_clip_mm']:5.1f}/{one['pa_mpjpe_mm']:4.1f} of {one['best_mm'][0]:5.1f}/{one['best_mm'][1]:4.1f}"
        f" (x{one['over_best'][0]:.2f}/{one['over_best'][1]:.2f}, id {one['identity']:.2f}, {one['found']:.2f})"
        if "best_mm" in one
        else f"{one['mpjpe_clip_mm']:5.1f} alone"
        for one in found["people"]
    )
    off = " ".join(f"{value:.1f}" for value in found["rotation_deg"])
    clock = " ".join(f"{value:+.0f}" for value in found["clock_ms"])
    focal = " ".join(f"{100 * value:+.0f}" for value in found["focal"])
    return (
        f"{found['take']} {found['kind']:<6} {found['used']}/{found['views']} {people}  rot [{off}] clk [{clock}] "
        f"focal% [{focal}] {found['sound']} {found['take_s']:.0f}s"
    )


def summary(results: Sequence[dict[str, Any]]) -> None:
    """Means and shares over all takes, and by kind."""
    for kind in ("solo", "seated", "cross", "hug", "all"):
        some = [one for one in results if kind in (one["kind"], "all")]
        people = [person for one in some for person in one["people"] if "best_mm" in person]
        if not people:
            continue
        joint = np.array([[person["mpjpe_clip_mm"], person["pa_mpjpe_mm"]] for person in people])
        best, mean = (np.array([person[name] for person in people]) for name in ("best_mm", "mean_mm"))
        over = np.array([person["over_best"] for person in people])
        clock = np.abs([value for one in some for value in one["clock_ms"]])
        turn = [value for one in some for value in one["rotation_deg"]]
        focal = np.abs([value for one in some for value in one["focal"]])
        print(
            f"{kind:<7} {len(some):3d} takes, {len(people)} people: take {joint.mean(0).round(1)}, best single "
            f"{best.mean(0).round(1)}, mean single {mean.mean(0).round(1)}; at most half the best "
            f"{(joint <= 0.5 * best).mean(0).round(2)}, worse than any {(over > 1.0).mean(0).round(2)}; identity "
            f"{np.mean([person['identity'] for person in people]):.3f}; clock within 10 ms {(clock <= 10).mean():.2f}; "
            f"rotation median {np.median(turn):.2f}, within 1.5 {(np.array(turn) <= 1.5).mean():.2f}; focal off median "
            f"{np.median(focal):.3f}; all views used {np.mean([one['used'] == one['views'] for one in some]):.2f}"
        )


def _silent(_: Progress) -> None:
    return None


def main() -> None:
    """Measure what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("takes", type=Path)
    parser.add_argument("--takes", dest="which", default="0:60")
    parser.add_argument("--quality", type=SolveQuality, default=SolveQuality.BEST)
    parser.add_argument("--again", action="store_true")
    args = parser.parse_args()
    folders = [args.takes / f"take{number:02d}" for number in numbers(args.which)]
    models = load_models(args.quality)
    results = []
    for folder in folders:
        if (folder / "truth.npz").exists():
            results.append(measure(folder, models, args.again))
            print(line(results[-1]), flush=True)
            for text in results[-1]["warnings"]:
                print(f"        {text}", flush=True)
    summary(results)


if __name__ == "__main__":
    main()
