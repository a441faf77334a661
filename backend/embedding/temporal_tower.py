"""The temporal image tower, in torch: tokens of a sparse window of several seconds, then a deep trunk for its centre.

Frames are folded three at a time into tokens; layers that mix tokens exchange what they know (Tolstikhin et al. 2021,
MLP-Mixer), and residual blocks read the pose of the centre frame off its token. The outputs are those of the folding
image tower (embedding f_I, auxiliary joints, rotations, gravity, proportions) plus joints of other frames, uncertainty
by direction, velocity and feet that stand. The score stays <f_I, f_J>.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from backend.embedding.features import CONTEXT_FEATURES, FRAME_FEATURES, KEYPOINTS, PROPORTIONS
from backend.embedding.ray_joints import RAY_VALUES, joint_image_map, ray_joints_m
from backend.embedding.towers_torch import ImageOutput
from backend.embedding.window_offsets import DENSE_OFFSETS, FAR_FRAMES, LONG_OFFSETS

_INPUTS = FRAME_FEATURES + CONTEXT_FEATURES
_FOLD = 3
_DENSE = slice(FAR_FRAMES, FAR_FRAMES + len(DENSE_OFFSETS))
_FAR_TOKENS = FAR_FRAMES // _FOLD
_TOKENS = len(LONG_OFFSETS) // _FOLD
_CENTER_FRAME = len(LONG_OFFSETS) // 2
TOKEN_FRAMES = tuple(range(1, len(LONG_OFFSETS), _FOLD))
"""The frame of a window that each token tells of: the middle one of its three."""
STANDING = 2
_WIDEST = 4.0
_HEADS = [RAY_VALUES, 24 * 6, 3, 17 * 3, len(PROPORTIONS), 17 * 3, STANDING]


@dataclass(frozen=True, slots=True)
class TemporalSizes:
    """`width` and `layers` of the tokens, `mix` hidden values of their exchange; `trunk` and `blocks` of the centre
    frame's residual layers; `hidden` of the heads and the pose tower, `embedding` of the shared space.
    """

    width: int = 256
    layers: int = 3
    mix: int = 48
    trunk: int = 512
    blocks: int = 6
    hidden: int = 512
    embedding: int = 64


@dataclass(frozen=True, slots=True)
class TemporalOutput(ImageOutput):
    """ImageOutput, and: log_spread (B, 17, 3) log error scale by direction; velocity_m_s (B, 17, 3); standing (B, 2)
    logits of right and left foot; token_joints_m (B, T, 17, 3) joints of the frames TOKEN_FRAMES.
    """

    log_spread: Tensor
    velocity_m_s: Tensor
    standing: Tensor
    token_joints_m: Tensor


class _Block(nn.Module):
    """Residual layers with normalisation before them; the last begins at zero, so that a block begins as nothing."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, inner)
        self.narrow = nn.Linear(inner, width)
        nn.init.zeros_(self.narrow.weight)
        nn.init.zeros_(self.narrow.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.narrow(torch.relu(self.widen(self.norm(x))))


class _Mix(nn.Module):
    """Exchange between the tokens (B, T, C), the same for every channel, residual (Tolstikhin et al. 2021)."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.block = _Block(_TOKENS, inner)
        self.block.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        across = self.block.norm(x).transpose(1, 2)
        across = self.block.narrow(torch.relu(self.block.widen(across)))
        return x + across.transpose(1, 2)


class TemporalTower(nn.Module):
    """frames (B, 51, FRAME_FEATURES) at LONG_OFFSETS, context (B, CONTEXT_FEATURES) -> TemporalOutput."""

    joint_map: Tensor

    def __init__(self, sizes: TemporalSizes) -> None:
        super().__init__()
        width, trunk = sizes.width, sizes.trunk
        self.fold = nn.Linear(_FOLD * _INPUTS, width)
        self.far = nn.Linear(_FOLD * _INPUTS, width)
        self.place = nn.Parameter(0.02 * torch.randn(_TOKENS, width))
        layers: list[nn.Module] = [_Block(width, 2 * width)]
        for _ in range(sizes.layers):
            layers += [_Mix(width, sizes.mix), _Block(width, 2 * width)]
        self.layers = nn.Sequential(*layers)
        self.token_norm = nn.LayerNorm(width)
        self.token_joints = nn.Linear(width, RAY_VALUES)
        self.center = nn.Linear(_INPUTS + 3 * width, trunk)
        self.blocks = nn.Sequential(*(_Block(trunk, 2 * trunk) for _ in range(sizes.blocks)))
        self.trunk_norm = nn.LayerNorm(trunk)
        self.embed_hidden = nn.Linear(trunk, sizes.hidden)
        self.embed = nn.Linear(sizes.hidden, sizes.embedding)
        self.auxiliary = nn.Linear(trunk, sum(_HEADS))
        self.register_buffer("joint_map", joint_image_map(), persistent=False)

    def forward(self, frames: Tensor, context: Tensor) -> TemporalOutput:
        """A window's frames and context to the centre frame's embedding and everything said of it."""
        x = torch.cat([frames, context[:, None].expand(-1, frames.shape[1], -1)], dim=-1)
        threes = x.unflatten(1, (_TOKENS, _FOLD)).flatten(-2)
        far = self.far(torch.cat([threes[:, :_FAR_TOKENS], threes[:, -_FAR_TOKENS:]], dim=1))
        dense = self.fold(threes[:, _FAR_TOKENS:-_FAR_TOKENS])
        tokens = torch.cat([far[:, :_FAR_TOKENS], dense, far[:, _FAR_TOKENS:]], dim=1)
        tokens = self.token_norm(self.layers(tokens + self.place.to(tokens.dtype)))
        summary = [tokens[:, _TOKENS // 2], tokens[:, _FAR_TOKENS:-_FAR_TOKENS].mean(1), tokens.mean(1)]
        center = self.center(torch.cat([x[:, _CENTER_FRAME].to(tokens.dtype), *summary], dim=-1))
        trunk = self.trunk_norm(self.blocks(center))
        values = (
            self.auxiliary(trunk),
            self.token_joints(tokens),
            self.embed(torch.relu(self.embed_hidden(trunk))),
        )
        with torch.autocast(frames.device.type, enabled=False):
            return self._outputs(frames, context, *(value.float() for value in values))

    def _outputs(
        self, frames: Tensor, context: Tensor, auxiliary: Tensor, token_rays: Tensor, embedding: Tensor
    ) -> TemporalOutput:
        rows = len(frames)
        rays, rotations, gravity, spread, proportions, velocity, standing = auxiliary.split(_HEADS, dim=-1)
        half = torch.exp(context[:, :1] - 1.0)
        image, hips = self._joints_in_image(frames)
        spread = spread.reshape(rows, 17, 3).clamp(-_WIDEST, _WIDEST)
        told = list(TOKEN_FRAMES)
        return TemporalOutput(
            embedding,
            ray_joints_m(rays, image[:, _CENTER_FRAME], hips[:, _CENTER_FRAME], half),
            rotations.reshape(rows, 24, 6),
            gravity,
            0.5 * torch.logsumexp(2.0 * spread, dim=-1),
            proportions,
            spread,
            velocity.reshape(rows, 17, 3),
            standing,
            ray_joints_m(token_rays, image[:, told], hips[:, told], half[:, None]),
        )

    def _joints_in_image(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Image places (B, W, 17, 2) of the joints relative to the mid-hip and the mid-hip (B, W, 2)."""
        points = frames[..., : 2 * KEYPOINTS].unflatten(-1, (KEYPOINTS, 2)).float()
        return torch.einsum("bwkd,kj->bwjd", points, self.joint_map), frames[..., 4 * KEYPOINTS : -1].float()
