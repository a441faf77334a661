"""Which foot stands when: contact probabilities, and the planted intervals that follow from them.

May import numpy and its own room only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .posing import Feet
from .rotations import Array
from .temporal import Gaussian, filter_positions, finite_runs

# positions are blurred by this much before their speed is taken: the speed of raw jitter is no motion
_SPEED_BLUR_S = 0.04


# a step from frame to frame that is longer than both is a pause
_PAUSE_S = 2.0
_PAUSE_STEPS = 5.0


@dataclass(frozen=True, slots=True)
class ContactSettings:
    """When a foot point counts as standing.

    `height_m` above the ground, `speed_m_s` in space and `image_speed_m_s` across the image are where the
    probability falls to one half, each over its width; the limit in space is wider because depth is noisy. Where the
    keypoint moves more slowly than `stands_m_s` over the floor, that is the speed in space, too. A point becomes
    planted above `enter`, stays so above `leave`, for at least `shortest_s`; interruptions up to
    `longest_break_s` are closed.
    """

    height_m: float = 0.09
    height_width_m: float = 0.02
    speed_m_s: float = 0.9
    speed_width_m_s: float = 0.2
    image_speed_m_s: float = 0.5
    image_speed_width_m_s: float = 0.1
    stands_m_s: float = 0.5
    enter: float = 0.6
    leave: float = 0.35
    shortest_s: float = 0.1
    longest_break_s: float = 0.07


def contact_probability(
    times_s: Array,
    feet: Feet,
    settings: ContactSettings,
    image_speed_m_s: Array | None = None,
    floor_speed_m_s: Array | None = None,
) -> Array:
    """Probability (T, 4) that heel and ball of each foot (`FOOT_POINTS`) stand, from height, speed and image speed.

    `feet` lie in the world (floor z = 0). `image_speed_m_s` (T, 4) is the keypoints' speed in the image, scaled to
    metres at the person's depth; NaN where unknown. `floor_speed_m_s` (T, 4) is how fast they move if they move on a
    level floor: what the depth of the pose adds to that is its error. Frames without the person get 0.
    """
    height = feet.positions_m[..., 2] - feet.clearance_m
    low = falling(height, settings.height_m, settings.height_width_m)
    speed = point_speed_m_s(times_s, feet.positions_m)
    if floor_speed_m_s is not None:
        stands = np.nan_to_num(floor_speed_m_s, nan=np.inf) < settings.stands_m_s
        speed = np.where(stands, np.minimum(speed, floor_speed_m_s), speed)
    slow = falling(speed, settings.speed_m_s, settings.speed_width_m_s)
    if image_speed_m_s is not None:
        seen = falling(image_speed_m_s, settings.image_speed_m_s, settings.image_speed_width_m_s)
        slow = slow * np.where(np.isfinite(seen), seen, 1.0)
    return np.nan_to_num(low * slow, nan=0.0)


def point_speed_m_s(times_s: Array, positions: Array) -> Array:
    """Speed (T, N) of points (T, N, C), per second in the points' unit; NaN where a point is, whatever the others are.

    A pause of the recording has no speed: what moved meanwhile would seem to stand still beside it.
    """
    known = np.isfinite(positions).all(axis=-1)
    if positions.shape[1] > 1 and (known != known[:, :1]).any():
        each = [point_speed_m_s(times_s, positions[:, place : place + 1]) for place in range(positions.shape[1])]
        return np.concatenate(each, axis=1)
    speed = np.full(positions.shape[:-1], np.nan)
    pauses_s = resumed_s(times_s)
    blurred = filter_positions(Gaussian(_SPEED_BLUR_S), times_s, positions, pauses_s)
    for run in finite_runs(times_s, blurred, pauses_s):
        if run.stop - run.start < 2:
            speed[run] = 0.0
            continue
        speed[run] = np.linalg.norm(np.gradient(blurred[run], times_s[run], axis=0), axis=-1)
    return speed


def planted_frames(times_s: Array, probability: Array, settings: ContactSettings) -> NDArray[np.bool_]:
    """Planted or not (T, N) from probabilities (T, N), with hysteresis, short breaks closed, short contacts dropped.

    A contact ends where the recording pauses: nobody stands on one spot through an hour that was not recorded.
    """
    state = np.where(probability >= settings.enter, 1, np.where(probability < settings.leave, -1, 0))
    index = np.where(state != 0, np.arange(len(state))[:, None], -1)
    last = np.maximum.accumulate(index, axis=0)
    planted = (last >= 0) & (np.take_along_axis(state, np.maximum(last, 0), axis=0) > 0)
    for point in range(planted.shape[1]):
        _drop_short_runs(times_s, planted[:, point], settings.longest_break_s, False)
        _drop_short_runs(times_s, planted[:, point], settings.shortest_s, True)
    planted[_before_pauses(times_s)] = False
    return planted & (probability > 0.0)


def resumed_s(times_s: Array) -> tuple[float, ...]:
    """The times of the first frames after the recording paused."""
    return tuple(float(time_s) for time_s in times_s[_before_pauses(times_s) + 1])


def _before_pauses(times_s: Array) -> NDArray[np.intp]:
    """The last frames before the recording pauses: steps far longer than the usual one."""
    steps = np.diff(times_s)
    if not len(steps):
        return np.zeros(0, np.intp)
    return np.flatnonzero(steps > max(_PAUSE_S, _PAUSE_STEPS * float(np.median(steps))))


def true_runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last frame of every run of True in a mask (T,)."""
    edges = np.diff(np.concatenate([[0], mask.astype(np.int8), [0]]))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1
    return [(int(a), int(b)) for a, b in zip(starts, ends, strict=True)]


def _drop_short_runs(times_s: Array, mask: NDArray[np.bool_], shortest_s: float, kind: bool) -> None:
    """Flip, in place, the runs of `kind` that span less than `shortest_s`; runs at the clip's ends stay."""
    for first, last in true_runs(mask == kind):
        inside = first > 0 and last < len(mask) - 1
        if inside and times_s[last + 1] - times_s[first] < shortest_s:
            mask[first : last + 1] = not kind


def falling(value: Array, middle: float, width: float) -> Array:
    """A logistic that falls from 1 to 0 with `value`; one half at `middle`."""
    return np.asarray(1.0 / (1.0 + np.exp(np.clip((value - middle) / width, -60.0, 60.0))))
