"""Candidates near each sample's own truth: turned, bent, flipped in depth, with a limb of another pose or turned by
itself, and the regression's answer. torch.

Random poses of a bank lie some 200 mm away, so they teach the score nothing about the last 100 mm; the authors'
later code likewise draws candidates around the regression output. Limbs that are another pose's or turned teach what
retrieval by parts asks: how good one limb is while the rest stays (`embedding.parts`).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from backend.embedding.keypoints import LIMBS
from backend.keypoint_layouts import HUMAN36M

LOCAL_CANDIDATES = 13


def local_candidates(joints_m: Tensor, others_m: Tensor, regressed_m: Tensor) -> Tensor:
    """(B, LOCAL_CANDIDATES, 17, 3) candidates around the truth (B, 17, 3), from random other poses (C, 17, 3) and the
    auxiliary head's answer (B, 17, 3).
    """
    batch = len(joints_m)
    turned = [_turned(joints_m, low, high) for low, high in ((0.04, 0.2), (0.1, 0.4), (0.2, 0.9))]
    bent = []
    for reach in (0.15, 0.4):
        other = others_m[torch.randint(len(others_m), (batch,), device=joints_m.device)]
        share = reach * torch.rand(batch, HUMAN36M.count, 1, device=joints_m.device)
        bent.append(joints_m + share * (other - joints_m))
    regressed = regressed_m.detach()
    limbs = [
        _limb_turned(joints_m, 0.1, 0.5),
        _limb_turned(joints_m, 0.3, 1.2),
        _limb_turned(regressed, 0.1, 0.8),
        _limb_exchanged(joints_m, others_m),
        _limb_exchanged(joints_m, regressed),
    ]
    flipped = [_flipped(joints_m), _flipped(_turned(joints_m, 0.02, 0.3))]
    return torch.stack([*turned, *bent, *flipped, *limbs, regressed], dim=1)


def _limb_turned(joints_m: Tensor, low: float, high: float) -> Tensor:
    """One random limb turned about its first joint."""
    return _with_limb(joints_m, _turned, low, high)


def _limb_exchanged(joints_m: Tensor, others_m: Tensor) -> Tensor:
    """One random limb as another pose has it; `others_m` (B, 17, 3) row by row, or (C, 17, 3) drawn from."""
    if len(others_m) != len(joints_m):
        others_m = others_m[torch.randint(len(others_m), (len(joints_m),), device=joints_m.device)]
    return _with_limb(joints_m, lambda _, other: other, others_m)


def _with_limb(joints_m: Tensor, change: Callable[..., Tensor], *values: float | Tensor) -> Tensor:
    """The poses with one random limb changed: `change(limb (n, 2, 3) from its first joint, *values)`."""
    out = joints_m.clone()
    choice = torch.randint(len(LIMBS), (len(joints_m),), device=joints_m.device)
    for number, part in enumerate(LIMBS):
        rows, limb, root = (choice == number).nonzero()[:, 0], list(part.joints), part.hangs_on
        if not len(rows):
            continue
        own = [v[rows][:, limb] - v[rows][:, root, None] if isinstance(v, Tensor) else v for v in values]
        out[rows[:, None], limb] = joints_m[rows, root, None] + change(
            joints_m[rows][:, limb] - joints_m[rows, root, None], *own
        )
    return out


def _turned(joints_m: Tensor, low: float, high: float) -> Tensor:
    """Turned about the pelvis by `low` to `high` rad around a random axis (Rodrigues)."""
    axis = torch.nn.functional.normalize(torch.randn(len(joints_m), 1, 3, device=joints_m.device), dim=-1)
    angle = low + (high - low) * torch.rand(len(joints_m), 1, 1, device=joints_m.device)
    axis = axis.expand_as(joints_m)
    across = torch.cross(axis, joints_m, dim=-1)
    along = axis * (axis * joints_m).sum(-1, keepdim=True)
    return joints_m * angle.cos() + across * angle.sin() + along * (1 - angle.cos())


def _flipped(joints_m: Tensor) -> Tensor:
    """One random limb mirrored in depth about its first joint: the ambiguity of a single view."""
    out = joints_m.clone()
    choice = torch.randint(len(LIMBS), (len(joints_m),), device=joints_m.device)
    for number, part in enumerate(LIMBS):
        rows = (choice == number).nonzero()[:, 0]
        for joint in part.joints:
            out[rows, joint, 2] = 2 * joints_m[rows, part.hangs_on, 2] - joints_m[rows, joint, 2]
    return out
