"""A towers file back to trainable towers: what `train --start towers.safetensors` begins with. torch.

The file of a folding tower holds no batch normalisation: it is folded into the layers. Each layer gets one back that
changes nothing, with the mean and spread that its outputs have on a batch, so that training goes on from the same
function.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from backend.embedding.temporal_tower import TemporalTower, put_layers
from backend.embedding.tower_weights import Dense, TowerWeights
from backend.embedding.towers_torch import ImageTower, PoseTower
from backend.embedding.window_offsets import ImageLayout
from backend.errors import WeightsError
from backend.training.checkpoint import TrainerState


def start_from_weights(state: TrainerState, weights: TowerWeights, frames: Tensor, context: Tensor) -> TrainerState:
    """Put a towers file's layers into fresh towers; frames (B, W, F) and context (B, C) are a batch of training input.

    Raises WeightsError when the layer sizes differ.
    """
    temporal = isinstance(state.image, TemporalTower)
    if temporal is not (weights.layout is ImageLayout.TEMPORAL):
        raise WeightsError(
            f"the towers to begin with have a {weights.layout.value} image tower",
            f"Train with --image-tower {weights.layout.value}",
        )
    try:
        _put_image(state.image, weights)
        for name, layer in weights.pose.items():
            _copy(state.pose.get_submodule(name), layer)
    except RuntimeError as fault:
        raise WeightsError(
            f"the towers to begin with have other layer sizes ({fault})", "Train without --start"
        ) from fault
    if isinstance(state.image, ImageTower):
        _neutral_norms(state.image, frames, context)
    _same(state.image, state.image_average)
    _same(state.pose, state.pose_average)
    return state


def _put_image(image: ImageTower | TemporalTower, weights: TowerWeights) -> None:
    if isinstance(image, TemporalTower):
        put_layers(image, weights.image)
        return
    for name, layer in weights.image.items():
        module = image.get_submodule(name)
        _copy(module if isinstance(module, nn.Linear) else module.linear, layer)


def _copy(module: nn.Module, layer: Dense) -> None:
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(layer.weight.T.copy()))
        module.bias.copy_(torch.from_numpy(layer.bias))


def _neutral_norms(image: ImageTower, frames: Tensor, context: Tensor) -> None:
    """Normalisations that undo themselves: set in the order in which data passes, each from the true input."""

    def settle(norm: nn.BatchNorm1d, inputs: tuple[Tensor]) -> None:
        mean, variance = inputs[0].mean(dim=0), inputs[0].var(dim=0, unbiased=False)
        with torch.no_grad():
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)
            norm.weight.copy_((variance + norm.eps).sqrt())
            norm.bias.copy_(mean)

    norms = [module for module in image.modules() if isinstance(module, nn.BatchNorm1d)]
    hooks = [norm.register_forward_pre_hook(settle) for norm in norms]
    image.eval()
    with torch.no_grad():
        image(frames, context)
    for hook in hooks:
        hook.remove()


def _same(live: ImageTower | TemporalTower | PoseTower, average: nn.Module) -> None:
    average.load_state_dict(live.state_dict())
