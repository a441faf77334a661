"""World deltas of finger bones from the clip's hands. numpy, `motion` and its own room only.

Every bone of a finger points where the clip's finger points, whatever the bone's roll and rest direction. A finger of
three bones takes the three phalanges one by one. A finger of fewer or more follows the same bent curve in pieces: each
bone takes the chord of its share of the finger's length.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..motion.hands import FINGERS, HAND_SIDES, canonical_hand, hand_world_rotations
from ..motion.rotations import (
    quaternion_conjugate,
    quaternion_from_to,
    quaternion_multiply,
    quaternion_rotate,
)
from .bone_names import read_name
from .limb_candidates import ancestors
from .rest_world import RestWorld
from .share_rotation import share
from .skeleton_map import SkeletonMap
from .source_motion import SourceMotion
from .target_rig import TargetRig

Array = NDArray[np.floating]

_END_WORDS = frozenset({"end", "tip", "nub", "leaf", "eff", "effector"})
# bones whose tails lie further off the line to the next bone than this say nothing about the finger's end
_TAIL_COSINE = np.cos(np.radians(30.0))
# a bone that spans this part of a finger is its only one; it takes so much of what bends behind the knuckle
_WHOLE, _SINGLE_BEND = 0.99, 1 / 3
# the last phalanx in lengths of the one before it, where nothing shows it
_LAST_LENGTH = 0.8


@dataclass(frozen=True, slots=True)
class _Curve:
    """One finger of the clip: `turns_wxyz` (T, 3, 4) world rotations of its joints, its rest `direction` (3,), and
    `places` (T, 4, 3): joints and tip in parts of the finger's length from its root; `reached` (4,) how far along.
    """

    turns_wxyz: Array
    direction: Array
    places: Array
    reached: Array

    def at(self, part: float) -> Array:
        """The point (T, 3) at a part 0..1 of the finger's length."""
        joint = int(np.clip(np.searchsorted(self.reached, part, side="right") - 1, 0, 2))
        weight = (part - self.reached[joint]) / (self.reached[joint + 1] - self.reached[joint])
        return np.asarray(self.places[:, joint] + weight * (self.places[:, joint + 1] - self.places[:, joint]))

    def bone(self, begin: float, end: float) -> Array:
        """The world rotation (T, 4) of a bone that spans a part of the finger."""
        joint = int(np.clip(np.searchsorted(self.reached, (begin + end) / 2, side="right") - 1, 0, 2))
        turn = self.turns_wxyz[:, joint]
        if end - begin > _WHOLE:  # one bone for all: the chord of a fist points back through the palm
            turn, part = self.turns_wxyz[:, 0], _SINGLE_BEND
        else:
            part = 1.0
        swing = quaternion_from_to(quaternion_rotate(turn, self.direction), self.at(end) - self.at(begin))
        return quaternion_multiply(share(swing, part), turn) if part < 1.0 else quaternion_multiply(swing, turn)


def drive_fingers(
    rest: RestWorld, skeleton_map: SkeletonMap, source: SourceMotion, aligned_wxyz: Array
) -> dict[int, Array]:
    """World deltas (T, 4) by bone index of every mapped finger; none where the source has no hands."""
    deltas: dict[int, Array] = {}
    if source.hands_wxyz is None:
        return deltas
    for side, side_name in enumerate(HAND_SIDES):
        wrist = source.body.joint_index(f"{side_name}_wrist")
        turns = hand_world_rotations(source.hands_wxyz[:, side])
        turns = quaternion_multiply(source.world_wxyz[:, wrist, None, None], turns)
        for row, finger in enumerate(FINGERS):
            names = skeleton_map.fingers.get(f"{side_name}_{finger}", ())
            bones = [rest.rig.index(bone) for bone in names if bone in rest.rig.bone_names]
            if bones:
                curve = _curve(turns[:, row], side, row)
                deltas |= _finger_deltas(rest, bones, curve, aligned_wxyz[wrist])
    return deltas


def _curve(turns_wxyz: Array, side: int, row: int) -> _Curve:
    hand = canonical_hand(side)
    lengths = hand.lengths_m[row] / hand.lengths_m[row].sum()
    moved = quaternion_rotate(turns_wxyz, hand.directions[row] * lengths[:, None])
    places = np.concatenate([np.zeros_like(moved[:, :1]), np.cumsum(moved, axis=1)], axis=1)
    return _Curve(turns_wxyz, hand.directions[row], places, np.concatenate([[0.0], np.cumsum(lengths)]))


def _finger_deltas(rest: RestWorld, bones: list[int], curve: _Curve, palm_wxyz: Array) -> dict[int, Array]:
    """The finger laid, straight, into the rig's rest pose from the palm outwards, and from there to the clip's."""
    points = finger_points(rest, bones)
    spans = np.diff(points, axis=0)
    lengths = np.maximum(np.linalg.norm(spans, axis=1), 1e-9)
    ends = np.concatenate([[0.0], np.cumsum(lengths) / lengths.sum()])
    if len(bones) == len(curve.reached) - 1:
        ends = curve.reached
    aligned, deltas = palm_wxyz, {}
    for place, bone in enumerate(bones):
        swing = quaternion_from_to(quaternion_rotate(aligned, curve.direction), spans[place])
        aligned = quaternion_multiply(swing, aligned)
        deltas[bone] = quaternion_multiply(curve.bone(ends[place], ends[place + 1]), quaternion_conjugate(aligned))
    return deltas


def finger_points(rest: RestWorld, bones: list[int]) -> Array:
    """The heads of a finger's bones and its tip (B + 1, 3) in m, at rest in the world.

    The tip is an end bone's head, else the last bone's tail where the finger's bones point along it (in many files they
    do not), else a guess in line with the bone before.
    """
    heads = rest.heads_m[bones]
    last, hand = bones[-1], rest.heads_m[max(int(rest.rig.parents[bones[0]]), 0)]
    line = heads[-1] - (heads[-2] if len(bones) > 1 else hand)
    guess = heads[-1] + line * (_LAST_LENGTH if len(bones) > 1 else 0.5)
    size = float(np.linalg.norm(line))
    below = [
        child for child in rest.rig.children()[last] if _END_WORDS & set(read_name(rest.rig.bone_names[child]).words)
    ]
    below = below or list(rest.rig.children()[last])
    away = [rest.heads_m[child] for child in below if np.linalg.norm(rest.heads_m[child] - heads[-1]) > 0.1 * size]
    tip = guess
    if away:
        tip = away[0]
    elif _points_along(rest, bones, line):
        tip = rest.tails_m[last]
    return np.concatenate([heads, tip[None]])


def _points_along(rest: RestWorld, bones: list[int], line: Array) -> bool:
    """Whether the bones before the last one point at the next bone, and the last one not backwards."""
    tails = rest.tails_m[bones] - rest.heads_m[bones]
    spans = [*(rest.heads_m[bones[1:]] - rest.heads_m[bones[:-1]]), line]
    bounds = [_TAIL_COSINE] * (len(bones) - 1) + [0.0]
    for tail, span, bound in zip(tails, spans, bounds, strict=True):
        if tail @ span < bound * max(float(np.linalg.norm(tail) * np.linalg.norm(span)), 1e-12):
            return False
    return True


def with_carried_fingers(skeleton_map: SkeletonMap, rig: TargetRig) -> SkeletonMap:
    """The map that knows which fingers do not hang from the hand in the armature: those of control rigs, which move
    with the hand through constraints.
    """
    follows = dict(skeleton_map.follows)
    for finger, bones in skeleton_map.fingers.items():
        hand = skeleton_map.joints.get(f"{finger.partition('_')[0]}_wrist", ())
        known = bones and hand and bones[0] in rig.bone_names and hand[-1] in rig.bone_names
        if known and rig.index(hand[-1]) not in ancestors(rig, rig.index(bones[0])):
            follows.setdefault(bones[0], hand[-1])
    return replace(skeleton_map, follows=follows)
