"""Shape keys of a face: written as keys beside the armature's action, shown without keys. May import bpy.

Every mesh's shape keys get an action of their own, named after the armature's and the mesh: Blender before 4.4 knows no
other way, and exporters take both.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from ..motion.keyframes import reduce_position_keys
from ..retarget.baked_pose import BakedPose
from .actions import (
    Channel,
    action_fcurves,
    assign_action,
    channelbag,
    push_to_nla,
    retire_action,
    write_channels,
)
from .baked_mark import is_baked, mark_baked, untouched_bake
from .face_targets import face_meshes

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


@dataclass(frozen=True, slots=True)
class ShapeOptions:
    """How to write shape keys: `name` of the armature's action, interpolation, fewer keys, an action that repeats;
    `into_current` writes into the active actions, `strip_blending` pushes the new ones onto NLA tracks (empty: not).
    """

    name: str
    interpolation: str
    reduce: bool
    is_cyclic: bool = False
    into_current: bool = False
    strip_blending: str = ""


def write_shapes(armature: Any, pose: BakedPose, frames: Array, options: ShapeOptions) -> None:
    """Write the pose's shape keys at the scene `frames` (n,) of its present ones; the armature's other meshes lose the
    faces of earlier bakes.
    """
    if options.into_current:
        _into_current(pose, frames, options)
        return
    _retire_shapes(armature, pose, options.name)
    _into_new(pose, frames, options)
    if options.strip_blending:
        _to_nla(pose, options.name, float(frames[0]), options.strip_blending)


def _into_new(pose: BakedPose, frames: Array, options: ShapeOptions) -> None:
    """Write every mesh's shape keys into an action of its own; one that was active is kept."""
    for mesh in _meshes(pose):
        keys = shape_keys(mesh)
        if keys is None:
            continue
        own = f"{options.name} {mesh}"
        stale = untouched_bake(keys, own)
        if stale is None:
            retire_action(keys)
        else:
            keys.animation_data.action = None
        action = bpy.data.actions.new(own)
        assign_action(keys, action)
        write_channels(channelbag(keys), _channels(pose, mesh, frames, options))
        if stale is not None:
            bpy.data.actions.remove(stale)
            action.name = own
        if options.is_cyclic:
            action.use_frame_range = action.use_cyclic = True
            action.frame_start, action.frame_end = float(frames[0]), float(frames[-1])
        mark_baked(keys, action)


def _retire_shapes(armature: Any, pose: BakedPose, name: str) -> None:
    """Take the faces of earlier bakes off meshes that get none now, so that no face plays on under another motion."""
    meshes = set(_meshes(pose))
    for thing in face_meshes(armature):
        keys = thing.data.shape_keys
        if thing.name in meshes or not is_baked(keys):
            continue
        moved = [curve.data_path.split('"')[1] for curve in action_fcurves(keys) if '"' in curve.data_path]
        stale = untouched_bake(keys, f"{name} {thing.name}")
        if stale is None:
            retire_action(keys)
        else:
            bpy.data.actions.remove(stale)
        for block in (keys.key_blocks.get(key) for key in moved):
            if block is not None:
                block.value = 0.0


def _into_current(pose: BakedPose, frames: Array, options: ShapeOptions) -> None:
    """Write shape keys into the active actions of their meshes, made where there is none; other frames stay."""
    for mesh in _meshes(pose):
        keys = shape_keys(mesh)
        if keys is None:
            continue
        if keys.animation_data is None or keys.animation_data.action is None:
            assign_action(keys, bpy.data.actions.new(f"{options.name} {mesh}"))
        write_channels(channelbag(keys), _channels(pose, mesh, frames, options))


def _to_nla(pose: BakedPose, name: str, first: float, blend_type: str) -> None:
    """Push the shape keys' active actions onto NLA tracks of their own."""
    for mesh in _meshes(pose):
        keys = shape_keys(mesh)
        if keys is not None and keys.animation_data is not None and keys.animation_data.action is not None:
            action = keys.animation_data.action
            keys.animation_data.action = None
            push_to_nla(keys, action, name, first, blend_type)


def _meshes(pose: BakedPose) -> list[str]:
    return list(dict.fromkeys(row.mesh for row in pose.shapes))


def _channels(pose: BakedPose, mesh: str, frames: Array, options: ShapeOptions) -> list[Channel]:
    present = np.asarray(pose.present, dtype=bool)
    rows = [row for row in pose.shapes if row.mesh == mesh]
    return [_channel(row.key, row.values[present], frames, options.interpolation, options.reduce) for row in rows]


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
    for mesh in _meshes(pose):
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
