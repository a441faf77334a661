"""Train `structnet` as the paper does: max-margin plus auxiliary loss, SGD without momentum, step by line search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from backend.embedding.structnet import POSE_UNIT_M, StructNetImage, StructNetPose
from backend.training.loss import max_margin_loss, mpjpe
from backend.training.working_set import WorkingSet


@dataclass(frozen=True, slots=True)
class StructNetSettings:
    """The paper's section 5: candidates a mini-batch, most violated poses kept, lambda, alpha, powers of ten tried."""

    batch: int = 128
    candidates: int = 2000
    hard: int = 10
    auxiliary: float = 1.0
    decay: float = 1e-4
    lowest_power: int = -7
    highest_power: int = 2
    seed: int = 0


@dataclass(frozen=True, slots=True)
class TrainingImages:
    """images (N, 3, 112, 112) with the mean image subtracted, and their joints (N, 17, 3) in m."""

    images: Tensor
    joints_m: Tensor


def train_structnet(
    image: StructNetImage,
    pose: StructNetPose,
    data: TrainingImages,
    steps: int,
    settings: StructNetSettings,
    report: Callable[[int, float], None] = lambda step, loss: None,
) -> None:
    """Train on `steps` mini-batches; the pose space is the training poses."""
    rng = np.random.default_rng(settings.seed)
    joints = data.joints_m
    working = WorkingSet(len(joints), hard=settings.hard)
    for step in range(steps):
        rows = torch.from_numpy(rng.permutation(len(joints))[: settings.batch])
        drawn = working.draw(min(settings.candidates, len(joints)) + settings.hard, rng)
        candidates = joints[torch.from_numpy(drawn)]
        objective = _Objective(image, pose, data.images[rows], joints[rows], candidates, settings)
        loss, violated = objective()
        working.count(drawn, violated[:, 0].numpy())
        report(step, line_search_step([image, pose], loss, lambda: objective()[0], settings))  # noqa: B023


@dataclass(frozen=True, slots=True)
class _Objective:
    """The paper's equation 12 on one mini-batch; the same dropout mask each time, so that steps can be compared."""

    image: StructNetImage
    pose: StructNetPose
    images: Tensor
    joints_m: Tensor
    candidates_m: Tensor
    settings: StructNetSettings

    def __call__(self) -> tuple[Tensor, Tensor]:
        torch.manual_seed(self.settings.seed)
        output = self.image(self.images)
        margin = mpjpe(self.joints_m, self.candidates_m) / POSE_UNIT_M
        loss = max_margin_loss(output.embedding, self.pose(self.joints_m), self.pose(self.candidates_m), margin)
        auxiliary = ((output.joints_m - self.joints_m) / POSE_UNIT_M).square().sum((1, 2)).mean()
        weights = [
            p
            for module in (self.image, self.pose)
            for n, p in module.named_parameters()
            if "conv" not in n and p.ndim == 2
        ]
        decay = torch.stack([weight.square().sum() for weight in weights]).sum()
        total = loss.loss + self.settings.auxiliary * auxiliary + self.settings.decay * decay
        return total, loss.violated


def line_search_step(
    modules: list[nn.Module], loss: Tensor, again: Callable[[], Tensor], settings: StructNetSettings
) -> float:
    """One gradient step whose length is the power of ten with the least loss; none at all when every one is worse."""
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    start = [p.detach().clone() for p in parameters]
    best, best_loss = 0.0, float(loss.detach())
    with torch.no_grad():
        for power in range(settings.lowest_power, settings.highest_power + 1):
            _move(parameters, start, gradients, 10.0**power)
            value = float(again())
            if np.isfinite(value) and value < best_loss:
                best, best_loss = 10.0**power, value
        _move(parameters, start, gradients, best)
    return best_loss


def _move(
    parameters: list[nn.Parameter], start: list[Tensor], gradients: tuple[Tensor | None, ...], length: float
) -> None:
    for parameter, origin, gradient in zip(parameters, start, gradients, strict=True):
        parameter.copy_(origin if gradient is None else origin - length * gradient)
