"""Cyclic clips: the same motion again and again, and their frames at a scene's rate.

A clip is cyclic where its header says so (`looping.loop_clip`): its last frame is its first, moved on over the floor by
one cycle's travel. May import numpy and its own room only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .clip import MotionClip
from .resampling import resample_clip, sample_clip, take_frames

# what looks at neighbouring frames (filters, blends of contacts) looks no further than this
MARGIN_S = 1.5


@dataclass(frozen=True, slots=True)
class Unrolled:
    """A cyclic clip several times over: the middle cycle stands in the frames `middle`, its closing frame included;
    `rows` (T,) is the frame of the one cycle that each frame repeats, `cycles` how many there are.
    """

    clip: MotionClip
    middle: slice
    rows: NDArray[np.intp]
    cycles: int


def unroll(clip: MotionClip, margin_s: float = MARGIN_S) -> Unrolled:
    """A cyclic clip with whole cycles before and after it, `margin_s` on either side at least; times go on evenly."""
    period_s = float(clip.times_s[-1] - clip.times_s[0])
    last = len(clip) - 1
    aside = max(int(np.ceil(margin_s / period_s)), 1)
    cycles = 2 * aside + 1
    rows = np.concatenate([np.tile(np.arange(last), cycles), [last]])
    number = np.concatenate([np.repeat(np.arange(cycles), last), [cycles - 1]]) - aside
    travel = (clip.root_world_m[-1] - clip.root_world_m[0]).astype(np.float64) * np.array([1.0, 1.0, 0.0])
    several = take_frames(clip, rows)
    root = (several.root_world_m + number[:, None] * travel).astype(clip.root_world_m.dtype)
    header = replace(clip.header, is_cyclic=False, cuts_s=())
    times_s = clip.times_s[rows] + number * period_s
    out = replace(several, times_s=times_s, header=header, root_world_m=root)
    return Unrolled(out, slice(aside * last, (aside + 1) * last + 1), rows, cycles)


def at_scene_frames(clip: MotionClip, fps: float) -> MotionClip:
    """The clip at a steady `fps`, by its time stamps; a cyclic one at a whole number of frames a cycle.

    The cycle's length is rounded to frames, which changes its speed by less than half a frame a cycle. Raises what
    `resample_clip` raises.
    """
    if not clip.header.is_cyclic:
        return resample_clip(clip, fps)
    start_s, period_s = float(clip.times_s[0]), float(clip.times_s[-1] - clip.times_s[0])
    frames = max(round(period_s * fps), 1)
    times_s = start_s + np.arange(frames + 1) * (period_s / frames)
    sampled = sample_clip(unroll(clip).clip, times_s)
    return replace(sampled, times_s=start_s + np.arange(frames + 1) / fps, header=clip.header)
