"""Contacts of the feet with the floor, and the steps that they make. May import `motion`, `types` and its own room.

Pure.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.types import Array
from backend.world.gravity import Footing, world_axes
from backend.world.root_path import RootPath, Steps
from backend.world.scene import Scene
from backend.world.world_track import WorldOptions
from blender_addon.motion.contacts import contact_probability, planted_frames, point_speed_m_s, true_runs
from blender_addon.motion.posing import Feet
from blender_addon.motion.temporal import median_interval_s

# the lowest foot of this part of the frames counts as standing while no contact is known yet
_FLOOR_PERCENTILE = 20.0
_FLOOR_WINDOW_S = 1.5
_FLOOR_DRIFT_M = 0.35
# what sets two levels apart, and which part of all standing makes one
_LEVEL_GAP_M = 0.12
_LEVEL_SHARE = 0.15


def foot_contacts(scene: Scene, root_camera_m: Array, down: Array, options: WorldOptions) -> Array:
    """Contact probabilities (N, 4), heights measured from the floor under the feet at that time."""
    turn = world_axes(down)
    positions = (scene.feet.positions_m + root_camera_m[:, None]) @ turn.T
    positions[..., 2] -= _local_floor(scene.seen.times_s, positions, scene.feet.clearance_m)[:, None]
    feet = Feet(positions, scene.feet.offsets_m, scene.feet.clearance_m)
    speed = point_speed_m_s(scene.seen.times_s, scene.foot_rays) * root_camera_m[:, 2:]
    probability = contact_probability(scene.seen.times_s, feet, options.contacts, speed)
    # a leg that is not in the frame hangs where it is put: its foot tells nothing and holds nothing
    return np.where(scene.unseen.feet, 0.0, probability)


def _local_floor(times_s: Array, positions: Array, clearance_m: Array) -> Array:
    """The floor's height (N,) as the lowest feet of the surrounding seconds show it.

    An error of the depth or of gravity lets the whole body rise and sink slowly; the floor follows that, within
    limits: feet that are held up stay up.
    """
    lowest = (positions[..., 2] - clearance_m).min(axis=1)
    half = int(np.ceil(0.5 * _FLOOR_WINDOW_S / median_interval_s(times_s)))
    padded = np.pad(lowest, half, mode="reflect" if half < len(lowest) else "edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)
    local = np.percentile(windows, _FLOOR_PERCENTILE, axis=-1)
    whole = floor_height(positions, clearance_m)
    return np.clip(local, whole - _FLOOR_DRIFT_M, whole + _FLOOR_DRIFT_M)


def floor_height(positions: Array, clearance_m: Array) -> float:
    """The usual height of the lowest foot point, for foot points (N, 4, 3) in upright axes."""
    lowest = (positions[..., 2] - clearance_m).min(axis=1)
    return float(np.percentile(lowest, _FLOOR_PERCENTILE))


def lowest_level_m(heights: Array) -> float:
    """The height of the floor among those (N,) at which feet stood: the lowest level of a good part of them.

    Stairs, boxes and chairs are higher levels. A level is set off by a gap from the next.
    """
    ordered = np.sort(heights)
    levels = np.split(ordered, np.flatnonzero(np.diff(ordered) > _LEVEL_GAP_M) + 1)
    return float(np.median(next(level for level in levels if len(level) >= _LEVEL_SHARE * len(ordered))))


def find_steps(scene: Scene, probability: Array, down: Array, options: WorldOptions) -> Steps:
    """Every contact of every foot point as one step."""
    planted = planted_frames(scene.seen.times_s, probability, options.contacts)
    frame: list[NDArray[np.intp]] = []
    step: list[NDArray[np.intp]] = []
    foot: list[Array] = []
    clearance: list[float] = []
    for point in range(planted.shape[1]):
        for first, last in true_runs(planted[:, point]):
            inside = np.arange(first, last + 1)
            frame.append(inside)
            step.append(np.full(len(inside), len(clearance)))
            foot.append(scene.feet.positions_m[inside, point])
            clearance.append(scene.feet.clearance_m[point])
    if not clearance:
        empty = np.zeros(0, dtype=np.intp)
        return Steps(empty, empty, np.zeros((0, 3)), np.zeros(0), down)
    return Steps(np.concatenate(frame), np.concatenate(step), np.concatenate(foot), np.array(clearance), down)


def step_places_m(path: RootPath, steps: Steps) -> Array:
    """Where each step stands (S, 3) in the camera by a path that knows of no steps: the mean over its frames."""
    feet = path.root_camera_m[steps.frame] + steps.foot_m
    count = np.maximum(np.bincount(steps.step, minlength=steps.count), 1)
    sums = [np.bincount(steps.step, feet[:, axis], steps.count) for axis in range(3)]
    return np.asarray(np.stack(sums, axis=1) / count[:, None])


def footing(places_m: Array, steps: Steps) -> Footing | None:
    """The `places_m` (S, 3) where the feet stand, each weighted by its frames; None without a step."""
    if not steps.count:
        return None
    # ten frames on the spot are hardly worth more than one: their errors are the same
    frames = np.bincount(steps.step, minlength=steps.count)
    return Footing(places_m, steps.clearance_m, np.minimum(frames / 5.0, 2.0))
