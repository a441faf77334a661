"""A trained `structnet` as one file: both networks, the mean image, and the training poses that are its bank. torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from backend.embedding.structnet import IMAGE_SIDE, PoseBranch, StructNetImage, StructNetPose, paired_networks
from backend.errors import WeightsError
from backend.types import Array

FORMAT = "marionet-structnet"


@dataclass(slots=True)
class StructNet:
    """Networks, mean image (3, 112, 112) in 0..1, and the bank's poses (N, 17, 3) in m relative to the pelvis."""

    image: StructNetImage
    pose: StructNetPose
    mean: torch.Tensor
    bank_m: torch.Tensor

    def scores(self, images: NDArray[np.uint8], block: int = 64) -> tuple[Array, Array]:
        """Scores (B, N) of every bank pose for images (B, 112, 112, 3) RGB, and auxiliary joints (B, 17, 3) m."""
        self.image.eval()
        with torch.inference_mode():
            poses = self.pose(self.bank_m)
            scores, joints = [], []
            for start in range(0, len(images), block):
                output = self.image(to_input(torch.from_numpy(images[start : start + block]), self.mean))
                scores.append(output.embedding @ poses.T)
                joints.append(output.joints_m)
        return torch.cat(scores).numpy(), torch.cat(joints).numpy()


def to_input(images: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    """Images (B, 112, 112, 3) uint8 to the network's input (B, 3, 112, 112), the mean image subtracted."""
    return images.permute(0, 3, 1, 2).float() / 255.0 - mean


def average_m(scores: Array, bank_m: Array, count: int) -> Array:
    """Avg(A): the mean (B, 17, 3) of the `count` best poses; 1 is Max."""
    best = np.argpartition(-scores, count - 1, axis=1)[:, :count]
    return np.asarray(bank_m[best].mean(axis=1))


def write_structnet(net: StructNet, path: Path) -> None:
    """Write a trained network."""
    tensors = {f"image.{name}": value for name, value in net.image.state_dict().items()}
    tensors |= {f"pose.{name}": value for name, value in net.pose.state_dict().items()}
    tensors |= {"mean": net.mean, "bank_m": net.bank_m}
    header = {"format": FORMAT, "branch": net.pose.branch.name}
    save_file({name: value.cpu().contiguous() for name, value in tensors.items()}, path, metadata=header)


def read_structnet(path: Path) -> StructNet:
    """Read a network that `write_structnet` wrote. Raises WeightsError for anything else."""
    remedy = "Train one with: marionet train --configuration structnet"
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT:
                raise WeightsError(f"{path} holds no structnet", remedy)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no mapping
    except FileNotFoundError as fault:
        raise WeightsError(f"{path} is missing", remedy) from fault
    except (SafetensorError, OSError) as fault:
        raise WeightsError(f"{path} is damaged or no safetensors file ({fault})", remedy) from fault
    image, pose = paired_networks(PoseBranch[header["branch"]])
    for name, network in (("image", image), ("pose", pose)):
        prefix = f"{name}."
        own = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        network.load_state_dict(own)
    if tensors["mean"].shape != (3, IMAGE_SIDE, IMAGE_SIDE) or not len(tensors["bank_m"]):
        raise WeightsError(f"{path} has no mean image or no poses", remedy)
    return StructNet(image.eval(), pose.eval(), tensors["mean"], tensors["bank_m"])
