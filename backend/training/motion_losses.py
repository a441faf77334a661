"""Losses of the temporal tower's own heads: uncertainty by direction, other frames, velocity, standing feet. torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from backend.embedding.features import FRAME_FEATURES
from backend.embedding.temporal_tower import TOKEN_FRAMES, TemporalOutput

if TYPE_CHECKING:
    from backend.training.objective import StepTensors

_TOKENS, _VELOCITY, _STANDING = 3.0, 0.3, 0.1


def motion_losses(output: TemporalOutput, batch: StepTensors) -> tuple[Tensor, Tensor]:
    """The doubt (negative log likelihood of Laplace errors by direction) and the weighted sum of the other losses.

    Windows without motion truth (single rendered images) add nothing to the second.
    """
    error = (output.joints_m.detach() - batch.joints_m).abs()
    spread = output.log_spread[:, 1:]  # the pelvis is the origin: it has no error
    doubt = 3.0 * (error[:, 1:] / 0.1 * (-spread).exp() + spread).mean()
    if batch.window_joints_m is None or batch.velocity_m_s is None or batch.standing is None:
        return doubt, doubt.new_zeros(())
    told = list(TOKEN_FRAMES)
    present = batch.frames[:, told, FRAME_FEATURES - 1]
    tokens = (output.token_joints_m - batch.window_joints_m[:, told]).norm(dim=-1).mean(-1)
    tokens = (tokens * present).sum() / present.sum().clamp_min(1.0)
    velocity = (output.velocity_m_s - batch.velocity_m_s).norm(dim=-1).mean()
    standing = nn.functional.binary_cross_entropy_with_logits(output.standing, batch.standing)
    return doubt, _TOKENS * tokens + _VELOCITY * velocity + _STANDING * standing
