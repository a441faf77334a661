"""A person's limb proportions as bone scales of the canonical body. numpy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.embedding.features import PROPORTIONS
from blender_addon.motion.body import canonical_body

Array = NDArray[np.floating]

_LIMB_OF = {
    "spine": "torso",
    "chest": "torso",
    "upper_chest": "torso",
    "neck": "torso",
    "head": "torso",
    "clavicle": "shoulder_width",
    "shoulder": "shoulder_width",
    "hip": "hip_width",
    "knee": "thigh",
    "ankle": "shin",
    "toe": "shin",
    "elbow": "upper_arm",
    "wrist": "forearm",
    "hand": "forearm",
}
_WIDEST = 0.35


def proportion_groups() -> NDArray[np.intp]:
    """For each joint (J,) the index in PROPORTIONS of the limb that its bone belongs to, -1 for none."""
    names = [name.removeprefix("left_").removeprefix("right_") for name in canonical_body().joint_names]
    return np.array([PROPORTIONS.index(_LIMB_OF[name]) if name in _LIMB_OF else -1 for name in names])


def bone_scales_from_proportions(proportions: Array) -> Array:
    """Bone scales (J,) from log limb lengths (7,) in the order of PROPORTIONS; extreme values are limited to +-35 %."""
    limit = np.clip(np.nan_to_num(proportions), -_WIDEST, _WIDEST)
    factors = dict(zip(PROPORTIONS, np.exp(limit), strict=True))
    names = [name.removeprefix("left_").removeprefix("right_") for name in canonical_body().joint_names]
    return np.array([factors[_LIMB_OF[name]] if name in _LIMB_OF else 1.0 for name in names])
