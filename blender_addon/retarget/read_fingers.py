"""The hands of a source's finger bones: `drive_fingers` the other way round. numpy, `motion` and its own room only.

A finger of three bones gives its three joints one by one, each measured from the straight finger laid into the rest
pose from the palm outwards. A finger of fewer bones gives each joint the rotation at its place along the finger.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..motion.body import canonical_body
from ..motion.hands import FINGERS, HAND_SIDES, PHALANGES, HandMotion, canonical_hand, relaxed_hands
from ..motion.rotations import (
    quaternion_conjugate,
    quaternion_continuous,
    quaternion_from_to,
    quaternion_multiply,
    quaternion_rotate,
    quaternion_slerp,
)
from .drive_fingers import finger_points
from .posed_source import PosedSource
from .rest_world import RestWorld
from .skeleton_map import SkeletonMap

Array = NDArray[np.floating]

# fingers that turn less than this against the hand, in degrees, were not animated
_MOVED_DEG = 0.5


def source_hands(
    source: PosedSource, skeleton_map: SkeletonMap, rest: RestWorld, aligned_wxyz: Array, world_wxyz: Array
) -> HandMotion | None:
    """Both hands over time, None where no finger moves; a hand without finger bones is relaxed, with confidence 0.

    `aligned_wxyz` (J, 4) is the canonical body in the rest pose, `world_wxyz` (T, J, 4) the source's motion on it.
    """
    turns = relaxed_hands(source.frames).copy()
    confidence = np.zeros((source.frames, len(HAND_SIDES)))
    for side, side_name in enumerate(HAND_SIDES):
        wrist = canonical_body().joint_index(f"{side_name}_wrist")
        for row, finger in enumerate(FINGERS):
            bones = [source.rig.index(bone) for bone in skeleton_map.fingers.get(f"{side_name}_{finger}", ())]
            if not bones or not _moves(source, bones):
                continue
            world = _joints(source, rest, bones, (canonical_hand(side).directions[row], aligned_wxyz[wrist]))
            above = np.concatenate([world_wxyz[:, wrist, None], world[:, :-1]], axis=1)
            joints = slice(row * len(PHALANGES), (row + 1) * len(PHALANGES))
            turns[:, side, joints] = quaternion_multiply(quaternion_conjugate(above), world)
            confidence[:, side] = 1.0
    return HandMotion(quaternion_continuous(turns), confidence) if confidence.any() else None


def _moves(source: PosedSource, bones: list[int]) -> bool:
    """Whether a finger is ever elsewhere than in the rest pose, seen from its hand."""
    hand = int(source.rig.parents[bones[0]])
    seen = source.deltas_wxyz[:, bones]
    if hand >= 0:
        seen = quaternion_multiply(quaternion_conjugate(source.deltas_wxyz[:, hand, None]), seen)
    return bool(np.abs(seen[..., 0]).min() < np.cos(np.radians(_MOVED_DEG) / 2))


def _joints(source: PosedSource, rest: RestWorld, bones: list[int], straight: tuple[Array, Array]) -> Array:
    """World rotations (T, 3, 4) of a finger's joints. `straight` is its direction (3,) in the canonical hand, and the
    palm (4,) in the rest pose.
    """
    direction, aligned = straight
    spans = np.diff(finger_points(rest, bones), axis=0)
    turned = []
    for span, bone in zip(spans, bones, strict=True):
        aligned = quaternion_multiply(quaternion_from_to(quaternion_rotate(aligned, direction), span), aligned)
        turned.append(quaternion_multiply(source.deltas_wxyz[:, bone], aligned))
    if len(bones) == len(PHALANGES):
        return np.stack(turned, axis=1)
    middles = (np.arange(len(bones)) + 0.5) / len(bones)
    joints = []
    for place in (np.arange(len(PHALANGES)) + 0.5) / len(PHALANGES):
        along = float(np.interp(place, middles, np.arange(len(bones))))
        before = int(along)
        after = min(before + 1, len(bones) - 1)
        joints.append(quaternion_slerp(turned[before], turned[after], along - before))
    return np.stack(joints, axis=1)
