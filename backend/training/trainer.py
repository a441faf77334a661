"""Max-margin training of the towers on simulated landmark sequences: the loop, its clock, reports and checkpoints.

One generator process draws windows while this one steps; a replay buffer lets either be the slower one.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from backend.bank.candidates import ViewRange, make_candidates
from backend.training.batch import TrainingBatch
from backend.training.checkpoint import TrainerState, load_checkpoint, new_state, save_checkpoint
from backend.training.objective import Objective, StepLosses
from backend.training.parallel import Ranks, half_precision_pays
from backend.training.pool import MotionPool
from backend.training.settings import TrainerSettings
from backend.training.soft_retrieval import Candidates
from backend.training.working_set import WorkingSet
from backend.types import Array

__all__ = [
    "StepReport",
    "TrainOutputs",
    "TrainerSettings",
    "load_checkpoint",
    "new_state",
    "save_checkpoint",
    "train",
    "training_bank",
]


class Source(Protocol):
    """Where batches come from."""

    def get(self, wait: bool) -> TrainingBatch[Array] | None:
        """The next batch; None when none is ready and `wait` is False."""


@dataclass(frozen=True, slots=True)
class StepReport:
    """Losses of a step: hinge of the margin, auxiliary MPJPE in mm, rotation and gravity errors in degrees, MPJPE in mm
    of soft retrieval (whole poses plus parts).
    """

    step: int
    hinge: float
    joints_mm: float
    rotation: float
    gravity_deg: float
    soft_mm: float
    rate: float
    seconds: float


@dataclass(frozen=True, slots=True)
class TrainOutputs:
    """Where a run leaves what it makes: a checkpoint every so many steps and at the end, a report every so many.

    Only the first of the `ranks` writes.
    """

    checkpoint: Path
    report: Callable[[StepReport], None]
    ranks: Ranks = Ranks()
    checkpoint_steps: int = 250
    report_steps: int = 50


def train(
    state: TrainerState, pool: MotionPool, source: Source, settings: TrainerSettings, outlet: TrainOutputs
) -> TrainerState:
    """Step until `settings.steps`. Resumes where `state.step` stands, with the same bank and its violations."""
    ranks = outlet.ranks
    rng = np.random.default_rng([settings.seed, state.step, ranks.rank])
    torch.manual_seed(int(rng.integers(2**31)))
    bank = training_bank(pool, settings.bank, np.random.default_rng(settings.seed))
    known = state.violations if state.violations is not None and len(state.violations) == len(bank) else None
    working = WorkingSet(len(bank), counts=known)
    state.violations = working.counts
    half = settings.half_precision and half_precision_pays(settings.device)
    objective = ranks.joined(Objective(state.image, state.pose, settings, half))
    batches = _replayed(source, settings.replay, rng)
    started, passed, donors = time.monotonic(), 0.0, None
    while state.step < settings.steps and passed < settings.seconds:
        rate = _rate(state.step, passed, settings)
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        chosen = working.draw(settings.candidates, rng)
        if settings.soft > 0 and (donors is None or state.step % settings.soft_refresh == 0):
            donors = _donors(state, bank, settings, rng)
        candidates_m = torch.from_numpy(bank[chosen]).to(settings.device)
        batch = next(batches).to(settings.device)
        losses = _step(state, objective, batch, candidates_m, donors, settings.average)
        working.count(chosen, losses.violated[:, 0].cpu().numpy())
        state.step += 1
        passed = ranks.agreed(time.monotonic() - started)
        if ranks.is_first and state.step % outlet.report_steps == 0:
            outlet.report(_report(state.step, losses, rate, passed))
        if ranks.is_first and state.step % outlet.checkpoint_steps == 0:
            save_checkpoint(state, outlet.checkpoint)
    if ranks.is_first:
        save_checkpoint(state, outlet.checkpoint)
    ranks.wait()
    return state


def _donors(state: TrainerState, bank: np.ndarray, settings: TrainerSettings, rng: np.random.Generator) -> Candidates:
    """A random part of the bank, embedded as the pose tower is now."""
    rows = rng.choice(len(bank), min(settings.soft_bank, len(bank)), replace=False)
    joints = torch.from_numpy(bank[rows]).to(settings.device)
    with torch.no_grad():
        return Candidates(joints, torch.cat([state.pose(block) for block in joints.split(8192)]))


def _step(
    state: TrainerState,
    objective: nn.Module,
    batch: TrainingBatch[Tensor],
    candidates_m: Tensor,
    donors: Candidates | None,
    average: float,
) -> StepLosses:
    state.image.train()
    losses: StepLosses = objective(batch, candidates_m, donors)
    state.optimizer.zero_grad(set_to_none=True)
    losses.loss.backward()
    nn.utils.clip_grad_norm_([*state.image.parameters(), *state.pose.parameters()], 5.0)
    state.optimizer.step()
    _average(state, average)
    return losses


def _report(step: int, losses: StepLosses, rate: float, seconds: float) -> StepReport:
    angle = math.degrees(math.acos(max(-1.0, min(1.0, 1.0 - float(losses.fall.detach())))))
    return StepReport(
        step,
        float(losses.hinge.detach()),
        1000 * float(losses.joints_m.detach()),
        float(losses.rotation.detach()),
        angle,
        1000 * float(losses.soft_m.detach()),
        rate,
        seconds,
    )


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


def _replayed(source: Source, size: int, rng: np.random.Generator) -> Iterator[TrainingBatch[Array]]:
    """Fresh batches as they come, else random ones of the last `size`: neither side waits for the other for long."""
    kept: deque[TrainingBatch[Array]] = deque(maxlen=size)
    while True:
        fresh = source.get(wait=len(kept) < min(size, 8))
        if fresh is not None:
            kept.append(fresh)
            yield fresh
        else:
            yield kept[int(rng.integers(len(kept)))]


def training_bank(pool: MotionPool, size: int, rng: np.random.Generator) -> np.ndarray:
    """Joints (size, 17, 3) of candidate poses for the loss, drawn like the shipped bank's."""
    frames = rng.choice(len(pool.weight), size=max(1, size // 8), p=pool.weight)
    return make_candidates(pool.rotations_wxyz[frames], 8, ViewRange(), rng).joints_m()
