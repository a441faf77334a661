"""The shipped towers' file: layers as safetensors, with layout and provenance in the header. numpy only.

The folding tower's batch normalisation is folded into its linear layers, so that numpy, ONNX Runtime and torch run the
same arithmetic. The temporal tower's layer normalisation depends on the input and stays.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from backend.embedding.features import CONTEXT_FEATURES, FRAME_FEATURES
from backend.embedding.window_offsets import ImageLayout
from backend.errors import WeightsError
from backend.types import Array

FORMAT = "marionet-towers"
_VERSIONS = {ImageLayout.FOLDING: "2", ImageLayout.TEMPORAL: "3"}
"""Programs that know no temporal tower refuse version 3 by its number."""

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
TEMPORAL_LAYERS = (
    "fold",
    "far",
    "place",
    "token_norm",
    "token_joints",
    "center",
    "trunk_norm",
    "embed_hidden",
    "embed",
    "auxiliary",
)
"""Of the temporal tower, beside as many `layers` and `blocks` as it has, each of the parts _BLOCK."""
_BLOCK = ("norm", "widen", "narrow")
POSE_LAYERS = ("first", "second", "embed", "direct")


@dataclass(frozen=True, slots=True)
class Dense:
    """One linear layer: weight (in, out), bias (out,). Of the temporal tower also normalisations, weight and bias
    (width,), and `place`, weight (tokens, width): what is added to each token.
    """

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
    def layout(self) -> ImageLayout:
        """How the image tower is built."""
        return ImageLayout.TEMPORAL if "place" in self.image else ImageLayout.FOLDING

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
        return _hash([self.image[name] for name in image_layers(self.layout, self.image)])


def image_layers(layout: ImageLayout, present: Iterable[str]) -> tuple[str, ...]:
    """Names of an image tower's layers, in order; a temporal tower has as many blocks as are `present`."""
    if layout is ImageLayout.FOLDING:
        return IMAGE_LAYERS
    found = {name.rpartition(".")[0] for name in present if name.startswith(("layers.", "blocks."))}
    stems = sorted(found, key=lambda stem: (stem.split(".")[0], int(stem.split(".")[1])))
    return (*TEMPORAL_LAYERS, *(f"{stem}.{part}" for stem in stems for part in _BLOCK))


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
    layout = weights.layout
    header = {"format": FORMAT, "version": _VERSIONS[layout], "provenance": json.dumps(weights.provenance)}
    if layout is not ImageLayout.FOLDING:
        header["layout"] = layout.value
    save_file(tensors, path, metadata=header)


def read_towers(path: Path) -> TowerWeights:
    """Read a towers file. Raises WeightsError for a missing, truncated, foreign or newer one."""
    remedy = "Install Marionet again, or name a file written by `train`"
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT:
                raise WeightsError(f"{path} holds no Marionet towers", remedy)
            layout = _layout(header, path, remedy)
            stored = [name.removeprefix("image.").rpartition(".")[0] for name in file.keys()]  # noqa: SIM118  no dict
            image = {name: _dense(file, f"image.{name}") for name in image_layers(layout, stored)}
            pose = {name: _dense(file, f"pose.{name}") for name in POSE_LAYERS}
    except FileNotFoundError as fault:
        raise WeightsError(f"{path} is missing", remedy) from fault
    except (SafetensorError, OSError) as fault:
        raise WeightsError(f"{path} is damaged or no safetensors file ({fault})", remedy) from fault
    inputs = _inputs(layout, image)
    if inputs != FRAME_FEATURES + CONTEXT_FEATURES:
        raise WeightsError(
            f"{path} expects {inputs} input values a frame, this program makes {FRAME_FEATURES + CONTEXT_FEATURES}",
            remedy,
        )
    return TowerWeights(image, pose, json.loads(header["provenance"]))


def _layout(header: dict[str, str], path: Path, remedy: str) -> ImageLayout:
    for layout, version in _VERSIONS.items():
        if header.get("version") == version and header.get("layout", layout.value) == layout.value:
            return layout
    found = " ".join(header[name] for name in ("version", "layout") if name in header)
    raise WeightsError(f"{path} has towers version {found}, this program reads {', '.join(_VERSIONS.values())}", remedy)


def _inputs(layout: ImageLayout, image: dict[str, Dense]) -> int:
    """Input values of a frame: what the centre frame's layer reads, of the temporal tower beside three summaries."""
    read = image["center"].weight.shape[0]
    return read - 3 * image["place"].weight.shape[1] if layout is ImageLayout.TEMPORAL else read


def _dense(file, name: str) -> Dense:  # type: ignore[no-untyped-def]
    weight, bias = (file.get_tensor(f"{name}.{part}").astype(np.float32) for part in ("weight", "bias"))
    layer = Dense(weight, bias)
    if not (np.isfinite(layer.weight).all() and np.isfinite(layer.bias).all()):
        raise WeightsError(f"layer {name} holds NaN or infinite weights", "Train again or install Marionet again")
    return layer
