"""Contacts of the body with the floor, and the steps that they make. May import `motion`, `types` and its own room.

Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backend.types import Array
from backend.world.gravity import Footing, world_axes
from backend.world.root_path import RootPath, Steps
from backend.world.scene import Scene
from backend.world.world_track import WorldOptions
from blender_addon.motion.body_contacts import CONTACT_PARTS
from blender_addon.motion.contacts import contact_probability, falling, planted_frames, point_speed_m_s, true_runs
from blender_addon.motion.posing import FOOT_POINTS, Feet
from blender_addon.motion.temporal import median_interval_s

# the lowest foot of this part of the frames counts as standing while no contact is known yet
_FLOOR_PERCENTILE = 20.0
_FLOOR_WINDOW_S = 1.5
_FLOOR_DRIFT_M = 0.35
_LONE_M = 0.12
# seats are this high, the trunk over them as upright, the weight as far beside the feet, and they stay still
_SEAT_M = (0.25, 0.8)
_UPRIGHT = 0.6
_BESIDE_M, _BESIDE_WIDTH_M = 0.12, 0.02
_SEATED_M_S = 0.4
# nobody holds a half squat like this: knees bent further than this, while the seat travels no further in this time
_BENT_DEG, _BENT_WIDTH_DEG = 132.0, 4.0
_STILL_M, _STILL_WIDTH_M, _STILL_S = 0.16, 0.02, 1.0
# hips of somebody who kneels are straighter than this, the mean of both, their thighs as steep, and their knees travel
# no further; shins that are as steep are those of somebody who stands with bent knees
_STRAIGHT_DEG = 145.0
_STEEP, _STEEP_WIDTH, _KNEES_M = 0.65, 0.03, 0.25
_STANDING_SHIN = 0.6
# the probability of kneeling from which on feet have no contact any more, and its width
_KNEELS = (0.5, 0.05)
# sine of the angle below the horizon from which on a point's place on the floor is told by its keypoint
_LEAST_BELOW = 0.15
# knees, hands and the trunk are round, and less exactly placed than soles
_PART_SETTINGS = {"height_m": 0.13, "height_width_m": 0.025, "speed_m_s": 0.6, "image_speed_m_s": 0.35}
# what sets two levels apart, and which part of all standing makes one
_LEVEL_GAP_M = 0.12
_LEVEL_SHARE = 0.15


def body_contacts(scene: Scene, root_camera_m: Array, down: Array, options: WorldOptions) -> Array:
    """Contact probabilities (N, 4 + P) of the feet and of `CONTACT_PARTS`.

    Heights are measured from the floor under the body at that time.
    """
    turn = world_axes(down)
    points = touching_points(scene)
    positions = (points.positions_m + root_camera_m[:, None]) @ turn.T
    floor = _local_floor(scene.seen.times_s, positions[..., 2] - points.clearance_m)
    positions[..., 2] -= floor[:, None]
    over_floor = _floor_speed_m_s(scene, points, floor, down)
    speed = point_speed_m_s(scene.seen.times_s, points.rays) * scene.seen.depth_m(root_camera_m)[:, None]
    times_s, feet = scene.seen.times_s, len(FOOT_POINTS)
    standing = Feet(positions[:, :feet], scene.feet.offsets_m, scene.feet.clearance_m)
    probability = contact_probability(times_s, standing, options.contacts, speed[:, :feet], over_floor[:, :feet])
    # a leg that is not in the frame hangs where it is put: its foot tells nothing and holds nothing
    probability = np.where(scene.unseen.feet, 0.0, probability)
    rest = Feet(positions[:, feet:], scene.feet.offsets_m, points.clearance_m[feet:])
    own = replace(options.contacts, **_PART_SETTINGS)
    parts = contact_probability(times_s, rest, own, speed[:, feet:], over_floor[:, feet:])
    parts = np.where(scene.unseen.parts, 0.0, parts)
    found = np.concatenate([probability, parts], axis=1)
    seat = feet + CONTACT_PARTS.index("seat")
    found[:, seat] = np.maximum(found[:, seat], seated(times_s, positions, found, scene.unseen.sits > 0.5))
    knees = [feet + CONTACT_PARTS.index(f"{side}_knee") for side in ("left", "right")]
    kneels = kneeling(times_s, positions, found) * ~scene.unseen.parts[:, [knee - feet for knee in knees]].any(axis=1)
    found[:, knees] = np.maximum(found[:, knees], kneels[:, None])
    # feet lie behind somebody who kneels, whatever the pose says, and nothing is below the seat; where it is not likely
    # that somebody kneels, feet stand as before
    others = [*range(feet), seat]
    found[:, others] *= falling(kneels, *_KNEELS)[:, None]
    return found


def _floor_speed_m_s(scene: Scene, points: TouchingPoints, floor_m: Array, down: Array) -> Array:
    """How fast (N, 4 + P) the keypoints move if they move on the level floor, `floor_m` (N,) over the camera, in m/s;
    NaN where they are not seen, in one frame alone, or from too low to tell.

    The speed of a posed point is that of its depth too, which the image hardly shows: where somebody squats, feet that
    stand still move by a metre and more in a second.
    """
    rays = np.concatenate([points.rays, np.ones((*points.rays.shape[:-1], 1))], axis=-1)
    below = (rays @ down) / np.linalg.norm(rays, axis=-1)
    sunk = np.maximum(-floor_m[:, None] - points.clearance_m, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        places = rays / np.where((below > _LEAST_BELOW) & (sunk > 0.0), rays @ down, np.nan)[..., None]
    known = np.isfinite(places).all(axis=-1)
    # a keypoint that is seen in one frame alone does not stand still
    padded = np.pad(known, ((1, 1), (0, 0)))
    known &= padded[:-2] | padded[2:]
    return np.where(known, point_speed_m_s(scene.seen.times_s, places) * sunk, np.nan)


def kneeling(times_s: Array, positions: Array, probability: Array) -> Array:
    """Probability (N,) that the body kneels upright, from `positions` (N, 4 + P, 3) in upright axes.

    Nobody stays in the air with both knees bent under straight hips: knees that stay where they are rest, unless the
    shins carry them. Who kneels does so until the knees leave the floor, though the trunk moves: `probability`
    (N, 4 + P) is that of the contacts with the floor.
    """
    seat, *knees = (_part(positions, name) for name in ("seat", "left_knee", "right_knee"))
    pose = _kneeling_pose(positions)
    still = falling(_travel_m(times_s, seat), _STILL_M, _STILL_WIDTH_M)
    for knee in knees:
        still = np.minimum(still, falling(_travel_m(times_s, knee), _KNEES_M, _STILL_WIDTH_M))
    found = np.minimum(pose, still)
    goes_on = np.minimum(pose, np.minimum(*(_part(probability, f"{side}_knee") for side in ("left", "right"))))
    for first, last in true_runs(np.maximum(found, goes_on) > 0.5):
        run = slice(first, last + 1)
        if (found[run] > 0.5).any():
            found[run] = np.maximum(found[run], goes_on[run])
    return np.asarray(found)


def _kneeling_pose(positions: Array) -> Array:
    """How far (N,) a body, `positions` (N, 4 + P, 3) in upright axes, has bent knees, straight hips, steep thighs and
    shins that are not.
    """
    seat, back = _part(positions, "seat"), _part(positions, "back")
    knees = [_part(positions, f"{side}_knee") for side in ("left", "right")]
    hips_deg = np.mean([_angle_deg(back, seat, knee) for knee in knees], axis=0)
    found = falling(-hips_deg, -_STRAIGHT_DEG, _BENT_WIDTH_DEG)
    for knee, name in zip(knees, ("left_heel", "right_heel"), strict=True):
        heel = positions[:, FOOT_POINTS.index(name)]
        found = np.minimum(found, falling(_angle_deg(seat, knee, heel), _BENT_DEG, _BENT_WIDTH_DEG))
        found = np.minimum(found, falling(-_steep(knee, seat), -_STEEP, _STEEP_WIDTH))
        found = np.minimum(found, falling(_steep(heel, knee), _STANDING_SHIN, _STEEP_WIDTH))
    return np.asarray(found)


def _part(values: Array, name: str) -> Array:
    """What belongs to one of `CONTACT_PARTS` of values (N, 4 + P, ...)."""
    return np.asarray(values[:, len(FOOT_POINTS) + CONTACT_PARTS.index(name)])


def _steep(lower: Array, upper: Array) -> Array:
    """Sine (N,) of the elevation from one point (N, 3) to another."""
    way = upper - lower
    return np.asarray(way[:, 2] / np.maximum(np.linalg.norm(way, axis=1), 1e-9))


def seated(times_s: Array, positions: Array, probability: Array, behind: NDArray[np.bool_] | None = None) -> Array:
    """Probability (N,) that the seat rests on a chair or a step.

    Nobody stays still with their weight beside the feet, and nobody holds a half squat for a second: where one of the
    two is seen, and a foot stands or the person sits `behind` (N,) something that hides their legs, the body sits.
    `positions` (N, 4 + P, 3) are in upright axes, the floor at 0. `probability` (N, 4 + P) is that of the contacts with
    the floor.
    """
    seat, back, head = (positions[:, len(FOOT_POINTS) + CONTACT_PARTS.index(name)] for name in ("seat", "back", "head"))
    middle = 0.45 * seat + 0.4 * back + 0.15 * head
    turns = np.linspace(0.0, 2.0 * np.pi, 24, endpoint=False)
    ways = np.stack([np.cos(turns), np.sin(turns)])
    reach = np.where((probability > 0.5)[..., None], positions[..., :2] @ ways, -np.inf).max(axis=1)
    beside = (middle[:, :2] @ ways - reach).max(axis=1)
    upright = (back - seat)[:, 2] > _UPRIGHT * np.linalg.norm(back - seat, axis=1)
    stands = (probability[:, : len(FOOT_POINTS)] > 0.5).any(axis=1)
    stands = stands if behind is None else stands | behind
    speed = point_speed_m_s(times_s, seat[:, None])[:, 0]
    raised = seat[:, 2] > _SEAT_M[0]
    rests = falling(speed, _SEATED_M_S, 0.25 * _SEATED_M_S)
    leans = np.minimum(falling(-beside, -_BESIDE_M, _BESIDE_WIDTH_M), rests)
    still = falling(_travel_m(times_s, seat), _STILL_M, _STILL_WIDTH_M)
    holds = np.minimum(falling(_knees_deg(positions), _BENT_DEG, _BENT_WIDTH_DEG), still)
    found = np.maximum(np.where(seat[:, 2] < _SEAT_M[1], leans, 0.0), holds)
    return np.asarray(np.where(upright & raised & stands, found, 0.0))


def _knees_deg(positions: Array) -> Array:
    """The angle (N,) of the knees, the mean of both, from the seat to the heel: 180 for straight legs."""
    seat = positions[:, len(FOOT_POINTS) + CONTACT_PARTS.index("seat")]
    angles = []
    for side in ("left", "right"):
        knee = positions[:, len(FOOT_POINTS) + CONTACT_PARTS.index(f"{side}_knee")]
        angles.append(_angle_deg(seat, knee, positions[:, FOOT_POINTS.index(f"{side}_heel")]))
    return np.asarray(np.mean(angles, axis=0))


def _angle_deg(one: Array, middle: Array, other: Array) -> Array:
    """The angle (N,) at a point (N, 3) between two others, degrees; 180: straight."""
    up, down = one - middle, other - middle
    length = np.linalg.norm(up, axis=1) * np.linalg.norm(down, axis=1)
    return np.asarray(np.rad2deg(np.arccos(np.clip((up * down).sum(axis=1) / np.maximum(length, 1e-9), -1.0, 1.0))))


def _travel_m(times_s: Array, point: Array) -> Array:
    """How far (N,) a point (N, 3) travels in the second around each frame; without end where less than that is known.

    At the ends of a recording, and beside a pause in it, it is the first or last second.
    """
    half_s, interval_s = 0.5 * _STILL_S, median_interval_s(times_s)
    apart = np.diff(times_s) > max(half_s, 2.5 * interval_s)
    begins, ends = np.flatnonzero(np.append(True, apart)), np.flatnonzero(np.append(apart, True))
    run = np.append(0, np.cumsum(apart))
    start_s, end_s = times_s[begins][run], times_s[ends][run]
    middle_s = np.clip(times_s, start_s + half_s, np.maximum(end_s - half_s, start_s + half_s))
    slack_s = 0.5 * interval_s
    first = np.maximum(np.searchsorted(times_s, middle_s - half_s - slack_s), begins[run])
    last = np.minimum(np.searchsorted(times_s, middle_s + half_s + slack_s, side="right"), ends[run] + 1)
    # outside of the window a frame counts as its first one
    rows = first[:, None] + np.arange(int((last - first).max()))
    windows = point[np.where(rows < last[:, None], rows, first[:, None])]
    travel_m = np.linalg.norm(np.ptp(windows, axis=1), axis=1)
    return np.asarray(np.where(end_s - start_s < _STILL_S - slack_s, np.inf, travel_m))


@dataclass(frozen=True, slots=True)
class TouchingPoints:
    """Foot points and the middles of contact parts relative to the pelvis, in camera axes: `positions_m` (N, 4 + P, 3),
    `clearance_m` (4 + P,) over what they touch, `rays` (N, 4 + P, 2) of their keypoints, NaN where not seen.
    """

    positions_m: Array
    clearance_m: Array
    rays: Array


def touching_points(scene: Scene) -> TouchingPoints:
    """All points of a person that can touch something."""
    return TouchingPoints(
        np.concatenate([scene.feet.positions_m, scene.parts.positions_m], axis=1),
        np.concatenate([scene.feet.clearance_m, scene.parts.radius_m]),
        np.concatenate([scene.foot_rays, scene.part_rays], axis=1),
    )


def _local_floor(times_s: Array, heights: Array) -> Array:
    """The floor's height (N,) as the lowest points (N, P) of the surrounding seconds show it.

    An error of the depth or of gravity lets the whole body rise and sink slowly; the floor follows that, within
    limits: feet that are held up stay up.
    """
    lowest = _lowest(heights)
    half = int(np.ceil(0.5 * _FLOOR_WINDOW_S / median_interval_s(times_s)))
    padded = np.pad(lowest, half, mode="reflect" if half < len(lowest) else "edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)
    local = np.percentile(windows, _FLOOR_PERCENTILE, axis=-1)
    whole = floor_height(heights)
    return np.clip(local, whole - _FLOOR_DRIFT_M, whole + _FLOOR_DRIFT_M)


def _lowest(heights: Array) -> Array:
    """The lowest (N,) of points (N, P); one that is far below all others is an error of its depth, not the floor."""
    first, second = np.partition(heights, 1, axis=1)[:, :2].T
    return np.asarray(np.where(second - first > _LONE_M, second, first))


def floor_height(heights: Array) -> float:
    """The usual height of the lowest point, for heights (N, P) of points that can touch the floor."""
    return float(np.percentile(_lowest(heights), _FLOOR_PERCENTILE))


def lowest_level_m(heights: Array) -> float:
    """The height of the floor among those (N,) at which feet stood: the lowest level of a good part of them.

    Stairs, boxes and chairs are higher levels. A level is set off by a gap from the next.
    """
    ordered = np.sort(heights)
    levels = np.split(ordered, np.flatnonzero(np.diff(ordered) > _LEVEL_GAP_M) + 1)
    return float(np.median(next(level for level in levels if len(level) >= _LEVEL_SHARE * len(ordered))))


def find_steps(scene: Scene, probability: Array, down: Array, options: WorldOptions) -> Steps:
    """Every contact of every foot point and part as one step."""
    planted = planted_frames(scene.seen.times_s, probability, options.contacts)
    points = touching_points(scene)
    frame: list[NDArray[np.intp]] = []
    step: list[NDArray[np.intp]] = []
    foot: list[Array] = []
    clearance: list[float] = []
    for point in range(planted.shape[1]):
        for first, last in true_runs(planted[:, point]):
            inside = np.arange(first, last + 1)
            frame.append(inside)
            step.append(np.full(len(inside), len(clearance)))
            foot.append(points.positions_m[inside, point])
            clearance.append(points.clearance_m[point])
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
