"""One step's loss: max-margin over shared and local candidates plus the auxiliary tasks, as one torch module.

A module of its own, so that data-parallel training wraps the whole step and averages its gradients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from backend.embedding.features import ERROR_UNIT_M
from backend.embedding.temporal_tower import TemporalOutput, TemporalTower
from backend.embedding.towers_torch import ImageOutput, ImageTower, PoseTower
from backend.keypoint_layouts import CANONICAL_BODY
from backend.training.batch import TrainingBatch
from backend.training.local_candidates import local_candidates
from backend.training.loss import LocalCandidates, MarginLoss, max_margin_loss, mpjpe
from backend.training.motion_losses import motion_losses
from backend.training.settings import TrainerSettings
from backend.training.soft_retrieval import Candidates, SoftSettings, soft_retrieval_loss


@dataclass(frozen=True, slots=True)
class LossWeights:
    """How much each auxiliary task counts; `TrainerSettings.auxiliary` scales them all beside the margin loss."""

    joints: float = 10.0
    """Mean joint error in m: the task that the fit leans on most."""
    rotation: float = 2.0
    """Mean absolute error of the joints' 6D rotations."""
    gravity: float = 2.0
    """1 - cosine between the direction down and the truth."""
    proportions: float = 2.0
    """Mean absolute error of the log limb lengths."""
    own_error: float = 0.05
    """Negative log-likelihood of the joint error under the error that the head expects of itself. Small: it must not
    buy likelihood with accuracy.
    """


_WEIGHTS = LossWeights()


class StepLosses(NamedTuple):
    """`loss` to descend; hinge, mean joint error in m, rotation and gravity (1 - cosine) errors, mean joint error in m
    of soft retrieval (whole poses plus parts); `violated` (B, k).
    """

    loss: Tensor
    hinge: Tensor
    joints_m: Tensor
    rotation: Tensor
    fall: Tensor
    soft_m: Tensor
    violated: Tensor


class Objective(nn.Module):
    """Both towers and the loss: (batch, candidates (C, 17, 3) m) -> StepLosses."""

    def __init__(
        self, image: ImageTower | TemporalTower, pose: PoseTower, settings: TrainerSettings, half_precision: bool
    ) -> None:
        super().__init__()
        self.image, self.pose = image, pose
        self._settings, self._half = settings, half_precision

    def forward(self, batch: TrainingBatch[Tensor], candidates: Tensor, donors: Candidates | None = None) -> StepLosses:
        """The losses of one batch; its own poses compete beside the candidates, `donors` are retrieved from.

        Score and margin compare poses on the canonical body, as the bank holds them; the auxiliary joints are those of
        the person's own proportions.
        """
        settings, joints = self._settings, batch.joints_m
        with torch.autocast(joints.device.type, dtype=torch.bfloat16, enabled=self._half):
            output = _in_float(self.image(batch.frames, batch.context))
        margin_loss = self._margin(output, batch, candidates)
        softly = self._softly(output, batch, donors) if donors is not None else joints.new_zeros(())
        error = (output.joints_m - joints).norm(dim=-1)
        turned = batch.rotations[..., :2].transpose(-1, -2)
        rotation = (output.rotations.view(-1, CANONICAL_BODY.count, 2, 3) - turned).abs().mean()
        down = nn.functional.normalize(output.gravity, dim=-1)
        fall = 1.0 - (down * batch.gravity).sum(-1).mean()
        if isinstance(output, TemporalOutput):
            own_error, motion = motion_losses(output, batch)
        else:
            own_error = (error.detach() / ERROR_UNIT_M * torch.exp(-output.log_error) + output.log_error).mean()
            motion = joints.new_zeros(())
        proportions = (output.proportions - batch.proportions).abs().mean()
        auxiliary = (
            _WEIGHTS.joints * error.mean()
            + _WEIGHTS.rotation * rotation
            + _WEIGHTS.gravity * fall
            + _WEIGHTS.proportions * proportions
            + _WEIGHTS.own_error * own_error
            + motion
        )
        loss = settings.margin * margin_loss.loss + settings.soft * softly + settings.auxiliary * auxiliary
        return StepLosses(loss, margin_loss.loss, error.mean(), rotation, fall, softly, margin_loss.violated)

    def _margin(self, output: ImageOutput, batch: TrainingBatch[Tensor], candidates: Tensor) -> MarginLoss:
        """The margin loss of the first `margin_rows` windows; their own poses compete beside the candidates."""
        settings, rows = self._settings, slice(0, self._settings.margin_rows)
        pose = batch.pose_m[rows]
        others = torch.cat([candidates, pose])
        with torch.no_grad():
            margin = mpjpe(pose, others) / settings.margin_unit_m
        near = local_candidates(pose, others, output.joints_m[rows] + pose - batch.joints_m[rows])
        near_margin = (near - pose[:, None]).norm(dim=-1).mean(-1) / settings.margin_unit_m
        true = self.pose(pose)
        return max_margin_loss(
            output.embedding[rows],
            true,
            torch.cat([self.pose(candidates), true]),
            margin,
            local=LocalCandidates(self.pose(near), near_margin),
            violations=settings.violations,
        )

    def _softly(self, output: ImageOutput, batch: TrainingBatch[Tensor], donors: Candidates) -> Tensor:
        """Soft retrieval of the first windows of the batch, parts donated to the auxiliary pose or to the truth."""
        settings, rows = self._settings, slice(0, self._settings.soft_rows)
        truth = batch.pose_m[rows]
        regressed = output.joints_m[rows].detach() + truth - batch.joints_m[rows]
        base = torch.where(torch.rand(len(truth), 1, 1, device=truth.device) < 0.5, regressed, truth)
        how = SoftSettings(settings.soft_hits, settings.soft_temperature)
        return soft_retrieval_loss(output.embedding[rows], truth, base, donors, self.pose, how)


def _in_float(output: ImageOutput) -> ImageOutput:
    return type(output)(*(getattr(output, name).float() for name in type(output).__dataclass_fields__))
