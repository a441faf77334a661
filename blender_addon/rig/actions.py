"""Actions: slots and layers on Blender 4.4 and later, classic actions on 4.2 and 4.3, whole channels written or none.

May import bpy, numpy and `fcurve_keys`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from .fcurve_keys import add_by_samples, countable, fill_keys, new_keys, read_keys, samples_to_keys, write_keys

Array = NDArray[np.floating]

# what moves an object itself
OBJECT_PATHS = ("location", "rotation_quaternion", "rotation_euler", "rotation_axis_angle")


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
    data.action_slot = data.action_slot or _own_slot(animated, action)


def _own_slot(animated: Any, action: Any) -> Any:
    """An action's slot that is an object's own or nobody's, else a new one: another's keys are not written over."""
    for slot in action.slots:
        unused = slot.target_id_type == "UNSPECIFIED" and not slot.users()
        if unused or (slot.target_id_type == animated.id_type and slot.name_display == animated.name):
            return slot
    return action.slots.new(animated.id_type, animated.name)


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
    return curves_of(data.action, getattr(data, "action_slot", None))


def curves_of(action: Any, slot: Any) -> list[Any]:
    """F-curves of an action and one of its slots, on every Blender version."""
    if not has_slots(action):
        return list(action.fcurves)
    bags = [strip.channelbag(slot) for layer in action.layers for strip in layer.strips if slot]
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

    Keys that an F-curve already has inside a channel's range of frames are replaced; keys outside stay. Where Blender
    refuses half way, the bag gets back the keys, F-curves and groups that it had.
    """
    written, before = 0, _Before(bag)
    try:
        for channel in channels:
            written += _write_channel(bag, channel, before)
    except BaseException:
        before.give_back()
        raise
    return written


def _write_channel(bag: Any, channel: Channel, before: _Before) -> int:
    values = np.asarray(channel.values, dtype=np.float32)
    frames = np.asarray(channel.frames, dtype=np.float32)
    if values.shape[0] != len(frames):
        raise ValueError(f"{channel.data_path}: {values.shape[0]} values for {len(frames)} frames")
    by_samples = channel.interpolation == "LINEAR" and channel.slopes is None and countable(frames)
    for index in range(values.shape[1]):
        before.note(channel.data_path, index)
        fcurve = _fcurve(bag, channel.data_path, index, channel.group)
        samples_to_keys(fcurve)
        fcurve.mute = False  # what is baked is to be seen
        if fcurve.group is not None:
            fcurve.group.mute = False
        if by_samples and not len(fcurve.keyframe_points) and add_by_samples(fcurve, frames, values[:, index]):
            continue
        slopes = None if channel.slopes is None else np.asarray(channel.slopes, np.float32)[:, index]
        write_keys(fcurve, new_keys(frames, values[:, index], channel.interpolation, slopes))
    return int(values.size)


class _Before:
    """What a channel bag held where it is about to be written, to be given back after a fault."""

    def __init__(self, bag: Any) -> None:
        self._bag = bag
        self._groups = {group.name for group in bag.groups}
        self._keys: dict[tuple[str, int], dict[str, NDArray[Any]] | None] = {}

    def note(self, path: str, index: int) -> None:
        """Remember an F-curve's keys, or that there is none."""
        fcurve = self._bag.fcurves.find(path, index=index)
        if fcurve is not None:
            samples_to_keys(fcurve)
        self._keys.setdefault((path, index), None if fcurve is None else read_keys(fcurve))

    def give_back(self) -> None:
        """Undo everything that was written since."""
        for (path, index), keys in self._keys.items():
            fcurve = self._bag.fcurves.find(path, index=index)
            if fcurve is None:
                continue
            if keys is None:
                self._bag.fcurves.remove(fcurve)
                continue
            fcurve.keyframe_points.clear()
            fill_keys(fcurve, keys)
        for group in [group for group in self._bag.groups if group.name not in self._groups]:
            self._bag.groups.remove(group)


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
