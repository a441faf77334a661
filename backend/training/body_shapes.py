"""Random bodies: limb lengths that differ as people do, and what they are called as proportions. numpy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.types import Array
from blender_addon.motion.body import CanonicalBody, bare_name


@dataclass(frozen=True, slots=True)
class ShapeSpread:
    """Random bodies: standard deviations of log lengths, and the mean trunk and leg against the canonical body.

    Wider than people differ, because no two detectors put a hip or a shoulder at quite the same height. The means make
    up for where networks see hips and shoulders: of people who stand straight the trunk is 0.54 of the leg between
    joint centres, 0.60 to 0.65 as seen on renders, 0.64 to 0.67 as seen on people (`tools/measure_proportions.py`).
    """

    trunk: float = 0.09
    arm: float = 0.07
    leg: float = 0.06
    width: float = 0.09
    bone: float = 0.04
    trunk_mean: float = 0.10
    leg_mean: float = -0.04


def random_offsets(
    body: CanonicalBody, count: int, spread: ShapeSpread, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Joint offsets (B, J, 3) of random body shapes, symmetric, and each body's size (B,) relative to the canonical."""
    bare = [bare_name(name) for name in body.joint_names]
    arm = np.exp(rng.normal(0, spread.arm, count))
    leg = np.exp(rng.normal(spread.leg_mean, spread.leg, count))
    trunk = np.exp(rng.normal(spread.trunk_mean, spread.trunk, count))
    parts = {"elbow": arm, "wrist": arm, "hand": arm, "knee": leg, "ankle": leg, "toe": leg}
    scale = np.ones((count, len(bare), 3))
    for group in sorted(set(bare)):
        own = parts.get(group, trunk) * np.exp(rng.normal(0, spread.bone, count))
        scale[:, [i for i, name in enumerate(bare) if name == group]] = own[:, None, None]
    for group in ("clavicle", "shoulder", "hip"):  # across the body: a width of their own
        wide = np.exp(rng.normal(0, spread.width, count))
        scale[:, [i for i, name in enumerate(bare) if name == group], 0] = wide[:, None]
    offsets = body.offsets_m * scale
    length = np.linalg.norm(offsets[:, 1:], axis=-1).sum(axis=1)
    return offsets.astype(np.float32), (length / np.linalg.norm(body.offsets_m[1:], axis=-1).sum()).astype(np.float32)


def body_proportions(body: CanonicalBody, offsets: Array) -> Array:
    """Log limb lengths (B, 7) of bodies with offsets (B, J, 3) over the canonical body's, at equal size."""
    own = _limb_lengths(body, np.asarray(offsets, np.float64))
    canonical = _limb_lengths(body, body.offsets_m[None])
    size = np.linalg.norm(offsets[:, 1:], axis=-1).sum(axis=1) / np.linalg.norm(body.offsets_m[1:], axis=-1).sum()
    return np.log(own / canonical / size[:, None])


def _limb_lengths(body: CanonicalBody, offsets: Array) -> Array:
    at = body.joint_index
    chain = [at(name) for name in ("spine", "chest", "upper_chest", "neck")]
    torso = np.linalg.norm(offsets[:, chain].sum(axis=1), axis=-1)
    shoulder = 2 * np.abs(offsets[:, at("left_clavicle"), 0] + offsets[:, at("left_shoulder"), 0])
    hip = 2 * np.abs(offsets[:, at("left_hip"), 0])
    limbs = [np.linalg.norm(offsets[:, at(f"left_{part}")], axis=-1) for part in ("knee", "ankle", "elbow", "wrist")]
    return np.stack([torso, shoulder, hip, *limbs], axis=-1)
