"""Contacts of a clip as keys on the timeline: an empty with one on/off property a foot point and part of the body. May
import bpy.

Keys are moved, added and removed in the Dope Sheet like any others, and the file keeps them. A foot point stands, and
a part rests, in the frames where its property is on. The object of a clip without contacts of the body has those of
the feet alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from ..motion.body_contacts import CONTACT_PARTS
from ..motion.contact_spans import ContactSpans
from ..motion.contacts import true_runs
from .actions import Channel, action_fcurves, assign_action, channelbag, write_channels
from .fcurve_keys import fill_keys, read_keys

# in the order of `motion.posing.FOOT_POINTS` and `motion.body_contacts.CONTACT_PARTS`
_FEET = ("Left Heel", "Left Ball", "Right Heel", "Right Ball")
PROPERTIES = (*_FEET, *(name.replace("_", " ").title() for name in CONTACT_PARTS))
_GROUP = "Contacts"
_SIZE_M = 0.2


@dataclass(frozen=True, slots=True)
class ContactTiming:
    """Where keys lie: the scene frame of the clip's time zero, frames a second, and whether sides are exchanged."""

    zero_frame: float
    fps: float
    is_mirrored: bool = False


def contact_properties(thing: Any) -> tuple[str, ...]:
    """The properties that an object of contacts was made with; each keeps its place when the user deletes another."""
    return PROPERTIES if any(name in thing for name in PROPERTIES[len(_FEET) :]) else _FEET


def property_path(name: str) -> str:
    """The data path of a foot point's property."""
    return f'["{name}"]'


def make_contact_object(scene: Any, name: str, spans_s: ContactSpans, timing: ContactTiming) -> Any:
    """An empty in the scene with the spans as keys; returns it."""
    thing = bpy.data.objects.new(name, None)
    thing.empty_display_type, thing.empty_display_size = "CIRCLE", _SIZE_M
    thing.hide_render = True
    scene.collection.objects.link(thing)
    assign_action(thing, bpy.data.actions.new(name))
    channels = []
    names = PROPERTIES[: len(spans_s)]
    for prop, spans in zip(names, _sided(spans_s, timing.is_mirrored), strict=True):
        thing[prop] = False
        frames, values = _keys_of(spans, timing)
        channels.append(Channel(property_path(prop), _GROUP, frames, values[:, None], "CONSTANT"))
    write_channels(channelbag(thing), channels)
    return thing


def _sided(rows: Any, exchanged: bool) -> tuple[Any, ...]:
    """One row a property, from the clip's sides to those that are seen, or back, where these are exchanged."""
    if not exchanged:
        return tuple(rows)
    return tuple(rows[PROPERTIES.index(_other_side(name))] for name in PROPERTIES[: len(rows)])


def _other_side(name: str) -> str:
    if name.startswith("Left"):
        return name.replace("Left", "Right", 1)
    return name.replace("Right", "Left", 1)


def _keys_of(spans: tuple[tuple[float, float], ...], timing: ContactTiming) -> tuple[NDArray[Any], NDArray[Any]]:
    """Frames (N,) and values (N,) of keys: on where a span begins, off in the frame after it."""
    places: dict[int, float] = {}
    for first_s, last_s in spans:
        places[round(timing.zero_frame + first_s * timing.fps)] = 1.0
        places.setdefault(round(timing.zero_frame + last_s * timing.fps) + 1, 0.0)
    start = round(timing.zero_frame)
    places.setdefault(min([start, *(frame - 1 for frame in places)]), 0.0)
    frames = sorted(places)
    return np.array(frames, float), np.array([places[frame] for frame in frames])


def read_contact_spans(thing: Any, timing: ContactTiming, times_s: tuple[float, float]) -> ContactSpans:
    """The spans that the keys hold between two times of the clip; a property without keys counts as it stands."""
    first, last = (timing.zero_frame + time_s * timing.fps for time_s in times_s)
    frames = np.arange(np.floor(first) - 1, np.ceil(last) + 2)
    curves = {curve.data_path: curve for curve in action_fcurves(thing)}
    found = []
    for prop in contact_properties(thing):
        curve = curves.get(property_path(prop))
        keyed = curve is not None and not curve.mute and len(curve.keyframe_points) > 0
        values = [curve.evaluate(frame) if keyed else float(thing.get(prop, False)) for frame in frames]
        runs = true_runs(np.array(values) >= 0.5)
        # a frame of the scene stands for the time to the middle between it and its neighbours
        ends = [(frames[a] - 0.5, frames[b] + 0.499) for a, b in runs]
        seconds = (np.array(ends).reshape(-1, 2) - timing.zero_frame) / timing.fps
        found.append(tuple((round(first_s, 6), round(last_s, 6)) for first_s, last_s in seconds.tolist()))
    return _sided(tuple(found), timing.is_mirrored)


def move_contact_keys(thing: Any, old: ContactTiming, new: ContactTiming) -> ContactTiming:
    """Bring the keys to where the clip lies now, on whole frames where they were; returns the timing that holds then.

    Nothing is written where the clip has not moved by half a frame.
    """
    scale, turned = new.fps / old.fps, new.is_mirrored != old.is_mirrored
    shift = float(np.round(new.zero_frame - old.zero_frame * scale))
    if shift == 0.0 and scale == 1.0 and not turned:
        return old
    curves = {curve.data_path: curve for curve in action_fcurves(thing)}
    names = contact_properties(thing)
    paths = [property_path(prop) for prop in names]
    keys = [read_keys(curves[path]) if path in curves else None for path in paths]
    for path, own in zip(paths, _sided(keys, turned), strict=True):
        if path not in curves or own is None:
            continue
        for name in ("co", "handle_left", "handle_right"):
            own[name][:, 0] = own[name][:, 0] * scale + shift
        curves[path].keyframe_points.clear()
        fill_keys(curves[path], own)
    if turned:
        values = [thing.get(prop, False) for prop in names]
        for prop, value in zip(names, _sided(values, turned), strict=True):
            thing[prop] = value
    return ContactTiming(old.zero_frame * scale + shift, new.fps, new.is_mirrored)
