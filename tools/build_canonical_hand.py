"""Measure the canonical hand on the CC0 MakeHuman body and write it into `skeleton_maps/canonical_hand.json`.

Run from the repository's root with the extra `train` installed: `python -m tools.build_canonical_hand`.
The hand is the mean of the average adult man's and woman's, scaled to the canonical body's height. Lengths and the
places of the first joints are measured; the directions are those of a flat hand and do not come from the body.
"""

from __future__ import annotations

import json
import sys

import numpy as np
from numpy.typing import NDArray

from backend.synthesis.body_model import Phenotype, body_model, rest_body
from backend.synthesis.fingers import hand_points_m
from backend.synthesis.posing import pose_body as pose_model
from backend.synthesis.posing import poseable_body
from blender_addon.motion.body import SKELETON_MAPS_DIR, canonical_body
from blender_addon.motion.hands import FINGERS

HAND_FILE = SKELETON_MAPS_DIR / "canonical_hand.json"
# the thumb of a flat hand: beside the palm, in its plane; its hinges turn it halfway between along and into the palm
_THUMB_DIRECTION = np.array([1.0, -1.0, 0.0]) / np.sqrt(2.0)
_THUMB_FLEXION = np.array([0.5, 0.5, np.sqrt(0.5)])
_DECIMALS = 4


def main() -> int:
    """Measure and write."""
    parts = [measured_hand(gender) for gender in (0.0, 1.0)]
    roots, lengths = (np.mean([part[index] for part in parts], axis=0) for index in (0, 1))
    fingers = []
    for row, name in enumerate(FINGERS):
        direction, flexion = np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0])
        if name == "thumb":
            direction, flexion = _THUMB_DIRECTION, _THUMB_FLEXION
        fingers.append(
            {
                "name": name,
                "root_m": _rounded(roots[row]),
                "lengths_m": _rounded(lengths[row]),
                "rest_direction": _rounded(direction),
                "flexion_axis": _rounded(flexion),
                "spread_axis": _rounded(np.cross(flexion, direction)),
            }
        )
    record = {
        "version": 1,
        "name": "marionet-hand",
        "frame": "the left hand in the wrist's frame: +X along the middle metacarpal, -Y to the thumb, -Z out of the "
        "palm, metres at the canonical body's height; the right hand is its mirror image across X",
        "fingers": fingers,
    }
    HAND_FILE.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


def measured_hand(gender: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """First joints (5, 3) from the wrist in the T-pose and bone lengths (5, 3) in m of a gender's average adult."""
    model = body_model()
    body = poseable_body(model, rest_body(model, Phenotype(gender=gender), canonical_body().height_m))
    identity = np.zeros((len(body.joint_heads), 4))
    identity[:, 0] = 1.0
    posed = pose_model(body, identity, np.zeros(3))
    points = hand_points_m(model, body.rest, posed.bone_matrices, 0)
    fingers = points[1:].reshape(len(FINGERS), 4, 3)
    return fingers[:, 0] - points[0], np.linalg.norm(np.diff(fingers, axis=1), axis=2)


def _rounded(values: NDArray[np.floating]) -> list[float]:
    return [round(float(value), _DECIMALS) + 0.0 for value in values]


if __name__ == "__main__":
    sys.exit(main())
