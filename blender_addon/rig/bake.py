"""Bake a retargeted pose onto an armature: keys on mapped bones only, and an account of what was written.

May import bpy, `retarget` and its own room. Nothing is applied to the user's rig: rest pose, constraints and rotation
modes stay; an action that was active before is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from ..motion.contacts import true_runs
from ..motion.keyframes import ReducedCurve, reduce_position_keys, reduce_rotation_keys
from ..retarget.baked_pose import BakedPose
from .actions import Channel, assign_action, bone_path, channelbag, push_to_nla, retire_action, write_channels
from .bake_report import BakeReport
from .bake_shapes import ShapeOptions, given_back_on_a_fault, write_shapes
from .baked_mark import mark_baked, untouched_bake
from .object_place import local_place
from .offset_layer import base_strip, give_offsets_back, replace_base, set_offsets_aside
from .rotation_modes import rotation_values
from .switches import read_switch, set_switch, switch_path

Array = NDArray[np.floating]

_OBJECT_GROUP = "Object Transforms"


class BakeError(RuntimeError):
    """Nothing was written; the message says why and what to do."""


class BakeInto(Enum):
    """Where the keys go: an action of its own, the active action (mapped channels in the range), or an NLA strip."""

    NEW_ACTION = "new_action"
    CURRENT_ACTION = "current_action"
    NLA_STRIP = "nla_strip"


@dataclass(frozen=True, slots=True)
class BakeOptions:
    """How to write keys.

    `frame_start` is the scene frame of the clip's time zero and `fps` the scene's frame rate. `reduce_deg` and
    `reduce_mm` leave out keys that linear interpolation restores within that bound (0: a key every frame).
    `blend_type` is the NLA strip's. `is_cyclic` marks the action as a cycle from its first frame to its last.
    """

    name: str = "Marionet"
    into: BakeInto = BakeInto.NEW_ACTION
    frame_start: float = 1.0
    fps: float = 24.0
    interpolation: str = "LINEAR"
    reduce_deg: float = 0.0
    reduce_mm: float = 0.0
    blend_type: str = "REPLACE"
    is_cyclic: bool = False


def bake(armature: Any, pose: BakedPose, options: BakeOptions) -> BakeReport:
    """Write a pose's keys onto an armature object and report. Raises BakeError before anything was changed.

    Frames without a person get no keys. With NEW_ACTION the action that was active is kept (with a fake user when
    nothing else holds it); with CURRENT_ACTION keys outside the baked range and of other bones stay as they are. Where
    Blender refuses half way, the armature gets back the action with its keys, the NLA tracks and the switches it had.
    """
    check_bakeable(armature, pose)
    _check_action(armature, options)
    frames = np.round(options.frame_start + np.asarray(pose.times_s) * options.fps, 4)
    channels = list(_channels(armature, pose, frames, options))
    with _given_back_on_a_fault(armature, pose), given_back_on_a_fault(pose):
        return _written(armature, pose, options, frames, channels)


def _written(
    armature: Any, pose: BakedPose, options: BakeOptions, frames: Array, channels: list[Channel]
) -> BakeReport:
    present, base = np.asarray(pose.present, dtype=bool), base_strip(armature)
    offsets = set_offsets_aside(armature) if base is not None else None
    stale = untouched_bake(armature, options.name) if options.into is BakeInto.NEW_ACTION else None
    kept = None if options.into is BakeInto.CURRENT_ACTION or stale is not None else retire_action(armature)
    if stale is not None:
        armature.animation_data.action = None
    if kept and options.into is BakeInto.NLA_STRIP:  # a layer: what played before goes on underneath
        push_to_nla(armature, bpy.data.actions[kept], kept, bpy.data.actions[kept].frame_range[0])
    if armature.animation_data is None or armature.animation_data.action is None:
        assign_action(armature, bpy.data.actions.new(options.name))
    action = armature.animation_data.action
    for switch in pose.properties:
        set_switch(armature.pose.bones[switch.bone], switch.name, switch.value)
    keys = write_channels(channelbag(armature), channels)
    first, last = float(frames[present][0]), float(frames[present][-1])
    if stale is not None:
        bpy.data.actions.remove(stale)
        action.name = options.name
    if options.is_cyclic:
        action.use_frame_range = action.use_cyclic = True
        action.frame_start, action.frame_end = first, last
    mark_baked(armature, action)
    write_shapes(armature, pose, frames[present], _shape_options(options))
    if base is not None and offsets is not None:
        kept = replace_base(armature, base, options.name, action)
        give_offsets_back(armature, offsets)
    if options.into is BakeInto.NLA_STRIP:
        armature.animation_data.action = None
        push_to_nla(armature, action, options.name, first, options.blend_type)
    armature.update_tag()
    return BakeReport(
        armature=armature.name,
        action=action.name,
        bones=len(pose.bone_names),
        keys=keys,
        frames=int(present.sum()),
        frame_start=int(np.floor(first)),
        frame_end=int(np.ceil(last)),
        kept_action=kept,
        mapped=pose.report.mapped,
        unmapped=pose.report.unmapped,
        warnings=(*pose.report.warnings, *_warnings(armature, present)),
        figures=dict(pose.report.figures),
        is_cyclic=options.is_cyclic,
    )


def _shape_options(options: BakeOptions) -> ShapeOptions:
    return ShapeOptions(
        options.name,
        options.interpolation,
        reduce=options.reduce_mm > 0,
        is_cyclic=options.is_cyclic,
        into_current=options.into is BakeInto.CURRENT_ACTION,
        strip_blending=options.blend_type if options.into is BakeInto.NLA_STRIP else "",
    )


@contextmanager
def _given_back_on_a_fault(armature: Any, pose: BakedPose) -> Iterator[None]:
    """The action, the tracks and the switches that an armature has, again, when what is done meanwhile fails; new
    actions go.
    """
    data = armature.animation_data
    action = data.action if data is not None else None
    slot, fake_user = getattr(data, "action_slot", None), action is not None and action.use_fake_user
    tracks = len(data.nla_tracks) if data is not None else 0
    known = {other.name for other in bpy.data.actions}
    bones = armature.pose.bones
    switches = [(bones[at.bone], at.name, read_switch(bones[at.bone], at.name)) for at in pose.properties]
    try:
        yield
    except BaseException:
        for bone, name, value in switches:
            if value is not None:
                set_switch(bone, name, value)
        data = armature.animation_data
        if data is not None:
            for track in list(data.nla_tracks)[tracks:]:
                data.nla_tracks.remove(track)
            data.action = action
        if action is not None:
            action.use_fake_user = fake_user
            if slot is not None:
                data.action_slot = slot
        for made in [other for other in bpy.data.actions if other.name not in known]:
            bpy.data.actions.remove(made)
        raise


def check_bakeable(armature: Any, pose: BakedPose) -> None:
    """Raise BakeError where a bake would do nothing or cannot be kept: "nothing moved" must never be silent."""
    if armature is None or armature.type != "ARMATURE":
        raise BakeError("Choose the armature to animate")
    if armature.library is not None:
        raise BakeError(
            f"{armature.name} is linked from {armature.library.filepath} and cannot hold keys. "
            "Make a library override of it first (Object > Library Override > Make)"
        )
    if not pose.bone_names:
        raise BakeError(f"No bone of {armature.name} is mapped, so nothing would move. Map its bones first")
    missing = [bone for bone in pose.bone_names if bone not in armature.pose.bones]
    if missing:
        raise BakeError(f"{armature.name} has no bone {missing[0]} (and {len(missing) - 1} more). Map its bones again")
    if not np.asarray(pose.present).any():
        raise BakeError("The clip has no frame with a person, so nothing would move. Choose another clip or range")


def _check_action(armature: Any, options: BakeOptions) -> None:
    """Raise BakeError where Blender would not take, or not keep, keys in the armature's present state."""
    data = armature.animation_data
    if data is None:
        return
    if data.use_tweak_mode:
        raise BakeError(f"An NLA strip of {armature.name} is being tweaked. Leave tweak mode (Tab in the NLA editor)")
    if options.into is not BakeInto.NEW_ACTION and base_strip(armature) is not None:
        raise BakeError(
            f"{armature.name} has a layer of offsets. Bake into a new action, which goes below it, or merge it"
        )
    if options.into is BakeInto.CURRENT_ACTION and data.action is not None and data.action.library is not None:
        raise BakeError(
            f"The action {data.action.name} is linked from {data.action.library.filepath}, so keys in it get lost. "
            "Bake into a new action, or make it local"
        )


def _channels(armature: Any, pose: BakedPose, frames: Array, options: BakeOptions) -> Iterable[Channel]:
    present = np.asarray(pose.present, dtype=bool)
    for bone, mode, wxyz in zip(pose.bone_names, pose.rotation_modes, pose.rotations_wxyz, strict=True):
        prop, every = rotation_values(np.asarray(wxyz), mode)
        for rows in _keyed_rows(pose, bone):
            at, values = frames[rows], every[rows]
            if bone in pose.still and len(at) > 1:
                yield Channel(bone_path(bone, prop), bone, at[[0, -1]], values[[0, -1]], options.interpolation)
                continue
            curve = _reduced_rotation(at, values, mode, options)
            yield _channel(bone_path(bone, prop), bone, at, values, curve, options)
    scale = float(np.mean(np.abs(armature.matrix_world.to_scale()))) or 1.0
    smooth = options.interpolation == "BEZIER"
    for moved in pose.locations:
        for rows in _keyed_rows(pose, moved.bone):
            at, values = frames[rows], np.asarray(moved.location)[rows]
            bound = options.reduce_mm / scale
            curve = reduce_position_keys(at, values, bound, smooth) if bound > 0 else None
            yield _channel(bone_path(moved.bone, "location"), moved.bone, at, values, curve, options)
    at = frames[present]
    for switch in pose.properties:
        ends = at[[0, -1]] if len(at) > 1 else at  # at the end too, so that keys in between do not switch it back
        values = np.full((len(ends), 1), switch.value)
        yield Channel(switch_path(switch.bone, switch.name), switch.bone, ends, values, "CONSTANT")
    if pose.object_motion is not None:
        yield from _object_channels(armature, pose, frames, options)


def _keyed_rows(pose: BakedPose, bone: str) -> list[NDArray[np.intp]]:
    """The frames in which a bone gets keys, run by run: keys that are there already between the runs stay."""
    present, keyed = np.asarray(pose.present, dtype=bool), pose.keyed.get(bone)
    if keyed is None:
        return [np.flatnonzero(present)]
    runs = [first + np.flatnonzero(present[first : last + 1]) for first, last in true_runs(keyed)]
    return [rows for rows in runs if len(rows)]


def _reduced_rotation(at: Array, values: Array, mode: str, options: BakeOptions) -> ReducedCurve | None:
    """Fewer keys within the bound in degrees; None keeps all (axis-angle has no bound that is simple and safe)."""
    smooth = options.interpolation == "BEZIER"
    if options.reduce_deg <= 0 or mode == "AXIS_ANGLE":
        return None
    if mode == "QUATERNION":
        return reduce_rotation_keys(at, values, options.reduce_deg, smooth)
    # three Euler angles, each off by at most its share, turn the bone by at most their sum: sqrt(3) of the distance
    bound_rad = np.radians(options.reduce_deg) / np.sqrt(3.0)
    return reduce_position_keys(at, values, 1000.0 * float(bound_rad), smooth)


def _channel(
    path: str, group: str, at: Array, values: Array, curve: ReducedCurve | None, options: BakeOptions
) -> Channel:
    if curve is None:
        return Channel(path, group, at, values, options.interpolation)
    slopes = curve.slopes[curve.keys] if options.interpolation == "BEZIER" else None
    return Channel(path, group, at[curve.keys], curve.values[curve.keys], options.interpolation, slopes)


def _object_channels(armature: Any, pose: BakedPose, frames: Array, options: BakeOptions) -> Iterable[Channel]:
    present = np.asarray(pose.present, dtype=bool)
    location = np.asarray(pose.object_motion.location_m)[present]
    turned = np.asarray(pose.object_motion.rotation_wxyz)[present]
    location, turned = local_place(armature, location, turned)
    prop, values = rotation_values(turned, armature.rotation_mode)
    yield Channel("location", _OBJECT_GROUP, frames[present], location, options.interpolation)
    yield Channel(prop, _OBJECT_GROUP, frames[present], values, options.interpolation)


def _warnings(armature: Any, present: NDArray[np.bool_]) -> list[str]:
    found = []
    if not present.all():
        found.append(f"{int((~present).sum())} frames without the person have no keys")
    data = armature.animation_data
    if any(track.is_solo for track in data.nla_tracks):
        found.append("an NLA track plays solo and hides the others")
    if data.action_influence < 1.0 and data.action is not None:
        found.append(f"the active action's influence is {data.action_influence:.2f}, so it plays in part")
    if armature.data.pose_position == "REST":
        found.append("the armature shows its rest position: switch it to Pose Position to see the motion")
    return found
