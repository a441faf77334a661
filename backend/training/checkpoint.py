"""The state of a training run, its checkpoint file, and the weights that ship: written whole or not at all.

torch.
"""

from __future__ import annotations

import pickle
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from backend.embedding.features import CONTEXT_FEATURES, FRAME_FEATURES
from backend.embedding.temporal_tower import TemporalSizes, TemporalTower, temporal_weights
from backend.embedding.tower_weights import IMAGE_LAYERS, POSE_LAYERS, Dense, TowerWeights
from backend.embedding.towers_torch import ImageTower, PoseTower, TowerSizes
from backend.errors import OutputError, WeightsError
from backend.files import whole_file
from backend.training.settings import TrainerSettings

_TOWERS = ("image", "pose", "image_average", "pose_average")
_DECIDING = ("bank", "margin_unit_m", "auxiliary", "seed")  # settings without which a run is another run


class CheckpointError(WeightsError):
    """A checkpoint that is missing, damaged, or of another configuration."""

    code = "checkpoint"


@dataclass(slots=True)
class TrainerState:
    """Everything a checkpoint holds: both towers, their running average, the optimiser, the step, how often each
    candidate of the training bank was violated (M,), and the configuration that all this is of.
    """

    image: ImageTower | TemporalTower
    pose: PoseTower
    image_average: ImageTower | TemporalTower
    pose_average: PoseTower
    optimizer: torch.optim.Optimizer
    configuration: dict[str, float]
    step: int = 0
    violations: np.ndarray | None = None


def image_tower(sizes: TowerSizes | TemporalSizes) -> ImageTower | TemporalTower:
    """The image tower of these sizes, untrained."""
    return TemporalTower(sizes) if isinstance(sizes, TemporalSizes) else ImageTower(sizes)


def new_state(sizes: TowerSizes | TemporalSizes, settings: TrainerSettings) -> TrainerState:
    """Fresh towers and optimiser."""
    torch.manual_seed(settings.seed)
    image, pose = image_tower(sizes).to(settings.device), PoseTower(sizes).to(settings.device)
    image_average, pose_average = image_tower(sizes).to(settings.device), PoseTower(sizes).to(settings.device)
    image_average.load_state_dict(image.state_dict())
    pose_average.load_state_dict(pose.state_dict())
    parameters = [*image.parameters(), *pose.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=settings.rate, weight_decay=settings.weight_decay)
    configuration = {
        **asdict(sizes),
        "frame_features": FRAME_FEATURES,
        "context_features": CONTEXT_FEATURES,
        **{name: getattr(settings, name) for name in _DECIDING},
    }
    return TrainerState(image, pose, image_average.eval(), pose_average.eval(), optimizer, configuration)


def save_checkpoint(state: TrainerState, path: Path) -> None:
    """Write whole or not at all. Raises OutputError when the disk refuses."""
    record: dict[str, Any] = {name: getattr(state, name).state_dict() for name in (*_TOWERS, "optimizer")}
    record |= {"step": state.step, "configuration": state.configuration}
    if state.violations is not None:
        record["violations"] = torch.from_numpy(state.violations)
    try:
        with whole_file(path) as partial, partial.open("wb") as stream:
            torch.save(record, stream)
    except (OSError, RuntimeError) as fault:  # torch reports a full disk as a RuntimeError
        raise OutputError(f"{path} cannot be written ({fault})", "Free some space: the one before is kept") from fault


def load_checkpoint(state: TrainerState, path: Path) -> TrainerState:
    """Go on where a checkpoint stands. Raises CheckpointError for a damaged or foreign file, and for one of another
    configuration, naming what differs.
    """
    record = _read(path)
    known = record.get("configuration", {})
    other = [f"{name} {known.get(name, '?')}" for name, now in state.configuration.items() if known.get(name) != now]
    if other:
        wanted = ", ".join(f"{name.split()[0]} {state.configuration[name.split()[0]]}" for name in other)
        raise CheckpointError(
            f"{path} is of another configuration ({', '.join(other)}; this run has {wanted})",
            "Give another --output, or take its weights only with --start",
        )
    _load_towers(state, record, path)
    state.optimizer.load_state_dict(record["optimizer"])
    state.step = int(record["step"])
    state.violations = record["violations"].numpy() if "violations" in record else None
    return state


@dataclass(frozen=True, slots=True)
class TrainedTowers:
    """Both towers of a checkpoint, averaged over its last steps, ready to be asked."""

    image: ImageTower | TemporalTower
    pose: PoseTower
    step: int


def read_trained_towers(path: Path) -> TrainedTowers:
    """The towers of a checkpoint, of the sizes that it names. Raises CheckpointError."""
    record = _read(path)
    known = record.get("configuration", {})
    kind: type[TowerSizes | TemporalSizes] = TemporalSizes if "trunk" in known else TowerSizes
    try:
        sizes = kind(**{field.name: int(known[field.name]) for field in fields(kind)})
        image, pose = image_tower(sizes), PoseTower(sizes)
        image.load_state_dict(record["image_average"])
        pose.load_state_dict(record["pose_average"])
    except (KeyError, RuntimeError) as fault:
        raise CheckpointError(
            f"{path} holds towers of another version ({fault})", "Train again with this program"
        ) from fault
    return TrainedTowers(image.eval(), pose.eval(), int(record["step"]))


def start_from(state: TrainerState, path: Path) -> TrainerState:
    """Begin a new run with the averaged towers of another run's checkpoint. Raises CheckpointError."""
    record = _read(path)
    record["image"], record["pose"] = record["image_average"], record["pose_average"]
    _load_towers(state, record, path)
    return state


def _read(path: Path) -> dict[str, Any]:
    remedy = "Name a checkpoint.pt that `train` wrote, or remove it to begin again"
    try:
        record = torch.load(path, weights_only=True, map_location="cpu")
    except FileNotFoundError as fault:
        raise CheckpointError(f"{path} is missing", remedy) from fault
    except (OSError, RuntimeError, EOFError, KeyError, ValueError, pickle.UnpicklingError) as fault:
        raise CheckpointError(f"{path} is damaged or no checkpoint ({type(fault).__name__})", remedy) from fault
    if not isinstance(record, dict) or not {*_TOWERS, "optimizer", "step"} <= set(record):
        raise CheckpointError(f"{path} is not a checkpoint of a training run", remedy)
    return record


def _load_towers(state: TrainerState, record: dict[str, Any], path: Path) -> None:
    try:
        for name in _TOWERS:
            getattr(state, name).load_state_dict(record[name])
    except RuntimeError as fault:
        raise CheckpointError(
            f"{path} holds towers of other layer sizes ({str(fault).splitlines()[-1].strip()})",
            "Train with the same sizes and input features",
        ) from fault


def folded_weights(image: ImageTower | TemporalTower, pose: PoseTower, provenance: dict[str, str]) -> TowerWeights:
    """Both towers as the layers of a towers file."""
    poses = {name: _plain(pose.get_submodule(name)) for name in POSE_LAYERS}
    if isinstance(image, TemporalTower):
        return TowerWeights(temporal_weights(image), poses, provenance)
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
