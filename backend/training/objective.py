"""One step's loss: max-margin over shared and local candidates plus the auxiliary tasks, as one torch module.

A module of its own, so that data-parallel training wraps the whole step and averages its gradients.

The local candidates lie near each sample's own truth: turned, bent, flipped in depth, with a limb of another pose or
turned by itself, and the regression's answer. Random poses of a bank lie some 200 mm away, so they teach the score
nothing about the last 100 mm; the authors' later code likewise draws candidates around the regression output. Limbs
that are another pose's or turned teach what retrieval by parts asks: how good one limb is while the rest stays. The
temporal tower's own heads have losses for uncertainty by direction, other frames, velocity and standing feet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from backend.embedding.features import ERROR_UNIT_M, FRAME_FEATURES
from backend.embedding.keypoints import LIMBS
from backend.embedding.temporal_tower import TOKEN_FRAMES, TemporalOutput, TemporalTower
from backend.embedding.towers_torch import ImageOutput, ImageTower, PoseTower
from backend.keypoint_layouts import CANONICAL_BODY, HUMAN36M
from backend.training.batch import TrainingBatch
from backend.training.loss import LocalCandidates, MarginLoss, max_margin_loss, mpjpe
from backend.training.settings import TrainerSettings
from backend.training.soft_retrieval import Candidates, SoftSettings, soft_retrieval_loss

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


@dataclass(frozen=True, slots=True)
class MotionLossWeights:
    """How much each loss of the temporal tower counts among the auxiliary tasks; see `objective.LossWeights`."""

    tokens: float = 3.0
    """Mean joint error in m of the other frames of the window."""
    velocity: float = 0.3
    """Mean error in m/s of the joints of the centre frame."""
    standing: float = 0.1
    """Binary cross-entropy of feet that stand."""


_MOTION_WEIGHTS = MotionLossWeights()


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
    return (
        own_error,
        _MOTION_WEIGHTS.tokens * tokens + _MOTION_WEIGHTS.velocity * velocity + _MOTION_WEIGHTS.standing * standing,
    )


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
