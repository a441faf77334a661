"""The plot over time: confidence, root height, foot speed and jitter. numpy, matplotlib, `blender_addon.motion`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from backend.errors import OutputError
from backend.files import whole_file
from backend.types import Array
from blender_addon.motion.clip import MotionClip
from blender_addon.motion.posing import FOOT_POINTS, clip_body, find_feet, pose_clip

_COLOURS = {"left_heel": "#1f77b4", "left_toe": "#6baed6", "right_heel": "#d95f02", "right_toe": "#fdae6b"}


def write_plot(clips: Sequence[MotionClip], path: Path) -> None:
    """Write an image with one column a person. Raises OutputError where it cannot be written."""
    # the figure class without pyplot: no global state, no display, safe in a worker thread
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0 * max(1, len(clips)), 9.0), dpi=90, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(4, max(1, len(clips)), sharex="col", squeeze=False)
    for column, clip in enumerate(clips):
        _plot_clip(axes[:, column], clip)
    try:
        with whole_file(path) as whole:
            figure.savefig(whole)
    except (OSError, ValueError) as fault:
        raise OutputError(f"The plot {path} cannot be written ({fault})", "Use a name that ends in .png") from fault


def point_speed_m_s(times_s: Array, points_m: Array) -> Array:
    """Speeds (T, N) in m/s of points (T, N, 3), by central differences; NaN beside frames without the person."""
    speed = np.full(points_m.shape[:2], np.nan)
    if len(times_s) > 2:
        step = np.linalg.norm(points_m[2:] - points_m[:-2], axis=-1)
        speed[1:-1] = step / (times_s[2:] - times_s[:-2])[:, None]
    return speed


def acceleration_m_s2(times_s: Array, points_m: Array) -> Array:
    """Mean acceleration (T,) in m/s2 of points (T, N, 3): jitter shows as its noise floor."""
    result = np.full(len(times_s), np.nan)
    if len(times_s) > 2:
        before, after = np.diff(times_s)[:-1, None, None], np.diff(times_s)[1:, None, None]
        slope = (points_m[2:] - points_m[1:-1]) / after - (points_m[1:-1] - points_m[:-2]) / before
        result[1:-1] = np.linalg.norm(2.0 * slope / (before + after), axis=-1).mean(axis=-1)
    return result


def _plot_clip(axes: Any, clip: MotionClip) -> None:
    times = np.asarray(clip.times_s)
    feet = find_feet(clip_body(clip), pose_clip(clip)).positions_m
    axes[0].plot(times, clip.confidence, color="#2a9d3a")
    axes[0].set(
        ylabel="confidence (0 to 1)",
        ylim=(0, 1.02),
        title=f"{Path(clip.header.source).name}, person {clip.header.person}",
    )
    axes[1].plot(times, clip.root_world_m[:, 2], color="#444444", label="pelvis")
    axes[1].plot(times, feet[..., 2].min(axis=1), color="#999999", label="lowest foot point")
    axes[1].axhline(0.0, color="black", linewidth=0.6)
    axes[1].set(ylabel="height over the floor (m)")
    axes[1].legend(loc="upper right", fontsize=8)
    speed = point_speed_m_s(times, feet)
    for index, name in enumerate(FOOT_POINTS):
        axes[2].plot(times, speed[:, index], color=_COLOURS[name], linewidth=0.9, label=name.replace("_", " "))
        planted = clip.contacts[:, index] > 0.5
        low = -0.06 * (index + 1)
        axes[2].fill_between(times, low, low + 0.05, where=planted, color=_COLOURS[name], step="mid", linewidth=0)
    axes[2].set(ylabel="foot speed (m/s)\nbars: on the ground", ylim=(-0.3, max(1.0, _high(speed))))
    axes[2].legend(loc="upper right", fontsize=8, ncols=2)
    jitter = acceleration_m_s2(times, clip.joints_camera_m.astype(np.float64))
    axes[3].plot(times, jitter, color="#7b3fa0", linewidth=0.9)
    axes[3].set(ylabel="mean joint acceleration (m/s²)", xlabel="time (s)", ylim=(0, max(1.0, _high(jitter))))
    for cut_s in clip.header.cuts_s:
        for axis in axes:
            axis.axvline(cut_s, color="red", linestyle="--", linewidth=0.8)
    for axis in axes:
        axis.grid(alpha=0.3)


def _high(values: Array) -> float:
    finite = values[np.isfinite(values)]
    return float(np.percentile(finite, 99) * 1.15) if len(finite) else 1.0
