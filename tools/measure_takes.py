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
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

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
from blender_addon.motion.clip import MotionClip
from tools.render_takes import numbers
from tools.take_figures import Truth, cameras_off, compared, line, people_of, read_truth, scored, summary


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


def single_views(truth: Truth, watched: Sequence[WatchedVideo], models: SolveModels) -> tuple[list[Any], float]:
    """Scores of everybody in each view solved by itself, as (view, Score), and the seconds that took."""
    began = time.monotonic()
    found = []
    for view, one in enumerate(watched):
        if not one.tracked.tracks:
            continue
        everybody = replace(one, request=replace(one.request, person=Selection(Choice.ALL)))
        clips = solve_watched(everybody, models, one.tracked.tracks, StageClock(), (_silent, CancelToken()))
        shown = [clip for clip in clips if _frames(clip) >= 10]
        people = people_of(truth, view, shown)
        found += [(view, scored(truth, view, clip, person)) for clip, person in zip(shown, people, strict=True)]
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
