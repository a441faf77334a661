"""Single wrong frames: find spikes in rotations and positions, and lay the motion straight over them.

May import numpy and its own room only.

A spike is a jump away and back within `longest_s` while the motion before and after it is calm. A fast hit is not
one: it takes speed up and gives it back over several frames, or ends somewhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .rotations import Array, quaternion_between, quaternion_slerp
from .temporal import median_interval_s

Distance = Callable[[Array, Array], Array]

# a jump must be this many times the steps beside it, and the way across this much shorter than the jump
_CALM_RATIO = 3.0
_LARGEST_INNER_STEP = 0.7


@dataclass(frozen=True, slots=True)
class SpikeSettings:
    """What counts as a spike.

    `smallest_deg`, `smallest_m`: jumps below are left to the filter. `sigmas`: how many times the usual step of the
    surrounding `window_s` a jump must be (Hampel's rule on steps). `longest_s`: how long a spike may last.
    """

    smallest_deg: float = 12.0
    smallest_m: float = 0.08
    sigmas: float = 4.0
    window_s: float = 0.5
    longest_s: float = 0.07


def find_rotation_spikes(times_s: Array, wxyz: Array, settings: SpikeSettings) -> NDArray[np.bool_]:
    """Frames (T, ...) of rotations (T, ..., 4) that are spikes, for each joint by itself."""
    return _find_spikes(times_s, wxyz, settings, quaternion_between, np.deg2rad(settings.smallest_deg))


def find_position_spikes(times_s: Array, positions_m: Array, settings: SpikeSettings) -> NDArray[np.bool_]:
    """Frames (T, ...) of positions (T, ..., 3) that are spikes."""
    return _find_spikes(times_s, positions_m, settings, _distance, settings.smallest_m)


def remove_rotation_spikes(times_s: Array, wxyz: Array, settings: SpikeSettings) -> Array:
    """Rotations (T, J, 4) with every spike replaced by the arc from the frame before to the frame after it."""
    return _bridge(times_s, wxyz, find_rotation_spikes(times_s, wxyz, settings), quaternion_slerp)


def remove_position_spikes(times_s: Array, positions_m: Array, settings: SpikeSettings) -> Array:
    """Positions (T, 3) with every spike replaced by the straight line from the frame before to the one after it."""
    spikes = find_position_spikes(times_s, positions_m, settings)
    return _bridge(times_s, positions_m[:, None], spikes[:, None], _line)[:, 0]


def _find_spikes(
    times_s: Array, values: Array, settings: SpikeSettings, distance: Distance, smallest: float
) -> NDArray[np.bool_]:
    found = np.zeros(values.shape[:-1], dtype=bool)
    interval_s = median_interval_s(times_s)
    longest = int(settings.longest_s / interval_s + 1e-6) if np.isfinite(interval_s) else 0
    if len(values) < 4 or longest < 1:
        # at fewer frames a second than 1 / longest_s a spike cannot be told from a move
        return found
    step = distance(values[:-1], values[1:])
    usual = _rolling_median(step, max(int(settings.window_s / interval_s), 3))
    for length in range(1, min(longest, len(values) - 3) + 1):
        count = len(values) - 1 - length
        jump_in, jump_out = step[:count], step[length : length + count]
        jump = np.minimum(jump_in, jump_out)
        across = distance(values[:count], values[length + 1 : length + 1 + count])
        calm = np.maximum(_shifted(step, -1)[:count], _shifted(step, length + 1)[:count])
        threshold = np.maximum(settings.sigmas * usual[:count], smallest)
        # the motion underneath goes on while the spike lasts
        returned = across < jump / _CALM_RATIO + (length + 1) * usual[:count]
        hit = (jump > threshold) & returned & (calm * _CALM_RATIO < jump)
        for inner in range(1, length):
            # a wrong detection stays wrong; steps as large as the jump are a limb on its way out and back
            hit &= step[inner : inner + count] < _LARGEST_INNER_STEP * jump
        for offset in range(1, length + 1):
            found[offset : offset + count] |= hit
    return found


def _shifted(step: Array, by: int) -> Array:
    """step[i + by] for every i, 0 beyond the ends (a clip's end counts as calm)."""
    out = np.zeros_like(step)
    if by < 0:
        out[-by:] = step[:by]
    elif by < len(step):
        out[: len(step) - by] = step[by:]
    return np.nan_to_num(out, nan=0.0)


def _rolling_median(step: Array, window: int) -> Array:
    """Median over `window` steps around each; NaN steps count as infinite calm, so they raise no alarm."""
    half = window // 2
    padded = np.pad(step, [(half, half)] + [(0, 0)] * (step.ndim - 1), mode="edge")
    views = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1, axis=0)
    return np.asarray(np.median(np.nan_to_num(views, nan=0.0), axis=-1))


def _bridge(
    times_s: Array, values: Array, spikes: NDArray[np.bool_], between: Callable[[Array, Array, Array], Array]
) -> Array:
    """Replace flagged frames of (T, J, C) by `between` the nearest unflagged frames on both sides."""
    if not spikes.any():
        return values
    index = np.arange(len(values)).reshape((-1,) + (1,) * (spikes.ndim - 1))
    before = np.maximum.accumulate(np.where(spikes, -1, index), axis=0)
    after = np.minimum.accumulate(np.where(spikes, len(values), index)[::-1], axis=0)[::-1]
    frame, joint = np.nonzero(spikes & (before >= 0) & (after < len(values)))
    a, b = before[frame, joint], after[frame, joint]
    weight = (times_s[frame] - times_s[a]) / (times_s[b] - times_s[a])
    out = values.copy()
    out[frame, joint] = between(values[a, joint], values[b, joint], weight)
    return out


def _line(a: Array, b: Array, weight: Array) -> Array:
    return np.asarray(a + weight[..., None] * (b - a))


def _distance(a: Array, b: Array) -> Array:
    return np.asarray(np.linalg.norm(a - b, axis=-1))
