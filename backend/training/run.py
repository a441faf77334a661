"""A training run from mocap, and renders where there are some, to the towers' file: what `train` calls. torch.

With `--pose-tower` the pose tower is that of a towers file and stays, so that banks that it embedded stay valid. An
image tower that was trained beside another pose tower begins with its embedding mapped onto the kept one: the linear
map of least squares that turns the kept tower's embeddings into the other's, transposed, keeps the score <f_I, f_J> as
it was up to what the map cannot explain.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from backend.datasets import read_library
from backend.embedding.temporal_tower import TemporalSizes
from backend.embedding.tower_weights import TowerWeights, read_towers, write_towers
from backend.embedding.towers_torch import TowerSizes
from backend.embedding.window_offsets import DENSE_OFFSETS, LONG_OFFSETS
from backend.errors import BadInputError
from backend.people import Quality
from backend.training.checkpoint import TrainerState, folded_weights, load_checkpoint, new_state, start_from
from backend.training.error_library import error_library
from backend.training.generator import BatchSource, Mix, pack_batch
from backend.training.landmark_noise import read_noise
from backend.training.logs import LOSSES_FILE, TrainingLog, plot_losses
from backend.training.noise_fit import joined
from backend.training.parallel import Ranks, join_ranks
from backend.training.pool import MotionPool, motion_pool
from backend.training.render_landmarks import render_landmarks
from backend.training.render_windows import render_pool
from backend.training.simulate import SimulationSettings, as_in_video
from backend.training.trainer import StepReport, TrainerSettings, TrainOutputs, train, training_bank
from backend.training.unfold import start_from_weights


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


log = logging.getLogger(__name__)

_MAP_POSES = 50_000
CHECKPOINT_FILE = "checkpoint.pt"
TOWERS_FILE = "towers.safetensors"


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """What to train on, and where to. `renders_share` of each batch comes from `renders` (folders), seen by the
    landmark networks `qualities`; `noise` a fitted error model; `start` a checkpoint or towers file whose towers the
    run begins with; `keep_pose_tower`: only the image tower is trained, beside the pose tower of `start`, or of the
    towers file `pose_tower`.
    `only_embedding`: of the image tower, the layers of the embedding alone are trained: what else it says stays.
    `exact_keypoints`: keypoints without errors and no 3D guess, as `evaluate --exact-keypoints` measures;
    `as_in_video`: also people and cameras that mocap and the ordinary simulation lack.
    """

    mocap: Path
    output: Path
    settings: TrainerSettings
    sizes: TowerSizes | TemporalSizes = TowerSizes()
    renders: tuple[Path, ...] = ()
    renders_share: float = 0.25
    qualities: tuple[Quality, ...] = (Quality.FULL, Quality.HEAVY)
    noise: Path | None = None
    start: Path | None = None
    keep_pose_tower: bool = False
    pose_tower: Path | None = None
    only_embedding: bool = False
    exact_keypoints: bool = False
    as_in_video: bool = False
    workers: int = 1
    checkpoint_steps: int = 250
    report_steps: int = 50


@dataclass(frozen=True, slots=True)
class TrainResult:
    """The trained weights of rank 0, the step, and whether this process wrote them."""

    weights: TowerWeights
    step: int
    written: bool


@dataclass(frozen=True, slots=True)
class _Data:
    """What batches are made of: mocap, and how it is mixed with renders."""

    pool: MotionPool
    mix: Mix


def run_training(
    request: TrainRequest, report: Callable[[StepReport, int], None], tell: Callable[[str], None]
) -> TrainResult:
    """Train, export, plot; goes on from the output folder's checkpoint. `report` gets each report and the step that
    this run began at. Raises BadInputError, CheckpointError, OutputError, DeviceError.
    """
    if not 0.0 <= request.renders_share <= 1.0:
        raise BadInputError(f"--renders-share {request.renders_share} is not between 0 and 1")
    if request.only_embedding and request.start is None and not (request.output / CHECKPOINT_FILE).exists():
        raise BadInputError("--only-embedding has no towers whose embedding to train", "Name them with --start")
    if request.keep_pose_tower and request.start is None and request.pose_tower is None:
        raise BadInputError("--keep-pose-tower has no pose tower to keep", "Name its towers with --start")
    request.output.mkdir(parents=True, exist_ok=True)
    mix = _mix(request, tell)
    pool = motion_pool(read_library(request.mocap).training())
    with join_ranks(request.settings.device) as ranks:
        settings = replace(request.settings, device=ranks.device)
        state = _state(request, settings, mix, pool, tell)
        _steps(request, settings, state, _Data(pool, mix), ranks, report)
        weights = folded_weights(state.image_average, state.pose_average, _provenance(request, state, ranks))
        if ranks.is_first:
            write_towers(weights, request.output / TOWERS_FILE)
            plot_losses(request.output / LOSSES_FILE, request.output / "losses.png")
    return TrainResult(weights, state.step, ranks.is_first)


def _mix(request: TrainRequest, tell: Callable[[str], None]) -> Mix:
    noise = read_noise(request.noise) if request.noise else None
    settings = replace(SimulationSettings(), noise=noise) if noise else SimulationSettings()
    offsets = LONG_OFFSETS if isinstance(request.sizes, TemporalSizes) else DENSE_OFFSETS
    settings = replace(settings, offsets=offsets, exact_keypoints=request.exact_keypoints)
    settings = as_in_video(settings) if request.as_in_video else settings
    if not request.renders:
        return Mix(settings)
    seen = [render_landmarks(folder, quality) for folder in request.renders for quality in request.qualities]
    pool = render_pool(seen)
    settings = replace(settings, errors=error_library(joined(seen)))
    tell(f"{len(pool)} frames of renders, {100 * request.renders_share:.0f} % of each batch")
    return Mix(settings, pool, request.renders_share)


def _start_from_file(state: TrainerState, path: Path, mix: Mix, pool: MotionPool) -> None:
    batch = pack_batch(pool, 512, np.random.default_rng(0), mix)
    tensors = batch.to(str(next(state.image.parameters()).device))
    start_from_weights(state, read_towers(path), tensors.frames, tensors.context)


def _state(
    request: TrainRequest, settings: TrainerSettings, mix: Mix, pool: MotionPool, tell: Callable[[str], None]
) -> TrainerState:
    state, checkpoint = new_state(request.sizes, settings), request.output / CHECKPOINT_FILE
    if checkpoint.exists():
        load_checkpoint(state, checkpoint)
        tell(f"going on at step {state.step}")
    elif request.start is not None:
        if request.start.suffix == ".safetensors":
            _start_from_file(state, request.start, mix, pool)
        else:
            start_from(state, request.start)
        tell(f"beginning with the towers of {request.start}")
    if request.pose_tower is not None and not checkpoint.exists():
        poses = training_bank(pool, _MAP_POSES, np.random.default_rng(settings.seed))
        explained = keep_pose_tower(state, read_towers(request.pose_tower), torch.from_numpy(poses).to(settings.device))
        tell(f"beside the pose tower of {request.pose_tower}, {100 * explained:.1f} % of the embedding mapped onto it")
    state.pose.requires_grad_(not request.keep_pose_tower and request.pose_tower is None)
    if request.only_embedding:
        state.image.requires_grad_(False)
        for name in ("embed_hidden", "embed"):
            state.image.get_submodule(name).requires_grad_(True)
    return state


def _steps(
    request: TrainRequest,
    settings: TrainerSettings,
    state: TrainerState,
    data: _Data,
    ranks: Ranks,
    report: Callable[[StepReport, int], None],
) -> None:
    pool, begun = data.pool, state.step
    seed = settings.seed + begun + 1 + 100_000 * ranks.rank
    outlet = TrainOutputs(
        request.output / CHECKPOINT_FILE, lambda now: None, ranks, request.checkpoint_steps, request.report_steps
    )
    with BatchSource(pool, settings.batch, data.mix, request.workers, seed) as source:
        if not ranks.is_first:
            train(state, pool, source, settings, outlet)
            return
        with TrainingLog(request.output, begun) as curves:

            def both(now: StepReport) -> None:
                curves.write(now)
                report(now, begun)

            train(state, pool, source, settings, replace(outlet, report=both))


def _provenance(request: TrainRequest, state: TrainerState, ranks: Ranks) -> dict[str, str]:
    windows = request.settings.batch * ranks.count
    origin = {"trained": f"{state.step} steps of {windows} windows", "mocap": request.mocap.name}
    if request.renders:
        origin["renders"] = f"{100 * request.renders_share:.0f} % from {', '.join(f.name for f in request.renders)}"
    if request.pose_tower is not None:
        origin["pose tower"] = f"kept, of {request.pose_tower.name}"
    elif request.keep_pose_tower:
        origin["pose tower"] = f"kept, of {request.start.name}" if request.start else "kept"
    if request.exact_keypoints or request.as_in_video:
        origin["simulated"] = "exact keypoints" if request.exact_keypoints else "as in video"
    if request.noise:
        origin["noise"] = request.noise.name
    return origin


def use_threads(count: int) -> None:
    """Threads of this process's torch operations."""
    torch.set_num_threads(count)
