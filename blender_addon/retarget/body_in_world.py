"""A target body under way in the solve: posed bones plus where the body is. numpy and its own room only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..motion.limb_ik import Limb, LimbSolution, two_bone_ik
from ..motion.rotations import quaternion_multiply, quaternion_rotate
from .rest_world import PosedRig, RestWorld
from .skeleton_map import SkeletonMap
from .target_body import TargetBody

Array = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class LimbBones:
    """Bone indices of a limb: its upper and lower segment (twist bones included) and its end."""

    upper: tuple[int, ...]
    lower: tuple[int, ...]
    end: tuple[int, ...]


class BodyInWorld:
    """World deltas (T, 4) by bone index; `shift_m` (T, 3) is how far the body lies from where they alone put it."""

    def __init__(
        self, rest: RestWorld, skeleton_map: SkeletonMap, target: TargetBody, deltas: Mapping[int, Array]
    ) -> None:
        self.rest = rest
        self.skeleton_map = skeleton_map
        self.target = target
        self.deltas = dict(deltas)
        self.frames = len(next(iter(self.deltas.values())))
        self.shift_m: Array = np.zeros((self.frames, 3))

    def bones(self, joint: str) -> list[int]:
        """Indices of a joint's bones, parent first; empty when it has none."""
        return [self.rest.rig.index(bone) for bone in self.skeleton_map.joints.get(joint, ())]

    def posed(self) -> PosedRig:
        """The rig in its present pose."""
        return PosedRig(self.rest, self.deltas, self.frames)

    def joint_m(self, joint: str) -> Array:
        """Position (T, 3) of a mapped joint in the world."""
        return np.asarray(self.posed().head(self.bones(joint)[0]) + self.shift_m)

    def pelvis_unshifted_m(self, posed: PosedRig) -> Array:
        """Where rotations alone put the middle of the hip joints (T, 3)."""
        names = [name for name in ("left_hip", "right_hip") if self.bones(name)]
        if len(names) == 2:
            return np.asarray(sum(posed.head(self.bones(name)[0]) for name in names) / 2)
        pelvis = self.bones("pelvis")[0]
        offset = self.target.pelvis_m - self.rest.heads_m[pelvis]
        return posed.head(pelvis) + quaternion_rotate(posed.delta(pelvis), offset)

    def put_pelvis(self, position_m: Array) -> None:
        """Shift the body so that the middle of its hip joints lies at (T, 3)."""
        self.shift_m = np.asarray(position_m - self.pelvis_unshifted_m(self.posed()))

    def limb(self, upper: str, lower: str, end: str) -> LimbBones | None:
        """A limb's bones, or None when one of its joints has none or they do not hang together."""
        if not (self.bones(upper) and self.bones(lower) and self.bones(end)):
            return None
        if self.bones(upper)[0] not in self.rest.path_up(self.bones(end)[0]):
            return None
        return LimbBones(self._with_twists(upper), self._with_twists(lower), tuple(self.bones(end)))

    def lead_limb(self, limb: LimbBones, target_m: Array, bend_hint: Array) -> LimbSolution:
        """Bend a limb, in place, so that its end comes to `target_m` (T, 3); the end keeps its world rotation."""
        posed = self.posed()
        root, middle, end = (posed.head(part[0]) + self.shift_m for part in (limb.upper, limb.lower, limb.end))
        solution = two_bone_ik(Limb(root, middle, end), target_m, bend_hint)
        for bones, turn in ((limb.upper, solution.upper_turn_wxyz), (limb.lower, solution.lower_turn_wxyz)):
            for bone in bones:
                self.deltas[bone] = quaternion_multiply(turn, self.deltas[bone])
        return solution

    def turn_joint(self, joint: str, turn_wxyz: Array) -> None:
        """Turn a joint's bones, in place, by (T, 4) in the world."""
        for bone in self._with_twists(joint):
            self.deltas[bone] = quaternion_multiply(turn_wxyz, self.deltas[bone])

    def _with_twists(self, joint: str) -> tuple[int, ...]:
        twists = [twist.bone for twist in self.skeleton_map.twists.get(joint, ())]
        return (*self.bones(joint), *(self.rest.rig.index(bone) for bone in twists if bone in self.rest.rig.bone_names))
