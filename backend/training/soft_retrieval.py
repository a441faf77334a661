"""Averages of retrieved poses, weighted by their scores, as a training task of its own. torch.

The margin asks that the truth wins; retrieval averages the best A poses (paper: Avg(A)), so the score has to be right
about the many good ones too. Here the mean of the best candidates, weighted by the softmax of their scores, is held to
the truth, for whole poses and for one part at a time, and the gradient runs through the weights into both towers.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from backend.embedding.keypoints import LIMBS, PARTS, TRUNK, Part


class Candidates(NamedTuple):
    """Candidates that are searched in training: joints (M, 17, 3) m and their embeddings (M, E) of some steps ago."""

    joints_m: Tensor
    embedding: Tensor


class SoftSettings(NamedTuple):
    """`hits` best candidates are weighted by softmax(score / temperature)."""

    hits: int
    temperature: float


def soft_retrieval_loss(
    embedding: Tensor, truth_m: Tensor, base_m: Tensor, donors: Candidates, tower: nn.Module, settings: SoftSettings
) -> Tensor:
    """Mean joint error in m of the weighted mean of whole hits, plus that of one random part donated to `base_m`.

    embedding (B, E) of the images; truth_m and base_m (B, 17, 3) on the canonical body, the latter without gradient.
    """
    with torch.no_grad():
        found = (embedding @ donors.embedding.T).topk(min(settings.hits, len(donors.joints_m)), dim=1).indices
        hits = donors.joints_m[found]
        part = PARTS[int(torch.randint(len(PARTS), ()))]
        donated = with_part(base_m, hits, part)
    root, joints = part.hangs_on, list(part.joints)
    whole = _weighted(embedding, hits, tower, settings.temperature)
    own = _weighted(embedding, donated, tower, settings.temperature)[:, joints] - base_m[:, root, None]
    true = truth_m[:, joints] - truth_m[:, root, None]
    return (whole - truth_m).norm(dim=-1).mean() + (own - true).norm(dim=-1).mean()


def with_part(base_m: Tensor, donor_m: Tensor, part: Part) -> Tensor:
    """Poses (B, K, 17, 3): the base (B, 17, 3) with one part of each donor (B, K, 17, 3); limbs go with the trunk."""
    poses = base_m[:, None].repeat(1, donor_m.shape[1], 1, 1)
    joints, root = list(part.joints), part.hangs_on
    poses[:, :, joints] = base_m[:, None, root, None] + donor_m[:, :, joints] - donor_m[:, :, root, None]
    if part is TRUNK:
        for limb in LIMBS:
            own = base_m[:, list(limb.joints)] - base_m[:, limb.hangs_on, None]
            poses[:, :, list(limb.joints)] = poses[:, :, limb.hangs_on, None] + own[:, None]
    return poses


def _weighted(embedding: Tensor, poses_m: Tensor, tower: nn.Module, temperature: float) -> Tensor:
    scores = (tower(poses_m) @ embedding[..., None])[..., 0]
    return torch.einsum("bk,bkjd->bjd", torch.softmax(scores / temperature, dim=1), poses_m)
