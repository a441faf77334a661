"""The temporal image tower, in torch: tokens of a sparse window of several seconds, then a deep trunk for its centre.

Frames are folded three at a time into tokens; layers that mix tokens exchange what they know (Tolstikhin et al. 2021,
MLP-Mixer), and residual blocks read the pose of the centre frame off its token. The outputs are those of the folding
image tower (embedding f_I, auxiliary joints, rotations, gravity, proportions) plus joints of other frames, uncertainty
by direction, velocity and feet that stand. The score stays <f_I, f_J>.

Joints come from depths along the rays of keypoints. A keypoint fixes a joint's direction, so the network is asked for
what the image does not show: how large the virtual camera's half size is at the pelvis (the distance), how much nearer
or farther each joint is, and how far its centre lies from the keypoint. `ray_values` holds the same in numpy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from backend.embedding.features import CONTEXT_FEATURES, FRAME_FEATURES, KEYPOINTS
from backend.embedding.ray_values import (
    DEPTH_M,
    RAY_VALUES,
    SHIFT,
    TYPICAL_HALF_SIZE_M,
    WIDEST_LOG_SIZE,
    joint_image_table,
)
from backend.embedding.temporal_onnx import CENTER_FRAME, FAR_TOKENS, FOLD, TEMPORAL_SPLIT, TOKENS, WIDEST_SPREAD
from backend.embedding.tower_weights import Dense, image_layers
from backend.embedding.towers_torch import ImageOutput
from backend.embedding.window_offsets import LONG_OFFSETS, ImageLayout
from backend.errors import WeightsError
from backend.keypoint_layouts import CANONICAL_BODY, HUMAN36M
from backend.types import Array

__all__ = ["RAY_VALUES", "joint_image_map", "ray_joints_m"]


def joint_image_map() -> Tensor:
    """(33, 17): where joints lie in the image, as means of keypoints; the pelvis at the mid-hip, which is 0."""
    return torch.from_numpy(joint_image_table().copy())


def ray_joints_m(values: Tensor, image: Tensor, hips: Tensor, half_size: Tensor) -> Tensor:
    """Joints (..., 17, 3) m relative to the pelvis from RAY_VALUES `values` (..., 52).

    image (..., 17, 2) joints in the image relative to the mid-hip, hips (..., 2) the mid-hip, both in units of the
    virtual camera's half size; half_size (..., 1) tangent of its half angle.
    """
    depth, log_size, shift = values.split([HUMAN36M.count, 1, HUMAN36M.count * 2], dim=-1)
    depth = DEPTH_M * (depth - depth[..., :1])
    size_m = TYPICAL_HALF_SIZE_M * torch.exp(0.5 * log_size.clamp(-WIDEST_LOG_SIZE, WIDEST_LOG_SIZE))
    shift = SHIFT * shift.unflatten(-1, (HUMAN36M.count, 2))
    place = image + shift - shift[..., :1, :]
    nearer = (half_size * depth)[..., None]
    across = place * (size_m[..., None] + nearer) + hips[..., None, :] * nearer
    return torch.cat([across, depth[..., None]], dim=-1)


_INPUTS = FRAME_FEATURES + CONTEXT_FEATURES
TOKEN_FRAMES = tuple(range(1, len(LONG_OFFSETS), FOLD))
"""The frame of a window that each token tells of: the middle one of its three."""
_HEADS = list(TEMPORAL_SPLIT)


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
        self.block = _Block(TOKENS, inner)
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
        self.fold = nn.Linear(FOLD * _INPUTS, width)
        self.far = nn.Linear(FOLD * _INPUTS, width)
        self.place = nn.Parameter(0.02 * torch.randn(TOKENS, width))
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
        values = self.values(frames, context)
        with torch.autocast(frames.device.type, enabled=False):
            return self._outputs(frames, context, *(value.float() for value in values))

    def values(self, frames: Tensor, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the heads say: auxiliary values (B, n) in TEMPORAL_SPLIT, rays of the tokens' frames (B, T, RAY_VALUES),
        embedding (B, E).
        """
        x = torch.cat([frames, context[:, None].expand(-1, frames.shape[1], -1)], dim=-1)
        threes = x.unflatten(1, (TOKENS, FOLD)).flatten(-2)
        far = self.far(torch.cat([threes[:, :FAR_TOKENS], threes[:, -FAR_TOKENS:]], dim=1))
        dense = self.fold(threes[:, FAR_TOKENS:-FAR_TOKENS])
        tokens = torch.cat([far[:, :FAR_TOKENS], dense, far[:, FAR_TOKENS:]], dim=1)
        tokens = self.token_norm(self.layers(tokens + self.place.to(tokens.dtype)))
        summary = [tokens[:, TOKENS // 2], tokens[:, FAR_TOKENS:-FAR_TOKENS].mean(1), tokens.mean(1)]
        center = self.center(torch.cat([x[:, CENTER_FRAME].to(tokens.dtype), *summary], dim=-1))
        trunk = self.trunk_norm(self.blocks(center))
        return self.auxiliary(trunk), self.token_joints(tokens), self.embed(torch.relu(self.embed_hidden(trunk)))

    def _outputs(
        self, frames: Tensor, context: Tensor, auxiliary: Tensor, token_rays: Tensor, embedding: Tensor
    ) -> TemporalOutput:
        rows = len(frames)
        rays, rotations, gravity, spread, proportions, velocity, standing = auxiliary.split(_HEADS, dim=-1)
        half = torch.exp(context[:, :1] - 1.0)
        image, hips = self._joints_in_image(frames)
        spread = spread.reshape(rows, HUMAN36M.count, 3).clamp(-WIDEST_SPREAD, WIDEST_SPREAD)
        told = list(TOKEN_FRAMES)
        return TemporalOutput(
            embedding,
            ray_joints_m(rays, image[:, CENTER_FRAME], hips[:, CENTER_FRAME], half),
            rotations.reshape(rows, CANONICAL_BODY.count, 6),
            gravity,
            0.5 * torch.logsumexp(2.0 * spread, dim=-1),
            proportions,
            spread,
            velocity.reshape(rows, HUMAN36M.count, 3),
            standing,
            ray_joints_m(token_rays, image[:, told], hips[:, told], half[:, None]),
        )

    def _joints_in_image(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Image places (B, W, 17, 2) of the joints relative to the mid-hip and the mid-hip (B, W, 2)."""
        points = frames[..., : 2 * KEYPOINTS].unflatten(-1, (KEYPOINTS, 2)).float()
        return torch.einsum("bwkd,kj->bwjd", points, self.joint_map), frames[..., 4 * KEYPOINTS : -1].float()


def temporal_weights(tower: TemporalTower) -> dict[str, Dense]:
    """The tower's layers by name, as a towers file holds them."""
    layers = {}
    for name, module in tower.named_modules():
        if isinstance(module, nn.Linear | nn.LayerNorm):
            weight = module.weight.T if isinstance(module, nn.Linear) else module.weight
            layers[name] = Dense(_array(weight), _array(module.bias))
    layers["place"] = Dense(_array(tower.place), np.zeros(tower.place.shape[1], np.float32))
    return {name: layers[name] for name in image_layers(ImageLayout.TEMPORAL, layers)}


def temporal_tower(layers: dict[str, Dense]) -> TemporalTower:
    """The tower of a towers file's layers. Raises WeightsError where they do not fit together."""
    tower = TemporalTower(sizes_of(layers))
    put_layers(tower, layers)
    return tower.eval()


def sizes_of(layers: dict[str, Dense]) -> TemporalSizes:
    """The sizes of a towers file's layers."""
    return TemporalSizes(
        width=layers["place"].weight.shape[1],
        layers=sum(name.endswith(".block.norm") for name in layers),
        mix=next((len(layer.bias) for name, layer in layers.items() if name.endswith(".block.widen")), 0),
        trunk=len(layers["center"].bias),
        blocks=sum(name.startswith("blocks.") and name.endswith(".norm") for name in layers),
        hidden=len(layers["embed_hidden"].bias),
        embedding=len(layers["embed"].bias),
    )


def put_layers(tower: TemporalTower, layers: dict[str, Dense]) -> None:
    """Put a towers file's layers into a tower of the same sizes. Raises WeightsError for other sizes."""
    try:
        with torch.no_grad():
            for name, layer in layers.items():
                if name == "place":
                    tower.place.copy_(torch.from_numpy(layer.weight))
                    continue
                module = tower.get_submodule(name)
                weight = layer.weight.T if isinstance(module, nn.Linear) else layer.weight
                module.load_state_dict(
                    {"weight": torch.from_numpy(weight.copy()), "bias": torch.from_numpy(layer.bias)}
                )
    except (RuntimeError, AttributeError) as fault:
        raise WeightsError(
            f"the temporal tower has other layers ({str(fault).splitlines()[-1].strip()})",
            "Name a towers file of these sizes",
        ) from fault


def _array(values: Tensor) -> Array:
    return values.detach().cpu().numpy().astype(np.float32).copy()
