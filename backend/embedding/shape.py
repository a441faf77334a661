"""A person's limb proportions as bone scales of the canonical body. numpy only."""

from __future__ import annotations

import numpy as np

from backend.embedding.features import PROPORTIONS
from backend.types import Array
from blender_addon.motion.body import bare_name, canonical_body

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


def bone_scales_from_proportions(proportions: Array) -> Array:
    """Bone scales (J,) from log limb lengths (7,) in the order of PROPORTIONS; extreme values are limited to +-35 %."""
    limit = np.clip(np.nan_to_num(proportions), -_WIDEST, _WIDEST)
    factors = dict(zip(PROPORTIONS, np.exp(limit), strict=True))
    names = [bare_name(name) for name in canonical_body().joint_names]
    return np.array([factors[_LIMB_OF[name]] if name in _LIMB_OF else 1.0 for name in names])


# Human3.6M joints: (joint, where its bone begins, the limb of PROPORTIONS that joins them). Shoulder blades hang on the
# upper chest, which lies half way between the joints `spine` and `thorax`.
_BONES = (
    (1, (0,), "hip_width"), (2, (1,), "thigh"), (3, (2,), "shin"), (4, (0,), "hip_width"), (5, (4,), "thigh"),
    (6, (5,), "shin"), (7, (0,), "torso"), (8, (7,), "torso"), (9, (8,), "torso"), (10, (8,), "torso"),
    (11, (7, 8), "shoulder_width"), (12, (11,), "upper_arm"), (13, (12,), "forearm"),
    (14, (7, 8), "shoulder_width"), (15, (14,), "upper_arm"), (16, (15,), "forearm"),
)  # fmt: skip


def reshaped_joints(joints_m: Array, proportions: Array) -> Array:
    """Human3.6M joints (..., 17, 3) of the canonical body, relative to the pelvis, with a person's log limb lengths
    (7,): every bone keeps its direction and takes the person's length (shoulders to 3 mm on ordinary bodies).
    """
    factors = dict(zip(PROPORTIONS, np.exp(np.clip(np.nan_to_num(proportions), -_WIDEST, _WIDEST)), strict=True))
    out = np.zeros_like(joints_m)
    for joint, begins, limb in _BONES:
        bone = joints_m[..., joint, :] - joints_m[..., list(begins), :].mean(axis=-2)
        out[..., joint, :] = out[..., list(begins), :].mean(axis=-2) + factors[limb] * bone
    return out
