"""Shape keys of a face: written as keys beside the armature's action, shown without keys. May import bpy.

Every mesh's shape keys get an action of their own, named after the armature's and the mesh: Blender before 4.4 knows no
other way, and exporters take both.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from ..motion.keyframes import reduce_position_keys
from ..retarget.baked_pose import BakedPose
from .actions import Channel, assign_action, channelbag, push_to_nla, retire_action, write_channels
from .baked_mark import mark_baked, untouched_bake

Array = NDArray[np.floating]

# a reduced curve of a weight misses by no more than this
_REDUCE_WEIGHT = 0.005


def shape_path(key: str) -> str:
    """The data path of a shape key's value, on the shape keys' data block."""
    return f'key_blocks["{bpy.utils.escape_identifier(key)}"].value'


def shape_keys(mesh: str) -> Any:
    """The shape keys' data block of a mesh object, or None."""
    thing = bpy.data.objects.get(mesh)
    data: Any = thing.data if thing is not None else None
    return getattr(data, "shape_keys", None)


def bake_shapes(pose: BakedPose, frames: Array, name: str, interpolation: str, reduce: bool) -> list[Any]:
    """Write every mesh's shape keys at the scene `frames` (n,) of the pose's present ones into actions of their own.

    Returns the actions. An action that was active is kept.
    """
    present = np.asarray(pose.present, dtype=bool)
    actions = []
    for mesh in dict.fromkeys(row.mesh for row in pose.shapes):
        keys = shape_keys(mesh)
        if keys is None:
            continue
        own = f"{name} {mesh}"
        stale = untouched_bake(keys, own)
        if stale is None:
            retire_action(keys)
        else:
            keys.animation_data.action = None
        action = bpy.data.actions.new(own)
        assign_action(keys, action)
        rows = [row for row in pose.shapes if row.mesh == mesh]
        channels = (_channel(row.key, row.values[present], frames, interpolation, reduce) for row in rows)
        write_channels(channelbag(keys), channels)
        if stale is not None:
            bpy.data.actions.remove(stale)
            action.name = own
        mark_baked(keys, action)
        actions.append(action)
    return actions


def shapes_into_current(pose: BakedPose, frames: Array, name: str, interpolation: str, reduce: bool) -> None:
    """Write shape keys into the active actions of their meshes, made where there is none; other frames stay."""
    present = np.asarray(pose.present, dtype=bool)
    for mesh in dict.fromkeys(row.mesh for row in pose.shapes):
        keys = shape_keys(mesh)
        if keys is None:
            continue
        if keys.animation_data is None or keys.animation_data.action is None:
            assign_action(keys, bpy.data.actions.new(f"{name} {mesh}"))
        rows = [row for row in pose.shapes if row.mesh == mesh]
        write_channels(
            channelbag(keys), [_channel(row.key, row.values[present], frames, interpolation, reduce) for row in rows]
        )


def shapes_to_nla(pose: BakedPose, name: str, first: float, blend_type: str) -> None:
    """Push the shape keys' active actions onto NLA tracks of their own."""
    for mesh in dict.fromkeys(row.mesh for row in pose.shapes):
        keys = shape_keys(mesh)
        if keys is not None and keys.animation_data is not None and keys.animation_data.action is not None:
            action = keys.animation_data.action
            keys.animation_data.action = None
            push_to_nla(keys, action, name, first, blend_type)


def _channel(key: str, values: Array, frames: Array, interpolation: str, reduce: bool) -> Channel:
    values = np.asarray(values, dtype=np.float64)[:, None]
    if len(values) > 1 and np.ptp(values) == 0.0:
        return Channel(shape_path(key), "Shape Keys", frames[[0, -1]], values[[0, -1]], interpolation)
    if not reduce:
        return Channel(shape_path(key), "Shape Keys", frames, values, interpolation)
    curve = reduce_position_keys(frames, values, 1000.0 * _REDUCE_WEIGHT, interpolation == "BEZIER")
    slopes = curve.slopes[curve.keys] if interpolation == "BEZIER" else None
    return Channel(shape_path(key), "Shape Keys", frames[curve.keys], curve.values[curve.keys], interpolation, slopes)


@contextmanager
def given_back_on_a_fault(pose: BakedPose) -> Iterator[None]:
    """The actions that the meshes' shape keys have, again, when what is done meanwhile fails."""
    before = []
    for mesh in dict.fromkeys(row.mesh for row in pose.shapes):
        keys = shape_keys(mesh)
        data = keys.animation_data if keys is not None else None
        action = data.action if data is not None else None
        before.append((keys, action, action is not None and action.use_fake_user, getattr(data, "action_slot", None)))
    try:
        yield
    except BaseException:
        for keys, action, fake_user, slot in before:
            if keys is None or keys.animation_data is None:
                continue
            keys.animation_data.action = action
            if action is not None:
                action.use_fake_user = fake_user
                if slot is not None:
                    keys.animation_data.action_slot = slot
        raise


class LiveShapes:
    """Shows a pose's shape keys without writing keys; `restore` puts back what was there before."""

    def __init__(self, pose: BakedPose) -> None:
        self._shapes = pose.shapes
        self._before = [(row.mesh, row.key, value) for row in pose.shapes if (value := self._value(row)) is not None]

    @staticmethod
    def _value(row: Any) -> float | None:
        keys = shape_keys(row.mesh)
        block = keys.key_blocks.get(row.key) if keys is not None else None
        return None if block is None else float(block.value)

    def show(self, frame: int) -> None:
        """Set the shape keys to the pose's frame."""
        for row in self._shapes:
            self._set(row.mesh, row.key, float(row.values[frame]))

    def restore(self) -> None:
        """Put the values back."""
        for mesh, key, value in self._before:
            self._set(mesh, key, value)

    @staticmethod
    def _set(mesh: str, key: str, value: float) -> None:
        keys = shape_keys(mesh)
        block = keys.key_blocks.get(key) if keys is not None else None
        if block is not None:
            block.value = value
