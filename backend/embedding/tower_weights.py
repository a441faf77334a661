"""The shipped towers' file: folded layers as safetensors, with sizes and provenance in the header. numpy only.

Batch normalisation is folded into the linear layers, so that numpy, ONNX Runtime and torch run the same arithmetic.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from backend.embedding.features import CONTEXT_FEATURES, FRAME_FEATURES
from backend.errors import WeightsError
from backend.types import Array

FORMAT = "marionet-towers"
VERSION = 2

IMAGE_LAYERS = (
    "entry",
    "center",
    "fold1.fold",
    "fold1.mix",
    "fold2.fold",
    "fold2.mix",
    "last",
    "embed_hidden",
    "embed",
    "auxiliary_hidden",
    "auxiliary",
)
POSE_LAYERS = ("first", "second", "embed", "direct")


@dataclass(frozen=True, slots=True)
class Dense:
    """One linear layer: weight (in, out), bias (out,)."""

    weight: Array
    bias: Array


@dataclass(frozen=True, slots=True)
class TowerWeights:
    """Folded layers of both towers by name, and what the file says of its origin.

    `pose_hash` names the pose tower: a bank carries the hash of the tower that embedded it.
    """

    image: dict[str, Dense]
    pose: dict[str, Dense]
    provenance: dict[str, str]

    @property
    def embedding_size(self) -> int:
        """Dimensions of the shared space."""
        return len(self.pose["embed"].bias)

    @property
    def pose_hash(self) -> str:
        """Hash of the pose tower's weights in half precision, as they are stored."""
        return _hash([self.pose[name] for name in POSE_LAYERS])

    @property
    def image_hash(self) -> str:
        """The same of the image tower, which may be trained on beside a pose tower that stays."""
        return _hash([self.image[name] for name in IMAGE_LAYERS])


def _hash(layers: Sequence[Dense]) -> str:
    digest = hashlib.sha256()
    for layer in layers:
        digest.update(np.ascontiguousarray(layer.weight, np.float16).tobytes())
        digest.update(np.ascontiguousarray(layer.bias, np.float16).tobytes())
    return digest.hexdigest()[:16]


def write_towers(weights: TowerWeights, path: Path) -> None:
    """Write both towers with their provenance, in half precision (it moves a joint by some 0.3 mm)."""
    tensors = {}
    for tower, layers in (("image", weights.image), ("pose", weights.pose)):
        for name, layer in layers.items():
            tensors[f"{tower}.{name}.weight"] = np.ascontiguousarray(layer.weight, np.float16)
            tensors[f"{tower}.{name}.bias"] = np.ascontiguousarray(layer.bias, np.float16)
    header = {"format": FORMAT, "version": str(VERSION), "provenance": json.dumps(weights.provenance)}
    save_file(tensors, path, metadata=header)


def read_towers(path: Path) -> TowerWeights:
    """Read a towers file. Raises WeightsError for a missing, truncated, foreign or newer one."""
    remedy = "Install Marionet again, or name a file written by `train`"
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT:
                raise WeightsError(f"{path} holds no Marionet towers", remedy)
            if header.get("version") != str(VERSION):
                raise WeightsError(
                    f"{path} has towers version {header.get('version')}, this program reads {VERSION}", remedy
                )
            image = {name: _dense(file, f"image.{name}") for name in IMAGE_LAYERS}
            pose = {name: _dense(file, f"pose.{name}") for name in POSE_LAYERS}
    except FileNotFoundError as fault:
        raise WeightsError(f"{path} is missing", remedy) from fault
    except (SafetensorError, OSError) as fault:
        raise WeightsError(f"{path} is damaged or no safetensors file ({fault})", remedy) from fault
    inputs = image["center"].weight.shape[0]
    if inputs != FRAME_FEATURES + CONTEXT_FEATURES:
        raise WeightsError(
            f"{path} expects {inputs} input values a frame, this program makes {FRAME_FEATURES + CONTEXT_FEATURES}",
            remedy,
        )
    return TowerWeights(image, pose, json.loads(header["provenance"]))


def _dense(file, name: str) -> Dense:  # type: ignore[no-untyped-def]
    weight, bias = (file.get_tensor(f"{name}.{part}").astype(np.float32) for part in ("weight", "bias"))
    layer = Dense(weight, bias)
    if not (np.isfinite(layer.weight).all() and np.isfinite(layer.bias).all()):
        raise WeightsError(f"layer {name} holds NaN or infinite weights", "Train again or install Marionet again")
    return layer
