"""IK and other constraints of a user's own rig: read as limb controls, keyed in IK mode, switched off in FK mode.

numpy, `motion` and its own room only. An IK constraint moves a chain of bones so that its tip comes to the target's
head, and turns the chain about the line from its root to the tip until the root bone's own axis (X turned about Y by
the pole angle) looks at the pole. Blender starts from the bones' keyed rotations, so those stay keyed in IK mode: the
tip is at its target then, and nothing is left to solve.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..motion.rotations import quaternion_conjugate, quaternion_multiply, quaternion_rotate
from .baked_pose import Controls, PropertyValue
from .body_in_world import BodyInWorld
from .ik_controls import LIMB_JOINTS, ControlMotion
from .rest_world import PosedRig, RestWorld, world_delta
from .skeleton_map import LimbControls, SkeletonMap
from .target_rig import BoneConstraint, TargetRig

Array = NDArray[np.floating]

# how a constraint's influence is named among the switches of a pose bone (`rig.switches`)
INFLUENCE = "constraint:"
MMD_TOGGLE = "mmd_ik_toggle"


def with_own_ik(skeleton_map: SkeletonMap, rig: TargetRig) -> SkeletonMap:
    """The map with the IK targets and poles that the rig's own constraints name, for limbs that it has none for."""
    limbs = dict(skeleton_map.limbs)
    for limb in LIMB_JOINTS:
        found = _limb_constraints(skeleton_map, rig, limb)
        if limb not in limbs and found and found[0].target is not None:
            limbs[limb] = LimbControls(found[0].target, found[0].pole)
    return replace(skeleton_map, limbs=limbs)


def own_ik_limbs(skeleton_map: SkeletonMap, rig: TargetRig) -> frozenset[str]:
    """The limbs that run on the rig's own IK constraints, target bones included."""
    found = {limb: _limb_constraints(skeleton_map, rig, limb) for limb in skeleton_map.limbs}
    return frozenset(limb for limb, rows in found.items() if rows and rows[0].target == skeleton_map.limbs[limb].target)


def own_ik_motion(body: BodyInWorld, limb: str) -> list[ControlMotion]:
    """The way of the targets and poles of a limb's IK constraints, in the world."""
    motions, end = [], body.bones(LIMB_JOINTS[limb][2])
    names = body.rest.rig.bone_names
    for row in _limb_constraints(body.skeleton_map, body.rest.rig, limb):
        if row.target not in names or row.target is None:
            continue
        chain = [body.rest.rig.index(bone) for bone in row.chain]
        tip = _tip_m(body, row)
        leads = end and row.target == body.skeleton_map.limbs[limb].target
        turn = _target_turn(body, row, end[0]) if leads else None
        motions.append(ControlMotion(body.rest.rig.index(row.target), tip, turn))
        if row.pole in names and row.pole is not None:
            motions.append(ControlMotion(body.rest.rig.index(row.pole), _pole_m(body, row, chain[-1], tip), None))
    return motions


def constraint_switches(skeleton_map: SkeletonMap, rig: TargetRig, controls: Controls) -> tuple[PropertyValue, ...]:
    """Influences, and what drives them, to key so that constraints do not overrule the baked motion."""
    values = []
    limbs = own_ik_limbs(skeleton_map, rig) if controls is not Controls.FK else frozenset()
    runs = {(row.bone, row.name) for limb in limbs for row in _limb_constraints(skeleton_map, rig, limb)}
    for row in _overruling(skeleton_map, rig):
        on = (row.bone, row.name) in runs and controls is Controls.IK
        if not on and _follows_target(row, skeleton_map, limbs) and controls is Controls.IK:
            continue
        if row.driver is not None:
            values.append(PropertyValue(row.driver.bone, row.driver.prop, row.driver.on if on else row.driver.off))
        elif not row.driven:
            values.append(PropertyValue(row.bone, INFLUENCE + row.name, 1.0 if on else 0.0))
        if row.target is not None and (row.target, MMD_TOGGLE) in rig.properties:
            values.append(PropertyValue(row.target, MMD_TOGGLE, 1.0 if on else 0.0))
    return tuple(dict.fromkeys(values))


def held_bones(skeleton_map: SkeletonMap, rig: TargetRig) -> tuple[str, ...]:
    """Mapped bones whose drivers, or constraints that no key can switch off, may overrule the motion."""
    free = {(row.bone, row.name) for row in _overruling(skeleton_map, rig) if row.driver is not None or not row.driven}
    held = {row.bone for row in rig.constraints if row.influence > 0.0 and (row.bone, row.name) not in free}
    held |= {bone for row in rig.constraints if row.driven and row.driver is None for bone in row.chain}
    mapped = [bone for bone in skeleton_map.bones() if bone in rig.bone_names]
    return tuple(bone for bone in mapped if bone in held or rig.constrained[rig.index(bone)])


def _overruling(skeleton_map: SkeletonMap, rig: TargetRig) -> list[BoneConstraint]:
    """Constraints that overrule mapped bones. Control rigs are made of constraints: of those only IK on FK bones."""
    mapped = set(skeleton_map.bones())
    made = bool(skeleton_map.follows or skeleton_map.switches)
    ik = [row for row in rig.constraints if row.kind == "IK" and mapped & set(row.chain)]
    others = [
        row for row in rig.constraints if row.kind != "IK" and row.bone in mapped and row.influence > 0.0 and not made
    ]
    return ik + others


def _limb_constraints(skeleton_map: SkeletonMap, rig: TargetRig, limb: str) -> list[BoneConstraint]:
    """The IK constraints of a limb: first the one whose chain holds most of it, then those of its end."""
    upper, lower, end = (set(skeleton_map.joints.get(joint, ())) for joint in LIMB_JOINTS[limb])
    foot = set(skeleton_map.joints.get(LIMB_JOINTS[limb][2].replace("ankle", "toe"), ()))
    rows = [row for row in rig.constraints if row.kind == "IK" and row.target in rig.bone_names]
    main = [row for row in rows if lower & set(row.chain) and upper & set(row.chain)]
    ends = [row for row in rows if set(row.chain) & (end | foot) and row not in main]
    return main[:1] + ends if main else []


def _follows_target(row: BoneConstraint, skeleton_map: SkeletonMap, limbs: frozenset[str]) -> bool:
    """Whether a constraint has a limb's end turn with the limb's IK target."""
    return any(
        row.kind == "COPY_ROTATION"
        and row.target == skeleton_map.limbs[limb].target
        and row.bone in skeleton_map.joints.get(LIMB_JOINTS[limb][2], ())
        for limb in limbs
    )


def _tip_m(body: BodyInWorld, row: BoneConstraint) -> Array:
    """Where the chain's tip stands (T, 3): the tail, or the head, of the bone that has the constraint."""
    bone, posed = body.rest.rig.index(row.bone), body.posed()
    head = posed.head(bone) + body.shift_m
    if not row.use_tail:
        return head
    return head + quaternion_rotate(posed.delta(bone), body.rest.tails_m[bone] - body.rest.heads_m[bone])


def _target_turn(body: BodyInWorld, row: BoneConstraint, end: int) -> Array:
    """World delta (T, 4) of an IK target: it turns with the limb's end, which may copy the target's rotation."""
    rig, delta = body.rest.rig, body.posed().delta(end)
    name = rig.bone_names[end]
    copies = any(
        other.bone == name and other.kind == "COPY_ROTATION" and other.target == row.target for other in rig.constraints
    )
    if not copies or row.target is None:
        return delta
    target = rig.index(row.target)
    between = quaternion_multiply(body.rest.rest_wxyz[end], quaternion_conjugate(body.rest.rest_wxyz[target]))
    return quaternion_multiply(delta, world_delta(body.rest, between))


def _pole_m(body: BodyInWorld, row: BoneConstraint, root: int, tip_m: Array) -> Array:
    """Where the pole has to be (T, 3) for the chain to keep its turn about the line from root to tip."""
    posed, rest = body.posed(), body.rest
    assert row.pole is not None  # asked for by the caller
    start = posed.head(root) + body.shift_m
    along = tip_m - start
    along = along / np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), 1e-9)
    looks = quaternion_rotate(posed.delta(root), _pole_axis(rest, root, row.pole_angle_rad))
    looks = looks - np.sum(looks * along, axis=-1, keepdims=True) * along
    looks = looks / np.maximum(np.linalg.norm(looks, axis=-1, keepdims=True), 1e-9)
    joint = body.rest.rig.index(row.chain[-2]) if len(row.chain) > 1 else root
    middle = posed.head(joint) + body.shift_m - start
    place = start + np.sum(middle * along, axis=-1, keepdims=True) * along
    away = float(np.linalg.norm(rest.heads_m[body.rest.rig.index(row.pole)] - rest.heads_m[joint]))
    return np.asarray(place + looks * max(away, 1e-3))


def _pole_axis(rest: RestWorld, root: int, angle_rad: float) -> Array:
    """The direction (3,), in the world at rest, that a chain's root bone turns to the pole."""
    own = np.array([np.cos(angle_rad), 0.0, np.sin(angle_rad)])
    return np.asarray(rest.turn @ quaternion_rotate(rest.rest_wxyz[root], own))


@dataclass(frozen=True, slots=True)
class Carried:
    """How far bones that were moved carry what hangs from them: `shifts_m` (T, 3) by bone index, in the world."""

    posed: PosedRig
    shifts_m: dict[int, Array]

    def own_shift(self, bone: int, wanted_m: Array) -> Array:
        """What is left (T, 3) for a bone to move by itself, of the whole way that it shall go."""
        above = self.posed.rest.path_up(bone)[1:]
        carried = next((self.shifts_m[place] for place in above if place in self.shifts_m), np.zeros(3))
        return np.asarray(wanted_m - carried)
