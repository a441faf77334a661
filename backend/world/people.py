"""Several people in one world: one camera, one direction down, one floor that fits all of them.

May import `motion`, `types` and its own room. Pure.

Everybody is first placed alone. People whose floors nearly agree stand on one floor: their heights, which are only
assumed, are brought to fit it. Floors that cannot be one are supports at other heights; the lowest is the floor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from backend.types import Intrinsics, PersonTrack, PoseTrack
from backend.world.place import place_in_world
from backend.world.world_track import Gravity, WorldOptions, WorldTrack
from blender_addon.motion.contacts import planted_frames
from blender_addon.motion.temporal import median_interval_s

# heights of adults differ from the assumed one by up to this part
_SAME_PART: Final = 0.12
# floors this close are one, wherever the camera is
_SAME_M: Final = 0.15
# somebody this much smaller is a child, where the camera is clearly above both floors
_CHILD_PART: Final = 0.6
_ABOVE_M: Final = 0.5
# below this height of the camera over the floor, the floor says nothing about a person's size
_LEAST_ABOVE_M: Final = 0.3
# a level on which somebody stands for less is none
_LEAST_STAND_S: Final = 0.3
# another person's gravity is taken where it is this much surer than the first one's
_SURER: Final = 0.6


@dataclass(frozen=True, slots=True)
class PlacedPerson:
    """A person in the shared world: `poses`, with the height that fits the floor, and their `world` track."""

    poses: PoseTrack
    world: WorldTrack


@dataclass(frozen=True, slots=True)
class Stand:
    """One person's own floor: `below_m` the camera, and for how long it was stood on, `time_s`."""

    below_m: float
    time_s: float


@dataclass(frozen=True, slots=True)
class SharedFloor:
    """The floor `below_m` the camera, and the `scales` of everybody's height with which they stand on their level."""

    below_m: float
    scales: tuple[float, ...]


def place_people(
    poses: Sequence[PoseTrack], tracks: Sequence[PersonTrack], intrinsics: Intrinsics, options: WorldOptions
) -> tuple[PlacedPerson, ...]:
    """Place everybody; the first person's height stays, and their first pelvis is above the world's origin."""
    pairs = list(zip(poses, tracks, strict=True))
    several = len(pairs) > 1 and options.world_from_camera is None
    own = replace(options, floor_below_m=None) if several else options
    alone = [place_in_world(pose, track, intrinsics, own) for pose, track in pairs]
    if not several:
        return tuple(PlacedPerson(pose, world) for pose, world in zip(poses, alone, strict=True))
    gravity = _surest(alone)
    level = replace(own, gravity=gravity)
    alone = [
        world if world.gravity is gravity else place_in_world(pose, track, intrinsics, level)
        for world, (pose, track) in zip(alone, pairs, strict=True)
    ]
    stands = [_stand(world, track, options) for world, track in zip(alone, tracks, strict=True)]
    floor = shared_floor(stands, options.floor_below_m)
    camera = alone[0].world_from_camera[0].copy()
    camera[2, 3] = floor.below_m
    shared = replace(level, world_from_camera=camera, floor_below_m=options.floor_below_m)
    placed = []
    for scale, (pose, track) in zip(floor.scales, pairs, strict=True):
        fitted = _scaled(pose, scale)
        placed.append(PlacedPerson(fitted, place_in_world(fitted, track, intrinsics, shared)))
    return tuple(placed)


def shared_floor(stands: Sequence[Stand], below_m: float | None = None) -> SharedFloor:
    """The floor of several people, the first of whom keeps their height; `below_m` the camera where it is known."""
    levels: list[float] = [] if below_m is None else [below_m]
    own = np.zeros(len(stands), np.intp)
    first_known = stands[0].time_s >= _LEAST_STAND_S
    order = sorted(range(len(stands)), key=lambda one: (one > 0 or not first_known, -stands[one].time_s))
    for one in order:
        stand = stands[one]
        found = next((at for at, level in enumerate(levels) if _fits(stand.below_m, level)), None)
        if found is None and (not levels or stand.time_s >= _LEAST_STAND_S):
            levels.append(stand.below_m)
            found = len(levels) - 1
        own[one] = -1 if found is None else found
    scales = [
        1.0 if one == 0 or at < 0 or levels[at] < _LEAST_ABOVE_M else levels[at] / stand.below_m
        for one, (at, stand) in enumerate(zip(own, stands, strict=True))
    ]
    return SharedFloor(max(levels) if below_m is None else below_m, tuple(float(scale) for scale in scales))


def _fits(below_m: float, level_m: float) -> bool:
    """Whether somebody whose floor is `below_m` the camera may stand on the level, with another height."""
    if abs(below_m - level_m) <= _SAME_M:
        return True
    if min(below_m, level_m) < _LEAST_ABOVE_M:
        return False
    part = level_m / below_m
    return abs(part - 1.0) <= _SAME_PART or (level_m > _ABOVE_M and _CHILD_PART <= part < 1.0)


def _surest(alone: Sequence[WorldTrack]) -> Gravity:
    """The first person's gravity, or that of somebody whose is much surer."""
    first, best = alone[0].gravity, min((world.gravity for world in alone), key=lambda one: one.uncertainty_deg)
    return best if best.uncertainty_deg < _SURER * first.uncertainty_deg else first


def _stand(world: WorldTrack, track: PersonTrack, options: WorldOptions) -> Stand:
    planted = planted_frames(track.times_s, world.contacts, options.contacts).any(axis=1)
    interval_s = median_interval_s(track.times_s) if len(track.times_s) > 1 else 0.0
    return Stand(float(world.world_from_camera[0, 2, 3]), float(planted.sum() * interval_s))


def _scaled(poses: PoseTrack, scale: float) -> PoseTrack:
    """The person at another height, as much further away: the image of them stays as it is."""
    if scale == 1.0:
        return poses
    return replace(
        poses,
        height_m=poses.height_m * scale,
        root_camera_m=poses.root_camera_m * scale,
        joints_camera_m=poses.joints_camera_m * scale,
    )
