"""The local channels that put a body where it stands in the world: what is keyed on which bone. `motion` and own room.

Reads as: choose what carries the body, turn the bones, move the carrier, follow with IK controls and loose feet.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .baked_pose import BoneLocation, Controls, ObjectMotion, RetargetOptions, RootMode, Travel
from .body_in_world import BodyInWorld
from .ik_controls import LIMB_JOINTS, ControlMotion, ik_control_motion
from .own_ik import Carried, own_ik_limbs, own_ik_motion
from .rest_world import PosedRig, rest_world
from .root_motion import RootPath, object_motion, root_path, seen_from_root, stay_in_place
from .source_motion import SourceMotion

Array = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Channels:
    """What is to be keyed: rotations (T, 4) by bone index and locations."""

    rotations: dict[int, Array]
    locations: tuple[BoneLocation, ...]
    object_motion: ObjectMotion | None


def write_channels(body: BodyInWorld, source: SourceMotion, floor_m: float, options: RetargetOptions) -> Channels:
    """The channels of a body in the world, with the chosen root and travel."""
    pelvis = body.pelvis_unshifted_m(body.posed()) + body.shift_m
    path = root_path(source, body.target, pelvis, floor_m)
    still = stay_in_place(path, options.travel, source.first)
    if options.root is RootMode.OBJECT:
        seen_from_root(body, path)
        return replace(_bone_channels(body, None, options), object_motion=object_motion(body, still))
    if options.travel is Travel.IN_PLACE:
        _take_out_travel(body, path, still)
    root = body.skeleton_map.root_bone
    own = root is not None and root in body.rest.rig.bone_names and root != body.skeleton_map.carrier
    if options.root is RootMode.ROOT_BONE and own:
        return _bone_channels(body, still, options)
    return _bone_channels(body, None, options)


def _take_out_travel(body: BodyInWorld, path: RootPath, still: RootPath) -> None:
    body.shift_m = body.shift_m - (path.place_m - still.place_m)


def _bone_channels(body: BodyInWorld, root: RootPath | None, options: RetargetOptions) -> Channels:
    """Local channels of the body as it stands in the world; `root` moves the root bone along."""
    controls = _controls(body, options)
    carrier, names = _carrier(body), body.rest.rig.bone_names
    pelvis = body.pelvis_unshifted_m(body.posed()) + body.shift_m
    locations = []
    root_bone, root_shift = -1, np.zeros((body.frames, 3))
    if root is not None and body.skeleton_map.root_bone is not None:
        root_bone = body.rest.rig.index(body.skeleton_map.root_bone)
        body.deltas[root_bone] = np.asarray(root.turn_wxyz)
        posed = body.posed()
        root_shift = root.carry(body.rest.heads_m[root_bone]) - posed.head(root_bone)
        locations.append(BoneLocation(names[root_bone], posed.local_location(root_bone, root_shift)))
    body.put_pelvis(pelvis)
    posed = body.posed()
    carried = Carried(posed, {root_bone: root_shift} if root_bone >= 0 else {})
    away = carried.own_shift(carrier, body.shift_m)
    locations.append(BoneLocation(names[carrier], posed.local_location(carrier, away)))
    carried.shifts_m[carrier] = body.shift_m
    keyed = set(body.deltas) - _replaced_by_ik(body, options)
    rotations = {bone: posed.local_rotation(bone) for bone in keyed}
    controls += _detached_feet(body, posed)
    turned = {control.bone: control.delta_wxyz for control in controls if control.delta_wxyz is not None}
    own_parents = rest_world(body.rest.rig, body.skeleton_map.follows)
    moved = PosedRig(own_parents, {**body.deltas, **turned}, body.frames)
    carried = Carried(moved, carried.shifts_m)
    rotations |= {bone: moved.local_rotation(bone) for bone in turned}
    for control in sorted(controls, key=lambda control: len(own_parents.path_up(control.bone))):
        if control.head_m is not None:
            shift = control.head_m - moved.head(control.bone)
            away = carried.own_shift(control.bone, shift)
            locations.append(BoneLocation(names[control.bone], moved.local_location(control.bone, away)))
            carried.shifts_m[control.bone] = shift
    return Channels(rotations, tuple(locations), None)


def _detached_feet(body: BodyInWorld, posed: PosedRig) -> list[ControlMotion]:
    """The way of feet that hang from the root: where their shins' ends go."""
    feet = [body.rest.rig.index(foot) for foot in body.skeleton_map.detached]
    return [ControlMotion(foot, posed.head(foot) + body.shift_m, posed.delta(foot)) for foot in feet]


def _carrier(body: BodyInWorld) -> int:
    """The bone whose location moves the body."""
    name = body.skeleton_map.carrier
    return body.rest.rig.index(name) if name in body.rest.rig.bone_names and name else body.bones("pelvis")[0]


def _controls(body: BodyInWorld, options: RetargetOptions) -> list[ControlMotion]:
    if options.controls is Controls.FK:
        return []
    own = own_ik_limbs(body.skeleton_map, body.rest.rig)
    motions = [own_ik_motion(body, limb) for limb in own]
    limbs = body.skeleton_map.limbs.items()
    motions += [ik_control_motion(body, limb, controls) for limb, controls in limbs if limb not in own]
    return list({motion.bone: motion for limb in motions for motion in limb}.values())


def _replaced_by_ik(body: BodyInWorld, options: RetargetOptions) -> set[int]:
    """FK bones that need no keys because their limb runs on IK."""
    if options.controls is not Controls.IK:
        return set()
    own = own_ik_limbs(body.skeleton_map, body.rest.rig)
    joints = [joint for limb in body.skeleton_map.limbs if limb not in own for joint in LIMB_JOINTS[limb]]
    joints += [joint.replace("ankle", "toe") for joint in joints if joint.endswith("_ankle")]
    return {bone for joint in joints for bone in body.bones(joint)}
