"""A run whose pose tower is that of a towers file and stays: banks that it embedded stay valid. torch.

An image tower that was trained beside another pose tower begins with its embedding mapped onto the kept one: the
linear map of least squares that turns the kept tower's embeddings into the other's, transposed, keeps the score
<f_I, f_J> as it was up to what the map cannot explain.
"""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn

from backend.embedding.tower_weights import TowerWeights
from backend.errors import BadInputError
from backend.training.checkpoint import TrainerState


def keep_pose_tower(state: TrainerState, weights: TowerWeights, poses_m: Tensor) -> float:
    """Put the pose tower of `weights` into a fresh state, and map the image tower's embedding onto it with poses
    (N, 17, 3) m on the canonical body. The share (0..1) of the embedding's variance that the map explains.

    Raises BadInputError when the sizes differ.
    """
    kept = deepcopy(state.pose)
    try:
        for name, layer in weights.pose.items():
            module = kept.get_submodule(name)
            module.load_state_dict({"weight": torch.from_numpy(layer.weight.T), "bias": torch.from_numpy(layer.bias)})
    except RuntimeError as fault:
        raise BadInputError(
            f"the pose tower to keep has other layer sizes ({str(fault).splitlines()[-1].strip()})",
            "Name a towers file of these sizes, or leave --pose-tower out",
        ) from fault
    with torch.no_grad():
        map_, explained = _mapped(kept(poses_m).double(), state.pose_average(poses_m).double())
        for tower in (state.image, state.image_average):
            embed = tower.get_submodule("embed")
            assert isinstance(embed, nn.Linear)
            embed.weight.copy_((map_ @ embed.weight.double()).float())
            embed.bias.copy_((map_ @ embed.bias.double()).float())
    state.pose.load_state_dict(kept.state_dict())
    state.pose_average.load_state_dict(kept.state_dict())
    return explained


def _mapped(kept: Tensor, other: Tensor) -> tuple[Tensor, float]:
    """M (E, E) with other = kept @ M but for a constant, which no score of one image depends on; what it explains."""
    kept, other = kept - kept.mean(dim=0), other - other.mean(dim=0)
    found = torch.linalg.lstsq(kept, other).solution
    left = (other - kept @ found).square().sum() / other.square().sum()
    return found, 1.0 - float(left)
