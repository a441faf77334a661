"""What an object's animation comes to, frame by frame: every animated property, NLA layers included. May import bpy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from ..motion.rotations import quaternion_continuous
from .actions import Channel, action_fcurves, curves_of

Array = NDArray[np.floating]


@contextmanager
def frame_kept() -> Iterator[Any]:
    """The scene, at its own frame again afterwards."""
    scene = bpy.context.scene
    frame, subframe = scene.frame_current, scene.frame_subframe
    try:
        yield scene
    finally:
        scene.frame_set(frame, subframe=subframe)


def strips_of(animated: Any) -> list[Any]:
    """The NLA strips that play: those of tracks that are not muted."""
    data = animated.animation_data
    if data is None or not data.use_nla:
        return []
    return [strip for track in data.nla_tracks if not track.mute for strip in track.strips if not strip.mute]


def is_layered(animated: Any) -> bool:
    """Whether what plays is more than the active action: NLA strips play beneath it."""
    return any(strip.action is not None for strip in strips_of(animated))


def animated_paths(animated: Any) -> dict[str, str]:
    """Data paths of the active action and of the strips that play, each with its group's name."""
    found: dict[str, str] = {}
    curves = list(action_fcurves(animated))
    for strip in strips_of(animated):
        if strip.action is not None:
            curves += curves_of(strip.action, getattr(strip, "action_slot", None))
    for curve in curves:
        found.setdefault(curve.data_path, curve.group.name if curve.group is not None else "")
    return found


def animated_range(animated: Any) -> tuple[int, int] | None:
    """First and last frame of the strips that play and of the active action's keys; None without either."""
    spans = [curve.range() for curve in action_fcurves(animated) if len(curve.keyframe_points)]
    spans += [(strip.frame_start, strip.frame_end) for strip in strips_of(animated) if strip.action is not None]
    if not spans:
        return None
    return round(min(span[0] for span in spans)), round(max(span[1] for span in spans))


def sample_channels(animated: Any, frames: Iterable[int], paths: dict[str, str]) -> list[Channel]:
    """Whole channels of the properties at `paths`, as they come out at scene frames; paths that lead nowhere are left
    out.
    """
    at, rows = list(frames), {path: [] for path in paths if _value(animated, path) is not None}  # type: ignore[var-annotated]
    with frame_kept() as scene:
        for frame in at:
            scene.frame_set(frame)
            for path, values in rows.items():
                values.append(_value(animated, path))
    return [
        Channel(path, paths[path], np.array(at, float), _continuous(path, np.array(values)))
        for path, values in rows.items()
    ]


def _value(animated: Any, path: str) -> Any:
    """A property's numbers (k,), or None where the path leads to none."""
    try:
        value = animated.path_resolve(path)
    except ValueError:
        return None
    if isinstance(value, bool | int | float):
        return [float(value)]
    return [float(part) for part in value] if hasattr(value, "__len__") and not isinstance(value, str) else None


def _continuous(path: str, values: Array) -> Array:
    return quaternion_continuous(values) if path.endswith("rotation_quaternion") else values
