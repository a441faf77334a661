"""The folded towers in torch, for CUDA. Import only where torch is installed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from backend.embedding.features import WINDOW
from backend.embedding.tower_weights import Dense, TowerWeights
from backend.types import Array


def torch_towers(
    weights: TowerWeights, device: str
) -> tuple[Callable[[Array, Array], tuple[Array, Array]], Callable[[Array], Array]]:
    """Image and pose tower as numpy functions that run on `device`."""
    image = {name: _layer(layer, device) for name, layer in weights.image.items()}
    pose = {name: _layer(layer, device) for name, layer in weights.pose.items()}

    def run_image(frames: Array, context: Array) -> tuple[Array, Array]:
        with torch.inference_mode():
            outputs = _image(image, torch.from_numpy(frames).to(device), torch.from_numpy(context).to(device))
        return outputs[0].cpu().numpy(), outputs[1].cpu().numpy()

    def run_pose(features: Array) -> Array:
        with torch.inference_mode():
            x = torch.from_numpy(features).to(device)
            hidden = x
            for name in ("first", "second"):
                hidden = torch.relu(pose[name](hidden))
            return (pose["embed"](hidden) + pose["direct"](x)).cpu().numpy()

    return run_image, run_pose


@dataclass(frozen=True, slots=True)
class _Layer:
    """A dense layer on a device: weight (inputs, outputs), bias (outputs,)."""

    weight: Tensor
    bias: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        return x @ self.weight + self.bias


def _image(layers: dict[str, _Layer], frames: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
    batch = len(frames)
    x = torch.cat([frames, context[:, None].expand(-1, WINDOW, -1)], dim=-1)
    trunk = torch.relu(layers["entry"](x.reshape(batch, WINDOW // 3, -1)))
    width = trunk.shape[-1]
    for name in ("fold1", "fold2"):
        grouped = trunk.reshape(batch, trunk.shape[1] // 3, 3 * width)
        folded = torch.relu(layers[f"{name}.fold"](grouped))
        trunk = grouped[..., width : 2 * width] + torch.relu(layers[f"{name}.mix"](folded))
    y = trunk[:, 0] + torch.relu(layers["center"](x[:, WINDOW // 2]))
    y = y + torch.relu(layers["last"](y))
    embedding = layers["embed"](torch.relu(layers["embed_hidden"](y)))
    return embedding, layers["auxiliary"](torch.relu(layers["auxiliary_hidden"](y)))


def _layer(layer: Dense, device: str) -> _Layer:
    def on_device(values: Array) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, np.float32)).to(device)

    return _Layer(on_device(layer.weight), on_device(layer.bias))
