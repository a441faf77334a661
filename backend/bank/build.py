"""Build a pose bank from mocap: poses chosen for coverage, seen from many virtual cameras, embedded. numpy only."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.bank.bank_file import PoseBank
from backend.bank.candidates import Candidates, ViewRange, make_candidates, unturned_joints_m
from backend.datasets.motion import Motion
from backend.embedding.towers_onnx import Towers
from backend.errors import BadInputError
from backend.keypoint_layouts import HUMAN36M
from backend.types import Array
from blender_addon.motion.body import canonical_body
from blender_addon.motion.mirroring import mirror_pose

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BankSettings:
    """`size` candidates over `views` virtual cameras a pose; poses nearer than `duplicate_m` (MPJPE) count as one.

    `mixed` is the share of poses that take their upper body from another pose: mocap lacks most combinations.
    """

    size: int = 320_000
    views: int = 7
    duplicate_m: float = 0.012
    mixed: float = 0.3
    seed: int = 0


def build_bank(
    takes: Sequence[Motion],
    towers: Towers,
    settings: BankSettings,
    provenance: dict[str, str],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> PoseBank:
    """Choose poses, draw views, embed. Raises BadInputError for NaN in the mocap or nothing to build from."""
    rng = np.random.default_rng(settings.seed)
    poses = pose_table(takes, max(1, settings.size // settings.views), settings, rng)
    views = -(-settings.size // len(poses))
    candidates = _first(make_candidates(poses, views, ViewRange(), rng), settings.size, rng)
    embeddings = np.empty((len(candidates), towers.weights.embedding_size), np.float32)
    for start in range(0, len(candidates), 65536):
        block = slice(start, start + 65536)
        embeddings[block] = towers.embed_poses(candidates.joints_m(block))
        progress(min(start + 65536, len(candidates)), len(candidates))
    return PoseBank(candidates, embeddings, towers.weights.pose_hash, {**provenance, "settings": repr(settings)})


def pose_table(takes: Sequence[Motion], count: int, settings: BankSettings, rng: np.random.Generator) -> Array:
    """World-rooted poses (P, J, 4), P <= count: mirrored, mixed, without near duplicates, spread for coverage."""
    if not takes:
        raise BadInputError("no mocap takes to build a bank from", "Give a folder with .bvh or .amc + .asf files")
    rotations = np.concatenate([take.rotations_wxyz for take in takes]).astype(np.float32)
    if not np.isfinite(rotations).all():
        raise BadInputError(
            "the mocap holds NaN rotations", "Read it with backend.datasets.read_library, which refuses such takes"
        )
    pool = rotations[rng.permutation(len(rotations))[: 6 * count]]
    if settings.mixed > 0:
        pool = np.concatenate([pool, _mixed(pool, int(len(pool) * settings.mixed), rng)])
    pool = np.concatenate([pool, mirror_pose(pool)])
    keep = _spread(_shapes(pool), count, settings.duplicate_m, rng)
    log.info("bank: %d of %d poses kept", len(keep), len(pool))
    return pool[keep]


def _mixed(rotations: Array, count: int, rng: np.random.Generator) -> Array:
    names = canonical_body().joint_names
    legs = [
        i for i, name in enumerate(names) if name == "pelvis" or name.split("_")[-1] in ("hip", "knee", "ankle", "toe")
    ]
    out = rotations[rng.integers(0, len(rotations), count)].copy()
    out[:, legs] = rotations[rng.integers(0, len(rotations), count)][:, legs]
    return out


def _shapes(rotations: Array) -> Array:
    """Unturned, pelvis-relative Human3.6M joints (N, 51) in m: what makes two poses differ, the heading aside."""
    local = rotations.copy()
    local[:, 0] = (1, 0, 0, 0)
    return unturned_joints_m(local).reshape(-1, HUMAN36M.count * 3)


def _spread(shapes: Array, count: int, duplicate_m: float, rng: np.random.Generator) -> NDArray[np.intp]:
    """Indices chosen for coverage: one a cell of a random-projection grid, fine enough to leave about `count`."""
    projection = np.linalg.qr(rng.normal(size=(HUMAN36M.count * 3, 12)))[0].astype(np.float32)
    low = shapes @ projection
    cell, chosen = duplicate_m * 4, np.arange(len(shapes))
    for _ in range(30):
        _, chosen = np.unique(np.floor(low / cell).astype(np.int32), axis=0, return_index=True)
        if len(chosen) <= count:
            break
        cell *= 1.08
    if len(chosen) < count:  # the last step overshot: fill up from what is left
        rest = np.setdiff1d(np.arange(len(shapes)), chosen)
        chosen = np.concatenate([chosen, rng.permutation(rest)[: count - len(chosen)]])
    return np.sort(chosen[:count])


def _first(candidates: Candidates, size: int, rng: np.random.Generator) -> Candidates:
    keep = np.sort(rng.permutation(len(candidates))[:size])
    return Candidates(
        candidates.rotations_wxyz, candidates.pose_joints_m, candidates.pose[keep], candidates.view_wxyz[keep]
    )
