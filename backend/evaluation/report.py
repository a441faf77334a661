"""Errors as tables and plots: overall, per joint and per action, every method side by side. numpy; matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backend.evaluation.metrics import PoseErrors
from backend.evaluation.tables import markdown_table


@dataclass(frozen=True, slots=True)
class Scored:
    """One method on one clip: its errors over `frames` frames; `trusted` False keeps a clip with doubtful extrinsics
    out of everything that is not similarity-aligned.
    """

    method: str
    action: str
    frames: int
    errors: PoseErrors
    trusted: bool = True


def mean_errors(rows: Sequence[Scored]) -> PoseErrors:
    """Frame-weighted mean of several clips' errors; what needs extrinsics over trusted clips only."""
    names = [name for name in PoseErrors.__dataclass_fields__ if name != "per_joint_mm"]
    free = {"pa_mpjpe_mm", "acceleration_mm", "acceleration_truth_mm", "found"}
    values = {name: _mean(rows, name, name not in free) for name in names}
    use = [row for row in rows if row.trusted and np.isfinite(row.errors.per_joint_mm).all()]
    joints = [np.array(row.errors.per_joint_mm) for row in use]
    per_joint = np.average(joints, axis=0, weights=[row.frames for row in use]) if joints else np.array([])
    return PoseErrors(**values, per_joint_mm=tuple(float(value) for value in per_joint))


def _mean(rows: Sequence[Scored], name: str, trusted: bool) -> float:
    pairs = [
        (getattr(row.errors, name), row.frames)
        for row in rows
        if (row.trusted or not trusted) and np.isfinite(getattr(row.errors, name))
    ]
    if not pairs:
        return float("nan")
    values, weights = zip(*pairs, strict=True)
    return float(np.average(values, weights=weights))


def error_tables(title: str, rows: Sequence[Scored], joint_names: Sequence[str]) -> str:
    """Three Markdown tables of mm: every metric, per action where there are several, and per joint."""
    methods = list(dict.fromkeys(row.method for row in rows))
    actions = list(dict.fromkeys(row.action for row in rows))
    whole = {method: mean_errors([row for row in rows if row.method == method]) for method in methods}
    header = [
        "mm",
        "MPJPE",
        "N-MPJPE",
        "MPJPE, clip scale",
        "PA-MPJPE",
        "acceleration",
        "acceleration error",
        "found %",
    ]
    parts = [f"### {title}\n", markdown_table(header, [[m, *_cells(whole[m])] for m in methods])]
    if len(actions) > 1:
        table = [[a, *(_of(rows, m, a).mpjpe_mm for m in methods)] for a in actions]
        parts.append(markdown_table(["MPJPE per action, mm", *methods], table))
    if all(len(whole[m].per_joint_mm) == len(joint_names) for m in methods):
        joints = [[name, *(whole[m].per_joint_mm[k] for m in methods)] for k, name in enumerate(joint_names)]
        parts.append(markdown_table(["per joint, clip scale, mm", *methods], joints))
    return "\n".join(parts)


def _cells(errors: PoseErrors) -> list[float]:
    return [
        errors.mpjpe_mm,
        errors.n_mpjpe_mm,
        errors.mpjpe_clip_mm,
        errors.pa_mpjpe_mm,
        errors.acceleration_mm,
        errors.acceleration_error_mm,
        100 * errors.found,
    ]


def _of(rows: Sequence[Scored], method: str, action: str) -> PoseErrors:
    return mean_errors([row for row in rows if row.method == method and row.action == action])


def plot_errors(title: str, rows: Sequence[Scored], joint_names: Sequence[str], path: Path) -> None:
    """Bars per joint and, where there are several, per action, one colour a method, into a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    methods = list(dict.fromkeys(row.method for row in rows))
    actions = list(dict.fromkeys(row.action for row in rows))
    whole = {method: mean_errors([row for row in rows if row.method == method]) for method in methods}
    panels = [("per joint, clip scale", list(joint_names), {m: list(whole[m].per_joint_mm) for m in methods})]
    if len(actions) > 1:
        panels.append(("per action", actions, {m: [_of(rows, m, a).mpjpe_mm for a in actions] for m in methods}))
    figure, axes = pyplot.subplots(len(panels), 1, figsize=(11, 3.4 * len(panels)), squeeze=False)
    for axis, (name, labels, values) in zip(axes[:, 0], panels, strict=True):
        width = 0.8 / len(methods)
        for place, method in enumerate(methods):
            if len(values[method]) == len(labels):
                axis.bar(np.arange(len(labels)) + (place + 0.5) * width - 0.4, values[method], width, label=method)
        axis.set_xticks(range(len(labels)), labels, rotation=35, ha="right", fontsize=8)
        axis.set_ylabel("error, mm")
        axis.set_title(f"{title}: {name}", fontsize=10)
        axis.grid(axis="y", alpha=0.3)
    axes[0, 0].legend(fontsize=7, ncols=3, loc="lower left", bbox_to_anchor=(0, 1.12))
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    pyplot.close(figure)
