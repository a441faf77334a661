"""Losses of the temporal tower's own heads: uncertainty by direction, other frames, velocity, standing feet. torch."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from backend.embedding.features import ERROR_UNIT_M, FRAME_FEATURES
from backend.embedding.temporal_tower import TOKEN_FRAMES, TemporalOutput
from backend.training.batch import TrainingBatch


@dataclass(frozen=True, slots=True)
class MotionLossWeights:
    """How much each loss of the temporal tower counts among the auxiliary tasks; see `objective.LossWeights`."""

    tokens: float = 3.0
    """Mean joint error in m of the other frames of the window."""
    velocity: float = 0.3
    """Mean error in m/s of the joints of the centre frame."""
    standing: float = 0.1
    """Binary cross-entropy of feet that stand."""


_WEIGHTS = MotionLossWeights()


def motion_losses(output: TemporalOutput, batch: TrainingBatch[Tensor]) -> tuple[Tensor, Tensor]:
    """The loss of the expected errors (negative log likelihood of Laplace errors by direction) and the weighted sum of
    the other losses.

    Windows without motion truth (NaN: renders) add nothing to the second but what their other frames say.
    """
    error = (output.joints_m.detach() - batch.joints_m).abs()
    spread = output.log_spread[:, 1:]  # the pelvis is the origin: it has no error
    own_error = 3.0 * (error[:, 1:] / ERROR_UNIT_M * (-spread).exp() + spread).mean()
    if batch.window_joints_m is None or batch.velocity_m_s is None or batch.standing is None:
        return own_error, own_error.new_zeros(())
    told = list(TOKEN_FRAMES)
    present = batch.frames[:, told, FRAME_FEATURES - 1]
    tokens = (output.token_joints_m - batch.window_joints_m[:, told]).norm(dim=-1).mean(-1)
    tokens = (tokens * present).sum() / present.sum().clamp_min(1.0)
    known = batch.standing.isfinite().all(dim=-1).float()
    share = known.sum().clamp_min(1.0)
    velocity = (output.velocity_m_s - batch.velocity_m_s.nan_to_num()).norm(dim=-1).mean(-1)
    velocity = (velocity * known).sum() / share
    standing = nn.functional.binary_cross_entropy_with_logits(
        output.standing, batch.standing.nan_to_num(), reduction="none"
    )
    standing = (standing.mean(-1) * known).sum() / share
    return own_error, _WEIGHTS.tokens * tokens + _WEIGHTS.velocity * velocity + _WEIGHTS.standing * standing
