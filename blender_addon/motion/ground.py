"""Ground snap: bring the lowest standing foot to the floor, or lift a body out of it.

May import numpy and its own room only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .clip import MotionClip
from .contacts import ContactSettings, planted_frames
from .posing import clip_body, find_feet, pose_clip, with_motion
from .temporal import Gaussian, filter_positions


@dataclass(frozen=True, slots=True)
class GroundSettings:
    """How a clip is set on the floor.

    `height_m` of the floor under the whole clip; `follow`: also take out slow rises and sinks, over `sigma_s`, by the
    feet that stand; `lift`: raise the body in the frames where a foot would still be under the floor.
    """

    height_m: float = 0.0
    follow: bool = False
    sigma_s: float = 0.4
    lift: bool = True


def snap_to_ground(
    clip: MotionClip, settings: GroundSettings | None = None, contacts: ContactSettings | None = None
) -> MotionClip:
    """The clip with its standing feet on the floor; without contacts the usual lowest foot counts as standing."""
    settings = settings or GroundSettings()
    feet = find_feet(clip_body(clip), pose_clip(clip))
    height = feet.positions_m[..., 2] - feet.clearance_m
    solved = np.isfinite(height).all(axis=1)
    if not solved.any():
        return clip
    lowest = np.where(solved, np.nan_to_num(height, nan=0.0).min(axis=1), np.nan)
    planted = planted_frames(clip.times_s, clip.contacts, contacts or ContactSettings()) & solved[:, None]
    floor = float(np.median(height[planted])) if planted.any() else float(np.nanpercentile(lowest, 20.0))
    rise = np.full(len(clip), settings.height_m - floor)
    if settings.follow and planted.any():
        standing = np.flatnonzero(planted.any(axis=1))
        level = np.array([height[frame][planted[frame]].mean() for frame in standing])
        everywhere = np.interp(clip.times_s, clip.times_s[standing], level)
        rise = settings.height_m - filter_positions(Gaussian(settings.sigma_s), clip.times_s, everywhere)
    if settings.lift:
        depth = np.nan_to_num(settings.height_m - (lowest + rise), nan=0.0)
        rise = rise + np.maximum(depth, 0.0)
    root = clip.root_world_m.astype(np.float64)
    root[:, 2] += rise
    return with_motion(clip, clip.rotations_wxyz, root)
