"""Trained towers to the shipped file: batch normalisation folded into the linear layers. torch."""

from __future__ import annotations

import numpy as np
from torch import nn

from backend.embedding.tower_weights import IMAGE_LAYERS, POSE_LAYERS, Dense, TowerWeights
from backend.embedding.towers_torch import ImageTower, PoseTower


def folded_weights(image: ImageTower, pose: PoseTower, provenance: dict[str, str]) -> TowerWeights:
    """Both towers as plain linear layers."""
    poses = {name: _plain(pose.get_submodule(name)) for name in POSE_LAYERS}
    return TowerWeights({name: _folded(image.get_submodule(name)) for name in IMAGE_LAYERS}, poses, provenance)


def _folded(module: nn.Module) -> Dense:
    if isinstance(module, nn.Linear):
        return _plain(module)
    layer, norm = _plain(module.linear), module.norm
    scale = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach().cpu().numpy()
    shift = norm.bias.detach().cpu().numpy() - norm.running_mean.cpu().numpy() * scale
    return Dense((layer.weight * scale).astype(np.float32), (layer.bias * scale + shift).astype(np.float32))


def _plain(layer: nn.Linear) -> Dense:
    return Dense(layer.weight.detach().cpu().numpy().T.copy(), layer.bias.detach().cpu().numpy().copy())
