"""Max-margin training of the towers on simulated landmark sequences: data process, loop, checkpoints, resume.

One generator process draws windows while this one steps; a replay buffer lets either be the slower one.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from backend.bank.candidates import ViewRange, make_candidates
from backend.embedding.towers_torch import ImageOutput, ImageTower, PoseTower, TowerSizes
from backend.training.generator import BatchSource, PackedBatch
from backend.training.local_candidates import local_candidates
from backend.training.loss import LocalCandidates, max_margin_loss, mpjpe
from backend.training.pool import MotionPool
from backend.training.working_set import WorkingSet

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainerSettings:
    """Lengths in steps of `batch` windows. `margin_unit_m`: the margin is MPJPE in this unit. `seconds`: the learning
    rate falls so that training ends after this time if `steps` would take longer. `half_precision`: bfloat16 products.
    """

    steps: int = 5000
    batch: int = 512
    candidates: int = 2048
    bank: int = 300_000
    violations: int = 8
    margin_unit_m: float = 0.1
    rate: float = 1e-3
    final_rate: float = 1e-5
    warmup: int = 200
    weight_decay: float = 1e-4
    average: float = 0.998
    auxiliary: float = 1.0
    replay: int = 160
    seconds: float = math.inf
    half_precision: bool = True
    seed: int = 0
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class StepReport:
    """Losses of a step: hinge of the margin, auxiliary MPJPE in mm, rotation and gravity errors in degrees."""

    step: int
    hinge: float
    joints_mm: float
    rotation: float
    gravity_deg: float
    rate: float
    seconds: float


@dataclass(slots=True)
class TrainerState:
    """Everything a checkpoint holds: both towers, their running average, the optimiser, the step."""

    image: ImageTower
    pose: PoseTower
    image_average: nn.Module
    pose_average: nn.Module
    optimizer: torch.optim.Optimizer
    step: int = 0


def new_state(sizes: TowerSizes, settings: TrainerSettings) -> TrainerState:
    """Fresh towers and optimiser."""
    torch.manual_seed(settings.seed)
    image, pose = ImageTower(sizes).to(settings.device), PoseTower(sizes).to(settings.device)
    image_average, pose_average = ImageTower(sizes).to(settings.device), PoseTower(sizes).to(settings.device)
    image_average.load_state_dict(image.state_dict())
    pose_average.load_state_dict(pose.state_dict())
    parameters = [*image.parameters(), *pose.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=settings.rate, weight_decay=settings.weight_decay)
    return TrainerState(image, pose, image_average.eval(), pose_average.eval(), optimizer)


def train(
    state: TrainerState,
    pool: MotionPool,
    source: BatchSource,
    settings: TrainerSettings,
    checkpoint: Path,
    report: Callable[[StepReport], None],
) -> TrainerState:
    """Step until `settings.steps`; a checkpoint every 250 steps and at the end. Resumes where `state.step` stands."""
    rng = np.random.default_rng(settings.seed + state.step)
    bank = _training_bank(pool, settings.bank, rng)
    working = WorkingSet(len(bank))
    batches = _replayed(source, settings.replay, rng)
    started = time.monotonic()
    while state.step < settings.steps and time.monotonic() - started < settings.seconds:
        rate = _rate(state.step, time.monotonic() - started, settings)
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        packed = next(batches)
        chosen = working.draw(settings.candidates, rng)
        losses = _step(state, packed, bank[chosen], chosen, working, settings)
        state.step += 1
        if state.step % 50 == 0:
            report(StepReport(state.step, *losses, rate, time.monotonic() - started))
        if state.step % 250 == 0:
            save_checkpoint(state, checkpoint)
    save_checkpoint(state, checkpoint)
    return state


def _step(
    state: TrainerState,
    packed: PackedBatch,
    candidates: np.ndarray,
    chosen: np.ndarray,
    working: WorkingSet,
    settings: TrainerSettings,
) -> tuple[float, float, float, float]:
    device = settings.device
    frames, context, joints, rotations, gravity, proportions = (
        torch.from_numpy(a.astype(np.float32)).to(device) for a in packed
    )
    others = torch.cat([torch.from_numpy(candidates).to(device), joints])
    state.image.train()
    with torch.autocast(torch.device(device).type, dtype=torch.bfloat16, enabled=settings.half_precision):
        output = _in_float(state.image(frames, context))
    with torch.no_grad():
        margin = mpjpe(joints, others) / settings.margin_unit_m
    true = state.pose(joints)
    near = local_candidates(joints, others, output.joints_m)
    near_margin = (near - joints[:, None]).norm(dim=-1).mean(-1) / settings.margin_unit_m
    margin_loss = max_margin_loss(
        output.embedding,
        true,
        torch.cat([state.pose(others[: len(candidates)]), true]),
        margin,
        local=LocalCandidates(state.pose(near), near_margin),
        violations=settings.violations,
    )
    working.count(chosen, margin_loss.violated[:, 0].cpu().numpy())
    error = (output.joints_m - joints).norm(dim=-1)
    rotation = (output.rotations.view(-1, 24, 2, 3) - rotations[..., :2].transpose(-1, -2)).abs().mean()
    down = nn.functional.normalize(output.gravity, dim=-1)
    fall = 1.0 - (down * gravity).sum(-1).mean()
    doubt = (error.detach() / 0.1 * torch.exp(-output.log_error) + output.log_error).mean()
    shape = (output.proportions - proportions).abs().mean()
    loss = margin_loss.loss + settings.auxiliary * (
        10.0 * error.mean() + 2.0 * rotation + 2.0 * fall + 2.0 * shape + 0.05 * doubt
    )
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_([*state.image.parameters(), *state.pose.parameters()], 5.0)
    state.optimizer.step()
    _average(state, settings.average)
    angle = math.degrees(math.acos(max(-1.0, min(1.0, 1.0 - float(fall.detach())))))
    return margin_loss.loss.item(), 1000 * error.mean().item(), rotation.item(), angle


def _in_float(output: ImageOutput) -> ImageOutput:
    return ImageOutput(*(getattr(output, name).float() for name in ImageOutput.__dataclass_fields__))


def _average(state: TrainerState, keep: float) -> None:
    keep = min(keep, (1 + state.step) / (10 + state.step))  # a young average follows faster
    with torch.no_grad():
        for live, slow in ((state.image, state.image_average), (state.pose, state.pose_average)):
            for (_, a), (_, b) in zip(live.state_dict().items(), slow.state_dict().items(), strict=True):
                if b.dtype.is_floating_point:
                    b.lerp_(a, 1.0 - keep)
                else:
                    b.copy_(a)


def _rate(step: int, seconds: float, settings: TrainerSettings) -> float:
    if step < settings.warmup:
        return settings.rate * (step + 1) / settings.warmup
    share = max((step - settings.warmup) / max(1, settings.steps - settings.warmup), seconds / settings.seconds)
    return settings.final_rate + (settings.rate - settings.final_rate) * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def _replayed(source: BatchSource, size: int, rng: np.random.Generator) -> Iterator[PackedBatch]:
    """Fresh batches as they come, else random ones of the last `size`: neither side waits for the other for long."""
    kept: deque[PackedBatch] = deque(maxlen=size)
    while True:
        fresh = source.get(wait=len(kept) < min(size, 8))
        if fresh is not None:
            kept.append(fresh)
            yield fresh
        else:
            yield kept[int(rng.integers(len(kept)))]


def _training_bank(pool: MotionPool, size: int, rng: np.random.Generator) -> np.ndarray:
    """Joints (size, 17, 3) of candidate poses for the loss, drawn like the shipped bank's."""
    frames = rng.choice(len(pool.weight), size=max(1, size // 8), p=pool.weight)
    return make_candidates(pool.rotations_wxyz[frames], 8, ViewRange(), rng).joints_m()


def save_checkpoint(state: TrainerState, path: Path) -> None:
    """Write whole or not at all."""
    record = {
        "image": state.image.state_dict(),
        "pose": state.pose.state_dict(),
        "image_average": state.image_average.state_dict(),
        "pose_average": state.pose_average.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "step": state.step,
    }
    partial = path.with_suffix(".partial")
    torch.save(record, partial)
    os.replace(partial, path)


def load_checkpoint(state: TrainerState, path: Path) -> TrainerState:
    """Go on where a checkpoint stands."""
    record: dict[str, Tensor | dict | int] = torch.load(path, weights_only=True)
    for name in ("image", "pose", "image_average", "pose_average", "optimizer"):
        getattr(state, name).load_state_dict(record[name])
    state.step = int(record["step"])  # type: ignore[arg-type]
    return state
