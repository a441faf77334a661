"""A layer of offsets above a bake: the bake plays as an NLA strip, an action above it is combined with it.

The animator keys corrections in the action above; a bake repeated replaces what lies below it. May import bpy.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import bpy

from .actions import action_fcurves, assign_action, channelbag, push_to_nla, write_channels
from .baked_mark import is_untouched
from .sampled_action import animated_paths, animated_range, sample_channels

BASE_TRACK = "Marionet Bake"


class OffsetLayerError(RuntimeError):
    """No layer was added or merged; the message says why and what to do."""


def base_strip(animated: Any) -> Any | None:
    """The NLA strip with the bake below the offsets, or None."""
    data = animated.animation_data
    tracks = data.nla_tracks if data is not None else ()
    strips = [strip for track in tracks if track.name.startswith(BASE_TRACK) for strip in track.strips]
    return next((strip for strip in strips if strip.action is not None), None)


def add_offset_layer(armature: Any) -> Any:
    """Put the active action below an empty one that is combined with it; returns the action for the offsets.

    Raises OffsetLayerError without an active action, in tweak mode, or where there is a layer already.
    """
    data = armature.animation_data
    if base_strip(armature) is not None:
        raise OffsetLayerError(f"{armature.name} has a layer of offsets already: pose the rig and set keys")
    if data is None or data.action is None or not action_fcurves(armature):
        raise OffsetLayerError(f"{armature.name} has no active action: bake a clip onto it first")
    if data.use_tweak_mode:
        raise OffsetLayerError(
            f"An NLA strip of {armature.name} is being tweaked. Leave tweak mode (Tab in the NLA editor)"
        )
    action = data.action
    slot = getattr(data, "action_slot", None)
    data.action = None
    strip = push_to_nla(armature, action, action.name, action_start(action))
    if slot is not None:
        strip.action_slot = slot
    track = next(track for track in data.nla_tracks if strip.name in track.strips)
    track.name, strip.extrapolation = BASE_TRACK, "HOLD"
    offsets = bpy.data.actions.new(f"{action.name} Offsets")
    offsets.use_fake_user = True
    assign_action(armature, offsets)
    channelbag(armature)  # a slot of its own, so that the first key has a place
    data.action_blend_type, data.action_influence, data.use_nla = "COMBINE", 1.0, True
    return offsets


def action_start(action: Any) -> float:
    """The first frame of an action's keys."""
    return float(action.curve_frame_range[0])


def put_below(animated: Any, strip: Any, action: Any) -> None:
    """Have a strip play another action whole, from that action's first frame on."""
    strip.action = action
    if hasattr(strip, "action_slot") and strip.action_slot is None:
        strip.action_slot = next(
            slot for slot in action.slots if slot.target_id_type in (animated.id_type, "UNSPECIFIED")
        )
    first, last = action.curve_frame_range
    last = max(last, first + 1.0)
    strip.use_sync_length = False
    strip.scale, strip.repeat = 1.0, 1.0
    # Blender keeps start below end at every assignment
    strip.action_frame_end = max(strip.action_frame_end, last)
    strip.action_frame_start, strip.action_frame_end = first, last
    strip.frame_end = max(strip.frame_end, last)
    strip.frame_start, strip.frame_end = first, last
    strip.name = action.name


def merge_offset_layer(armature: Any) -> Any:
    """Turn the bake and its offsets into one action with a key every frame; returns it. The offsets' action is kept.

    Raises OffsetLayerError where there is no layer.
    """
    strip, data = base_strip(armature), armature.animation_data
    if strip is None:
        raise OffsetLayerError(f"{armature.name} has no layer of offsets")
    merged = _merged_action(armature, f"{strip.action.name} with Offsets")
    track = next(track for track in data.nla_tracks if strip.name in track.strips)
    data.nla_tracks.remove(track)
    data.action_blend_type = "REPLACE"
    assign_action(armature, merged)
    return merged


def _merged_action(armature: Any, name: str) -> Any:
    """A new action, active nowhere, with what plays now as keys."""
    span, paths = animated_range(armature), animated_paths(armature)
    assert span is not None  # layers have strips
    channels = sample_channels(armature, range(span[0], span[1] + 1), paths)
    merged, offsets = bpy.data.actions.new(name), set_offsets_aside(armature)
    try:
        assign_action(armature, merged)
        write_channels(channelbag(armature), channels)
    except BaseException:
        bpy.data.actions.remove(merged)
        raise
    finally:
        give_offsets_back(armature, offsets)
    return merged


@contextmanager
def layers_merged(armature: Any) -> Iterator[None]:
    """Meanwhile the armature's layers are one action that plays alone: exporters read the active action only."""
    data = armature.animation_data
    if data is None or base_strip(armature) is None:
        yield
        return
    merged = _merged_action(armature, f"{armature.name} Layers")
    used, blend, offsets = data.use_nla, data.action_blend_type, set_offsets_aside(armature)
    try:
        data.use_nla = False
        data.action_blend_type = "REPLACE"
        assign_action(armature, merged)
        yield
    finally:
        give_offsets_back(armature, offsets)
        data.action_blend_type, data.use_nla = blend, used
        bpy.data.actions.remove(merged)


def set_offsets_aside(armature: Any) -> tuple[Any, Any]:
    """Take the action with the offsets off the armature; returns it with its slot."""
    data = armature.animation_data
    aside = data.action, getattr(data, "action_slot", None)
    data.action = None
    return aside


def give_offsets_back(armature: Any, aside: tuple[Any, Any]) -> None:
    """Make the action with the offsets active again."""
    action, slot = aside
    armature.animation_data.action = action
    if slot is not None and action is not None:
        armature.animation_data.action_slot = slot


def replace_base(armature: Any, strip: Any, name: str, action: Any) -> str | None:
    """Have the strip play a new bake; the one before goes if nobody has edited or uses it, else it is kept.

    Returns the name of the one that is kept.
    """
    old = strip.action
    untouched = is_untouched(old, getattr(strip, "action_slot", None))
    put_below(armature, strip, action)
    if not untouched or old.users:
        old.use_fake_user = True
        return str(old.name)
    bpy.data.actions.remove(old)
    action.name = strip.name = name
    return None
