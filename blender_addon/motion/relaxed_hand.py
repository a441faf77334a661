"""A hand at rest: fingers a little bent, more towards the little finger, as a hand hangs when nobody thinks of it.

May import numpy and its own room only. The angles are those of a relaxed hand beside the body, rounded to five degrees:
every finger bends more than the one before it, the knuckles less than the middle joints.
"""

from __future__ import annotations

import numpy as np

from .hands import FINGERS, PHALANGES, canonical_hand
from .rotations import Array, quaternion_multiply, rotvec_to_quaternion

# degrees about the flexion axis of proximal, intermediate and distal joint, and of the proximal about the spread axis
_FLEXION_DEG = {
    "thumb": (10.0, 15.0, 15.0),
    "index": (20.0, 30.0, 15.0),
    "middle": (25.0, 35.0, 20.0),
    "ring": (30.0, 40.0, 20.0),
    "little": (35.0, 40.0, 25.0),
}
_SPREAD_DEG = {"thumb": -10.0, "index": 3.0, "middle": 0.0, "ring": -2.0, "little": -5.0}


def relaxed_hand(side: int) -> Array:
    """Local rotations (15, 4) of a relaxed hand, joints as in `HAND_JOINTS`; `side` 0 left, 1 right."""
    hand = canonical_hand(side)
    turns = []
    for row, finger in enumerate(FINGERS):
        for joint in range(len(PHALANGES)):
            bend = rotvec_to_quaternion(np.radians(_FLEXION_DEG[finger][joint]) * hand.flexion_axes[row])
            if joint == 0:
                spread = rotvec_to_quaternion(np.radians(_SPREAD_DEG[finger]) * hand.spread_axes[row])
                bend = quaternion_multiply(spread, bend)
            turns.append(bend)
    return np.array(turns)


def relaxed_hands(frames: int) -> Array:
    """Local rotations (T, 2, 15, 4) of two relaxed hands that do not move."""
    return np.broadcast_to(np.stack([relaxed_hand(0), relaxed_hand(1)]), (frames, 2, 15, 4))
