"""Actions: slots and layers on Blender 4.4 and later, classic actions on 4.2 and 4.3, keys written in bulk.

May import bpy, numpy and nothing else of the add-on. `keyframe_insert` is quadratic in the number of keys (1 bone x
10,000 frames takes 20 s), so keys are written in bulk: as samples that Blender turns into keys where that gives the
same keys, else added by count and filled with `foreach_set`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import bpy
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
}
_FLOAT_FIELDS = ("co", "handle_left", "handle_right")


@dataclass(frozen=True, slots=True)
class Channel:
    """One animated property: `values` (n, k) at the scene `frames` (n,) on `data_path`, array indices 0..k-1.

    `slopes` (n, k) per frame shape Bezier keys: handles lie a third of the way to the next key; None leaves them to
    Blender (auto clamped).
    """

    data_path: str
    group: str
    frames: Array
    values: Array
    interpolation: str = "LINEAR"
    slopes: Array | None = None


def bone_path(bone: str, prop: str) -> str:
    """The data path of a pose bone's property; a name that starts with `[` is a custom property."""
    dot = "" if prop.startswith("[") else "."
    return f'pose.bones["{bpy.utils.escape_identifier(bone)}"]{dot}{prop}'


def has_slots(action: Any) -> bool:
    """Whether this Blender's actions have slots (4.4 and later)."""
    return hasattr(action, "slots")


def assign_action(animated: Any, action: Any) -> None:
    """Make `action` the active one of an object, with a slot of its own kind where there are slots."""
    data = animated.animation_data or animated.animation_data_create()
    data.action = action
    if action is None or not has_slots(action):
        return
    kinds = (animated.id_type, "UNSPECIFIED")
    slot = data.action_slot or next((slot for slot in action.slots if slot.target_id_type in kinds), None)
    data.action_slot = slot or action.slots.new(animated.id_type, animated.name)


def channelbag(animated: Any) -> Any:
    """What holds `.fcurves` and `.groups` of the object's active action; on 4.2 and 4.3 the action itself.

    Raises ValueError when the object has no active action.
    """
    data = animated.animation_data
    if data is None or data.action is None:
        raise ValueError(f"{animated.name} has no active action")
    action = data.action
    if not has_slots(action):
        return action
    assign_action(animated, action)
    layer = action.layers[0] if action.layers else action.layers.new("Layer")
    strip = layer.strips[0] if layer.strips else layer.strips.new(type="KEYFRAME")
    return strip.channelbag(data.action_slot, ensure=True)


def action_fcurves(animated: Any) -> list[Any]:
    """F-curves of the object's active action and slot, on every Blender version; empty without an action."""
    data = animated.animation_data
    if data is None or data.action is None:
        return []
    action = data.action
    if not has_slots(action):
        return list(action.fcurves)
    bags = [strip.channelbag(data.action_slot) for layer in action.layers for strip in layer.strips if data.action_slot]
    return [fcurve for bag in bags if bag is not None for fcurve in bag.fcurves]


def _fcurve(bag: Any, path: str, index: int, group: str) -> Any:
    found = bag.fcurves.find(path, index=index)
    if found is not None:
        return found
    if isinstance(bag, bpy.types.Action):
        return bag.fcurves.new(path, index=index, action_group=group)
    try:
        return bag.fcurves.new(path, index=index, group_name=group)  # Blender 5.0 and later
    except TypeError:
        fcurve = bag.fcurves.new(path, index=index)
        fcurve.group = bag.groups.get(group) or bag.groups.new(group)
        return fcurve


def write_channels(bag: Any, channels: Iterable[Channel]) -> int:
    """Write whole channels into a channel bag and return the number of keys.

    Keys that an F-curve already has inside a channel's range of frames are replaced; keys outside stay.
    """
    written = 0
    for channel in channels:
        values = np.asarray(channel.values, dtype=np.float32)
        frames = np.asarray(channel.frames, dtype=np.float32)
        if values.shape[0] != len(frames):
            raise ValueError(f"{channel.data_path}: {values.shape[0]} values for {len(frames)} frames")
        by_samples = channel.interpolation == "LINEAR" and channel.slopes is None and _countable(frames)
        for index in range(values.shape[1]):
            fcurve = _fcurve(bag, channel.data_path, index, channel.group)
            _samples_to_keys(fcurve)
            if by_samples and not len(fcurve.keyframe_points) and _add_by_samples(fcurve, frames, values[:, index]):
                continue
            slopes = None if channel.slopes is None else np.asarray(channel.slopes, np.float32)[:, index]
            _write_keys(fcurve, _new_keys(frames, values[:, index], channel.interpolation, slopes))
        written += values.size
    return written


def _countable(frames: NDArray[np.float32]) -> bool:
    """Whether keys at these frames can be made from samples: Blender counts them from a whole frame on, unsorted."""
    if len(frames) < 2 or not float(frames[0]).is_integer():
        return False
    within = frames[0] >= -_LAST_FRAME and frames[0] + len(frames) <= _LAST_FRAME
    return bool(within and (np.diff(frames) > 0).all())


def _add_by_samples(fcurve: Any, frames: NDArray[np.float32], values: NDArray[np.float32]) -> bool:
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
        _samples_to_keys(fcurve)
    if len(points) == len(frames) and _is_sampled(points[0], places[0]) and _is_sampled(points[-1], places[-1]):
        return True
    points.clear()
    return False


def _is_sampled(key: Any, place: NDArray[np.float32]) -> bool:
    kinds = key.interpolation, key.handle_left_type, key.handle_right_type
    return kinds == _SAMPLED_KEY and np.array_equal(np.array(key.co, np.float32), place, equal_nan=True)


def _samples_to_keys(fcurve: Any) -> None:
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


def _new_keys(frames: Array, values: Array, interpolation: str, slopes: Array | None) -> dict[str, NDArray[Any]]:
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


def _write_keys(fcurve: Any, keys: dict[str, NDArray[Any]]) -> None:
    points = fcurve.keyframe_points
    frames = keys["co"][:, 0]
    if len(points) and len(frames):
        old = _read_keys(fcurve)
        keep = (old["co"][:, 0] < frames[0] - 0.5) | (old["co"][:, 0] > frames[-1] + 0.5)
        keys = {
            name: np.concatenate([values[keep], keys.get(name, _blank(name, len(frames)))])
            for name, values in old.items()
        }
        order = np.argsort(keys["co"][:, 0], kind="stable")
        keys = {name: values[order] for name, values in keys.items()}
        points.clear()
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


def _read_keys(fcurve: Any) -> dict[str, NDArray[Any]]:
    count = len(fcurve.keyframe_points)
    keys = {name: _blank(name, count).ravel() for name in _KEY_FIELDS}
    for name, values in keys.items():
        fcurve.keyframe_points.foreach_get(name, values)
    return {name: values.reshape(count, -1) if _KEY_FIELDS[name] > 1 else values for name, values in keys.items()}


def read_channel(animated: Any, path: str, size: int) -> tuple[Array, Array] | None:
    """Frames (n,) and values (n, size) of a property's keys in the active action, or None when it is not keyed."""
    curves = {fcurve.array_index: fcurve for fcurve in action_fcurves(animated) if fcurve.data_path == path}
    if len(curves) < size:
        return None
    keys = [_read_keys(curves[index])["co"] for index in range(size)]
    return keys[0][:, 0], np.stack([key[:, 1] for key in keys], axis=1)


def retire_action(animated: Any) -> str | None:
    """Take the active action off an object without losing it: one that nothing else holds is kept with a fake user.

    Returns the action's name, or None when there was none.
    """
    data = animated.animation_data
    if data is None or data.action is None:
        return None
    action = data.action
    if action.users <= 1 and action.library is None:
        action.use_fake_user = True
    data.action = None
    return str(action.name)


def push_to_nla(animated: Any, action: Any, name: str, frame_start: float, blend_type: str = "REPLACE") -> Any:
    """Put an action on a new NLA track above the others and return the strip; raises ValueError without a slot."""
    data = animated.animation_data or animated.animation_data_create()
    track = data.nla_tracks.new()
    track.name = name
    strip = track.strips.new(name, int(frame_start), action)
    if hasattr(strip, "action_slot") and strip.action_slot is None:
        kinds: Sequence[str] = (animated.id_type, "UNSPECIFIED")
        slot = next((slot for slot in action.slots if slot.target_id_type in kinds), None)
        if slot is None:
            raise ValueError(f"action {action.name} has no slot for {animated.name}")
        strip.action_slot = slot
    strip.blend_type = blend_type
    return strip
