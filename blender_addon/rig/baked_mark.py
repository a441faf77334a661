"""Which action is a bake that nobody has touched since: a bake repeated takes its place. bpy objects in."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from .actions import action_fcurves, curves_of
from .fcurve_keys import read_keys

_MARK = "marionet_baked"


def mark_baked(animated: Any, action: Any) -> None:
    """Note on the object's active action what its keys are after a bake."""
    if animated.animation_data is not None and animated.animation_data.action == action:
        action[_MARK] = _checksum(action_fcurves(animated))


def is_baked(animated: Any) -> bool:
    """Whether the object's active action is a bake, edited since or not."""
    data = animated.animation_data
    return data is not None and data.action is not None and _MARK in data.action


def untouched_bake(animated: Any, name: str) -> Any:
    """The object's active action where it is an earlier bake of that name, unchanged and used nowhere else, or None."""
    data = animated.animation_data
    action = data.action if data is not None else None
    if action is None or action.library is not None or action.users > 1 or action.use_fake_user:
        return None
    base, _, number = action.name.rpartition(".")
    same = action.name == name or (base == name and number.isdigit())
    return action if same and action.get(_MARK) == _checksum(action_fcurves(animated)) else None


def is_untouched(action: Any, slot: Any) -> bool:
    """Whether an action's keys are those of a bake, unchanged since."""
    return bool(action.get(_MARK) == _checksum(curves_of(action, slot)))


def _checksum(curves: list[Any]) -> str:
    """A number for all keys of these F-curves."""
    total = 0
    for curve in curves:
        keys = np.ascontiguousarray(read_keys(curve)["co"], dtype=np.float32)
        total = zlib.crc32(f"{curve.data_path}{curve.array_index}".encode(), total)
        total = zlib.crc32(keys.tobytes(), total)
    return f"{total:08x}"
