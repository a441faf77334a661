"""The towers of a towers file run by torch: what CUDA devices use. Import only where torch is wanted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from backend.embedding.features import WINDOW
from backend.embedding.temporal_tower import temporal_tower
from backend.embedding.tower_weights import Dense, TowerWeights
from backend.embedding.window_offsets import ImageLayout
from backend.types import Array


def torch_towers(
    weights: TowerWeights, device: str
) -> tuple[Callable[[Array, Array], tuple[Array, Array]], Callable[[Array], Array]]:
    """Image and pose tower as numpy functions that run on `device`."""
    image = _image_function(weights, device)
    pose = {name: _layer(layer, device) for name, layer in weights.pose.items()}

    def run_image(frames: Array, context: Array) -> tuple[Array, Array]:
        with torch.inference_mode():
            outputs = image(torch.from_numpy(frames).to(device), torch.from_numpy(context).to(device))
        return outputs[0].cpu().numpy(), outputs[1].cpu().numpy()

    def run_pose(features: Array) -> Array:
        with torch.inference_mode():
            x = torch.from_numpy(features).to(device)
            hidden = x
            for name in ("first", "second"):
                hidden = torch.relu(_apply(pose[name], hidden))
            return (_apply(pose["embed"], hidden) + _apply(pose["direct"], x)).cpu().numpy()

    return run_image, run_pose


def _image_function(weights: TowerWeights, device: str) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    if weights.layout is ImageLayout.TEMPORAL:
        tower = temporal_tower(weights.image).to(device)

        def run(frames: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
            auxiliary, _, embedding = tower.values(frames, context)
            return embedding, auxiliary

        return run
    layers = {name: _layer(layer, device) for name, layer in weights.image.items()}
    return lambda frames, context: _image(layers, frames, context)


def _image(layers: dict[str, tuple[Tensor, Tensor]], frames: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
    batch = len(frames)
    x = torch.cat([frames, context[:, None].expand(-1, WINDOW, -1)], dim=-1)
    trunk = torch.relu(_apply(layers["entry"], x.reshape(batch, WINDOW // 3, -1)))
    width = trunk.shape[-1]
    for name in ("fold1", "fold2"):
        grouped = trunk.reshape(batch, trunk.shape[1] // 3, 3 * width)
        folded = torch.relu(_apply(layers[f"{name}.fold"], grouped))
        trunk = grouped[..., width : 2 * width] + torch.relu(_apply(layers[f"{name}.mix"], folded))
    y = trunk[:, 0] + torch.relu(_apply(layers["center"], x[:, WINDOW // 2]))
    y = y + torch.relu(_apply(layers["last"], y))
    embedding = _apply(layers["embed"], torch.relu(_apply(layers["embed_hidden"], y)))
    return embedding, _apply(layers["auxiliary"], torch.relu(_apply(layers["auxiliary_hidden"], y)))


def _layer(layer: Dense, device: str) -> tuple[Tensor, Tensor]:
    weight = torch.from_numpy(np.ascontiguousarray(layer.weight, np.float32)).to(device)
    return weight, torch.from_numpy(np.ascontiguousarray(layer.bias, np.float32)).to(device)


def _apply(layer: tuple[Tensor, Tensor], x: Tensor) -> Tensor:
    return x @ layer[0] + layer[1]
