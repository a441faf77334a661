"""Turns rotations of the canonical hand into bone matrices of the MakeHuman body's fingers, and reads points off them.

May import numpy, `body_model` and `blender_addon.motion`. A finger bone's world rotation is the wrist's times the
canonical joint's times `alignment`, which lays the bone of the T-pose onto the canonical flat hand.
"""

from __future__ import annotations

import numpy as np

from backend.synthesis.body_model import BODY_VERTICES, BodyModel, RestBody
from backend.types import Array
from blender_addon.motion.hands import FINGERS, PHALANGES, canonical_hand, hand_world_rotations
from blender_addon.motion.rotations import quaternion_from_to, quaternion_to_matrix

_SIDES = "LR"
_TIP_VERTICES = 6


def finger_bones(model: BodyModel, side: int) -> list[list[int]]:
    """Bones [finger][phalanx] of one hand."""
    return [
        [model.bone(f"finger{finger + 1}-{phalanx + 1}.{_SIDES[side]}") for phalanx in range(len(PHALANGES))]
        for finger in range(len(FINGERS))
    ]


def fingertips_m(model: BodyModel, rest: RestBody, side: int) -> Array:
    """The middle of the skin at the end of each finger (5, 3) in the rest pose."""
    tips = []
    for bones in finger_bones(model, side):
        owned = (model.weight_bones[:BODY_VERTICES] == bones[-1]) & (model.weights[:BODY_VERTICES] > 0.5)
        skin = rest.vertices_m[np.flatnonzero(owned.any(axis=1))].astype(np.float64)
        distance = np.linalg.norm(skin - rest.bone_heads_m[bones[-2]], axis=1)
        tips.append(skin[np.argsort(-distance)[:_TIP_VERTICES]].mean(axis=0))
    return np.array(tips)


def finger_rotations(
    model: BodyModel, rest: RestBody, alignment: Array, wrists: Array, fingers_wxyz: Array
) -> dict[int, Array]:
    """World rotation (3, 3) of every finger bone.

    `alignment` (B, 3, 3) of all bones to the T-pose, `wrists` (2, 3, 3) world rotations of the wrists, `fingers_wxyz`
    (2, 15, 4) local rotations on the canonical hand.
    """
    found: dict[int, Array] = {}
    for side in range(2):
        turns = quaternion_to_matrix(hand_world_rotations(np.asarray(fingers_wxyz, dtype=np.float64)[side]))
        tips = fingertips_m(model, rest, side)
        for finger, bones in enumerate(finger_bones(model, side)):
            ends = np.vstack([rest.bone_heads_m[bones[1:]], tips[finger][None]])
            for phalanx, bone in enumerate(bones):
                along = alignment[bone] @ (ends[phalanx] - rest.bone_heads_m[bone])
                flat = quaternion_to_matrix(quaternion_from_to(along, canonical_hand(side).directions[finger]))
                found[bone] = wrists[side] @ turns[finger, phalanx] @ flat @ alignment[bone]
    return found


def hand_points_m(model: BodyModel, rest: RestBody, bone_matrices: Array, side: int) -> Array:
    """The wrist and the three joints and the tip of each finger (21, 3) of a posed body, as MediaPipe orders them."""
    tips = fingertips_m(model, rest, side)
    wrist = model.bone(f"wrist.{_SIDES[side]}")
    points = [bone_matrices[wrist] @ np.append(rest.bone_heads_m[wrist], 1.0)]
    for finger, bones in enumerate(finger_bones(model, side)):
        points += [bone_matrices[bone] @ np.append(rest.bone_heads_m[bone], 1.0) for bone in bones]
        points.append(bone_matrices[bones[-1]] @ np.append(tips[finger], 1.0))
    return np.array(points)
