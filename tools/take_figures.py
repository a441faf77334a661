"""Figures of rendered takes: who is who, errors beside the single views, identities, clocks, cameras. numpy, scipy.

Used by `tools.measure_takes`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from backend.evaluation.metrics import pose_errors
from backend.multiview.take_request import TakeResult
from backend.types import Array
from blender_addon.motion.clip import MotionClip

_UPPER = [8, 9, 10, 11, 12, 13, 14, 15, 16]  # Human3.6M joints from the thorax up
_SHOULDERS = [11, 14]
_AS_WELL = 3.0


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


def people_of(truth: Truth, view: int, clips: Sequence[MotionClip]) -> list[int]:
    """Whom each clip, whose frames are those of a view, shows: the longest clips first, nobody twice while there are
    others that fit about as well. In a hug two people are in one place, and a bad clip fits either.
    """
    count = len(truth.joints_world_m)
    fits = np.full((len(clips), count), 1e3)
    shares = np.array([_found(clip).mean() for clip in clips])
    for row, clip in enumerate(clips):
        if _found(clip).any():
            fits[row] = [float(np.median(one)) for one in _distances(truth, view, clip, _found(clip))]
    people = [int(row.argmin()) for row in fits]
    main = np.argsort(-shares)[:count]
    rows, columns = linear_sum_assignment(fits[main] * shares[main, None])
    for row, column in zip(rows, columns, strict=True):
        if fits[main[row], column] < _AS_WELL * fits[main[row]].min():
            people[int(main[row])] = int(column)
    return people


def scored(truth: Truth, view: int, clip: MotionClip, person: int, only: NDArray[np.bool_] | None = None) -> Score:
    """The clip, whose frames are those of a view, against a person; `only` some of its frames (T,)."""
    seated = truth.plan["kind"] == "seated"
    found = _found(clip) if only is None else _found(clip) & only
    own = truth.joints_camera_m(view, clip.times_s)[person]
    errors = pose_errors(
        np.where(found[:, None, None], relative(clip.joints_camera_m, seated), np.nan), relative(own, seated)
    )
    right = float("nan")
    if found.any():
        right = float((_distances(truth, view, clip, found, person).argmin(axis=0) == person).mean())
    times_s = truth.start_s[view] + clip.times_s[found]
    return Score(person, errors.mpjpe_clip_mm, errors.pa_mpjpe_mm, float(found.mean()), right, times_s)


def _found(clip: MotionClip) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(clip.joints_camera_m).all(axis=(1, 2)))


def _distances(truth: Truth, view: int, clip: MotionClip, found: NDArray[np.bool_], person: int | None = None) -> Array:
    """How far (P, n) the clip's found frames lie from everybody, laid by one similarity on each of them, or on one."""
    true = truth.joints_camera_m(view, clip.times_s)[:, found]
    solved = clip.joints_camera_m[found]
    if person is not None:
        moved = _aligned(solved, true[person])
        return np.array([_distance(moved, one) for one in true])
    return np.array([_distance(_aligned(solved, one), one) for one in true])


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
    out = []
    for clip, person in zip(result.clips, people_of(truth, view, result.clips), strict=True):
        score = scored(truth, view, clip, person)
        ratios, alone = [], []
        for _, single in singles:
            if single.person != score.person or len(single.times_s) < 0.3 * len(clip.times_s):
                continue
            at = truth.start_s[view] + clip.times_s
            shared = np.abs(at[:, None] - single.times_s[None]).min(axis=1) < 0.03
            if shared.sum() < 10:
                continue
            here = scored(truth, view, clip, person, shared)
            ratios.append((here.mpjpe_clip_mm / single.mpjpe_clip_mm, here.pa_mpjpe_mm / single.pa_mpjpe_mm))
            alone.append((single.mpjpe_clip_mm, single.pa_mpjpe_mm))
        record: dict[str, Any] = score.record()
        if ratios:
            record["best_mm"] = [float(value) for value in np.min(alone, axis=0)]
            record["mean_mm"] = [float(value) for value in np.mean(alone, axis=0)]
            record["over_best"] = [float(value) for value in np.max(ratios, axis=0)]
        out.append(record)
    return out


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
