"""The maximum-margin structured loss with MPJPE as margin (paper, equations 6 to 12), in torch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class MarginLoss:
    """`loss` scalar; `violated` (B, k) indices of the most violated candidates."""

    loss: Tensor
    violated: Tensor


def mpjpe(a: Tensor, b: Tensor) -> Tensor:
    """Mean per-joint position error between (B, J, 3) and (C, J, 3): (B, C), in the unit of the input."""
    joints = a.shape[1]
    total = torch.zeros(len(a), len(b), dtype=a.dtype, device=a.device)
    for joint in range(joints):  # joint by joint: a (B, C, J, 3) block would not fit the cache
        total += torch.cdist(a[:, joint], b[:, joint])
    return total / joints


@dataclass(frozen=True, slots=True)
class LocalCandidates:
    """Candidates of each sample alone: embedding (B, K, E), margin (B, K)."""

    embedding: Tensor
    margin: Tensor


def max_margin_loss(
    image_embedding: Tensor,
    true_embedding: Tensor,
    candidate_embedding: Tensor,
    margin: Tensor,
    *,
    local: LocalCandidates | None = None,
    violations: int = 1,
) -> MarginLoss:
    """Mean over the batch of max(0, max_y (<f_I, f_J(y)> + margin(y, y*)) - <f_I, f_J(y*)>).

    image_embedding, true_embedding (B, E); candidate_embedding (C, E); margin (B, C). With `violations` > 1 the
    hinge is averaged over that many most violated candidates (1 is the paper's loss): more gradient a step. Indices
    of `violated` from C on are local candidates.
    """
    true_score = (image_embedding * true_embedding).sum(-1, keepdim=True)
    augmented = image_embedding @ candidate_embedding.T + margin - true_score
    if local is not None:
        near = (local.embedding @ image_embedding[..., None])[..., 0] + local.margin - true_score
        augmented = torch.cat([augmented, near], dim=1)
    worst, index = augmented.topk(min(violations, augmented.shape[1]), dim=1)
    return MarginLoss(torch.relu(worst).mean(), index.detach())
