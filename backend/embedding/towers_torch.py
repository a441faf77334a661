"""The two towers of the `marionet` configuration, in torch: for training. Import only where torch is wanted.

Image tower: a window of frames, folded three at a time (27 -> 9 -> 3 -> 1) with residual blocks; from its trunk come
the image embedding f_I and the auxiliary head (3D joints, joint rotations, gravity, uncertainty). Pose tower: two
hidden layers from the joint coordinates to f_J in the same space. Score = <f_I, f_J> (paper, section 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from backend.embedding.features import CONTEXT_FEATURES, FRAME_FEATURES, POSE_FEATURES, PROPORTIONS
from backend.keypoint_layouts import CANONICAL_BODY, HUMAN36M

JOINT_VALUES = HUMAN36M.count * 3
ROTATION_VALUES = CANONICAL_BODY.count * 6
AUXILIARY_SPLIT = [JOINT_VALUES, ROTATION_VALUES, 3, HUMAN36M.count, len(PROPORTIONS)]


@dataclass(frozen=True, slots=True)
class TowerSizes:
    """Layer widths: `width` of the trunk, `hidden` of heads and pose tower, `embedding` of the shared space."""

    width: int = 512
    hidden: int = 512
    embedding: int = 64


class HeadSizes(Protocol):
    """What the pose tower takes from the sizes of either image tower."""

    @property
    def hidden(self) -> int:
        """Width of the hidden layers."""

    @property
    def embedding(self) -> int:
        """Dimensions of the shared space."""


@dataclass(frozen=True, slots=True)
class ImageOutput:
    """f_I (B, E); auxiliary joints (B, 17, 3) m, rotations (B, 24, 6), gravity (B, 3), log error scale (B, 17),
    proportions (B, 7).
    """

    embedding: Tensor
    joints_m: Tensor
    rotations: Tensor
    gravity: Tensor
    log_error: Tensor
    proportions: Tensor


class _Fold(nn.Module):
    """Fold three neighbouring frames into one: (B, T, C) -> (B, T / 3, C), with a residual from the middle one."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.fold = _Dense(3 * width, width, dropout)
        self.mix = _Dense(width, width, dropout)

    def forward(self, x: Tensor) -> Tensor:
        batch, frames, width = x.shape
        grouped = x.reshape(batch, frames // 3, 3 * width)
        return grouped[..., width : 2 * width] + self.mix(self.fold(grouped))


class _Dense(nn.Module):
    """Linear, batch normalisation over batch and time, ReLU, dropout."""

    def __init__(self, inputs: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.norm = nn.BatchNorm1d(outputs)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        y = self.linear(x)
        y = self.norm(y.flatten(0, -2)).view_as(y)
        return self.dropout(torch.relu(y))


class ImageTower(nn.Module):
    """frames (B, 27, FRAME_FEATURES), context (B, CONTEXT_FEATURES) -> ImageOutput."""

    def __init__(self, sizes: TowerSizes, dropout: float = 0.1) -> None:
        super().__init__()
        inputs = FRAME_FEATURES + CONTEXT_FEATURES
        self.entry = _Dense(3 * inputs, sizes.width, dropout)
        self.center = _Dense(inputs, sizes.width, dropout)
        self.fold1 = _Fold(sizes.width, dropout)
        self.fold2 = _Fold(sizes.width, dropout)
        self.last = _Dense(sizes.width, sizes.width, dropout)
        self.embed_hidden = _Dense(sizes.width, sizes.hidden, dropout)
        self.embed = nn.Linear(sizes.hidden, sizes.embedding)
        self.auxiliary_hidden = _Dense(sizes.width, sizes.hidden, dropout)
        self.auxiliary = nn.Linear(sizes.hidden, sum(AUXILIARY_SPLIT))

    def forward(self, frames: Tensor, context: Tensor) -> ImageOutput:
        """Frames (B, W, F) and context (B, C) to the image embedding and the auxiliary outputs."""
        batch, window, _ = frames.shape
        x = torch.cat([frames, context[:, None].expand(-1, window, -1)], dim=-1)
        trunk = self.fold2(self.fold1(self.entry(x.reshape(batch, window // 3, -1))))[:, 0]
        trunk = trunk + self.center(x[:, window // 2])
        trunk = trunk + self.last(trunk)
        values = self.auxiliary(self.auxiliary_hidden(trunk))
        joints, rotations, gravity, log_error, proportions = values.split(AUXILIARY_SPLIT, dim=-1)
        return ImageOutput(
            self.embed(self.embed_hidden(trunk)),
            joints.reshape(batch, HUMAN36M.count, 3),
            rotations.reshape(batch, CANONICAL_BODY.count, 6),
            gravity,
            log_error,
            proportions,
        )


class PoseTower(nn.Module):
    """joints_m (..., 17, 3) relative to the pelvis, on the canonical body -> f_J (..., E).

    Two hidden ReLU layers, as in the paper, and a linear layer beside them, from the same input
    (features.pose_features).
    """

    def __init__(self, sizes: HeadSizes) -> None:
        super().__init__()
        self.first = nn.Linear(POSE_FEATURES, sizes.hidden)
        self.second = nn.Linear(sizes.hidden, sizes.hidden)
        self.embed = nn.Linear(sizes.hidden, sizes.embedding)
        self.direct = nn.Linear(POSE_FEATURES, sizes.embedding)

    def forward(self, joints_m: Tensor) -> Tensor:
        """Joints (..., 17, 3) in m to pose embeddings."""
        scaled = joints_m * 2.0  # joints lie within half a metre of the pelvis: unit scale
        x = torch.cat([scaled.flatten(-2), scaled.square().sum(-1)], dim=-1)
        return self.embed(torch.relu(self.second(torch.relu(self.first(x))))) + self.direct(x)
