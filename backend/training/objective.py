"""One step's loss: max-margin over shared and local candidates plus the auxiliary tasks, as one torch module.

A module of its own, so that data-parallel training wraps the whole step and averages its gradients.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from backend.embedding.temporal_tower import TemporalOutput, TemporalTower
from backend.embedding.towers_torch import ImageOutput, ImageTower, PoseTower
from backend.training.local_candidates import local_candidates
from backend.training.loss import LocalCandidates, MarginLoss, max_margin_loss, mpjpe
from backend.training.motion_losses import motion_losses
from backend.training.soft_retrieval import Candidates, SoftSettings, soft_retrieval_loss

if TYPE_CHECKING:
    from backend.training.trainer import TrainerSettings


class StepTensors(NamedTuple):
    """A packed batch on the device, in single precision; see `generator.PackedBatch`."""

    frames: Tensor
    context: Tensor
    joints_m: Tensor
    pose_m: Tensor
    rotations: Tensor
    gravity: Tensor
    proportions: Tensor
    window_joints_m: Tensor | None = None
    velocity_m_s: Tensor | None = None
    standing: Tensor | None = None


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

    def forward(self, batch: StepTensors, candidates: Tensor, donors: Candidates | None = None) -> StepLosses:
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
        rotation = (output.rotations.view(-1, 24, 2, 3) - turned).abs().mean()
        down = nn.functional.normalize(output.gravity, dim=-1)
        fall = 1.0 - (down * batch.gravity).sum(-1).mean()
        if isinstance(output, TemporalOutput):
            doubt, extra = motion_losses(output, batch)
        else:
            doubt = (error.detach() / 0.1 * torch.exp(-output.log_error) + output.log_error).mean()
            extra = joints.new_zeros(())
        shape = (output.proportions - batch.proportions).abs().mean()
        loss = (
            settings.margin * margin_loss.loss
            + settings.soft * softly
            + settings.auxiliary
            * (10.0 * error.mean() + 2.0 * rotation + 2.0 * fall + 2.0 * shape + 0.05 * doubt + extra)
        )
        return StepLosses(loss, margin_loss.loss, error.mean(), rotation, fall, softly, margin_loss.violated)

    def _margin(self, output: ImageOutput, batch: StepTensors, candidates: Tensor) -> MarginLoss:
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

    def _softly(self, output: ImageOutput, batch: StepTensors, donors: Candidates) -> Tensor:
        """Soft retrieval of the first windows of the batch, parts donated to the auxiliary pose or to the truth."""
        settings, rows = self._settings, slice(0, self._settings.soft_rows)
        truth = batch.pose_m[rows]
        regressed = output.joints_m[rows].detach() + truth - batch.joints_m[rows]
        base = torch.where(torch.rand(len(truth), 1, 1, device=truth.device) < 0.5, regressed, truth)
        how = SoftSettings(settings.soft_hits, settings.soft_temperature)
        return soft_retrieval_loss(output.embedding[rows], truth, base, donors, self.pose, how)


def _in_float(output: ImageOutput) -> ImageOutput:
    return type(output)(*(getattr(output, name).float() for name in type(output).__dataclass_fields__))
