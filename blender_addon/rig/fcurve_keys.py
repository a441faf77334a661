"""Keys of an F-curve in bulk: as samples that Blender turns into keys where that gives the same keys, else added by
count and filled with `foreach_set`. `keyframe_insert` is quadratic in the number of keys (1 bone x 10,000 frames takes
20 s). May import bpy's objects, numpy and nothing else of the add-on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

# values of Blender's own enums, the same in 4.2 to 5.2
INTERPOLATIONS = {"CONSTANT": 0, "LINEAR": 1, "BEZIER": 2}
_ALIGNED, _AUTO_CLAMPED = 3, 4
_LAST_FRAME = 1_048_574  # Blender's own, beyond which it makes no samples
# what a key made from a sample is, in 4.2 to 5.2: the same as a linear key that is written one by one
_SAMPLED_KEY = ("LINEAR", "AUTO_CLAMPED", "AUTO_CLAMPED")
# everything of a keyframe that a merge has to carry over, with its width
_KEY_FIELDS = {
    "co": 2,
    "handle_left": 2,
    "handle_right": 2,
    "interpolation": 1,
    "handle_left_type": 1,
    "handle_right_type": 1,
    "easing": 1,
    "type": 1,
    # of the eases that bounce, swing out or wobble; a key that is added has zeros there
    "amplitude": 1,
    "back": 1,
    "period": 1,
}
_FLOAT_FIELDS = ("co", "handle_left", "handle_right", "amplitude", "back", "period")


def countable(frames: NDArray[np.float32]) -> bool:
    """Whether keys at these frames can be made from samples: Blender counts them from a whole frame on, unsorted."""
    if len(frames) < 2 or not float(frames[0]).is_integer():
        return False
    within = frames[0] >= -_LAST_FRAME and frames[0] + len(frames) <= _LAST_FRAME
    return bool(within and (np.diff(frames) > 0).all())


def add_by_samples(fcurve: Any, frames: NDArray[np.float32], values: NDArray[np.float32]) -> bool:
    """Fill an empty curve with linear keys by way of samples; False, and no keys, where this Blender makes others.

    Samples are bare numbers, which `foreach_set` copies as one block; in a key every number goes through a function.
    """
    first, places = int(frames[0]), np.stack([frames, values], axis=1)
    points = fcurve.keyframe_points
    points.add(1)  # a curve without keys makes no samples; this also tells Blender that the action changes
    try:
        fcurve.convert_to_samples(first, first + len(frames))
        fcurve.sampled_points.foreach_set("co", places.ravel())
    except (RuntimeError, TypeError):
        pass  # a Blender whose samples are others than these: what is there shows it below
    finally:  # whatever happens, nobody is left with a curve that takes no keys
        samples_to_keys(fcurve)
    if len(points) == len(frames) and _is_sampled(points[0], places[0]) and _is_sampled(points[-1], places[-1]):
        return True
    points.clear()
    return False


def _is_sampled(key: Any, place: NDArray[np.float32]) -> bool:
    kinds = key.interpolation, key.handle_left_type, key.handle_right_type
    return kinds == _SAMPLED_KEY and np.array_equal(np.array(key.co, np.float32), place, equal_nan=True)


def samples_to_keys(fcurve: Any) -> None:
    """A curve that somebody has turned into samples gets keys again: samples take no keys beside them."""
    count = len(fcurve.sampled_points)
    if not count:
        return
    places = np.zeros((count, 2), np.float32)
    fcurve.sampled_points.foreach_get("co", places.ravel())
    first = int(np.floor(places[0, 0]))
    moved = places[0, 0] != first
    if moved:  # of samples that were moved off the whole frames Blender makes keys that all have the first one's value
        whole = np.stack([first + np.arange(count, dtype=np.float32), places[:, 1]], axis=1)
        fcurve.sampled_points.foreach_set("co", whole.ravel())
    fcurve.convert_to_keyframes(first, first + count)
    if moved:
        fcurve.keyframe_points.foreach_set("co", places.ravel())
        fcurve.update()


def new_keys(frames: Array, values: Array, interpolation: str, slopes: Array | None) -> dict[str, NDArray[Any]]:
    """The fields of keys at `frames` (n,) with `values` (n,); `slopes` (n,) a frame shape Bezier handles."""
    count = len(frames)
    handle = _AUTO_CLAMPED if slopes is None else _ALIGNED
    keys: dict[str, NDArray[Any]] = {
        "co": np.stack([frames, values], axis=1),
        "interpolation": np.full(count, INTERPOLATIONS[interpolation], np.int32),
        # with free handles, a later switch to Bezier would pull every key to frame 0
        "handle_left_type": np.full(count, handle, np.int32),
        "handle_right_type": np.full(count, handle, np.int32),
    }
    if slopes is not None:
        before = np.diff(frames, prepend=frames[:1] - 1.0) / 3.0
        after = np.diff(frames, append=frames[-1:] + 1.0) / 3.0
        keys["handle_left"] = np.stack([frames - before, values - slopes * before], axis=1)
        keys["handle_right"] = np.stack([frames + after, values + slopes * after], axis=1)
    return keys


def write_keys(fcurve: Any, keys: dict[str, NDArray[Any]]) -> None:
    """Put keys into an F-curve: those that it has in their range of frames go, those outside stay."""
    points = fcurve.keyframe_points
    frames = keys["co"][:, 0]
    if len(points) and len(frames):
        old = read_keys(fcurve)
        keep = (old["co"][:, 0] < frames[0] - 0.5) | (old["co"][:, 0] > frames[-1] + 0.5)
        keys = {
            name: np.concatenate([values[keep], keys.get(name, _blank(name, len(frames)))])
            for name, values in old.items()
        }
        order = np.argsort(keys["co"][:, 0], kind="stable")
        keys = {name: values[order] for name, values in keys.items()}
        points.clear()
    fill_keys(fcurve, keys)


def fill_keys(fcurve: Any, keys: dict[str, NDArray[Any]]) -> None:
    """Give an F-curve without keys these ones."""
    points = fcurve.keyframe_points
    points.add(len(keys["co"]))
    for name, values in keys.items():
        if name not in _FLOAT_FIELDS and _has_already(points, name, values):
            continue
        kind = np.float32 if name in _FLOAT_FIELDS else np.int32
        points.foreach_set(name, np.ascontiguousarray(values, kind).ravel())
    fcurve.update()


def _has_already(points: Any, name: str, values: NDArray[Any]) -> bool:
    """Whether keys that were just added have these values of an enumeration from the start, all the same ones.

    A key's enumerations take as long to write as its place, and most are what Blender gives a new key anyway.
    """
    if not len(values) or (values != values[0]).any():
        return False
    kinds = points[0].bl_rna.properties[name].enum_items
    return bool(kinds[getattr(points[0], name)].value == values[0])


def _blank(name: str, count: int) -> NDArray[Any]:
    width = _KEY_FIELDS[name]
    return np.zeros((count, width) if width > 1 else count, np.float32 if name in _FLOAT_FIELDS else np.int32)


def read_keys(fcurve: Any) -> dict[str, NDArray[Any]]:
    """Every field of an F-curve's keys, as `fill_keys` takes them."""
    count = len(fcurve.keyframe_points)
    keys = {name: _blank(name, count).ravel() for name in _KEY_FIELDS}
    for name, values in keys.items():
        fcurve.keyframe_points.foreach_get(name, values)
    widths = _KEY_FIELDS.items()
    return {name: keys[name].reshape(count, width) if width > 1 else keys[name] for name, width in widths}
