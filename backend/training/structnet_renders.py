"""`structnet` on renders: crops as the paper's, the stages of training in order, and what it reaches. torch inside.

The paper trains on Human3.6M images, which are licensed; renders of people who are split by mocap subject stand in.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from backend.embedding.keypoints import H36M_MIRROR
from backend.embedding.structnet import IMAGE_SIDE, PoseBranch, StructNetImage, paired_networks, start_as_published
from backend.embedding.structnet_file import StructNet
from backend.errors import BadInputError
from backend.people.region import Roi, cut
from backend.synthesis.dataset import read_dataset
from backend.training.loss import mpjpe
from backend.training.structnet_training import (
    PooledImages,
    StructNetSettings,
    TrainingImages,
    pooled_images,
    train_convolutions,
    train_structnet,
)
from backend.types import Array

log = logging.getLogger(__name__)
RgbImages = NDArray[np.uint8]

_CROP_PADDING = 1.1  # side of the square over the larger side of the joints' box
_MIRROR = np.array([-1.0, 1.0, 1.0], np.float32)
_WITHIN_MM = 30.0
_BLOCK = 128


@dataclass(frozen=True, slots=True)
class Crops:
    """images (N, 112, 112, 3) RGB around a person; joints (N, 17, 3) in m, camera axes, relative to the pelvis."""

    images: RgbImages
    joints_m: Array

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, slots=True)
class StructNetErrors:
    """MPJPE in mm: Max, Avg(A) by A, auxiliary head, nearest pose of the bank, mean pose (chance); share of images
    whose best pose lies within 30 mm.
    """

    max_mm: float
    average_mm: dict[int, float]
    auxiliary_mm: float
    oracle_mm: float
    mean_pose_mm: float
    within_share: float


def person_square(points_px: Array) -> Roi:
    """The square around a person's joints (17, 2) px, as a data set's box would be."""
    low, high = points_px.min(axis=0), points_px.max(axis=0)
    x, y = (low + high) / 2
    return Roi(float(x), float(y), float(_CROP_PADDING * (high - low).max()))


def render_crops(folder: Path, most: int | None = None) -> Crops:
    """Crops of a folder of renders. Raises BadInputError for a folder without renders."""
    images: list[RgbImages] = []
    joints: list[Array] = []
    for shard in read_dataset(folder):
        camera = np.asarray(shard.truth["h36m17_camera_m"], np.float64)
        pixels = camera @ np.swapaxes(np.asarray(shard.truth["intrinsics"], np.float64), 1, 2)
        pixels = pixels[..., :2] / pixels[..., 2:]
        for row in range(len(shard)):
            if most is not None and len(images) >= most:
                break
            images.append(cut(shard.image(row), person_square(pixels[row]), IMAGE_SIDE))
            joints.append(camera[row] - camera[row, :1])
    return Crops(np.stack(images), np.stack(joints).astype(np.float32))


def with_mirrored(crops: Crops) -> Crops:
    """The crops and their mirror images."""
    flipped = crops.joints_m[:, H36M_MIRROR] * _MIRROR
    return Crops(np.concatenate([crops.images, crops.images[:, :, ::-1]]), np.concatenate([crops.joints_m, flipped]))


def first_rows(pooled: PooledImages, count: int) -> PooledImages:
    """The first images: those that are no mirror images."""
    return PooledImages(pooled.pool2[:count], pooled.pool3[:count], pooled.joints_m[:count])


@dataclass(frozen=True, slots=True)
class Convolutions:
    """Trained convolutions, their maps of the training images, and the mean image (3, 112, 112)."""

    weights: dict[str, torch.Tensor]
    pooled: PooledImages
    mean: torch.Tensor


def learned_convolutions(
    crops: Crops, steps: int, settings: StructNetSettings, report: Callable[[int, float], None]
) -> Convolutions:
    """Stage one: regress the joints, keep the convolutions, run them once over all crops."""
    if len(crops) < settings.hard + 1:
        raise BadInputError(f"{len(crops)} images are too few to train on", "Render some thousands")
    torch.manual_seed(settings.seed)
    image, _ = paired_networks(PoseBranch.TWO_LAYERS)
    image.to(settings.device)
    mean = torch.from_numpy(crops.images.mean(axis=0, dtype=np.float64).astype(np.float32)).permute(2, 0, 1) / 255.0
    mean = mean.to(settings.device)
    data = _images(crops, mean)
    _level_maps(image, data.input(slice(64)))
    train_convolutions(image, data, steps, settings, report)
    _level_maps(image, data.input(slice(64)))
    weights = {name: value.clone() for name, value in image.state_dict().items() if name.startswith("conv")}
    return Convolutions(weights, pooled_images(image, data), mean)


def _images(crops: Crops, mean: torch.Tensor) -> TrainingImages:
    """Crops on the device of the mean image."""
    images = torch.from_numpy(np.ascontiguousarray(crops.images)).to(mean.device)
    return TrainingImages(images, mean, torch.from_numpy(crops.joints_m).to(mean.device))


def _level_maps(image: StructNetImage, images: torch.Tensor) -> None:
    """Scale each convolution so that its maps have unit spread: the published start presumes such maps, and layers
    behind maps of a tenth of it learn ten times as slowly.
    """
    with torch.inference_mode():
        signal = images
        for layer in (image.conv1, image.conv2, image.conv3):
            spread = layer(signal).std().clamp_min(1e-6)
            layer.weight.data.div_(spread)
            if layer.bias is not None:
                layer.bias.data.div_(spread)
            signal = image.pool(torch.relu(layer(signal)))


def pooled_crops(learned: Convolutions, crops: Crops) -> PooledImages:
    """Other crops seen by the same convolutions."""
    image, _ = paired_networks(PoseBranch.TWO_LAYERS)
    image.load_state_dict(learned.weights, strict=False)
    return pooled_images(image.to(learned.mean.device), _images(crops, learned.mean))


def trained_structnet(
    learned: Convolutions,
    branch: PoseBranch,
    steps: int,
    settings: StructNetSettings,
    report: Callable[[int, float], None],
) -> StructNet:
    """Stage two: the max-margin training of one configuration on frozen convolutions."""
    torch.manual_seed(settings.seed)
    image, pose = paired_networks(branch)
    start_as_published(image, pose)
    # the published start of 0.001 is for 130,000 images and 200 epochs of line search; Adam needs a live signal
    for layer in (image.fc_p2, image.fc_p3, image.fc_j1, image.fc_img, image.fc_j2):
        torch.nn.init.kaiming_normal_(layer.weight)
    image.load_state_dict(learned.weights, strict=False)
    image.freeze_convolutions()
    image.to(settings.device)
    pose.to(settings.device)
    train_structnet(image, pose, learned.pooled, steps, settings, report)
    return StructNet(image.eval(), pose.eval(), learned.mean, learned.pooled.joints_m)


def structnet_errors(net: StructNet, seen: PooledImages, averages: tuple[int, ...]) -> StructNetErrors:
    """What a network reaches on pooled images with its own bank, block by block on the device that holds both."""
    counts = [count for count in averages if count <= len(net.bank_m)]
    net.image.eval()
    with torch.inference_mode():
        poses = net.pose(net.bank_m)
        rows = torch.arange(len(seen.joints_m), device=net.bank_m.device).split(_BLOCK)
        parts = [_block_errors(net, poses, seen, part, counts) for part in rows]
        mean_pose = (seen.joints_m - net.bank_m.mean(0)).norm(dim=-1).mean()
    best, auxiliary, nearest, *means = 1000 * torch.cat(parts, dim=1).cpu().numpy()
    return StructNetErrors(
        float(best.mean()),
        {count: float(errors.mean()) for count, errors in zip(counts, means, strict=True)},
        float(auxiliary.mean()),
        float(nearest.mean()),
        1000 * float(mean_pose),
        float((best <= _WITHIN_MM).mean()),
    )


def _block_errors(
    net: StructNet, poses: torch.Tensor, seen: PooledImages, rows: torch.Tensor, counts: list[int]
) -> torch.Tensor:
    """MPJPE in m (3 + len(counts), B) of some images: best pose, auxiliary head, nearest pose, Avg(A) of each A."""
    output, truth, bank = seen.output(net.image, rows), seen.joints_m[rows], net.bank_m
    order = (output.embedding @ poses.T).topk(max(counts, default=1), dim=1).indices
    guesses = [bank[order[:, 0]], output.joints_m, *(bank[order[:, :count]].mean(1) for count in counts)]
    best, auxiliary, *means = ((guess - truth).norm(dim=-1).mean(-1) for guess in guesses)
    return torch.stack([best, auxiliary, mpjpe(truth, bank).min(1).values, *means])


ABLATIONS: dict[str, tuple[PoseBranch, float]] = {
    "full (two pose layers, auxiliary task)": (PoseBranch.TWO_LAYERS, 1.0),
    "one pose layer": (PoseBranch.ONE_LAYER, 1.0),
    "raw pose": (PoseBranch.RAW, 1.0),
    "no auxiliary task": (PoseBranch.TWO_LAYERS, 0.0),
}
"""The paper's ablations: pose network and weight of the auxiliary task."""


def ablation_settings(name: str, settings: StructNetSettings) -> tuple[PoseBranch, StructNetSettings]:
    """The pose network and the settings of one of `ABLATIONS`."""
    branch, auxiliary = ABLATIONS[name]
    return branch, replace(settings, auxiliary=auxiliary)
