"""Leave out keys that linear interpolation restores within a bound. numpy and `motion` only, free of bpy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..motion.rotations import quaternion_between
from .rotation_modes import values_to_quaternion

Array = NDArray[np.floating]


def reduce_rotation_keys(frames: Array, values: Array, mode: str, bound_rad: float) -> NDArray[np.intp]:
    """Indices of the keys to keep of rotation channels (n, 3) or (n, 4) in a bone's rotation `mode`.

    Linear interpolation of the kept values, read as Blender reads them, stays within `bound_rad` at every frame (n,).
    """
    turned = values_to_quaternion(values, mode)

    def error(start: int, end: int) -> Array:
        between = values_to_quaternion(_lerp(frames, values, start, end), mode)
        return quaternion_between(between, turned[start + 1 : end])

    return _split(len(frames), error, bound_rad)


def reduce_value_keys(frames: Array, values: Array, bound: float) -> NDArray[np.intp]:
    """Indices of the keys to keep so that linear interpolation stays within `bound` (L2) of all values (n, k)."""

    def error(start: int, end: int) -> Array:
        return np.asarray(np.linalg.norm(_lerp(frames, values, start, end) - values[start + 1 : end], axis=1))

    return _split(len(frames), error, bound)


def _lerp(frames: Array, values: Array, start: int, end: int) -> Array:
    weight = ((frames[start + 1 : end] - frames[start]) / (frames[end] - frames[start]))[:, None]
    return np.asarray(values[start] * (1.0 - weight) + values[end] * weight)


def _split(count: int, error: Callable[[int, int], Array], bound: float) -> NDArray[np.intp]:
    # Ramer-Douglas-Peucker with a stack: a 10,000-frame clip would overflow Python's own
    if count <= 2:
        return np.arange(count)
    keep = {0, count - 1}
    stack = [(0, count - 1)]
    while stack:
        start, end = stack.pop()
        if end - start < 2:
            continue
        apart = error(start, end)
        worst = int(apart.argmax())
        if apart[worst] > bound:
            middle = start + 1 + worst
            keep.add(middle)
            stack += [(start, middle), (middle, end)]
    return np.array(sorted(keep))
