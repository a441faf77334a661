"""Hands led to props: where objects of the scene are at a clip's frames, as the retarget takes them. May import bpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

_STILL = ("parent", "animation_data")


@dataclass(frozen=True, slots=True)
class HandProp:
    """A hand ("left_wrist" or "right_wrist") that holds an object, named as in `bpy.data.objects`.

    From scene frame `first` to `last` (None: the whole clip); before and after the hand comes and goes smoothly.
    """

    hand: str
    thing: str
    first: float | None = None
    last: float | None = None


def hand_targets(scene: Any, props: tuple[HandProp, ...], frames: Array) -> dict[str, Array]:
    """World positions (T, 3) in m of the held objects at scene frames (T,), NaN where a hand is free.

    An object that moves is looked up frame by frame; the scene's frame is as before afterwards. Raises KeyError,
    with what to do, for an object that is gone.
    """
    found: dict[str, Array] = {}
    for prop in props:
        thing: bpy.types.Object | None = bpy.data.objects.get(prop.thing)
        if thing is None:
            raise KeyError(f"The prop {prop.thing} is gone: choose another object for the hand, or none")
        held = np.ones(len(frames), dtype=bool)
        if prop.first is not None and prop.last is not None:
            held = (frames >= prop.first) & (frames <= prop.last)
        places = np.full((len(frames), 3), np.nan)
        if held.any():
            places[held] = _places(scene, thing, frames[held])
        found[prop.hand] = places
    return found


def _places(scene: Any, thing: Any, frames: Array) -> Array:
    if not _moves(thing):
        return np.broadcast_to(np.array(thing.matrix_world.translation), (len(frames), 3))
    before = scene.frame_current, scene.frame_subframe
    places = []
    try:
        for frame in frames:
            scene.frame_set(int(np.floor(frame)), subframe=float(frame % 1.0))
            evaluated = thing.evaluated_get(bpy.context.evaluated_depsgraph_get())
            places.append(np.array(evaluated.matrix_world.translation))
    finally:
        scene.frame_set(before[0], subframe=before[1])
    return np.array(places)


def _moves(thing: Any) -> bool:
    return any(getattr(thing, name) is not None for name in _STILL) or bool(thing.constraints) or bool(thing.rigid_body)
