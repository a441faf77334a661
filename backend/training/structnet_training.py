"""Train `structnet` as the paper does: max-margin plus auxiliary loss on frozen convolutions, steps by line search.

torch. The convolutions come from a regression of the joints (the paper: joints and body parts); their pooled maps are
computed once. Adam is there beside the line search because it needs one evaluation a step instead of eleven.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from backend.embedding.structnet import POSE_UNIT_M, StructNetImage, StructNetOutput, StructNetPose
from backend.embedding.structnet_file import to_input
from backend.training.loss import max_margin_loss, mpjpe
from backend.training.working_set import WorkingSet


class Stepping(Enum):
    """How a mini-batch moves the weights."""

    LINE_SEARCH = "line-search"
    ADAM = "adam"


@dataclass(frozen=True, slots=True)
class StructNetSettings:
    """The paper's section 5: candidates a mini-batch, most violated poses kept, lambda, alpha, powers of ten tried.

    `rate` is Adam's, and the regression's that trains the convolutions. `device`: cpu, cuda, cuda:1 ...
    """

    batch: int = 128
    candidates: int = 2000
    hard: int = 10
    auxiliary: float = 1.0
    decay: float = 1e-4
    lowest_power: int = -7
    highest_power: int = 2
    stepping: Stepping = Stepping.LINE_SEARCH
    rate: float = 5e-4
    seed: int = 0
    device: str = "cpu"


class Images(Protocol):
    """What is trained on."""

    @property
    def joints_m(self) -> Tensor:
        """Joints (N, 17, 3) in m relative to the pelvis."""

    def output(self, image: StructNetImage, rows: Tensor) -> StructNetOutput:
        """The image network's answer on some rows."""


@dataclass(frozen=True, slots=True)
class TrainingImages:
    """images (N, 112, 112, 3) uint8 RGB, the mean image (3, 112, 112), and the joints (N, 17, 3) in m."""

    images: Tensor
    mean: Tensor
    joints_m: Tensor

    def input(self, rows: Tensor | slice) -> Tensor:
        """Some images as the network's input."""
        return to_input(self.images[rows], self.mean)

    def output(self, image: StructNetImage, rows: Tensor) -> StructNetOutput:
        """As `Images` says."""
        return image(self.input(rows))


@dataclass(frozen=True, slots=True)
class PooledImages:
    """What frozen convolutions say of N images, in half precision: pool2 (N, 64, 24, 24), pool3 (N, 64, 10, 10)."""

    pool2: Tensor
    pool3: Tensor
    joints_m: Tensor

    def output(self, image: StructNetImage, rows: Tensor) -> StructNetOutput:
        """As `Images` says."""
        return image.head(self.pool2[rows].float(), self.pool3[rows].float())


def pooled_images(image: StructNetImage, data: TrainingImages, block: int = 32) -> PooledImages:
    """Run the convolutions once over all images."""
    with torch.inference_mode():
        blocks = [slice(start, start + block) for start in range(0, len(data.images), block)]
        parts = [tuple(pool.half() for pool in image.features(data.input(rows))) for rows in blocks]
    pool2, pool3 = (torch.cat(column).clone() for column in zip(*parts, strict=True))
    return PooledImages(pool2, pool3, data.joints_m)


def train_convolutions(
    image: StructNetImage,
    data: TrainingImages,
    steps: int,
    settings: StructNetSettings,
    report: Callable[[int, float], None] = lambda step, loss: None,
) -> None:
    """Regress the joints from the images with the whole image network; `report` gets the mean joint error in m."""
    rng = np.random.default_rng(settings.seed)
    optimizer = torch.optim.Adam(image.parameters(), lr=settings.rate)
    image.train()
    for step in range(steps):
        rows = _batch(len(data.joints_m), settings, rng)
        error = data.output(image, rows).joints_m - data.joints_m[rows]
        loss = (error / POSE_UNIT_M).square().sum((1, 2)).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        report(step, float(error.detach().norm(dim=-1).mean()))


def train_structnet(
    image: StructNetImage,
    pose: StructNetPose,
    data: Images,
    steps: int,
    settings: StructNetSettings,
    report: Callable[[int, float], None] = lambda step, loss: None,
) -> None:
    """Train on `steps` mini-batches; the pose space is the training poses."""
    rng = np.random.default_rng(settings.seed)
    joints = data.joints_m
    working = WorkingSet(len(joints), hard=settings.hard)
    trained = [p for module in (image, pose) for p in module.parameters() if p.requires_grad]
    adam = torch.optim.Adam(trained, lr=settings.rate) if settings.stepping is Stepping.ADAM else None
    image.train()
    for step in range(steps):
        rows = _batch(len(joints), settings, rng)
        drawn = working.draw(min(settings.candidates, len(joints)) + settings.hard, rng)
        objective = _Objective(
            image, pose, data, rows, joints[torch.from_numpy(drawn).to(joints.device)], settings, step
        )
        loss, violated = objective()
        working.count(drawn, violated[:, 0].cpu().numpy())
        if adam is None:
            report(step, line_search_step([image, pose], loss, lambda: objective()[0], settings))  # noqa: B023
        else:
            adam.zero_grad(set_to_none=True)
            loss.backward()
            adam.step()
            report(step, float(loss.detach()))


def _batch(count: int, settings: StructNetSettings, rng: np.random.Generator) -> Tensor:
    """Different rows of `count`, on the device."""
    return torch.from_numpy(rng.permutation(count)[: settings.batch]).to(settings.device)


@dataclass(frozen=True, slots=True)
class _Objective:
    """The paper's equation 12 on one mini-batch; the same dropout mask each time, so that steps can be compared."""

    image: StructNetImage
    pose: StructNetPose
    data: Images
    rows: Tensor
    candidates_m: Tensor
    settings: StructNetSettings
    step: int

    def __call__(self) -> tuple[Tensor, Tensor]:
        torch.manual_seed(self.settings.seed + self.step)
        output, joints = self.data.output(self.image, self.rows), self.data.joints_m[self.rows]
        margin = mpjpe(joints, self.candidates_m) / POSE_UNIT_M
        loss = max_margin_loss(output.embedding, self.pose(joints), self.pose(self.candidates_m), margin)
        auxiliary = ((output.joints_m - joints) / POSE_UNIT_M).square().sum((1, 2)).mean()
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
