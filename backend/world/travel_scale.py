"""The scale of a travelling camera's path. May import `camera`, `motion`, `types`, numpy and its own room.

The background gives the path up to scale; people are metric by their height. Two things give the scale: features of
the floor lie where the feet stand on it, and feet that stand stay where they are while the camera moves on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backend.types import Array, CameraTravel, Intrinsics, PersonTrack, PoseTrack
from backend.world.gravity import estimate_gravity, gravity_hints
from backend.world.root_path import solve_root_path
from backend.world.scene import make_scene
from backend.world.unseen import settle_unseen
from backend.world.world_track import Gravity, WorldOptions
from blender_addon.motion.contacts import true_runs
from blender_addon.motion.temporal import Gaussian, filter_positions, median_interval_s

_FEW_FRAMES: Final = 10
# a floor is this level by what is known of gravity, of so many features, this flat in parts of its depth below
_LEVEL_DEG: Final = 15.0
_LEAST_FLOOR: Final = 20
_FLAT_PART: Final = 0.02
_TRIES: Final = 400
# what the floor says counts where the frames agree to this part; it is this exact
_FLOOR_SPREAD: Final = 0.2
_FLOOR_SIGMA: Final = 0.06
# even the lower foot is raised in some of the frames
_STANDS_PERCENTILE: Final = 75.0
_PLANE_DEG: Final = 1.0
# motion is measured over this time, and counts as so exact across the image and along the view
_LAG_S: Final = 0.2
_BLUR_S: Final = 0.04
_ACROSS_M_S: Final = 0.2
_ALONG_M_S: Final = 0.6
_FASTEST_M_S: Final = 8.0
_SLOWEST_M_S: Final = 0.05
_SCALES: Final = 120
# a foot that slides by less than this many sigmas stands; it has to for this long, and stays to this
_STANDS_SIGMAS: Final = 1.5
_STANDS_S: Final = 0.25
_ACROSS_M: Final = 0.02
_ALONG_M: Final = 0.06
_ROUNDS: Final = 6
# steps alone say enough with this error, as a part of the scale, and do not contradict the floor up to this factor
_STEPS_SIGMA: Final = 0.1
_LEAST_STEPS_SIGMA: Final = 0.04
_CONTRADICTS: Final = 1.4


@dataclass(frozen=True, slots=True)
class _Feet:
    """One person's foot points (N, 4, 3) from the camera, NaN where not seen, `clearance_m` (4,) over the floor; the
    `camera` (N, 3) its positions up to scale, unit directions (N, 3) of the view, and `down` (3,).
    """

    times_s: Array
    points_m: Array
    clearance_m: Array
    camera: Array
    view: Array
    down: Array


@dataclass(frozen=True, slots=True)
class _Scale:
    """Metres to one unit, and one sigma of it as a part."""

    value: float
    sigma: float


def scale_travel(
    people: Sequence[tuple[PoseTrack, PersonTrack]], intrinsics: Intrinsics, options: WorldOptions, travel: CameraTravel
) -> WorldOptions:
    """The options with the travel in metres, and with the floor that its features show and that people stand on.

    They stay as they are where neither floor nor steps tell the scale, or where they contradict each other.
    """
    if float(np.linalg.norm(np.ptp(travel.position_m, axis=0))) < 1e-9:
        return options
    feet = [found for poses, track in people if (found := _feet(poses, track, intrinsics, options, travel)) is not None]
    if not feet:
        return options
    plane = floor_plane(travel.features_m, feet[0].down)
    feet = feet if plane is None else _of_one_height(feet, plane)
    floor = None if plane is None else _floor_scale(feet, plane)
    steps = _steps_scale(feet, _likely_scale(feet) if floor is None else floor.value)
    scale = _combined(floor, steps)
    if scale is None:
        return options
    sized = replace(options, travel=travel.scaled(scale))
    if floor is None or plane is None or options.gravity_camera is not None:
        return sized
    # what is stood on is level, and where it is was seen by far more than the feet
    return replace(sized, gravity=Gravity(plane[0], _PLANE_DEG), floor_below_m=scale * plane[1])


def _combined(floor: _Scale | None, steps: _Scale | None) -> float | None:
    """The scale by what is sure enough of both."""
    if steps is not None and steps.sigma > _STEPS_SIGMA:
        steps = None
    if floor is None or steps is None:
        known = floor or steps
        return None if known is None else known.value
    if abs(np.log(steps.value / floor.value)) > np.log(_CONTRADICTS):
        return None
    weights = 1.0 / np.array([floor.sigma, max(steps.sigma, _LEAST_STEPS_SIGMA)]) ** 2
    return float(np.exp(weights @ np.log([floor.value, steps.value]) / weights.sum()))


def _feet(
    poses: PoseTrack, track: PersonTrack, intrinsics: Intrinsics, options: WorldOptions, travel: CameraTravel
) -> _Feet | None:
    solved = np.flatnonzero(np.isfinite(poses.rotations_wxyz).all(axis=(1, 2)) & (poses.confidence > 0))
    if len(solved) < _FEW_FRAMES:
        return None
    hints = gravity_hints(poses.gravity_camera, poses.gravity_spread_deg, options.edges)
    given = options.gravity_camera
    down = estimate_gravity(hints, options.vertical).down if given is None else np.asarray(given, np.float64)
    down = down / np.linalg.norm(down)
    poses, unseen = settle_unseen(poses, options.framed(track), intrinsics, down, solved)
    scene = make_scene(poses, track, intrinsics, solved, unseen)
    root = solve_root_path(scene.seen, options.root).root_camera_m
    depth = scene.feet.positions_m[..., 2:] + root[:, None, 2:]
    rays = np.where(unseen.feet[..., None], np.nan, scene.foot_rays)
    points = np.concatenate([rays, np.ones_like(rays[..., :1])], axis=-1) * depth
    view = root / np.linalg.norm(root, axis=1, keepdims=True)
    clearance = np.asarray(scene.feet.clearance_m, np.float64)
    return _Feet(scene.seen.times_s, points, clearance, travel.at(track.frame_index[solved]), view, down)


def _of_one_height(feet: Sequence[_Feet], plane: tuple[Array, float]) -> list[_Feet]:
    """The people whose feet tell the scale, as large as puts all on one floor with the first of them: heights are often
    assumed alike, and a child stands beside an adult.
    """
    told = [(one, scale.value) for one in feet if (scale := _floor_scale([one], plane)) is not None]
    if not told:
        return list(feet)
    parts = [told[0][1] / value for _, value in told]
    return [
        replace(one, points_m=part * one.points_m, clearance_m=part * one.clearance_m)
        for (one, _), part in zip(told, parts, strict=True)
    ]


def _floor_scale(feet: Sequence[_Feet], plane: tuple[Array, float]) -> _Scale | None:
    """The scale at which the floor lies where the lower foot stands; None where the frames do not agree."""
    normal, below = plane
    scales = []
    for one in feet:
        metric = np.where(np.isfinite(one.points_m[..., 0]), one.points_m @ normal + one.clearance_m, -np.inf)
        unit = below - one.camera @ normal
        known = np.isfinite(metric.max(axis=1)) & (unit > 0.05 * below)
        scales.append(metric.max(axis=1)[known] / unit[known])
    every = np.concatenate(scales)
    if len(every) < _FEW_FRAMES:
        return None
    low, middle, high, stands = np.percentile(every, [25.0, 50.0, 75.0, _STANDS_PERCENTILE])
    if middle <= 0.0 or high - low > _FLOOR_SPREAD * middle:
        return None
    return _Scale(float(stands), _FLOOR_SIGMA)


def floor_plane(features: Array, down: Array) -> tuple[Array, float] | None:
    """A level plane below the camera that most features lie on: its normal (3,), downwards, and how far below it is."""
    below = features[features @ down > 0.0]
    if len(below) < _LEAST_FLOOR:
        return None
    rng = np.random.default_rng(0)
    best, count = np.zeros(len(below), bool), 0
    for _ in range(_TRIES):
        one, two, three = below[rng.choice(len(below), 3, replace=False)]
        normal = np.cross(two - one, three - one)
        length = float(np.linalg.norm(normal))
        normal = normal / max(length, 1e-12) * np.sign(normal @ down)
        if length < 1e-12 or normal @ down < np.cos(np.deg2rad(_LEVEL_DEG)):
            continue
        depth = float(one @ normal)
        on = np.abs(below @ normal - depth) < _FLAT_PART * depth
        # what lies below a floor is none of it: a table has more below it than a floor
        worth = int(on.sum()) - int((below @ normal > (1.0 + 3.0 * _FLAT_PART) * depth).sum())
        if worth > count:
            best, count = on, worth
    if best.sum() < _LEAST_FLOOR:
        return None
    middle = below[best].mean(axis=0)
    normal = np.linalg.svd(below[best] - middle, full_matrices=False)[2][2]
    normal = normal * np.sign(normal @ down)
    return None if normal @ down < np.cos(np.deg2rad(_LEVEL_DEG)) else (normal, float(middle @ normal))


def _velocity(feet: _Feet) -> tuple[Array, Array]:
    """Velocities of the foot points (M, 4, 3) from the camera and of the camera (M, 3), over a moment."""
    lag = max(1, round(_LAG_S / median_interval_s(feet.times_s)))
    step_s = feet.times_s[lag:] - feet.times_s[:-lag]
    step_s = np.where(step_s < 3.0 * _LAG_S, step_s, np.nan)[:, None]
    points = filter_positions(Gaussian(_BLUR_S), feet.times_s, feet.points_m)
    return (points[lag:] - points[:-lag]) / step_s[:, None], (feet.camera[lag:] - feet.camera[:-lag]) / step_s


def _slides(feet: _Feet, scales: Array) -> Array:
    """How far each foot point slides (M, 4, S), in squared sigmas, if the camera's path has each of the scales (S,)."""
    own, camera = _velocity(feet)
    view = feet.view[: len(own), None, None]
    speed = own[:, :, None] + scales[:, None] * camera[:, None, None]
    along = (speed * view).sum(axis=-1)
    across = np.maximum((speed**2).sum(axis=-1) - along**2, 0.0)
    slide = across / _ACROSS_M_S**2 + along**2 / _ALONG_M_S**2
    return np.where(np.isfinite(slide), slide, np.inf)


def _likely_scale(feet: Sequence[_Feet]) -> float:
    """The scale at which the stillest foot of each moment slides least."""
    paces = np.concatenate([np.linalg.norm(_velocity(one)[1], axis=1) for one in feet])
    paces = paces[np.isfinite(paces)]
    pace = float(np.median(paces)) if len(paces) else 0.0
    scales = np.geomspace(_SLOWEST_M_S, _FASTEST_M_S, _SCALES) / max(pace, 1e-9)
    costs = np.zeros(_SCALES)
    for one in feet:
        slide = _slides(one, scales).min(axis=1, initial=np.inf)
        costs += (1.0 - 1.0 / (1.0 + slide)).sum(axis=0)
    return float(scales[costs.argmin()])


def _steps_scale(feet: Sequence[_Feet], scale: float) -> _Scale | None:
    """The scale at which feet stay over their whole steps, from one at which it is known when they stand."""
    sigma = np.inf
    for _ in range(3):
        rows = [row for one in feet for row in _step_rows(one, scale)]
        if len(rows) < 2:
            return None
        moved, camera, inverse = (np.concatenate([row[part] for row in rows]) for part in range(3))
        # the errors of a step's frames are alike: it counts as two
        share = np.concatenate([np.full(len(row[0]), 2.0 / len(row[0])) for row in rows])
        for _ in range(_ROUNDS):
            off = moved + scale * camera
            far = np.einsum("mi,mij,mj->m", off, inverse, off)
            weight = share / (1.0 + far / 4.0)
            norm = float(np.einsum("m,mi,mij,mj->", weight, camera, inverse, camera))
            if norm < 1e-12:
                return None
            found = -float(np.einsum("m,mi,mij,mj->", weight, camera, inverse, moved)) / norm
            scale = float(np.clip(found, 0.5 * scale, 2.0 * scale))
        sigma = np.sqrt(max(1.0, float((weight * far).sum() / weight.sum()) / 2.0) / norm) / scale
    return _Scale(scale, float(sigma))


def _step_rows(feet: _Feet, scale: float) -> list[tuple[Array, Array, Array]]:
    """For each foot point and each time that it stands: foot (M, 3) and camera (M, 3) relative to their means, and
    inverse covariances (M, 3, 3).
    """
    slides = _slides(feet, np.array([scale]))[..., 0]
    lag, found = len(feet.times_s) - len(slides), []
    for point in range(slides.shape[1]):
        stands = np.zeros(len(feet.times_s), bool)
        slow: NDArray[np.intp] = np.flatnonzero(slides[:, point] < _STANDS_SIGMAS**2)
        stands[slow + lag // 2] = True
        for first, last in true_runs(stands & np.isfinite(feet.points_m[:, point]).all(axis=1)):
            if feet.times_s[last] - feet.times_s[first] < _STANDS_S:
                continue
            part = slice(first, last + 1)
            moved, camera, view = feet.points_m[part, point], feet.camera[part], feet.view[part]
            along = view[:, :, None] * view[:, None, :]
            inverse = (np.eye(3) - along) / _ACROSS_M**2 + along / _ALONG_M**2
            found.append((moved - moved.mean(axis=0), camera - camera.mean(axis=0), inverse))
    return found
