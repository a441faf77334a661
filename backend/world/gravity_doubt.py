"""How far the direction down is to be doubted where hardly anything but the person tells it.

May import numpy, `motion` and its own room. On a lawn there are no edges. What is left is how the person holds
themselves, and the towers take somebody who kneels or sits up for somebody who stands before a tilted camera.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from backend.types import PoseTrack
from backend.world.gravity import GravityHints
from backend.world.unseen import Unseen
from backend.world.world_track import Gravity
from blender_addon.motion.body import canonical_body

# edges that count for less say hardly anything: rooms have 13 to 100, lawns 0 to 12.5
_FEW_EDGES: Final = 13.0
# somebody both of whose knees are bent by more in nearly all frames does not stand; who walks straightens them
_BENT_DEG: Final = 50.0
_NEARLY_STRAIGHTEST: Final = 10.0
_LEAST_DEG: Final = 13.0


def doubted(gravity: Gravity, hints: GravityHints, poses: PoseTrack, unseen: Unseen) -> Gravity:
    """The direction down, at least 13 degrees uncertain where few edges are seen and the person does not stand."""
    few = float(hints.vote.lines.weight.sum()) < _FEW_EDGES
    if not few or unseen.legs_share > 0.5 or not _knees_bent(poses):
        return gravity
    return replace(gravity, uncertainty_deg=max(gravity.uncertainty_deg, _LEAST_DEG))


def _knees_bent(poses: PoseTrack) -> bool:
    body = canonical_body()
    solved = np.isfinite(poses.rotations_wxyz).all(axis=(1, 2))
    knees = [body.joint_index(f"{side}_knee") for side in ("left", "right")]
    cosines = np.abs(poses.rotations_wxyz[solved][:, knees, 0].astype(np.float64))
    bent_deg = np.rad2deg(2.0 * np.arccos(np.clip(cosines, 0.0, 1.0)))
    return bool(len(bent_deg)) and bool((np.percentile(bent_deg, _NEARLY_STRAIGHTEST, axis=0) > _BENT_DEG).all())
