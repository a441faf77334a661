"""Retarget: a clip and a mapped rig in, local rotations and locations out. numpy, `motion` and its own room only.

Reads as its table of contents: read the source, measure the rig, turn the bones, place the body, plant the feet,
choose what carries the body, write local channels, give an account.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..motion.clip import MotionClip
from ..motion.cycles import Unrolled, unroll
from ..motion.rotations import quaternion_continuous, quaternion_normalize
from .baked_pose import (
    BakedPose,
    Controls,
    ObjectMotion,
    PropertyValue,
    RetargetOptions,
    RetargetReport,
)
from .body_in_world import BodyInWorld
from .drive_bones import drive_bones
from .drive_fingers import drive_fingers, with_carried_fingers
from .limb_candidates import ancestors
from .local_channels import Channels, write_channels
from .own_ik import constraint_switches, with_own_ik
from .replant_feet import PlantOptions, lead_hands, replant_feet
from .rest_alignment import SIDES, align_rest
from .rest_world import RestWorld, rest_world
from .retarget_report import give_account, set_up_warnings
from .root_motion import place_source
from .skeleton_map import SkeletonMap
from .source_motion import RetargetError, SourceMotion, source_motion
from .target_body import TargetBody, measure_target
from .target_rig import TargetRig

Array = NDArray[np.floating]

# fingers whose rotations (quaternion components) vary by less than this rest
_STILL = 1e-6


def retarget(
    clip: MotionClip, rig: TargetRig, skeleton_map: SkeletonMap, options: RetargetOptions | None = None
) -> BakedPose:
    """Turn a clip into the local channels of a rig, one value a clip frame.

    The directions of upper arms, forearms, thighs and shins in the world equal the clip's (before feet and hands are
    led to their contacts). Nothing of the rig is assumed but its rest pose: bone rolls, A- or T-pose, axes, the
    object's rotation and scale, bones in between are all taken as found.
    Raises RetargetError for a map without pelvis or without sides, or a clip without the person.
    """
    options = options or RetargetOptions()
    skeleton_map = fitted_map(_present_bones(skeleton_map, rig), rig)
    if clip.header.is_cyclic:
        return _one_cycle(unroll(clip), rig, skeleton_map, options)
    return _solved(source_motion(clip, options.contact_threshold, options.relax_hands), rig, skeleton_map, options)


def _one_cycle(several: Unrolled, rig: TargetRig, skeleton_map: SkeletonMap, options: RetargetOptions) -> BakedPose:
    """The middle one of several cycles: what looks at neighbouring frames finds the same ones at either end."""
    hands = {joint: target[several.rows] for joint, target in options.hand_targets_m.items()}
    source = source_motion(several.clip, options.contact_threshold, options.relax_hands)
    middle = several.middle
    source = replace(source, first=middle.start)
    pose = _solved(source, rig, skeleton_map, replace(options, hand_targets_m=hands))
    counts = {name: value / several.cycles for name, value in pose.report.figures.items() if "frames" in name}
    motion = pose.object_motion
    return replace(
        pose,
        times_s=pose.times_s[middle],
        rotations_wxyz=pose.rotations_wxyz[:, middle],
        locations=tuple(replace(moved, location=moved.location[middle]) for moved in pose.locations),
        object_motion=motion and ObjectMotion(motion.location_m[middle], motion.rotation_wxyz[middle]),
        present=pose.present[middle],
        report=replace(pose.report, figures={**pose.report.figures, **counts}),
    )


@dataclass(frozen=True, slots=True)
class MeasuredRig:
    """What the retarget needs to know of a rig and its map, whatever the motion."""

    rig: TargetRig
    skeleton_map: SkeletonMap
    rest: RestWorld
    target: TargetBody
    aligned: Array


def measure_rig(rig: TargetRig, skeleton_map: SkeletonMap) -> MeasuredRig:
    """Measure a rig once for many retargets. Raises RetargetError."""
    return _measured(rig, fitted_map(_present_bones(skeleton_map, rig), rig))


def retarget_in_steps(
    clip: MotionClip, measured: MeasuredRig, options: RetargetOptions
) -> Generator[None, None, BakedPose]:
    """As `retarget`, in parts of a few milliseconds for a single frame: what comes between them is not held up."""
    source = source_motion(clip, options.contact_threshold, options.relax_hands)
    yield
    return (yield from _solve_in_steps(source, measured, options))


def _measured(rig: TargetRig, skeleton_map: SkeletonMap) -> MeasuredRig:
    rest = rest_world(rig, skeleton_map.carried_by)
    try:
        return MeasuredRig(rig, skeleton_map, rest, measure_target(rest, skeleton_map), align_rest(rest, skeleton_map))
    except ValueError as fault:
        raise RetargetError(f"{rig.name!r} cannot be retargeted: {fault}") from fault


def _solved(source: SourceMotion, rig: TargetRig, skeleton_map: SkeletonMap, options: RetargetOptions) -> BakedPose:
    steps = _solve_in_steps(source, _measured(rig, skeleton_map), options)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            pose: BakedPose = done.value
            return pose


def _solve_in_steps(
    source: SourceMotion, measured: MeasuredRig, options: RetargetOptions
) -> Generator[None, None, BakedPose]:
    skeleton_map, rest = measured.skeleton_map, measured.rest
    target, aligned = measured.target, measured.aligned
    scale = options.scale
    if scale is None:
        scale = target.leg_length_m / source.leg_length_m if target.leg_length_m > 0 else 1.0
    source, floor_m = place_source(source, target, options.placement, scale)
    deltas = drive_bones(rest, skeleton_map, source, aligned)
    yield
    deltas |= drive_fingers(rest, skeleton_map, source, aligned)
    body = BodyInWorld(rest, skeleton_map, target, deltas)
    body.put_pelvis(source.positions_m[:, 0])
    figures = {"scale": float(scale), "frames": float(source.present.sum())}
    if options.plant_feet:
        figures |= replant_feet(body, source, PlantOptions(options.blend_s, floor_m))
    warnings = [*set_up_warnings(rest, skeleton_map, target, options)]
    warnings += lead_hands(body, source, options.hand_targets_m, options.blend_s)
    yield
    channels = write_channels(body, source, floor_m, options)
    yield
    report = give_account(body, tuple(warnings), figures)
    return _baked(source, body, channels, _switches(body, options), report)


def _present_bones(skeleton_map: SkeletonMap, rig: TargetRig) -> SkeletonMap:
    """The map with only bones that the rig has. Raises RetargetError when the pelvis has none."""
    names = set(rig.bone_names)
    joints = {joint: tuple(bone for bone in bones if bone in names) for joint, bones in skeleton_map.joints.items()}
    if not joints.get("pelvis"):
        raise RetargetError(
            f"no bone of {rig.name!r} is mapped to the pelvis; choose the hips bone in the skeleton map"
        )
    fingers = {finger: tuple(bone for bone in bones if bone in names) for finger, bones in skeleton_map.fingers.items()}
    return replace(skeleton_map, joints=joints, fingers=fingers)


def fitted_map(skeleton_map: SkeletonMap, rig: TargetRig) -> SkeletonMap:
    """The map as the rig's own set-up asks for: a carrier that can move, limbs on the rig's own IK constraints,
    fingers that move with the hand.
    """
    return with_carried_fingers(with_own_ik(free_carrier(_with_detached(skeleton_map, rig), rig), rig), rig)


def _with_detached(skeleton_map: SkeletonMap, rig: TargetRig) -> SkeletonMap:
    """The map that knows which feet do not hang from their shins."""
    found = {}
    for side in SIDES:
        shin, foot = (skeleton_map.joints.get(f"{side}_{joint}", ()) for joint in ("knee", "ankle"))
        known = [bone in rig.bone_names for bone in (*shin[-1:], *foot[:1])]
        if len(known) < 2 or not all(known) or foot[0] in skeleton_map.follows:
            continue
        if rig.index(shin[-1]) not in ancestors(rig, rig.index(foot[0])):
            found[foot[0]] = shin[-1]
    return replace(skeleton_map, detached=found)


def free_carrier(skeleton_map: SkeletonMap, rig: TargetRig) -> SkeletonMap:
    """The map with a carrier that can move: Blender ignores the location of a bone that is connected to its parent, so
    the first ancestor that is not takes its place.
    """
    name = skeleton_map.moving_bone
    if rig.connected is None or name not in rig.bone_names or not rig.connected[rig.index(name)]:
        return skeleton_map
    bone = rig.index(name)
    while rig.connected[bone]:
        bone = int(rig.parents[bone])
    return replace(skeleton_map, carrier=rig.bone_names[bone])


def _switches(body: BodyInWorld, options: RetargetOptions) -> tuple[PropertyValue, ...]:
    """The FK/IK switches to set, those that the rig has, and the influences of its own constraints."""
    values = list(constraint_switches(body.skeleton_map, body.rest.rig, options.controls))
    for switch in body.skeleton_map.switches:
        first, second = (switch.ik, switch.fk) if options.controls is Controls.IK else (switch.fk, switch.ik)
        # with keys on both, what plays no part in FK is set as the keyed IK controls need it
        value = second if first is None and options.controls is Controls.FK_AND_IK else first
        if value is not None and (switch.bone, switch.name) in body.rest.rig.properties:
            values.append(PropertyValue(switch.bone, switch.name, value))
    return tuple(values)


def _baked(
    source: SourceMotion,
    body: BodyInWorld,
    channels: Channels,
    switches: tuple[PropertyValue, ...],
    report: RetargetReport,
) -> BakedPose:
    rig, bones = body.rest.rig, sorted(channels.rotations)
    rotations = np.stack([quaternion_normalize(channels.rotations[bone]) for bone in bones])
    rotations = quaternion_continuous(rotations, axis=1)
    fingers = set(body.skeleton_map.finger_bones())
    moves = np.ptp(rotations, axis=1).max(axis=-1) > _STILL
    return BakedPose(
        times_s=source.times_s,
        bone_names=tuple(rig.bone_names[bone] for bone in bones),
        rotation_modes=tuple(rig.rotation_modes[bone] for bone in bones),
        rotations_wxyz=rotations,
        locations=channels.locations,
        object_motion=channels.object_motion,
        properties=switches,
        present=source.present,
        report=report,
        still=frozenset(rig.bone_names[bone] for bone in np.array(bones)[~moves]) & fingers,
    )
